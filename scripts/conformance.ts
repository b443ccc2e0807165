/**
 * Runs the cases of the four container contracts against a real engine and prints them one by one: passed, failed or
 * skipped, and where we differ from the system that a format comes from. Exit code 1 where one failed.
 *
 *   node scripts/conformance.ts [--format meca|cytomine|kaapana|borealis] [--case C-07 …] [--json]
 */
import { parseArgs } from 'node:util'
import { asMecaError, MecaError } from '../src/core/errors.ts'
import type { Case } from '../test/conformance/case.ts'
import { CASES } from '../test/conformance/cases.ts'
import { Stage } from '../test/conformance/stage.ts'
import { dockerMissing } from '../test/support/images.ts'

type Row = {
  id: string
  format: string
  result: 'pass' | 'fail' | 'skipped'
  title: string
  ms: number
  why?: string
  differs?: string
  standIn?: string
}

const FORMATS: Readonly<Record<string, string>> = { M: 'meca', C: 'cytomine', K: 'kaapana', B: 'borealis' }
const MARKS = { pass: 'pass   ', fail: 'FAIL   ', skipped: 'skipped' } as const

process.exitCode = await main().catch((error: unknown) => {
  const { message, cure, exitCode } = asMecaError(error)
  process.stderr.write(`${message}\n${cure === undefined ? '' : `What to do: ${cure}\n`}`)
  return exitCode
})

async function main(): Promise<number> {
  const values = read()
  const wanted = chosen(values.format, values.case)
  const missing = await dockerMissing()
  const rows = missing === false ? await play(wanted, values.json) : wanted.map((c) => skipped(c, missing))
  const counts = countsOf(rows)
  if (values.json) process.stdout.write(`${JSON.stringify({ cases: rows, ...counts }, null, 2)}\n`)
  else {
    if (missing !== false) for (const row of rows) print(row)
    process.stdout.write(summary(rows, counts))
  }
  return counts.failed > 0 ? 1 : 0
}

function read() {
  const options = {
    format: { type: 'string' },
    case: { type: 'string', multiple: true },
    json: { type: 'boolean', default: false },
  } as const
  try {
    return parseArgs({ options }).values
  } catch (cause) {
    throw new MecaError('bad_input', cause instanceof Error ? cause.message : String(cause), {
      cause,
      cure: 'npm run conformance -- [--format FORMAT] [--case C-07 …] [--json]',
    })
  }
}

function chosen(format: string | undefined, ids: readonly string[] | undefined): Case[] {
  const known = Object.values(FORMATS)
  if (format !== undefined && !known.includes(format)) {
    throw new MecaError('bad_input', `There is no format ${format}`, { cure: `use one of ${known.join(', ')}` })
  }
  const ofFormat = CASES.filter(({ id }) => format === undefined || formatOf(id) === format)
  // A slip of the pen must not look like a table in which nothing failed.
  const unknown = ids?.find((id) => ofFormat.every((each) => each.id !== id))
  if (unknown !== undefined) {
    throw new MecaError('bad_input', `There is no case ${unknown}${format === undefined ? '' : ` of ${format}`}`, {
      cure: `name one of ${ofFormat[0]?.id} to ${ofFormat.at(-1)?.id}`,
    })
  }
  return ofFormat.filter(({ id }) => ids === undefined || ids.includes(id))
}

function formatOf(id: string): string {
  return FORMATS[id.charAt(0)] ?? ''
}

async function play(cases: readonly Case[], quiet: boolean): Promise<Row[]> {
  const stage = new Stage()
  const rows: Row[] = []
  try {
    for (const each of cases) {
      const row = await playOne(each, stage)
      rows.push(row)
      if (!quiet) print(row)
    }
  } finally {
    await stage.close()
  }
  return rows
}

async function playOne(each: Case, stage: Stage): Promise<Row> {
  const began = performance.now()
  const why = await each.run(stage).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  )
  const ms = Math.round(performance.now() - began)
  return { ...base(each), ms, result: why === undefined ? 'pass' : 'fail', ...(why === undefined ? {} : { why }) }
}

function skipped(each: Case, why: string): Row {
  return { ...base(each), ms: 0, result: 'skipped', why }
}

function base({ id, title, differs, standIn }: Case) {
  const told = { ...(differs === undefined ? {} : { differs }), ...(standIn === undefined ? {} : { standIn }) }
  return { id, format: formatOf(id), title, ...told }
}

function print({ id, result, title, ms, why, differs, standIn }: Row): void {
  const lines = [`${id}  ${MARKS[result]}  ${String(ms).padStart(6)} ms  ${title}`]
  if (why !== undefined) lines.push(`      ${why.split('\n').slice(0, 12).join('\n      ')}`)
  if (differs !== undefined) lines.push(`      differs: ${differs}`)
  if (standIn !== undefined) lines.push(`      played with: ${standIn}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}

type Counts = { passed: number; failed: number; skipped: number; differing: number; standIns: number }

function countsOf(rows: readonly Row[]): Counts {
  const of = (result: Row['result']) => rows.filter((row) => row.result === result).length
  const differing = rows.filter((row) => row.differs !== undefined).length
  const standIns = rows.filter((row) => row.standIn !== undefined).length
  return { passed: of('pass'), failed: of('fail'), skipped: of('skipped'), differing, standIns }
}

function summary(rows: readonly Row[], { passed, failed, skipped: left, differing, standIns }: Counts): string {
  const failures = rows.filter((row) => row.result === 'fail').map((row) => row.id)
  const named = failures.length === 0 ? '' : ` (${failures.join(', ')})`
  const besides = `in ${differing} we differ on purpose, ${standIns} play another task than the reference names`
  const images = 'All images are made here, of a shell or Node, to behave as the tasks that the reference names.'
  return `\n${passed} passed, ${failed} failed${named}, ${left} skipped; ${besides}\n${images}\n`
}
