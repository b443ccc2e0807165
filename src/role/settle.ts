/**
 * How a host turns vouchers into money. It asks the chain for the state of each of its channels, on a timer and not by
 * events, and claims when enough has gathered, when it has waited long enough, or when the client is closing. It claims
 * the voucher over what it billed; the slack of the highest voucher only where work would otherwise stay unpaid.
 *
 * The bound: what a host can lose is what it chose not to collect yet, plus the jobs under way.
 */
import type { Logger } from 'pino'
import { equal, minus, sum } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { ChannelRecord } from '../core/records.ts'
import type { ChannelTerms } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { Book, LiveRow } from './book.ts'
import type { ChainChannel } from './host-components.ts'

export type ClaimRow = { taskId: Hex; jobs: number; hostAmount: bigint; developerAmount: bigint; signature: Hex }
export type ClaimGroup = { terms: ChannelTerms; rows: ClaimRow[] }

export type SettleComponents = {
  book: Book
  state(channelId: Hex, signal: AbortSignal): Promise<ChainChannel>
  lane(channelId: Hex, taskId: Hex, signal: AbortSignal): Promise<Totals>
  /** One transaction for all groups; rows that the contract would skip are left out of it. */
  claim(groups: readonly ClaimGroup[], signal: AbortSignal): Promise<{ tx: Hex | null; gasUsed: bigint }>
  /** Something of this size (smallest unit) is worth a transaction at once. */
  claimThreshold: bigint
  claimEveryMs: number
  watchEveryMs: number
  log: Logger
  signal: AbortSignal
  wallNow(): number
}

export type Claimed = {
  tx: Hex | null
  gasUsed: bigint
  rows: number
  hostAmount: bigint
  developerAmount: bigint
  token: Hex
}

/** Rows in one claim: well under what fits in a block. */
const MAX_ROWS = 100

export class Settler {
  readonly #c: SettleComponents
  #timer: NodeJS.Timeout | undefined
  #turn: Promise<unknown> = Promise.resolve()
  /** When the highest vouchers were last claimed where exact ones were missing. */
  #lastLateAt: number

  constructor(c: SettleComponents) {
    this.#c = c
    this.#lastLateAt = c.wallNow()
  }

  start(): void {
    const tick = () =>
      void this.#inTurn(() => this.#tick())
        .catch((error: unknown) => {
          if (!this.#c.signal.aborted)
            this.#c.log.warn({ err: error }, 'the channels could not be watched; trying again')
        })
        .finally(() => {
          if (!this.#c.signal.aborted) this.#timer = setTimeout(tick, this.#c.watchEveryMs).unref()
        })
    this.#timer = setTimeout(tick, this.#c.watchEveryMs).unref()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    await this.#turn.catch(() => undefined) // Its own caller was told.
  }

  /** Collects now, on one channel or on all of them. */
  claim(channelId: Hex | undefined): Promise<Claimed[]> {
    return this.#inTurn(async () => {
      const channels = this.#live().filter((c) => channelId === undefined || c.channelId === channelId)
      return this.#collect(await Promise.all(channels.map((c) => this.#refresh(c))), false)
    })
  }

  async #tick(): Promise<void> {
    const channels = await Promise.all(this.#live().map((channel) => this.#refresh(channel)))
    const closing = channels.filter((c) => c.state === 'closing' && c.closesAt > 0)
    const pending = channels.map((c) => this.pendingOn(c.channelId)).reduce((a, b) => a + b, 0n)
    const late = this.#c.wallNow() - this.#lastLateAt >= this.#c.claimEveryMs
    const due = pending > 0n && (pending >= this.#c.claimThreshold || late)
    if (due || closing.length > 0) await this.#collect(due ? channels : closing, late)
    // Not at every claim: a client that never says what it owes exactly must not be put off by the claims on others.
    if (due && late) this.#lastLateAt = this.#c.wallNow()
  }

  /** What was billed on a channel and is not collected. */
  pendingOn(channelId: Hex): bigint {
    return this.#c.book.rowsOf(channelId).reduce((all, row) => all + positive(sum(row.billed) - sum(row.claimed)), 0n)
  }

  /** What was billed and not collected. */
  owed(client: Hex): { client: bigint; all: bigint } {
    let [own, all] = [0n, 0n]
    for (const channel of this.#live()) {
      const pending = this.pendingOn(channel.channelId)
      all += pending
      if (channel.terms.client === client) own += pending
    }
    return { client: own, all }
  }

  #live(): ChannelRecord[] {
    return [...this.#c.book.channels.values()].filter((c) => c.state !== 'closed')
  }

  async #refresh(channel: ChannelRecord): Promise<ChannelRecord> {
    const state = await this.#c.state(channel.channelId, this.#c.signal)
    const current = this.#c.book.channels.get(channel.channelId) ?? channel
    const next: ChannelRecord = {
      ...current,
      deposit: state.deposit,
      claimed: state.claimed,
      closesAt: state.closesAt,
      state: state.closed ? 'closed' : state.closesAt > 0 ? 'closing' : current.state,
    }
    if (!sameState(current, next)) {
      if (next.state === 'closing' && current.closesAt === 0 && next.closesAt > 0)
        this.#c.log.warn({ channelId: channel.channelId, closesAt: next.closesAt }, 'a client is closing its channel')
      this.#c.book.stageChannel(next)
      await this.#c.book.commit('channel', { channels: [next] })
    }
    return next
  }

