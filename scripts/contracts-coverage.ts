/**
 * `npm run contracts -- coverage`: every line and branch of our contracts is reached by a test, or the exit code is 1.
 * Not counted are lines of assembly, which forge cannot see into. What else its source map misses stands in `GAPS`, by
 * the text of the line and with the reason; a gap that is none any more is a fault too.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '..')

/** `line` is the line's text without its margins. */
type Gap = { file: string; line: string; why: string }

const GAPS: readonly Gap[] = [
  {
    file: 'contracts/Claims.sol',
    line: 'return reason;',
    why: 'the source map loses it; the mutant "skips without a reason" shows that tests reach it',
  },
]

type Missed = { file: string; number: number; line: string; what: 'line' | 'branch' }
type Report = { lines: number; branches: number; missed: Missed[] }

/** The exit code. `forge` is its path. */
export function cover(forge: string): number {
  const folder = mkdtempSync(join(tmpdir(), 'meca-coverage-'))
  try {
    const file = join(folder, 'lcov.info')
    const args = ['coverage', '--ir-minimum', '--report', 'lcov', '--report-file', file]
    const env = { ...process.env, NODE: process.execPath, FOUNDRY_PROFILE: 'coverage' }
    const { status, stdout, stderr } = spawnSync(forge, args, { cwd: ROOT, env, encoding: 'utf8', maxBuffer: 2 ** 26 })
    if (status !== 0) throw new Error(`forge coverage failed: ${(stdout + stderr).slice(-3000)}`)
    return tell(read(readFileSync(file, 'utf8')))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** forge cannot see into assembly; the differential test and the golden vectors hold what these blocks do. */
function assemblyLines(source: readonly string[]): Set<number> {
  const lines = new Set<number>()
  let inside = false
  for (const [i, line] of source.entries()) {
    if (inside) lines.add(i + 1)
    if (line.includes('assembly (')) inside = true
    else if (line.trim() === '}') inside = false
  }
  return lines
}

function tell({ lines, branches, missed }: Report): number {
  const isKnown = (m: Missed) => GAPS.some((gap) => gap.file === m.file && gap.line === m.line)
  const open = missed.filter((m) => !isKnown(m))
  const stale = GAPS.filter((gap) => !missed.some((m) => m.file === gap.file && m.line === gap.line))
  for (const m of open) process.stdout.write(`not reached: ${m.file}:${m.number} (${m.what}) ${m.line}\n`)
  for (const gap of stale) process.stdout.write(`reached after all: ${gap.file} ${gap.line}\n`)
  for (const { file, line, why } of GAPS) process.stdout.write(`not seen by forge: ${file} ${line}: ${why}\n`)
  process.stdout.write(`${lines} lines and ${branches} branches of our contracts, ${open.length} not reached\n`)
  return open.length + stale.length > 0 ? 1 : 0
}

/** The part of an lcov report that is ours: not tests, not the play token, not libraries. */
function read(report: string): Report {
  const result: Report = { lines: 0, branches: 0, missed: [] }
  for (const record of report.split('end_of_record')) {
    const file = /^SF:(contracts\/[A-Z]\w+\.sol)$/m.exec(record)?.[1]
    if (file === undefined) continue
    const source = readFileSync(join(ROOT, file), 'utf8').split('\n')
    const miss = (number: number, what: Missed['what']) =>
      result.missed.push({ file, number, line: source[number - 1]?.trim() ?? '', what })
    const assembly = assemblyLines(source)
    for (const [, line, hits] of record.matchAll(/^DA:(\d+),(\d+)/gm)) {
      if (assembly.has(Number(line))) continue
      result.lines++
      if (hits === '0') miss(Number(line), 'line')
    }
    for (const [, line, hits] of record.matchAll(/^BRDA:(\d+),\d+,\d+,(\d+|-)/gm)) {
      result.branches++
      if (hits === '0' || hits === '-') miss(Number(line), 'branch')
    }
  }
  return result
}
