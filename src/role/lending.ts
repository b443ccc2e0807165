/**
 * How far a host works on deposits that the chain may still take back. What has the owner's confirmations counts in
 * full; of the rest, all channels together get no more than the owner's limit, each what is left of it.
 *
 * The bound: what is vouched for beyond confirmed deposits never exceeds `limit`, over all channels, restarts and
 * reorganisations together. A deposit that vanished keeps its part of the limit until it is back.
 */
import type { ChannelRecord } from '../core/records.ts'
import type { Hex } from '../core/units.ts'

type Vouched = { readonly channels: ReadonlyMap<Hex, ChannelRecord>; vouchedOn(channelId: Hex): bigint }

export class Lending {
  readonly #limit: bigint
  readonly #book: Vouched
  readonly #confirmed = new Map<Hex, bigint>()
  readonly #lent = new Map<Hex, bigint>()

  constructor(limit: bigint, book: Vouched) {
    this.#limit = limit
    this.#book = book
  }

  /** What counts of a deposit of which the chain has `newest` now and `confirmed` for good. */
  counted(channelId: Hex, confirmed: bigint, newest: bigint): bigint {
    const sure = confirmed < newest ? confirmed : newest
    const free = this.#limit - this.#usedBut(channelId)
    const lent = smaller(newest - sure, free > 0n ? free : 0n)
    this.#confirmed.set(channelId, sure)
    if (lent > 0n) this.#lent.set(channelId, lent)
    else this.#lent.delete(channelId)
    return sure + lent
  }

  /** What is vouched for and no confirmed deposit stands behind. */
  exposed(): bigint {
    return this.#channels().reduce((all, id) => all + this.#unsure(id), 0n)
  }

  exposedOn(channelId: Hex): bigint {
    return this.#unsure(channelId)
  }

  /** Also what was promised and is not used yet: its channel may use it at any moment. */
  #usedBut(channelId: Hex): bigint {
    const others = new Set([...this.#channels(), ...this.#lent.keys()])
    others.delete(channelId)
    return [...others].reduce((all, id) => all + larger(this.#lent.get(id) ?? 0n, this.#unsure(id)), 0n)
  }

  #channels(): Hex[] {
    return [...this.#book.channels.values()].filter((c) => c.state !== 'closed').map((c) => c.channelId)
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
