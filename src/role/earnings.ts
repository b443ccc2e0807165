/**
 * What this address earned: as a host by its receipts and its channels, as a developer by the fees that the chain holds
 * for its tasks. Every sum is held against the chain's own state; a difference is told, never rounded away.
 *
 * The contract's logs say when something was claimed or drawn. An endpoint that serves none leaves those days unknown.
 */
import { cidOf } from '../core/cid.ts'
import { MecaError } from '../core/errors.ts'
import { sum } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { ChannelRecord, HostJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { EarningsCheck, EarningsOptions, EarningsReport } from './api-money.ts'
import type { Book, LiveRow } from './book.ts'
import type { ChainChannel } from './host-components.ts'
import { developerEarnings } from './earnings-developer.ts'
import { check, keyOf, Sums } from './earnings-sums.ts'
import { Tally } from './tally.ts'

type Dated = { at: number }
export type EarningsHistory = {
  opened(
    side: 'client' | 'host',
    account: Hex,
    signal: AbortSignal,
  ): Promise<{ channelId: Hex; terms: ChannelRecord['terms'] }[]>
  claimed(
    channelIds: readonly Hex[] | undefined,
    signal: AbortSignal,
  ): Promise<(Dated & { channelId: Hex; taskId: Hex; hostPaid: bigint; developerPaid: bigint })[]>
  refunded(
    channelIds: readonly Hex[],
    signal: AbortSignal,
  ): Promise<{ channelId: Hex; refund: bigint; sent: boolean }[]>
  withdrawn(account: Hex, signal: AbortSignal): Promise<(Dated & { token: Hex; amount: bigint })[]>
  tasksWithdrawn(payee: Hex, signal: AbortSignal): Promise<(Dated & { token: Hex; amount: bigint })[]>
  terms(channelIds: readonly Hex[], signal: AbortSignal): Promise<Map<Hex, ChannelRecord['terms']>>
  /** Whoever was paid for those tasks before their payees changed, and after. */
  payees(taskIds: readonly Hex[], signal: AbortSignal): Promise<Set<Hex>>
}

export type EarningsComponents = {
  address: Hex
  /** Channels on which this address is the host. */
  hostBook(): Promise<Book>
  hostJobs(): AsyncIterable<readonly [key: string, job: HostJob]>
  history: EarningsHistory
  /** The tasks that this address published. */
  ownTasks(signal: AbortSignal): Promise<{ taskId: Hex; payee: Hex }[]>
  state(channelId: Hex, signal: AbortSignal): Promise<ChainChannel>
  lane(channelId: Hex, taskId: Hex, signal: AbortSignal): Promise<Totals>
  credit(token: Hex, signal: AbortSignal): Promise<bigint>
  taskCredit(token: Hex, taskId: Hex, signal: AbortSignal): Promise<bigint>
}

export class Earnings {
  readonly #c: EarningsComponents

  constructor(c: EarningsComponents) {
    this.#c = c
  }

  async report({ by, since }: EarningsOptions, signal: AbortSignal): Promise<EarningsReport> {
    const tally = new Tally(by, since)
    const notes: string[] = []
    const checks = [...(await this.#host(tally, notes, signal)), ...(await this.#developer(tally, notes, signal))]
    const difference = checks.filter(({ ok }) => !ok).reduce((all, check) => all + abs(BigInt(check.difference)), 0n)
    return {
      by,
      ...(since === undefined ? {} : { since }),
      lines: tally.lines(),
      checks,
      ok: checks.every(({ ok }) => ok),
      difference: difference.toString(),
      notes,
    }
  }

  async #host(tally: Tally, notes: string[], signal: AbortSignal): Promise<EarningsCheck[]> {
    const book = await this.#c.hostBook()
    const channels = [...book.channels.values()]
    const billed = await this.#countJobs(tally, book)
    const events = await this.#whereServed(notes, () => this.#c.history.claimed([...book.channels.keys()], signal))
    const claimed = new Sums()
    for (const { channelId, taskId, hostPaid, at } of channels.length === 0 ? [] : (events ?? [])) {
      const channel = book.channels.get(channelId)
      if (channel === undefined) continue
      claimed.add(keyOf(channelId, taskId), hostPaid)
      tally.add({ role: 'host', ...partyOf(channel, taskId), at, claimed: hostPaid })
    }
    const checks: EarningsCheck[] = []
    for (const [token, ofToken] of Map.groupBy(channels, ({ terms }) => terms.token))
      checks.push(...(await this.#holdHost(tally, token, ofToken, book, { billed, claimed }, signal)))
    if (events !== undefined) checks.push(...(await this.#drawnByHost(tally, book, signal)))
    return checks
  }

  /** What each row was billed by receipts. */
  async #countJobs(tally: Tally, book: Book): Promise<Sums> {
    const billed = new Sums()
    for await (const [, { signed, channelId, taskId }] of this.#c.hostJobs()) {
      const channel = book.channels.get(channelId)
      if (signed === undefined || channel === undefined) continue
      const { hostAmount, developerAmount, endedAt: at } = signed.receipt
      billed.add(`host/${keyOf(channelId, taskId)}`, hostAmount)
      billed.add(`developer/${keyOf(channelId, taskId)}`, developerAmount)
      tally.add({ role: 'host', ...partyOf(channel, taskId), at, run: 1, hostAmount, developerAmount })
    }
    return billed
  }

  /** Rows against receipts, the chain's lanes and its channels; what has no date is counted without one. */
  async #holdHost(
    tally: Tally,
    token: Hex,
    channels: readonly ChannelRecord[],
    book: Book,
    { billed, claimed }: { billed: Sums; claimed: Sums },
    signal: AbortSignal,
  ): Promise<EarningsCheck[]> {
    let [receipts, rows, lanes, paid] = [0n, 0n, 0n, 0n]
    for (const channel of channels) {
      const { channelId } = channel
      const state = await this.#c.state(channelId, signal)
      paid += state.claimed
      for (const row of book.rowsOf(channelId)) {
        const lane = await this.#c.lane(channelId, row.taskId, signal)
        const key = keyOf(channelId, row.taskId)
        const known = { host: billed.of(`host/${key}`), developer: billed.of(`developer/${key}`) }
        receipts += known.host + known.developer
        rows += sum(row.billed)
        lanes += sum(lane)
        const lost = row.billed.hostAmount - known.host
        const fees = row.billed.developerAmount - known.developer
        const atRisk = state.closed ? 0n : pending(row, lane)
        const undated = lane.hostAmount - claimed.of(key)
        if (lost !== 0n || fees !== 0n || atRisk !== 0n || undated !== 0n)
          tally.add({
            role: 'host',
            ...partyOf(channel, row.taskId),
            hostAmount: lost,
            developerAmount: fees,
            claimed: undated,
            atRisk,
          })
      }
    }
    // A bill whose receipt is lost stays in its row, so rows may say more; receipts never may.
    return [
      check('host', token, 'billed by receipts, and in the ledger', receipts, rows, receipts <= rows),
      check('host', token, 'claimed by task, and out of the deposits', lanes, paid),
    ]
  }

  /** What the contract credited to this host is drawn, or still there. */
  async #drawnByHost(tally: Tally, book: Book, signal: AbortSignal): Promise<EarningsCheck[]> {
    const { history, address } = this.#c
    const paid = await history.opened('host', address, signal)
    const opened = await history.opened('client', address, signal)
    const tokens = new Map([...paid, ...opened].map(({ channelId, terms }) => [channelId, terms.token]))
    const [credited, drawn] = [new Sums(), new Sums()]
    const claims =
      paid.length === 0
        ? []
        : await history.claimed(
            paid.map(({ channelId }) => channelId),
            signal,
          )
    for (const { channelId, hostPaid } of claims) credited.add(tokens.get(channelId) ?? '', hostPaid)
    const refunds =
      opened.length === 0
        ? []
        : await history.refunded(
            opened.map(({ channelId }) => channelId),
            signal,
          )
    for (const { channelId, refund, sent } of refunds) if (!sent) credited.add(tokens.get(channelId) ?? '', refund)
    for (const { token, amount, at } of await history.withdrawn(address, signal)) {
      drawn.add(token, amount)
      tally.add({ role: 'host', token, at, withdrawn: amount })
    }
    const checks: EarningsCheck[] = []
    for (const token of new Set([...tokens.values(), ...drawn.keys()] as Hex[])) {
      const there = await this.#c.credit(token, signal)
      checks.push(
        check('host', token, 'credited, and drawn or still there', credited.of(token), drawn.of(token) + there),
      )
    }
    const lost = claims.filter(({ channelId }) => !book.channels.has(channelId))
    for (const [token, of] of Map.groupBy(lost, ({ channelId }) => tokens.get(channelId) ?? '0x')) {
      const known = of.reduce((all, { hostPaid }) => all + hostPaid, 0n)
      checks.push(check('host', token, 'claimed on channels that are not in the records', 0n, known))
    }
    return checks
  }

  async #developer(tally: Tally, notes: string[], signal: AbortSignal): Promise<EarningsCheck[]> {
    const { history, ownTasks } = this.#c
    const own = new Map((await ownTasks(signal)).map((task) => [task.taskId, task]))
    if (own.size === 0) return []
    const events = await this.#whereServed(notes, () => history.claimed(undefined, signal))
    return events === undefined ? [] : developerEarnings(this.#c, own, events, tally, signal)
  }

  async #whereServed<T>(notes: string[], read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read()
    } catch (error) {
      if (!(error instanceof MecaError) || error.code !== 'chain_refused') throw error
      const note = `the days of claims and what was drawn are not known: ${error.message}`
      if (!notes.includes(note)) notes.push(note)
      return undefined
    }
  }
}

function partyOf({ terms }: ChannelRecord, taskId: Hex): { token: Hex; client: Hex; task: string } {
  return { token: terms.token, client: terms.client, task: cidOf(taskId) }
}

/** The host's part of what was billed and is not paid. */
function pending({ billed }: LiveRow, lane: Totals): bigint {
  return billed.hostAmount > lane.hostAmount ? billed.hostAmount - lane.hostAmount : 0n
}

function abs(amount: bigint): bigint {
  return amount < 0n ? -amount : amount
}
