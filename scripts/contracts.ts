/**
 * `npm run contracts`: compiles contracts/ with npm's solc and writes src/chain/abi.ts, the ABIs and bytecodes that the
 * program is built on. They are committed, so that a clean clone needs no compiler; a test compares them with a fresh
 * compile. `npm run contracts -- test …` hands its arguments to forge, on the same compiler (`--deep`: far more runs);
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

/** `test --deep`: minutes instead of seconds; each number can be set by its variable. */
const DEEP = {
  FOUNDRY_FUZZ_RUNS: '1000000',
  FOUNDRY_INVARIANT_RUNS: '2000',
  FOUNDRY_INVARIANT_DEPTH: '512',
} as const

function run([command = '', ...args]: readonly string[]): number {
  if (command === 'mutants') return huntAll(requireForge(), args)
  if (command === 'coverage') return cover(requireForge())
  const deep = args.includes('--deep')
  const rest = args.filter((arg) => arg !== '--deep')
  return forge([command, ...rest], command === 'test' && deep ? DEEP : {})
}

if (import.meta.main) {
  const args = process.argv.slice(2)
  if (args.length > 0) process.exitCode = run(args)
  else writeFileSync(ABI_FILE, await generate())
}
