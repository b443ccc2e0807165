/** `meca claim --export` and `--import`: vouchers as a file, for the day when the home folder is lost. */
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { MecaError } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { ClaimReport, RestoredRow, RestoreReport } from '../role/api-money.ts'
import { claimedText } from './claimed.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { facts, table } from './render.ts'

/** Lines that one request carries. */
const PART = 500
/** Far more vouchers than a host has; what is larger is another file. */
const MAX_FILE_LINES = 10_000_000
/** Refusals that are shown one by one; JSON has them all. */
const SHOWN = 20

/** Never over an older file: an empty copy of a new home must not replace the one that still holds the money. */
export function exportVouchers(context: Context, out: string): Promise<void> {
  const path = resolve(out)
  return context.withApi(async (api) => {
    const { lines } = await api.money.vouchers()
    if (lines.length === 0) context.output.say('there are no vouchers yet; no file was written')
    else await writeNew(path, lines.map((line) => `${line}\n`).join(''))
    context.output.result({
      json: { file: lines.length === 0 ? null : path, vouchers: lines.length },
      id: path,
      text: facts([
        ['vouchers', String(lines.length)],
        ['file', lines.length === 0 ? undefined : path],
      ]),
    })
  })
}

/** Takes back what is worth something, and claims it. Exit code 2 where a line was refused. */
export function importVouchers(context: Context, from: string, highest: boolean): Promise<number> {
  return context.withApi(async (api) => {
    const path = resolve(from)
    const report = await restore(context, api, path, highest)
    if (report.rows.length === 0) context.output.say(`there is no voucher in ${path}`)
    const claim = await api.money.claim({}, context.signal)
    const refused = report.rows.flatMap((row, i) => (row.outcome === 'refused' ? [{ line: i + 1, ...row }] : []))
    const { rows: _, ...counts } = report
    context.output.result({
      json: { ...counts, findings: refused, claim },
      id: claim.tx ?? '',
      text: textOf(report, refused, claim, await tokensOf(api)),
    })
    return refused.length > 0 ? 2 : 0
  })
}

async function restore(context: Context, api: NodeApi, path: string, highest: boolean): Promise<RestoreReport> {
  const report: RestoreReport = { adopted: 0, known: 0, collected: 0, refused: 0, rows: [] }
  for await (const lines of partsOf(path, (told) => context.output.say(told))) {
    const part = await api.money.restore(lines, highest ? { highest } : {}, context.signal)
    for (const key of ['adopted', 'known', 'collected', 'refused'] as const) report[key] += part[key]
    report.rows.push(...part.rows)
  }
  return report
}

/**
 * A last line that is cut is what a crash leaves: it is no finding, and its voucher was never acted upon. A whole one
 * that only lacks its end, as some editors leave it, is worth its money.
 */
async function* partsOf(path: string, say: (told: string) => void): AsyncGenerator<string[]> {
  const part: string[] = []
  let count = 0
  const isWhole = await endsWhole(path)
  const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Infinity })
  for await (const line of lines) {
    if (++count > MAX_FILE_LINES) throw new MecaError('too_large', `${path} has more than ${MAX_FILE_LINES} lines`)
    part.push(line.slice(0, MAX_SENT))
    if (part.length > PART) yield part.splice(0, PART)
  }
  if (!isWhole && !isJson(part.at(-1) ?? '')) {
    part.pop()
    say(`line ${count} is cut off in the middle, as a crash leaves it, and was passed over`)
  }
  if (part.length > 0) yield part
}

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false // Which is the answer.
  }
}

/** A longer line is no voucher, and is refused as it is. */
const MAX_SENT = 8192

async function endsWhole(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new MecaError('not_found', `The file ${path} cannot be read`, { cause, cure: 'name an exported file' })
  })
  try {
    const stat = await file.stat()
    const { size } = stat
    if (!stat.isFile())
      throw new MecaError('bad_input', `${path} is no regular file`, { cure: 'name an exported file' })
    const last = Buffer.alloc(1)
    await file.read(last, 0, 1, Math.max(0, size - 1))
    return size === 0 || last.toString() === '\n'
  } finally {
    await file.close()
  }
}

async function writeNew(path: string, text: string): Promise<void> {
  const file = await open(path, 'wx', 0o600).catch((cause: unknown) => {
    throw new MecaError('bad_input', `The file ${path} cannot be made`, {
      cause,
      cure: 'name a file that is not there',
    })
  })
  try {
    await file.writeFile(text)
    await file.sync()
  } catch (error) {
    await rm(path, { force: true })
    throw error
  } finally {
    await file.close()
  }
}

function textOf(
  report: RestoreReport,
  refused: readonly ({ line: number } & RestoredRow)[],
  claim: ClaimReport,
  tokens: TokenInfo[],
): string {
  const told = facts([
    ['adopted', `${report.adopted} vouchers`],
    ['known already', String(report.known)],
    ['collected already', String(report.collected)],
    ['refused', String(report.refused)],
    ['claimed', claimedText(claim, tokens).rows],
    ['transaction', claim.tx === null ? 'none was needed' : `${claim.tx} (${claim.gas} gas)`],
  ])
  if (refused.length === 0) return told
  const rows = refused.slice(0, SHOWN).map(({ line, code = '', reason = '' }) => [String(line), code, reason])
  const more = refused.length > SHOWN ? `\nand ${refused.length - SHOWN} more; --json has them all` : ''
  return `${told}\n${table(['LINE', 'CODE', 'WHY IT WAS REFUSED'], rows)}${more}`
}
