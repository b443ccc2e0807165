/**
 * What `npm test` prints: a line for each file, every failure in full where it happens, what was skipped and why, and
 * the closing line that people and machines read. A failed file's stderr is shown with it; otherwise it is dropped.
 */
import { relative } from 'node:path'
import { inspect } from 'node:util'

/** @typedef {{ name: string, file?: string | undefined, reason: string }} Skip */

/** @param {AsyncIterable<import('node:test/reporters').TestEvent>} events */
// node --test-reporter names this file.
// ts-unused-exports:disable-next-line
export default async function* report(events) {
  const required = (process.env['MECA_TEST_REQUIRE'] ?? '').split(',').filter(Boolean)
  /** @type {Skip[]} */
  const skips = []
  /** @type {string[]} */
  const unloaded = []
  /** @type {Map<string, string>} */
  const stderr = new Map()
  for await (const { type, data } of events) {
    if (type === 'test:fail' && isRealFailure(data)) {
      yield failure(data)
      if (isFile(data)) unloaded.push(data.name)
    }
    if (type === 'test:pass' && data.skip !== undefined) skips.push(toSkip(data))
    if (type === 'test:stdout') yield data.message
    if (type === 'test:stderr') stderr.set(data.file, `${stderr.get(data.file) ?? ''}${data.message}`.slice(-8000))
    if (type !== 'test:summary') continue
    if (data.file !== undefined) yield fileLine(data, stderr.get(data.file))
    else {
      for (const [file, said] of stderr) if (unloaded.includes(here(file))) yield quote(here(file), said)
      yield closing(data, skips, required)
    }
  }
}

/** A test that failed only because one inside it did says nothing new.
 * @param {{ details: { error: Error & { failureType?: string } } }} data */
function isRealFailure({ details }) {
  return details.error.failureType !== 'subtestsFailed'
}

/** A file that could not even be loaded has said why on stderr only, which arrives after the failure.
 * @param {{ name: string, file?: string | undefined }} data */
function isFile({ name, file }) {
  return name === here(file)
}

/** @param {{ name: string, file?: string | undefined, line?: number | undefined, details: { error: Error } }} data */
function failure({ name, file, line, details }) {
  const cause = details.error.cause ?? details.error
  const text = typeof cause === 'string' ? cause : inspect(cause, { depth: 4 })
  return `\nFAILED ${name}\n  at ${here(file)}:${line ?? 0}\n${text.replaceAll(/^/gm, '  ')}\n\n`
}

/** @param {{ name: string, file?: string | undefined, skip?: string | boolean | undefined }} data @returns {Skip} */
function toSkip({ name, file, skip }) {
  return { name, file, reason: typeof skip === 'string' && skip !== '' ? skip : 'no reason given' }
}

/** @typedef {{ passed: number, failed?: number, cancelled: number, skipped: number, todo: number }} Counts */

/** @param {{ file?: string | undefined, success: boolean, duration_ms: number, counts: Counts & { tests: number } }} data @param {string | undefined} stderr */
function fileLine({ file, success, duration_ms, counts }, stderr) {
  const parts = [`${counts.passed} passed`, counts.skipped > 0 ? `${counts.skipped} skipped` : ''].filter(Boolean)
  const seconds = `${(duration_ms / 1000).toFixed(1)} s`
  const said = success || stderr === undefined ? '' : quote('stderr of this file', stderr)
  return `${success ? 'ok    ' : 'FAILED'} ${here(file)}  ${parts.join(', ')}  ${seconds}\n${said}`
}

/** @param {string} title @param {string} text */
function quote(title, text) {
  return `  ${title}:\n${text.trimEnd().replaceAll(/^/gm, '  | ')}\n`
}

/** @param {{ duration_ms: number, counts: Counts & { tests: number } }} data @param {readonly Skip[]} skips @param {readonly string[]} required */
function closing({ duration_ms, counts }, skips, required) {
  const forbidden = skips.filter(({ reason }) =>
    required.some((word) => reason.toLowerCase().includes(word.toLowerCase())),
  )
  if (forbidden.length > 0) process.exitCode = 1
  const passed = counts.passed
  const skipped = counts.skipped + counts.todo
  const failed = counts.tests - passed - skipped + forbidden.length
  const rows = forbidden.map(({ name, reason }) => `FAILED ${name}: skipped (${reason}), but required\n`)
  return [
    skipList(skips),
    ...rows,
    `\n${(duration_ms / 1000).toFixed(0)} s\n`,
    `${passed} passed, ${failed} failed, ${skipped - forbidden.length} skipped\n`,
  ].join('')
}

/** @param {readonly Skip[]} skips */
function skipList(skips) {
  const reasons = Map.groupBy(skips, ({ reason }) => reason)
  return [...reasons]
    .map(([reason, rows]) => `\n${rows.length} skipped: ${reason}\n${rows.map(({ name }) => `  ${name}\n`).join('')}`)
    .join('')
}

/** @param {string | undefined} file */
function here(file) {
  return file === undefined ? '?' : relative(process.cwd(), file)
}
