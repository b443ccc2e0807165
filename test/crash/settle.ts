/** The end of a crash run: everything collected, closed and withdrawn, every node ended, and the judge asked. */
import { asMecaError } from '../../src/core/errors.ts'
import type { NodeApi } from '../../src/role/api.ts'
import { checkHistory } from '../history/check.ts'
import { eventually } from '../role/stage.ts'
import type { Load } from './load.ts'
import type { CrashMarket } from './market.ts'

/** The devnet's closing delay and a little more. */
const CLOSE_DELAY_SECONDS = 1_000

/** Also things that are no rule of the history: what is left in the engine. */
export type Verdict = { findings: string[]; jobs: number; ended: Record<string, number>; records: number }

export async function settleAndJudge(market: CrashMarket, load: Load): Promise<Verdict> {
  await load.repeat()
  const { signal } = new AbortController()
  await load.look()
  for (const host of market.hosts) await collect(await market.api(host), signal)
  await closeAll(await market.api(market.client), signal)
  // Where a word was given and lost, the close takes its delay.
  await market.later(CLOSE_DELAY_SECONDS)
  await closeAll(await market.api(market.client), signal)
  for (const seat of market.seats) {
    const { money } = await market.api(seat)
    await money.withdraw({}, signal)
  }
  await load.look()
  await market.stop()
  const history = await market.history(load.history, true)
  const left = await market.leftovers()
  return {
    findings: [
      ...checkHistory(history).map(({ rule, about, what }) => `${rule}: ${about} ${what}`),
      ...market.endedByThemselves.map((name) => `ended by itself: ${name}`),
      ...left.map((name) => `left behind: ${name}`),
      // Nothing in these runs is a reason to refuse for good: whatever was killed comes back.
      ...history.refused.map(({ job, code }) => `given up: ${job}: ${code}`),
    ],
    jobs: history.asked.length,
    ended: Object.fromEntries(load.statuses),
    records: history.lines.length + history.ended.length,
  }
}

/** The client says exactly what it owes a moment after a result; then the host collects that and no more. */
async function collect({ money }: NodeApi, signal: AbortSignal): Promise<void> {
  await eventually('everything billed is claimed', async () => {
    await money.claim({}, signal)
    const channels = await money.channels(signal)
    const open = channels.filter(({ side, state }) => side === 'host' && state !== 'closed')
    return open.every(({ rows }) => rows.every(({ billed, claimed }) => same(billed, claimed)))
  })
}

async function closeAll({ money }: NodeApi, signal: AbortSignal): Promise<void> {
  for (const { channel, side, state } of await money.channels(signal)) {
    if (side !== 'client' || state === 'closed') continue
    await money.close(channel, signal).catch((error: unknown) => {
      // A close that began without the host's word has to wait for its delay.
      if (asMecaError(error).code !== 'chain_refused') throw error
    })
  }
}

function same(a: { host: string; developer: string }, b: { host: string; developer: string }): boolean {
  return a.host === b.host && a.developer === b.developer
}
