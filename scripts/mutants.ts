/**
 * Switches the program's defences off, one at a time, in a copy of the checkout, and runs the tests that must notice. A
 * mutant that survives is a hole in the tests, and the exit code says so. What came of each is written to docs/mutants.md
 * where all of them were tried. `npm run mutants [-- --only WORDS] [-- --list] [-- --keep FILE]`; what was caught is
 * kept in that file, and not tried again by the next run that names it; `--report` writes the page from what is kept.
 */
import { spawnSync } from 'node:child_process'
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MUTANTS } from '../test/mutants/table.ts'
import type { Mutant } from '../test/mutants/table.ts'

const ROOT = join(import.meta.dirname, '..')
const COPIED = ['src', 'test', 'scripts', 'config', 'contracts', 'examples', 'package.json', 'tsconfig.json']
/** A mutant that makes a test wait for ever is caught by this. */
const TEST_TIMEOUT_MS = 120_000

type End = 'caught' | 'SURVIVED' | 'SOUND CODE FAILS' | 'not tried'
type Outcome = { mutant: Mutant; end: End; by: string; seconds: number }

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    list: { type: 'boolean' },
    keep: { type: 'string' },
    report: { type: 'boolean' },
  },
})
const chosen = MUTANTS.filter(({ name }) => values.only === undefined || name.includes(values.only))
process.exitCode = values.list === true ? list() : values.report === true ? report() : run()

function list(): number {
  for (const { name, file } of chosen) console.log(`${file.padEnd(32)} ${name}`)
  return 0
}

/** What is kept so far, without trying anything. */
function report(): number {
  writeReport(
    MUTANTS.map((mutant) => {
      const by = kept(mutant)
      return { mutant, end: by === undefined ? 'not tried' : 'caught', by: by ?? '', seconds: 0 }
    }),
  )
  return 0
}

function run(): number {
  const folder = mkdtempSync(join(tmpdir(), 'meca-defences-'))
  try {
    for (const name of COPIED) cpSync(join(ROOT, name), join(folder, name), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const sound = new Map<string, string | undefined>()
    const outcomes = chosen.map((mutant) => hunt(folder, mutant, sound))
    if (values.only === undefined) writeReport(outcomes)
    const holes = outcomes.filter(({ end }) => end !== 'caught')
    console.log(`${outcomes.length - holes.length} of ${outcomes.length} mutants were caught`)
    return holes.length === 0 ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The tests must pass before, or their failing says nothing. */
function hunt(folder: string, mutant: Mutant, sound: Map<string, string | undefined>): Outcome {
  const known = kept(mutant)
  if (known !== undefined) return { mutant, end: 'caught', by: known, seconds: 0 }
  const began = performance.now()
  const key = [mutant.only, ...mutant.tests].join(' ')
  if (!sound.has(key)) sound.set(key, failing(folder, mutant))
  const before = sound.get(key)
  const by = before ?? underMutation(folder, mutant)
  const end = before !== undefined ? 'SOUND CODE FAILS' : by === undefined ? 'SURVIVED' : 'caught'
  const outcome: Outcome = { mutant, end, by: by ?? '', seconds: (performance.now() - began) / 1000 }
  keep(outcome)
  console.log(`${end.padEnd(9)} ${mutant.name} (${outcome.seconds.toFixed(0)} s) ${outcome.by}`)
  return outcome
}

/** Which test caught this very change in a run before. */
function kept({ name, from, to }: Mutant): string | undefined {
  if (values.keep === undefined || !existsSync(values.keep)) return undefined
  const lines = readFileSync(values.keep, 'utf8').trimEnd().split('\n')
  const all = lines.map((line) => JSON.parse(line) as { name: string; from: string; to: string; by: string })
  return all.find((one) => one.name === name && one.from === from && one.to === to)?.by
}

function keep({ mutant: { name, from, to }, end, by }: Outcome): void {
  if (values.keep !== undefined && end === 'caught')
    appendFileSync(values.keep, `${JSON.stringify({ name, from, to, by })}\n`)
}

function underMutation(folder: string, mutant: Mutant): string | undefined {
  const path = join(folder, mutant.file)
  const sound = readFileSync(path, 'utf8')
  if (sound.split(mutant.from).length !== 2) throw new Error(`does not stand once in ${mutant.file}: ${mutant.from}`)
  writeFileSync(
    path,
    sound.replace(mutant.from, () => mutant.to),
  )
  try {
    return failing(folder, mutant)
  } finally {
    writeFileSync(path, sound)
  }
}

/** The first test that fails, or undefined. Tests that are skipped, or not there, catch nothing. */
function failing(folder: string, { tests, only }: Mutant): string | undefined {
  const options = ['--test', '--test-reporter=tap', `--test-timeout=${TEST_TIMEOUT_MS}`]
  const chosenTests = only === undefined ? [] : [`--test-name-pattern=${only}`]
  // timeout(1) ends the whole process group: a test that hangs has started nodes and chains, which would stay.
  const limited = ['--kill-after=5', String((2 * TEST_TIMEOUT_MS) / 1000), process.execPath]
  const { status, stdout, stderr } = spawnSync('timeout', [...limited, ...options, ...chosenTests, ...tests], {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (status === 0) {
    if (/^# pass 0$/m.test(stdout)) return `no test is named ${only ?? 'so'}`
    return undefined
  }
  if (/SyntaxError|ERR_MODULE_NOT_FOUND/.test(stdout)) throw new Error(`no program any more: ${stdout.slice(-2000)}`)
  const names = [...stdout.matchAll(/^ *not ok \d+ - (.+)$/gm)].map(([, name = '']) => name)
  return names.find((name) => !name.includes('.test.ts')) ?? names[0] ?? (stderr.slice(-200).trim() || 'time was up')
}

function writeReport(outcomes: readonly Outcome[]): void {
  const caught = outcomes.filter(({ end }) => end === 'caught').length
  const rows = outcomes.map(
    ({ mutant, end, by }) => `| ${mutant.name} | \`${mutant.file}\` | ${end} | ${by.replaceAll('|', '/')} |`,
  )
  const text = [
    '# Defences switched off',
    '',
    `Written by \`npm run mutants\`: ${caught} of ${outcomes.length} were caught by a test. Each row is one line of the program`,
    'changed so that a defence is gone; the last column names the first test that noticed. The contracts have a table of their',
    'own, tried by `node scripts/contracts-mutants.ts`.',
    '',
    '| defence switched off | where | | noticed by |',
    '|---|---|---|---|',
    ...rows,
    '',
  ]
  mkdirSync(join(ROOT, 'docs'), { recursive: true })
  writeFileSync(join(ROOT, 'docs', 'mutants.md'), text.join('\n'))
}
