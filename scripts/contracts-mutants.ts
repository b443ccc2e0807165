/**
 * Switches the contracts' defences off, one at a time, in a copy of the tree, and runs forge on each: a mutant that no
 * test notices is a hole in the tests, and the exit code says so. What noticed each is written into contracts/MUTANTS.md.
 * `npm run contracts -- mutants [FIRST [LAST]]`.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MUTANTS } from './contracts-mutants-list.ts'
import type { Mutant } from './contracts-mutants-list.ts'

const ROOT = join(import.meta.dirname, '..')
const TABLE = join(ROOT, 'contracts/MUTANTS.md')

/** The exit code: 1 where a mutant was not noticed. `forge` is its path. */
export function huntAll(forge: string, args: readonly string[]): number {
  const [first = 0, last = MUTANTS.length - 1] = args.map(Number)
  const folder = copyTree()
  let missed = 0
  try {
    for (const [i, mutant] of MUTANTS.entries()) {
      if (i < first || i > last) continue
      const by = hunt(forge, folder, mutant)
      process.stdout.write(`${i} ${mutant.file}, ${mutant.name}: ${by ?? 'NOTHING NOTICED'}\n`)
      if (by === undefined) missed++
      // Read anew each time: another part of the list may be under way beside this one.
      writeFileSync(TABLE, table(readTable().set(key(mutant), by ?? '**nothing**')))
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return missed > 0 ? 1 : 0
}

/** What noticed the mutant, or undefined where nothing did. Units are quick, so they come first. */
function hunt(forge: string, folder: string, mutant: Mutant): string | undefined {
  const path = join(folder, `contracts/${mutant.file}.sol`)
  const sound = readFileSync(join(ROOT, `contracts/${mutant.file}.sol`), 'utf8')
  writeFileSync(path, mutate(sound, mutant))
  try {
    return (
      run(forge, folder, ['--no-match-contract', 'Invariants|Vectors']) ??
      run(forge, folder, ['--match-contract', 'Vectors']) ??
      run(forge, folder, ['--match-contract', 'Invariants'])
    )
  } finally {
    writeFileSync(path, sound)
  }
}

/** Throws where the line is not there, or twice. */
export function mutate(source: string, { file, from, to }: Mutant): string {
  if (source.split(from).length !== 2) throw new Error(`does not stand once in ${file}.sol: ${from}`)
  return source.replace(from, () => to)
}

/** The test that failed, or undefined where all passed. */
function run(forge: string, folder: string, which: readonly string[]): string | undefined {
  const runs = { FOUNDRY_PROFILE: 'mutants', FOUNDRY_FUZZ_RUNS: '64', FOUNDRY_INVARIANT_RUNS: '16' }
  const env = { ...process.env, ...runs, NODE: process.execPath }
  const options = { cwd: folder, env, encoding: 'utf8', maxBuffer: 2 ** 26 } as const
  const { status, stdout, stderr } = spawnSync(forge, ['test', '--fail-fast', ...which], options)
  const report = stdout.slice(stdout.indexOf('[FAIL'))
  const test = /\b(?:test|testFuzz|invariant)_\w+/.exec(report)?.[0]
  if (status === 0) return undefined
  if (test === undefined) throw new Error(`forge did not run: ${(stdout + stderr).slice(-2000)}`)
  return test
}

function copyTree(): string {
  const folder = mkdtempSync(join(tmpdir(), 'meca-mutants-'))
  for (const name of ['contracts', 'foundry.toml', 'scripts', 'test/contracts', 'node_modules/solc']) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true })
  }
  for (const name of ['@openzeppelin', ...SOLC_NEEDS]) {
    symlinkSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name))
  }
  return folder
}

/** Packages that npm's solc requires. */
const SOLC_NEEDS = ['command-exists', 'commander', 'follow-redirects', 'js-sha3', 'memorystream', 'semver', 'tmp']

const HEAD = `# Mutants of the contracts

Written by \`npm run contracts -- mutants\`: each row is a defence that was switched off in a copy, and the first test that
failed without it. A row without a test is a hole; the command then exits with 1.

| contract | without it | noticed by |
| --- | --- | --- |
`

function table(caught: ReadonlyMap<string, string>): string {
  const rows = MUTANTS.map((mutant) => `| ${key(mutant)} | ${caught.get(key(mutant)) ?? 'not tried'} |\n`)
  return HEAD + rows.join('')
}

function key({ file, name }: Mutant): string {
  return `${file} | ${name}`
}

/** The rows of an earlier run, so that some mutants can be tried alone. */
export function readTable(): Map<string, string> {
  const text = existsSync(TABLE) ? readFileSync(TABLE, 'utf8') : ''
  const rows = [...text.matchAll(/^\| (\w+ \| .+) \| (\S.*) \|$/gm)].map(
    ([, what = '', by = '']) => [what, by] as const,
  )
  return new Map(rows.filter(([what]) => !what.startsWith('contract')))
}
