/**
 * How far a host works on deposits that the chain may still take back. What has the owner's confirmations counts in
 * full; of the rest, all channels of a currency together get no more than the owner's limit, each what is left of it.
 *
 * The bound: what is vouched for beyond confirmed deposits never exceeds the currency's limit, over all channels, restarts
 * and reorganisations together. A deposit that vanished keeps its part of the limit until it is back.
 */
import type { ChannelRecord } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { Caps } from './currencies.ts'

type Vouched = { readonly channels: ReadonlyMap<Hex, ChannelRecord>; vouchedOn(channelId: Hex): bigint }

export class Lending {
  readonly #limits: Caps
  readonly #book: Vouched
  readonly #confirmed = new Map<Hex, bigint>()
  readonly #lent = new Map<Hex, { token: Hex; amount: bigint }>()

  /** In a currency without a limit nothing is lent. */
  constructor(limits: Caps, book: Vouched) {
    this.#limits = limits
    this.#book = book
  }

  /** What counts of a deposit of which the chain has `newest` now and `confirmed` for good. */
  counted(channelId: Hex, token: Hex, confirmed: bigint, newest: bigint): bigint {
    const sure = confirmed < newest ? confirmed : newest
    const free = (this.#limits.get(token) ?? 0n) - this.#usedBut(channelId, token)
    const lent = smaller(newest - sure, free > 0n ? free : 0n)
    this.#confirmed.set(channelId, sure)
    if (lent > 0n) this.#lent.set(channelId, { token, amount: lent })
    else this.#lent.delete(channelId)
    return sure + lent
  }

  /** What is vouched for and no confirmed deposit stands behind. */
  exposed(token: Hex): bigint {
    return this.#channels(token).reduce((all, id) => all + this.#unsure(id), 0n)
  }

  exposedOn(channelId: Hex): bigint {
    return this.#unsure(channelId)
  }

  /** Also what was promised and is not used yet: its channel may use it at any moment. */
  #usedBut(channelId: Hex, token: Hex): bigint {
    const lent = [...this.#lent].filter(([, of]) => of.token === token).map(([id]) => id)
    const others = new Set([...this.#channels(token), ...lent])
    others.delete(channelId)
    return [...others].reduce((all, id) => all + larger(this.#lent.get(id)?.amount ?? 0n, this.#unsure(id)), 0n)
  }

  #channels(token: Hex): Hex[] {
    const live = [...this.#book.channels.values()].filter((c) => c.state !== 'closed' && c.terms.token === token)
    return live.map((c) => c.channelId)
  }

  /** After a restart nothing is known as confirmed until the chain was asked, so nothing more is lent till then. */
  #unsure(channelId: Hex): bigint {
    const beyond = this.#book.vouchedOn(channelId) - (this.#confirmed.get(channelId) ?? 0n)
    return beyond > 0n ? beyond : 0n
  }
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
