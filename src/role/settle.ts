/**
 * How a host turns vouchers into money. On a timer it looks at its channels (`watch`) and claims when enough has
 * gathered, when it has waited long enough, when the client is closing, or when a claim has vanished from the chain. It
 * claims the voucher over what it billed; the slack of the highest voucher only where work would otherwise stay unpaid.
 *
 * The bound: what a host can lose is what it chose not to collect yet, plus the jobs under way. What is in danger beyond
 * that raises an alarm while there is time.
 */
import { MecaError } from '../core/errors.ts'
import type { ChannelRecord } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { Alarm } from './alarms.ts'
import type { LiveRow } from './book.ts'
import { inClaims, voucherToClaim } from './claims.ts'
import type { ClaimGroup } from './claims.ts'
import type { Caps } from './currencies.ts'
import { channelAlarms, pendingOn } from './risk.ts'
import { Watch } from './watch.ts'
import type { WatchComponents } from './watch.ts'

export type SettleComponents = WatchComponents & {
  /** One transaction for all groups; rows that the contract would skip are left out of it. */
  claim(groups: readonly ClaimGroup[], signal: AbortSignal): Promise<{ tx: Hex | null; gasUsed: bigint }>
  /** Something of this size is worth a transaction at once; in a currency without a size only time is. */
  claimThreshold: Caps
  claimEveryMs: number
}

export type Claimed = {
  tx: Hex | null
  gasUsed: bigint
  rows: number
  hostAmount: bigint
  developerAmount: bigint
  token: Hex
}

/** What a channel is claimed with: `true` takes the highest voucher where the exact one says less. */
type Urgent = (channel: ChannelRecord) => boolean

const SIGHT_MS = 5_000

export class Settler {
  readonly #c: SettleComponents
  readonly #watch: Watch
  #timer: NodeJS.Timeout | undefined
  #sight: NodeJS.Timeout | undefined
  #turn: Promise<unknown> = Promise.resolve()
  /** When the highest vouchers were last claimed where exact ones were missing. */
  #lastLateAt: number
  /** By channel, what the last claim over all channels left behind. */
  readonly #leftBehind = new Map<Hex, bigint>()

