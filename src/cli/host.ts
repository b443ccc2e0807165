/** `meca host`: renting out this machine. All but `start` speak to the running host. */
import type { Command } from 'commander'
import { printable } from '../core/text.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { AtRisk, HostStatus } from '../role/api-host.ts'
import { money } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { addDaemon } from './daemon.ts'
import { addEarningsFlags, showEarnings } from './earnings.ts'
import { addPayout } from './payout.ts'
import { addPrice } from './price.ts'
import { duration, facts, resources, table } from './render.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addHost(host: Command, act: Act): void {
  examples(host, [
    ['meca host start', 'rent out this machine until Ctrl-C'],
    ['meca host why', 'why there is (no) work'],
  ])
  addDaemon(host, act, 'host')
  const status = host.command('status').description('what runs, what is free, what was earned').action(act(showStatus))
  examples(status, [['meca host status', 'at a glance']])
  const why = host
    .command('why')
    .description('what was asked of this host, what it refused and why')
    .action(act(showWhy))
  examples(why, [['meca host why', 'and what to change to get more work']])
  const earnings = host.command('earnings').description('run, billed, claimed and withdrawn; the same as meca earnings')
  addEarningsFlags(earnings).action(act(showEarnings))
  examples(earnings, [['meca host earnings --by client', 'sums that add up to the chain']])
  addPayout(host, act)
  addDrain(host, act)
  addPrice(host, act)
}

function showStatus(context: Context): Promise<void> {
  return context.withHost(async (host, api) => showHost(context, await host.status(), await tokensOf(api)))
}

function showHost({ output }: Context, s: HostStatus, tokens: TokenInfo[]): void {
  const running = s.running.map((r) => `${r.job} ${r.phase} since ${duration(r.sinceMs)} for ${r.client}`)
  output.result({
    json: s,
    text: facts([
      ['host', `${s.address}, ${s.state}${s.registered ? '' : ', not registered'}`],
      ['hardware', `${resources(s.free)} free of ${resources(s.total)}`],
      ['running', running.length === 0 ? 'nothing' : running.join('\n')],
      ['queued', String(s.queued)],
      ['kept warm', `${s.warm} containers, ${s.images} images`],
      ['engine', `${s.engine.version} with ${s.engine.runtimes.join(', ')}`],
      [
        'earned',
        s.earned
          .map(
            (e) =>
              `${money(e.hostAmount, e.token, tokens)} in ${e.jobs} jobs, ${money(e.claimed, e.token, tokens)} claimed`,
          )
          .join('\n'),
      ],
      ['at risk', s.atRisk.map((r) => risk(r, (amount) => money(amount, r.token, tokens))).join('\n')],
      [
        'alarms',
        s.alarms.map(({ detail, cure }) => `${printable(detail)}\n  do: ${printable(cure)}`).join('\n') || 'none',
      ],
    ]),
  })
}

/** What is not zero of it, in words. */
function risk(r: AtRisk, shown: (amount: string) => string): string {
  const closing = `${shown(r.closing)} of it on closing channels, ${duration((r.closesInSeconds ?? 0) * 1000)} left`
  const parts: [amount: string, text: string][] = [
    [r.closing, closing],
    [r.leftBehind, `${shown(r.leftBehind)} of it left behind by the last claim`],
    [r.unconfirmed, `${shown(r.unconfirmed)} served on unconfirmed deposits`],
    [r.lost, `${shown(r.lost)} lost on channels that ended first`],
  ]
  const told = parts.filter(([amount]) => amount !== '0').map(([, text]) => text)
  return [`${shown(r.unclaimed)} not claimed`, ...told].join(', ')
}

function showWhy(context: Context): Promise<void> {
  return context.withHost(async (host, api) => {
    const why = await host.why()
    const tokens = await tokensOf(api)
    const price = (amount: string | null) => (amount === null ? 'unknown' : money(amount, why.token, tokens))
    const refused = why.refused.map(({ code, count, last }) => [code, String(count), last])
    context.output.result({
      json: why,
      text: [
        facts([
          ['requests', `${why.requests}, ${why.accepted} accepted, ${why.answered} answered`],
          ['price', `${price(why.ownPrice)} here, ${price(why.medianPrice)} at the median host`],
          ['advice', why.advice.join('\n')],
        ]),
        refused.length === 0 ? 'nothing was refused' : table(['REFUSED FOR', 'TIMES', 'LAST'], refused),
      ].join('\n'),
    })
  })
}

function addDrain(host: Command, act: Act): void {
  const drain = host
    .command('drain')
    .description('take no new jobs; what runs is finished')
    .option('--off', 'take jobs again')
    .action(
      act((context, { off }: { off?: boolean }) =>
        context.withHost(async (running, api) =>
          showHost(context, await running.drain(off !== true), await tokensOf(api)),
        ),
      ),
    )
  examples(drain, [
    ['meca host drain', 'before you stop or update the host'],
    ['meca host drain --off', 'open again'],
  ])
}
