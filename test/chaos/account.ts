/**
 * What a play comes to, channel by channel and exactly: the jobs whose answers their caller was given are what both books
 * billed on the very channel that paid for them, what the contract paid out of it, and what is missing from its refund.
 */
import assert from 'node:assert/strict'
import { plus, sum, ZERO } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { ClientJob } from '../../src/core/records.ts'
import type { Hex } from '../../src/core/units.ts'
import type { Book } from '../../src/role/book.ts'
import type { Market } from '../chain/market.ts'
import { readChain } from '../history/chain.ts'

export type Account = {
  market: Market
  books: { client: Book; host: Book }
  /** Those that the play opened. */
  channels: readonly Hex[]
  taskId: Hex
  /** What the client has written down of every job that it was asked for. */
  jobs: readonly ClientJob[]
}

/** Throws where any sum differs by a unit; gives what was paid in all. */
export async function settle({ market, books, channels, taskId, jobs }: Account): Promise<Totals> {
  const { signal } = market
  const facts = await readChain(market.chain, signal)
  const byChannel = Map.groupBy(jobs, ({ channelId }) => channelId)
  for (const channel of byChannel.keys()) assert.ok(channels.includes(channel), `jobs were paid on ${channel}`)
  let all = ZERO
  for (const channelId of channels) {
    const told = (byChannel.get(channelId) ?? []).map(paidFor).reduce(plus, ZERO)
    const about = `on channel ${channelId}`
    for (const [side, book] of Object.entries(books)) {
      const rows = book.rowsOf(channelId).filter(({ billed }) => sum(billed) > 0n)
      assert.deepEqual(rows.map(({ billed }) => billed).reduce(plus, ZERO), told, `billed at the ${side} ${about}`)
      assert.ok(
        rows.every((row) => row.taskId === taskId),
        `other tasks ${about}`,
      )
    }
    assert.deepEqual(await market.channels.lane(channelId, taskId, signal), told, `paid by the chain ${about}`)
    const { state, deposit, claimed } = await market.channels.state(channelId, signal)
    assert.deepEqual([state, claimed], ['finished', sum(told)], `the end ${about}`)
    const refunded = facts.channels.find(({ channel }) => channel === channelId)?.refunded
    assert.equal(refunded, deposit - sum(told), `refunded ${about}`)
    all = plus(all, told)
  }
  return all
}

/** A job has an end that cost its receipt, or a refusal that cost nothing. */
function paidFor({ signed, state, id }: ClientJob): Totals {
  if (state === 'refused' && signed === undefined) return ZERO
  const { hostAmount, developerAmount } = signed?.receipt ?? assert.fail(`the job ${id} has no end`)
  return { jobs: 1, hostAmount, developerAmount }
}
