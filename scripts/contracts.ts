/**
 * `npm run contracts`: compiles contracts/ with npm's solc and writes src/chain/abi.ts, the ABIs and bytecodes that the
 * program is built on. They are committed, so that a clean clone needs no compiler; a test compares them with a fresh
 * compile. `npm run contracts -- test …` hands its arguments to forge, on the same compiler (`--deep [RUNS]`: far more runs);
 * `-- mutants` switches the defences off one by one; `-- coverage` fails where a line or branch is not reached.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { cover } from './contracts-coverage.ts'
import { huntAll } from './contracts-mutants.ts'

const ROOT = join(import.meta.dirname, '..')
const ABI_FILE = join(ROOT, 'src/chain/abi.ts')

/** What is deployed, and the name that its constants carry. */
const CONTRACTS = [
  { name: 'tasks', file: 'contracts/Tasks.sol', contract: 'Tasks' },
  { name: 'hosts', file: 'contracts/Hosts.sol', contract: 'Hosts' },
  { name: 'channels', file: 'contracts/Channels.sol', contract: 'Channels' },
  { name: 'devToken', file: 'contracts/dev/DevToken.sol', contract: 'DevToken' },
] as const

type Message = { errorCode?: string; formattedMessage: string }
type Compiled = { abi: unknown; evm: { bytecode: { object: string } } }
type Output = { errors?: Message[]; contracts?: Record<string, Record<string, Compiled>> }
type Solc = { compile(input: string, callbacks: { import: (path: string) => { contents: string } }): string }

/** The text of src/chain/abi.ts from a fresh compile. */
export async function generate(): Promise<string> {
  const output = compile()
  const parts = CONTRACTS.map(({ name, file, contract }) => {
    const compiled = output.contracts?.[file]?.[contract]
    if (compiled === undefined) throw new Error(`solc gave nothing for ${contract} in ${file}`)
    return (
      `export const ${name}Abi = ${JSON.stringify(compiled.abi)} as const\n\n` +
      `export const ${name}Bytecode =\n  '0x${compiled.evm.bytecode.object}'\n`
    )
  })
  const head =
    '/** Made by scripts/contracts.ts from contracts/. Do not edit: change the contracts and run it again. */\n\n'
  return format(head + parts.join('\n'), { ...(await resolveConfig(ABI_FILE)), parser: 'typescript' })
}

/** The path of the forge of this machine's platform package, or undefined where there is none (arm64). */
export function findForge(): string | undefined {
  const path = join(ROOT, `node_modules/@foundry-rs/forge-${process.platform}-${arch()}/bin/forge`)
  return existsSync(path) ? path : undefined
}

function arch(): string {
  return process.arch === 'x64' ? 'amd64' : process.arch
}

/** The settings of foundry.toml, so that forge tests the very bytes that are deployed. */
const SETTINGS = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 10_000 },
  viaIR: true,
  metadata: { bytecodeHash: 'none', appendCBOR: false },
  outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
}

/** Warns of transient storage; OpenZeppelin's guard clears it at the end of each call, as the warning asks. */
const TRANSIENT = '2394'

function compile(): Output {
  const solc = createRequire(import.meta.url)('solc') as Solc
  const sources = Object.fromEntries(CONTRACTS.map(({ file }) => [file, { content: read(file) }]))
  const input = JSON.stringify({ language: 'Solidity', sources, settings: SETTINGS })
  const output = JSON.parse(solc.compile(input, { import: (path) => ({ contents: read(path) }) })) as Output
  const faults = (output.errors ?? []).filter((e) => e.errorCode !== TRANSIENT).map((e) => e.formattedMessage)
  if (faults.length > 0) throw new Error(`solc is not content:\n${faults.join('\n')}`)
  return output
}

function read(path: string): string {
  return readFileSync(join(ROOT, path.startsWith('@') ? 'node_modules' : '', path), 'utf8')
}

function forge(args: readonly string[], settings: Readonly<Record<string, string>> = {}): number {
  const env = { ...settings, ...process.env, NODE: process.execPath }
  return spawnSync(requireForge(), args, { cwd: ROOT, stdio: 'inherit', env }).status ?? 1
}

function requireForge(): string {
  const path = findForge()
  if (path === undefined) throw new Error(`there is no forge for ${process.platform} ${process.arch}`)
  return path
}

/** `test --deep` without a number: runs of each property. */
const DEEP_RUNS = 1_000_000
/** So many runs of a property for one of the campaign, which takes 512 steps and looks at everything in between. */
const RUNS_A_CAMPAIGN = 500

/** Each can be set by its own variable. */
function deep(runs: number) {
  return {
    FOUNDRY_FUZZ_RUNS: `${runs}`,
    FOUNDRY_INVARIANT_RUNS: `${Math.max(1, Math.round(runs / RUNS_A_CAMPAIGN))}`,
    FOUNDRY_INVARIANT_DEPTH: '512',
  }
}

function run([command = '', ...args]: readonly string[]): number {
  if (command === 'mutants') return huntAll(requireForge(), args)
  if (command === 'coverage') return cover(requireForge())
  const at = args.indexOf('--deep')
  if (command !== 'test' || at < 0) return forge([command, ...args])
  const count = args[at + 1] ?? ''
  const isCounted = /^[1-9]\d{0,8}$/.test(count)
  return forge([command, ...args.toSpliced(at, isCounted ? 2 : 1)], deep(isCounted ? Number(count) : DEEP_RUNS))
}

if (import.meta.main) {
  const args = process.argv.slice(2)
  if (args.length > 0) process.exitCode = run(args)
  else writeFileSync(ABI_FILE, await generate())
}
