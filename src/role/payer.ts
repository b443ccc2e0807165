/**
 * Where a client's money is locked: finds, opens or tops up the channel that can pay for a job. A channel opens by
 * itself at the first job with a host, with the price of some more jobs like it, never over the owner's cap.
 *
 * However often an opening fails in between, and whatever an endpoint says of it, it is one channel with one deposit.
 *
 * The bound: what can be lost to one host is what its channel's vouchers say beyond what was billed; the rest of the
 * deposit comes back after the close delay, whatever the host does.
 */
import { asMecaError, MecaError } from '../core/errors.ts'
import type { ChannelRecord } from '../core/records.ts'
import { channelIdOf } from '../core/typed.ts'
import type { ChannelTerms } from '../core/typed.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { ClientComponents } from './client-components.ts'
import { asSeen, WATCH_CLOSED_MS } from './seen.ts'
import { capIn } from './currencies.ts'

/** Room on a channel that is promised to a job whose voucher is not signed yet. */
export type Room = { channel: ChannelRecord; release(): void }

export class Payer {
  readonly #c: ClientComponents
  readonly #promised = new Map<Hex, bigint>()
  /** One opening or top-up at a time per host and token, so that eight first jobs open one channel. */
  readonly #turns = new Map<string, Promise<unknown>>()
  /** Channels whose opening this process is waiting for. */
  readonly #opening = new Set<Hex>()

  #recovery: Promise<unknown> | undefined

  constructor(c: ClientComponents) {
    this.#c = c
  }

  /** Nothing is paid before this has ended: it may bring the channel that is wanted. */
  waitFor(recovery: Promise<unknown>): void {
    this.#recovery = recovery.finally(() => (this.#recovery = undefined))
  }

  /** Throws `insufficient_funds` or `price_cap`; `chain_unreachable` where a transaction cannot be made. */
  async room(host: Hex, token: Hex, need: bigint, signal: AbortSignal): Promise<Room> {
    if (this.#recovery !== undefined) await this.#recovery
    const ready = this.#find(host, token, need)
    if (ready !== undefined) return this.#promise(ready, need)
    return this.#inTurn(`${host}/${token}`, async () => {
      await this.#settle(host, token, signal)
      const channel =
        this.#find(host, token, need) ??
        (await this.#grow(host, token, need, signal)) ??
        (await this.open(host, token, this.#deposit(token, need), need, signal))
      return this.#promise(channel, need)
    })
  }

  /** Whether a channel is open that can pay this. */
  hasRoom(host: Hex, token: Hex, need: bigint): boolean {
    return this.#find(host, token, need) !== undefined
  }

  /** What a job of this price would lock, and how; nothing is done. Throws `price_cap`. */
  plan(host: Hex, token: Hex, need: bigint): { how: 'none' | 'open' | 'top-up'; amount: bigint } {
    if (this.#find(host, token, need) !== undefined) return { how: 'none', amount: 0n }
    const how = this.#openWith(host, token).length > 0 ? 'top-up' : 'open'
    return { how, amount: this.#deposit(token, need) }
  }

  /** Opens a channel with `deposit`, which must hold at least `need`. */
  async open(host: Hex, token: Hex, deposit: bigint, need: bigint, signal: AbortSignal): Promise<ChannelRecord> {
    const { signer, spending, domain, chain } = this.#c
    const begun = this.#begun(host, token)
    const promised = begun === undefined ? 0n : this.#c.book.vouchedOn(begun.channelId)
    const amount = await this.#affordable(token, deposit + promised, need + promised, signal)
    const terms: ChannelTerms = {
      client: signer.address,
      signer: signer.address,
      host,
      token,
      closeDelaySeconds: spending.closeDelaySeconds,
      salt: this.#c.randomSalt(),
      ...begun?.terms,
    }
    const channelId = channelIdOf(domain, terms)
    const opening: ChannelRecord = {
      channelId,
      side: 'client',
      terms,
      state: 'opening',
      deposit: 0n,
      claimed: 0n,
      closesAt: 0,
      createdAt: this.#c.wallNow(),
    }
    await this.#write('opening', opening)
    failpoint('client.channel-intent')
    this.#opening.add(channelId)
    const failure = await chain.open(terms, amount, signal).then(() => undefined, asMecaError)
    failpoint('client.channel-opened')
    this.#opening.delete(channelId)
    const channel = await this.#confirmed(opening, signal).catch((error: unknown) => {
      throw failure ?? asMecaError(error)
    })
    if (channel.state === 'opening') throw failure ?? notThere(channelId)
    return channel
  }

  /** Before money is locked anew: what was begun comes to its end, and what is there is known. */
  async #settle(host: Hex, token: Hex, signal: AbortSignal): Promise<void> {
    await this.#c.chain.settle(signal)
    for (const channel of this.#c.book.channels.values()) {
      const { terms, state, channelId } = channel
      if (terms.host !== host || terms.token !== token || this.#opening.has(channelId)) continue
      const ended = state === 'closed' && !this.#isYoung(channel.closedAt ?? 0)
      if (channel.released !== true && !ended) await this.#confirmed(channel, signal)
    }
  }

  /** An opening that did not come to its end. Sent again it is the same channel, and the contract opens none twice. */
  #begun(host: Hex, token: Hex): ChannelRecord | undefined {
    return [...this.#c.book.channels.values()].find(
      ({ state, terms, channelId }) =>
        state === 'opening' && terms.host === host && terms.token === token && !this.#opening.has(channelId),
    )
  }

  /** At start: a channel whose opening was interrupted is what the chain says it is. */
  async recover(signal: AbortSignal): Promise<void> {
    for (const channel of this.#c.book.channels.values()) {
      if (channel.state === 'opening') await this.#confirmed(channel, signal)
    }
  }

  /** Nothing is signed on this channel any more; what is left in it comes back by closing it. */
  async retire(channel: ChannelRecord): Promise<void> {
    const current = this.#c.book.channels.get(channel.channelId) ?? channel
    const state = current.state === 'closed' ? 'closed' : 'closing'
    await this.#write('retired', { ...current, state, released: true })
  }

  /** The channel as the chain has it now. */
  async refresh(channel: ChannelRecord, signal: AbortSignal): Promise<ChannelRecord> {
    return this.#confirmed(channel, signal)
  }

  async #confirmed(known: ChannelRecord, signal: AbortSignal): Promise<ChannelRecord> {
    const state = await this.#c.chain.state(known.channelId, signal)
    // Read anew: it may have been retired meanwhile.
    const channel = this.#c.book.channels.get(known.channelId) ?? known
    const next = asSeen(channel, state, this.#c.wallNow())
    const isThere = state.deposit > 0n || state.closed
    // Ending in the moment it was opened, and never used? That is looked at again before another one is opened in its place.
    const isNew = channel.state === 'opening' && this.#c.book.vouchedOn(channel.channelId) === 0n
    const isDoubtful = isNew && next.state !== 'open' && this.#isYoung(channel.createdAt)
    if (isDoubtful || (!isThere && next.state === 'open')) next.state = 'opening'
    await this.#write('channel', next)
    return next
  }

  #isYoung(since: number): boolean {
    return this.#c.wallNow() - since < WATCH_CLOSED_MS
  }

