/** `meca earnings`: what was earned, by day, task or client, and the proof that it adds up to the chain. */
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import { formatDecimal, parseDuration, quote } from '../core/units.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { EarningsBy, EarningsLine, EarningsReport } from '../role/api-money.ts'
import { money } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { csv } from './csv.ts'
import { table } from './render.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export type EarningsFlags = { by?: string; since?: string; csv?: boolean }

export function addEarnings(earnings: Command, act: Act): void {
  addEarningsFlags(earnings).action(act(showEarnings))
  examples(earnings, [
    ['meca earnings', 'all together, and whether it adds up to the chain'],
    ['meca earnings --by day --since 30d', 'the last thirty days, by UTC'],
    ['meca earnings --by task --csv > earnings.csv', 'for a spreadsheet, in whole coins and in the smallest unit'],
  ])
}

export function addEarningsFlags(command: Command): Command {
  return command
    .option('--by <what>', 'one line for each day, task or client')
    .option('--since <when>', 'a day like 2026-11-01, or a time like 24h or 7d')
    .option('--csv', 'as RFC 4180 has it')
}

/** Exit code 9 where a sum does not add up. */
export async function showEarnings(context: Context, flags: EarningsFlags): Promise<number> {
  const by = byOf(flags.by ?? 'token')
  const since = flags.since === undefined ? {} : { since: timeOf(flags.since, Date.now()) }
  return context.withApi(async (api) => {
    const [report, tokens] = [await api.money.earnings({ by, ...since }, context.signal), await tokensOf(api)]
    const text = flags.csv === true ? csvOf(report, tokens) : textOf(report, tokens)
    if (flags.csv === true && !context.output.json) await context.output.bytes(Buffer.from(text))
    else context.output.result({ json: report, text })
    for (const note of report.notes) context.output.say(note)
    if (flags.csv === true) context.output.say(verdict(report))
    return report.ok ? 0 : 9
  })
}

function byOf(text: string): EarningsBy {
  const by = (['token', 'day', 'task', 'client'] as const).find((known) => known === text)
  if (by !== undefined) return by
  throw new MecaError('bad_input', `--by takes day, task or client, got ${quote(text)}`, { cure: 'give one of them' })
}

/** Days begin at midnight UTC, as they do in the report; a time ago may be any. */
function timeOf(text: string, now: number): number {
  if (!/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/.test(text)) return Math.max(0, now - parseDuration(text, '--since', Infinity))
  const at = Date.parse(`${text}T00:00:00Z`)
  if (!Number.isNaN(at) && new Date(at).toISOString().startsWith(text)) return Math.max(0, at)
  throw new MecaError('bad_input', `--since has ${text}, which is no day`, { cure: 'write it like 2026-11-01' })
}

const WORDS = { token: '', day: 'DAY', task: 'TASK', client: 'CLIENT' } as const

function textOf(report: EarningsReport, tokens: TokenInfo[]): string {
  const { by, lines, checks } = report
  if (lines.length === 0)
    return `nothing was earned${report.since === undefined ? ' yet' : ' since then'}\n${verdict(report)}`
  const shown = (amount: string, token: string) => money(amount, token, tokens)
  const rowOf = (line: EarningsLine, key: string) => [
    line.role,
    ...(by === 'token' ? [] : [key]),
    String(line.run),
    ...AMOUNTS.map(([, amountOf]) => shown(amountOf(line), line.token)),
  ]
  const head = ['AS', ...(by === 'token' ? [] : [WORDS[by]]), 'RUN', ...AMOUNTS.map(([name]) => name)]
  const rows = lines.map((line) => rowOf(line, line.key ?? '-'))
  const totals = by === 'token' ? [] : totalsOf(lines).map((line) => rowOf(line, 'ALL'))
  const failed = checks.filter(({ ok }) => !ok)
  const wrong = failed.map((c) => [c.role, c.what, ...[c.ledger, c.chain, c.difference].map((a) => shown(a, c.token))])
  return [
    table(head, [...rows, ...totals]),
    ...(wrong.length === 0 ? [] : [table(['AS', 'WHAT', 'HERE', 'CHAIN', 'DIFFERENCE'], wrong)]),
    verdict(report),
  ].join('\n')
}

function verdict({ ok, difference }: EarningsReport): string {
  return `adds up to the chain: ${ok ? 'yes' : 'NO'}, ${difference} difference`
}

const AMOUNTS: readonly (readonly [name: string, of: (line: EarningsLine) => string])[] = [
  ['HOST PART', (line) => line.hostAmount],
  ["DEVELOPERS' PART", (line) => line.developerAmount],
  ['CLAIMED', (line) => line.claimed],
  ['WITHDRAWN', (line) => line.withdrawn],
  ['AT RISK', (line) => line.atRisk],
]

/** One line for each role and currency. */
function totalsOf(lines: readonly EarningsLine[]): EarningsLine[] {
  const plus = (a: string, b: string) => (BigInt(a) + BigInt(b)).toString()
  const groups = Map.groupBy(lines, ({ role, token }) => `${role}/${token}`)
  return [...groups.values()].map((group) =>
    group.reduce((a, b) => ({
      ...a,
      run: a.run + b.run,
      hostAmount: plus(a.hostAmount, b.hostAmount),
      developerAmount: plus(a.developerAmount, b.developerAmount),
      claimed: plus(a.claimed, b.claimed),
      withdrawn: plus(a.withdrawn, b.withdrawn),
      atRisk: plus(a.atRisk, b.atRisk),
    })),
  )
}

/** Each amount twice: in the smallest unit, which is exact everywhere, and in whole coins. */
function csvOf({ by, lines }: EarningsReport, tokens: TokenInfo[]): string {
  const names = ['host_part', 'developers_part', 'claimed', 'withdrawn', 'at_risk']
  const head = ['as', by === 'token' ? 'all' : by, 'token', 'symbol', 'run', ...names.flatMap((n) => [`${n}_units`, n])]
  const rows = lines.map((line) => {
    const info = tokens.find(({ address }) => address === line.token)
    const amounts = AMOUNTS.flatMap(([, amountOf]) => {
      const amount = amountOf(line)
      return [amount, info === undefined ? '' : formatDecimal(BigInt(amount), info.decimals)]
    })
    return [line.role, line.key ?? '', line.token, info?.symbol ?? '', String(line.run), ...amounts]
  })
  return csv(head, rows)
}
