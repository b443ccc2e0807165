/**
 * A host's eye on its channels: what the chain says of each, written into the book. State is asked for and never
 * remembered from events, and the chain may go back: a claim that vanished, a close that was undone and a deposit that
 * is gone are seen like everything else. Answers that contradict each other are not written down.
 */
import type { Logger } from 'pino'
import { MecaError } from '../core/errors.ts'
import { sum } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { ChannelRecord } from '../core/records.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { Alarms } from './alarms.ts'
import type { Book } from './book.ts'
import type { ChainChannel } from './host-components.ts'
import { claimedOn, pendingOn, tellPending } from './risk.ts'
import type { Tell } from './risk.ts'
import { asSeen, isWatched } from './seen.ts'

export type WatchComponents = {
  book: Book
  /** That the chain is still the one it was, and the time of its newest block in seconds. Throws where it is not. */
  look(signal: AbortSignal): Promise<number>
  state(channelId: Hex, token: Hex, signal: AbortSignal): Promise<ChainChannel>
  lane(channelId: Hex, taskId: Hex, signal: AbortSignal): Promise<Totals>
  watchEveryMs: number
  alarms: Alarms
  tell: Tell
  log: Logger
  signal: AbortSignal
  /** The time of day, ms; only written down. */
  wallNow(): number
  /** Milliseconds that a clock which is set anew does not change. */
  now(): number
}

/** Channels asked about at once: public endpoints count requests. */
const AT_ONCE = 16
/** So long without a look at the channels, or three looks in a row, is an alarm, within a minute by the usual settings. */
const UNSEEN_MS = 40_000

export class Watch {
  /** Channels of which the chain has taken a claim back. */
  readonly vanished = new Set<Hex>()
  readonly #c: WatchComponents
  #lookedAt: number
  #chainNow = 0

  constructor(c: WatchComponents) {
    this.#c = c
    this.#lookedAt = c.now()
  }

  /** Seconds, by the newest block at the last look: what the contract goes by. */
  get chainNow(): number {
    return this.#chainNow
  }

  /** Those that the chain has to be asked about. */
  channels(): ChannelRecord[] {
    const { book, wallNow } = this.#c
    return [...book.channels.values()].filter((c) => isWatched(c, pendingOn(book, c.channelId), wallNow()))
  }

  /** Those that could be seen; one that cannot hinders no other, and is an alarm if it lasts. */
  async all(): Promise<ChannelRecord[]> {
    this.#chainNow = await this.#c.look(this.#c.signal)
    const [all, seen, failures] = [this.channels(), new Array<ChannelRecord>(), new Array<unknown>()]
    for (let i = 0; i < all.length; i += AT_ONCE) {
      for (const one of await Promise.allSettled(all.slice(i, i + AT_ONCE).map((channel) => this.one(channel)))) {
        if (one.status === 'fulfilled') seen.push(one.value)
        else failures.push(one.reason)
      }
    }
    if (failures.length === 0) this.#seen()
    else this.#c.log.warn({ err: failures[0], channels: failures.length }, 'channels could not be looked at')
    return seen
  }

  async one(channel: ChannelRecord): Promise<ChannelRecord> {
    const { book, alarms, log, signal, wallNow } = this.#c
    const state = await this.#c.state(channel.channelId, channel.terms.token, signal)
    const current = book.channels.get(channel.channelId) ?? channel
    const next = asSeen(current, state, wallNow())
    if (!sameState(current, next)) {
      if (next.closesAt > 0 && current.closesAt === 0)
        log.warn({ channelId: channel.channelId, closesAt: next.closesAt }, 'a client is closing its channel')
      book.stageChannel(next)
      await book.commit('channel', { channels: [next] })
    }
    await this.#readLanes(channel.channelId, state.claimed)
    alarms.clear(`answers ${channel.channelId}`)
    return next
  }

  /** To be called now and then, also while a look hangs. */
  checkSight(): void {
    const { alarms, book, now, tell, watchEveryMs } = this.#c
    const agoMs = now() - this.#lookedAt
    if (agoMs < Math.max(UNSEEN_MS, 3 * watchEveryMs)) return
    const pending = tellPending(book, this.channels(), tell)
    alarms.raise('sight', {
      level: 'error',
      detail: `The channels could not be looked at for ${Math.round(agoMs / 1000)} s; ${pending} is unclaimed on them`,
      cure: 'check that the chain is up and that chain.rpc names it: a client that closes now is not noticed',
    })
  }

  /**
   * What the chain has paid on each row, not what we asked for, goes into the book: anew for as long as the book's sum is
   * another one than the channel's own, also where a reorganisation made that smaller.
   */
  async #readLanes(channelId: Hex, claimed: bigint): Promise<void> {
    const { book, lane, signal } = this.#c
    const before = claimedOn(book, channelId)
    if (before === claimed) return
    const rows = book.rowsOf(channelId)
    const lanes = await Promise.all(rows.map((row) => lane(channelId, row.taskId, signal)))
    const total = lanes.reduce((all, totals) => all + sum(totals), 0n)
    if (total > claimed) throw this.#contradiction(channelId, total, claimed)
    // Read anew: a job may have ended meanwhile.
    const changed = rows.map((row, i) => ({
      ...(book.row(channelId, row.taskId) ?? row),
      claimed: lanes[i] ?? row.claimed,
    }))
    for (const row of changed) book.stageRow(row)
    if (total < before) this.vanished.add(channelId)
    await book.commit('claimed', { rows: changed })
  }

  #contradiction(channelId: Hex, lanes: bigint, claimed: bigint): MecaError {
    const token = this.#c.book.channels.get(channelId)?.terms.token ?? NATIVE
    const [paid, onTasks] = [claimed, lanes].map((amount) => this.#c.tell(amount, token))
    const detail = `The chain says that ${paid} was paid out of channel ${channelId}, and ${onTasks} on its tasks`
    const cure = 'Look again; if it stays so, use another RPC endpoint.'
    this.#c.alarms.raise(`answers ${channelId}`, { level: 'error', detail, cure })
    return new MecaError('chain_unreachable', detail, { cure })
  }

  #seen(): void {
    this.#lookedAt = this.#c.now()
    this.#c.alarms.clear('sight')
  }
}

function sameState(a: ChannelRecord, b: ChannelRecord): boolean {
  return a.state === b.state && a.deposit === b.deposit && a.claimed === b.claimed && a.closesAt === b.closesAt
}