  #find(host: Hex, token: Hex, need: bigint): ChannelRecord | undefined {
    return this.#openWith(host, token).find((channel) => this.#free(channel) >= need)
  }

  #openWith(host: Hex, token: Hex): ChannelRecord[] {
    return [...this.#c.book.channels.values()].filter(
      (c) => c.state === 'open' && c.terms.host === host && c.terms.token === token,
    )
  }

  #free(channel: ChannelRecord): bigint {
    return channel.deposit - this.#c.book.vouchedOn(channel.channelId) - (this.#promised.get(channel.channelId) ?? 0n)
  }

  async #grow(host: Hex, token: Hex, need: bigint, signal: AbortSignal): Promise<ChannelRecord | undefined> {
    const channel = this.#openWith(host, token)[0]
    if (channel === undefined) return undefined
    // More than the job where what was promised before has lost its deposit.
    const short = need - this.#free(channel)
    const amount = await this.#affordable(token, larger(this.#deposit(token, need), short), short, signal)
    await this.#c.chain.topUp(channel.terms, amount, signal)
    return this.#confirmed(channel, signal)
  }

  #deposit(token: Hex, need: bigint): bigint {
    const { spending, currencies } = this.#c
    const cap = capIn(spending.depositCap, token, 'client.depositCap', currencies) ?? 0n
    if (need > cap) {
      const [job, most] = [currencies.show(need, token), currencies.show(cap, token)]
      throw new MecaError('price_cap', `The job can cost ${job}, the cap on a deposit is ${most}`, {
        cure: 'raise client.depositCap',
      })
    }
    const wanted = need * BigInt(spending.depositJobs)
    return wanted > cap ? cap : wanted
  }

  /** The deposit, or what the wallet has where that still pays the job. Gas is left over for leaving again. */
  async #affordable(token: Hex, deposit: bigint, need: bigint, signal: AbortSignal): Promise<bigint> {
    const balance = await this.#c.chain.balance(token, signal)
    const spendable = token === NATIVE ? balance - GAS_RESERVE_WEI : balance
    if (spendable < need) {
      const show = (some: bigint) => this.#c.currencies.show(some, token)
      throw new MecaError(
        'insufficient_funds',
        `The wallet ${this.#c.signer.address} has ${show(balance)}, the job needs ${show(need)}${token === NATIVE ? ' and some gas' : ''}`,
        {
          cure: `send funds to ${this.#c.signer.address}`,
          details: { balance: balance.toString(), need: need.toString() },
        },
      )
    }
    return deposit < spendable ? deposit : spendable
  }

  #promise(channel: ChannelRecord, need: bigint): Room {
    const { channelId } = channel
    this.#promised.set(channelId, (this.#promised.get(channelId) ?? 0n) + need)
    let held = true
    return {
      channel,
      release: () => {
        if (held) this.#promised.set(channelId, (this.#promised.get(channelId) ?? 0n) - need)
        held = false
      },
    }
  }

  async #inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#turns.get(key) ?? Promise.resolve()
    // Whoever came before has told its own caller how it ended.
    const turn = before.catch(() => undefined).then(work)
    this.#turns.set(key, turn)
    return turn
  }

  #write(kind: string, channel: ChannelRecord): Promise<void> {
    this.#c.book.stageChannel(channel)
    return this.#c.book.commit(kind, { channels: [channel] })
  }
}

function notThere(channelId: Hex): MecaError {
  return new MecaError('chain_unreachable', `The chain shows no deposit on channel ${channelId}, which was opened`, {
    cure: 'Try again: it is the same channel, so nothing is locked twice; if it stays so, use another RPC endpoint.',
  })
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

/** Enough for opening, topping up and closing at 100 gwei. */
const GAS_RESERVE_WEI = 30_000_000_000_000_000n