  constructor(c: SettleComponents) {
    this.#c = c
    this.#watch = new Watch(c)
    this.#lastLateAt = c.now()
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
    // At once: what is closing may have been closing while this host was down.
    this.#timer = setTimeout(tick, 0).unref()
    this.#sight = setInterval(() => this.#watch.checkSight(), SIGHT_MS).unref()
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    clearInterval(this.#sight)
    await this.#turn.catch(() => undefined) // Its own caller was told.
  }

  /** Collects now, on one channel or on all of them. */
  claim(channelId: Hex | undefined): Promise<Claimed[]> {
    return this.#inTurn(async () => {
      const channels = this.#watch.channels().filter((c) => channelId === undefined || c.channelId === channelId)
      const seen = await Promise.all(channels.map((c) => this.#watch.one(c)))
      const claimed = await this.#collect(seen, (c) => c.closesAt > 0)
      if (channelId === undefined) this.#markLeft(channels)
      return claimed
    })
  }

  /** What was billed on a channel and is not collected. */
  pendingOn(channelId: Hex): bigint {
    return pendingOn(this.#c.book, channelId)
  }

  /** Of that, what was there already when all channels were last claimed from. */
  leftBehindOn(channelId: Hex): bigint {
    const [left, pending] = [this.#leftBehind.get(channelId) ?? 0n, this.pendingOn(channelId)]
    return left < pending ? left : pending
  }

  /** Seconds until a client can finish its close, by the chain's clock at the last look; 0 where it can. */
  secondsLeft({ closesAt }: ChannelRecord): number {
    return Math.max(0, closesAt - this.#watch.chainNow)
  }

  /** What was billed in a currency and not collected, and still can be. */
  owed(client: Hex, token: Hex): { client: bigint; all: bigint } {
    let [own, all] = [0n, 0n]
    for (const channel of this.#c.book.channels.values()) {
      if (channel.state === 'closed' || channel.terms.token !== token) continue
      const pending = this.pendingOn(channel.channelId)
      all += pending
      if (channel.terms.client === client) own += pending
    }
    return { client: own, all }
  }

  async #tick(): Promise<void> {
    const { alarms, book, tell, signal } = this.#c
    const channels = await this.#watch.all()
    try {
      await this.#claimWhatIsDue(channels)
      alarms.clear('claim')
    } catch (error) {
      if (!signal.aborted) alarms.raise('claim', claimFailed(error))
      throw error
    } finally {
      alarms.set('channel ', channelAlarms(book, this.#watch.chainNow, tell))
    }
  }

  async #claimWhatIsDue(channels: readonly ChannelRecord[]): Promise<void> {
    const { claimEveryMs, now } = this.#c
    const late = now() - this.#lastLateAt >= claimEveryMs
    const byToken = Map.groupBy(channels, ({ terms }) => terms.token)
    const due = [...byToken].filter(([token, of]) => this.#isDue(token, of, late)).flatMap(([, of]) => of)
    const again = new Set(this.#watch.vanished)
    this.#watch.vanished.clear()
    const isClosing: Urgent = (c) => c.state === 'closing' && c.closesAt > 0
    try {
      const dueOrPressing = channels.filter((c) => due.includes(c) || isClosing(c) || again.has(c.channelId))
      await this.#collect(dueOrPressing, (c) => late || isClosing(c))
    } catch (error) {
      for (const channelId of again) this.#watch.vanished.add(channelId)
      throw error
    }
    if (due.length > 0) this.#markLeft(due)
    // Not at every claim: a client that never says what it owes exactly must not be put off by the claims on others.
    if (due.length > 0 && late) this.#lastLateAt = now()
  }

  #isDue(token: Hex, channels: readonly ChannelRecord[], late: boolean): boolean {
    const pending = channels.reduce((all, c) => all + this.pendingOn(c.channelId), 0n)
    const threshold = this.#c.claimThreshold.get(token)
    return pending > 0n && (late || (threshold !== undefined && pending >= threshold))
  }

  async #collect(channels: readonly ChannelRecord[], urgent: Urgent): Promise<Claimed[]> {
    const done: Claimed[] = []
    for (const [token, ofToken] of Map.groupBy(channels, (c) => c.terms.token)) {
      for (const groups of inClaims(ofToken.flatMap((channel) => this.#groupFor(channel, urgent(channel)) ?? [])))
        done.push(await this.#claimAll(token, groups))
    }
    return done
  }

  #groupFor({ channelId, state, terms }: ChannelRecord, urgent: boolean): ClaimGroup | undefined {
    const rows = this.#c.book.rowsOf(channelId).flatMap((row) => voucherToClaim(row, urgent) ?? [])
    return rows.length === 0 || state === 'closed' ? undefined : { terms, rows }
  }

  /** What the chain has paid, not what we asked for, counts. */
  async #claimAll(token: Hex, groups: readonly ClaimGroup[]): Promise<Claimed> {
    const { book, claim, log, signal } = this.#c
    const salts = new Set(groups.map(({ terms }) => terms.salt))
    const channels = [...book.channels.values()].filter(({ terms }) => salts.has(terms.salt))
    const paid = () => paidOn(channels.flatMap(({ channelId }) => book.rowsOf(channelId)))
    const before = paid()
    failpoint('host.before-claim')
    const { tx, gasUsed } = await claim(groups, signal)
    failpoint('host.claimed')
    for (const channel of channels) await this.#watch.one(channel)
    const [hostAmount, developerAmount] = [paid().host - before.host, paid().developer - before.developer]
    const rows = groups.reduce((all, group) => all + group.rows.length, 0)
    log.info({ tx, rows, host: hostAmount.toString(), developer: developerAmount.toString() }, 'claimed')
    return { tx, gasUsed, rows, hostAmount, developerAmount, token }
  }

  #markLeft(channels: readonly ChannelRecord[]): void {
    for (const { channelId } of channels) this.#leftBehind.set(channelId, this.pendingOn(channelId))
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work, work)
    this.#turn = turn
    return turn
  }
}

function paidOn(rows: readonly LiveRow[]): { host: bigint; developer: bigint } {
  return rows.reduce(
    (all, { claimed }) => ({
      host: all.host + claimed.hostAmount,
      developer: all.developer + claimed.developerAmount,
    }),
    { host: 0n, developer: 0n },
  )
}

function claimFailed(error: unknown): Alarm {
  const why = error instanceof Error ? error.message : String(error)
  const cure = (error instanceof MecaError ? error.cure : undefined) ?? 'see the log, and run meca claim'
  return { level: 'error', detail: `What is owed could not be claimed: ${why}`, cure }
}