  async #collect(channels: readonly ChannelRecord[], late: boolean): Promise<Claimed[]> {
    const done: Claimed[] = []
    for (const [token, ofToken] of Map.groupBy(channels, (c) => c.terms.token)) {
      for (const groups of inClaims(ofToken.flatMap((channel) => this.#groupFor(channel, late) ?? [])))
        done.push(await this.#claimAll(token, groups))
    }
    return done
  }

  #groupFor(channel: ChannelRecord, late: boolean): ClaimGroup | undefined {
    const urgent = channel.closesAt > 0 || late
    const rows = this.#c.book.rowsOf(channel.channelId).flatMap((row) => voucherToClaim(row, urgent) ?? [])
    return rows.length === 0 || channel.state === 'closed' ? undefined : { terms: channel.terms, rows }
  }

  async #claimAll(token: Hex, groups: readonly ClaimGroup[]): Promise<Claimed> {
    const rows = groups.flatMap((group) => group.rows.map(({ taskId }) => this.#rowOf(group, taskId)))
    const before = rows.map((row) => row?.claimed)
    failpoint('host.before-claim')
    const { tx, gasUsed } = await this.#c.claim(groups, this.#c.signal)
    failpoint('host.claimed')
    const after = await this.#readLanes(rows)
    const won = after.map((row, i) => minus(row.claimed, before[i] ?? row.claimed))
    const total = won.reduce((a, b) => ({ host: a.host + b.hostAmount, developer: a.developer + b.developerAmount }), {
      host: 0n,
      developer: 0n,
    })
    this.#c.log.info(
      { tx, rows: after.length, host: total.host.toString(), developer: total.developer.toString() },
      'claimed',
    )
    return { tx, gasUsed, rows: after.length, hostAmount: total.host, developerAmount: total.developer, token }
  }

  #rowOf(group: ClaimGroup, taskId: Hex): LiveRow | undefined {
    for (const channel of this.#c.book.channels.values()) {
      if (channel.terms === group.terms) return this.#c.book.row(channel.channelId, taskId)
    }
    return undefined
  }

  /** What the chain has paid, not what we asked for, goes into the book. */
  async #readLanes(rows: readonly (LiveRow | undefined)[]): Promise<LiveRow[]> {
    const changed: LiveRow[] = []
    for (const row of rows) {
      if (row === undefined) continue
      const claimed = await this.#c.lane(row.channelId, row.taskId, this.#c.signal)
      const current = this.#c.book.row(row.channelId, row.taskId) ?? row
      const next = { ...current, claimed }
      this.#c.book.stageRow(next)
      changed.push(next)
    }
    await this.#c.book.commit('claimed', { rows: changed })
    return changed
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work)
    this.#turn = turn
    return turn
  }
}

/**
 * The voucher a claim uses: the one over what was billed. The highest one says more than that, so it is claimed only
 * where work would else stay unpaid: a close is running, or the client has long been silent (`urgent`).
 */
export function voucherToClaim(row: LiveRow, urgent: boolean): ClaimRow | undefined {
  const { exact, vouched, billed, claimed, taskId } = row
  const enough = exact !== undefined && equal(exact.totals, billed)
  if (exact !== undefined && (enough || !urgent)) {
    return sum(exact.totals) > sum(claimed) ? { taskId, ...exact.totals, signature: exact.signature } : undefined
  }
  return urgent && sum(billed) > sum(claimed) ? { taskId, ...vouched, signature: row.vouchedSignature } : undefined
}

/** The groups in as many claims as are needed, none with more than `MAX_ROWS` rows. */
export function inClaims(groups: readonly ClaimGroup[]): ClaimGroup[][] {
  const claims: ClaimGroup[][] = []
  let room = 0
  for (const { terms, rows } of groups) {
    for (let at = 0; at < rows.length;) {
      if (room === 0) claims.push([])
      if (room === 0) room = MAX_ROWS
      const part = rows.slice(at, at + room)
      claims.at(-1)?.push({ terms, rows: part })
      at += part.length
      room -= part.length
    }
  }
  return claims
}

function sameState(a: ChannelRecord, b: ChannelRecord): boolean {
  return a.state === b.state && a.deposit === b.deposit && a.claimed === b.claimed && a.closesAt === b.closesAt
}

function positive(amount: bigint): bigint {
  return amount > 0n ? amount : 0n
}
