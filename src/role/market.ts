/**
 * The market as one node hears it: the newest offer of each host, believed because it is signed, forgotten when it
 * expires. A host counts as registered when the chain says so; the clients' ranking asks for that.
 */
import { asMecaError } from '../core/errors.ts'
import { openOffer } from '../core/offer.ts'
import type { Offer, SignedOffer } from '../core/offer.ts'
import type { Domain } from '../core/typed.ts'
import { zSignature } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { OfferSource, Verdict } from '../p2p/offers.ts'
import type { HostAddress } from './client-components.ts'

export type Heard = { offer: Offer; signed: SignedOffer; at: number }

/** Hosts remembered: at 60 KiB each the worst flood holds 60 MiB; the offer that expires first makes room. */
const MAX_OFFERS = 1000

export class Market {
  readonly #heard = new Map<Hex, Heard>()
  readonly #domain: Domain
  readonly #now: () => number

  constructor(domain: Domain, wallNow: () => number) {
    this.#domain = domain
    this.#now = wallNow
  }

  /** Judges an offer and keeps it where it is new. */
  validate(message: { text: string; signature: string }, source: OfferSource): Verdict {
    const signature = zSignature.safeParse(message.signature)
    if (!signature.success) return 'reject'
    const signed: SignedOffer = { text: message.text, signature: signature.data }
    try {
      const offer = openOffer(this.#domain, signed, this.#now())
      if (source.author !== undefined && source.author !== offer.peerId) return 'reject'
      return this.#keep({ offer, signed, at: this.#now() })
    } catch (error) {
      // An offer that has just expired is late, not false.
      return asMecaError(error).message.endsWith('has expired') ? 'ignore' : 'reject'
    }
  }

  /** Offers that stand now, newest first. */
  heard(): Heard[] {
    const now = this.#now()
    for (const [host, { offer }] of this.#heard) if (offer.expiresAt < now) this.#heard.delete(host)
    return [...this.#heard.values()].sort((a, b) => b.offer.sequence - a.offer.sequence)
  }

  find(host: Hex): Heard | undefined {
    return this.heard().find(({ offer }) => offer.host === host)
  }

  #keep(heard: Heard): Verdict {
    const { host, sequence } = heard.offer
    if ((this.#heard.get(host)?.offer.sequence ?? -1) >= sequence) return 'ignore'
    this.#heard.set(host, heard)
    if (this.#heard.size > MAX_OFFERS) this.#dropFirstToExpire()
    return 'accept'
  }

  #dropFirstToExpire(): void {
    let first: Heard | undefined
    for (const heard of this.#heard.values())
      if (first === undefined || heard.offer.expiresAt < first.offer.expiresAt) first = heard
    if (first !== undefined) this.#heard.delete(first.offer.host)
  }
}

export function addressOf(offer: Offer): HostAddress {
  return { host: offer.host, peerId: offer.peerId, addresses: offer.addresses }
}
