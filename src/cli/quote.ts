/** `meca quote`: which hosts would run a task for how much, and why the others would not. Nothing is paid. */
import type { Command } from 'commander'
import { NATIVE } from '../core/units.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { QuoteReport } from '../role/api-client.ts'
import { money } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { addQuoteFlags, quoteOptions } from './job-flags.ts'
import type { QuoteFlags } from './job-flags.ts'
import { size, table } from './render.ts'
import { formatOf } from '../task/format.ts'
import { examples, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

export function addQuote(quote: Command, act: Act): void {
  addQuoteFlags(quote.argument('<task>'))
    .option('--input-bytes <n>', 'how large the input will be')
    .action(act(quoteTask))
  examples(quote, [
    ['meca quote 0x…/words', 'all hosts that fit, the best first'],
    ['meca quote bafy… --max-seconds 10 --max-price 0.001', 'for a short and cheap job'],
  ])
}

function quoteTask(context: Context, ref: string, flags: QuoteFlags & { inputBytes?: string }): Promise<number> {
  return context.withApi(async (api) => {
    const size = flags.inputBytes === undefined ? {} : { inputBytes: wholeOf(flags.inputBytes, '--input-bytes') }
    const report = await api.client.quote(
      ref,
      { ...(await quoteOptions(flags, api, ref, context.signal)), ...size },
      context.signal,
    )
    context.output.result({
      json: report,
      id: report.hosts.map(({ host }) => host).join('\n'),
      text: hostsText(report, await tokensOf(api)),
    })
    context.output.say(nobodyAsked(report) ? whyNobody(flags.host) : refusalsText(report.refusals))
    if (report.hosts.length > 0) {
      const { manifest } = await api.developer.show(ref, context.signal)
      context.next(
        `run ${ref} ${formatOf(manifest.format).kind === 'files' ? '--in NAME=@FILE … --out DIR' : '--data …'}`,
      )
    }
    return report.hosts.length > 0 ? 0 : 4
  })
}

function nobodyAsked({ hosts, refusals }: QuoteReport): boolean {
  return hosts.length === 0 && refusals.length === 0
}

function whyNobody(host: string | undefined): string {
  const who = host === undefined ? 'no host offers anything on this market' : `the host ${host} offers nothing`
  return `${who} just now; see meca hosts list, and meca doctor whether you are connected to the market`
}

function hostsText({ hosts, token, name, maxSeconds }: QuoteReport, tokens: TokenInfo[]): string {
  if (hosts.length === 0) return `no host would run ${name} now`
  const rows = hosts.map((h) => [
    h.host,
    money(h.total, token),
    money(h.hostAmount, token),
    money(h.developerAmount, token),
    h.lock === undefined || h.lock.how === 'none' ? '-' : `${money(h.lock.amount, token)} to ${h.lock.how}`,
    h.gasEstimate === '0' ? '-' : money(h.gasEstimate, NATIVE, tokens),
    h.imageAtHand ? 'yes' : 'no',
    `${h.freeCpus} CPU, ${size(h.freeMemoryBytes)}`,
  ])
  const head = ['HOST', 'AT MOST', 'HOST PART', 'DEVELOPER', 'LOCKS', 'GAS ABOUT', 'IMAGE', 'FREE']
  const locks = hosts.some(({ lock }) => lock !== undefined && lock.how !== 'none')
  const channel = locks ? '\nwhat is locked comes back but for what is billed: meca channel close' : ''
  return `${table(head, rows)}\nfor a run of ${name} of at most ${maxSeconds} s${channel}`
}

export function refusalsText(refusals: readonly { host: string; code: string; reason: string }[]): string {
  if (refusals.length === 0) return 'no host refused'
  return table(
    ['REFUSED BY', 'CODE', 'REASON'],
    refusals.map(({ host, code, reason }) => [host, code, reason]),
  )
}
