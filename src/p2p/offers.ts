/**
 * How offers travel: gossip to all who listen, and a pull for those who come late, so that a command that has just
 * started knows the market within a second. What an offer says and whether its signature is right is the caller's to
 * judge (`validate`); this room only makes sure that judging cannot be made expensive.
 */
import type { GossipSub, Message, TopicValidatorResult } from '@libp2p/gossipsub'
import { MecaError } from '../core/errors.ts'
import { Budget } from './budget.ts'
import { watchGossip } from './flood.ts'
import { OFFERS } from './limits.ts'
import type { Peer, Target } from './peer.ts'
import { pullOffers, pullOnConnect, servePulls } from './pull.ts'
import type { SignedOffer } from './signed-offer.ts'
import { decodeOffer, encodeOffer } from './signed-offer.ts'

export type { SignedOffer } from './signed-offer.ts'

/** `ignore` costs the sender nothing (known, stale, unknown host); `reject` is for what is provably false. */
export type Verdict = 'accept' | 'ignore' | 'reject'

export type OfferSource = {
  /** The peer that gave it to us. */
  via: string
  /** The peer that published it, proven by its signature; unknown for a pulled offer. */
  author?: string
}

export type OffersOptions = {
  /** From `offersTopic`; the peer must have been created with it. */
  topic: string
  /** Must be quick (well below 100 ms); also keeps what it accepts, if `known` is to name it. */
  validate: (offer: SignedOffer, source: OfferSource) => Verdict | Promise<Verdict>
  /** Our own offer and those we heard and still believe, newest first, for peers that ask. */
  known: () => readonly SignedOffer[]
}

export type Offers = {
  /** Resolves to how many neighbours got it. To be repeated before the offer expires. */
  publish(offer: SignedOffer): Promise<number>
  /** Hears every offer that `validate` accepted, however it came. Returns how to stop. */
  on(listener: (offer: SignedOffer, source: OfferSource) => void): () => void
  /** Asks one peer for the offers it knows; resolves to how many were new to `validate`. Done at every connect anyway. */
  pull(target: Target, signal: AbortSignal): Promise<number>
  close(): Promise<void>
}

export async function joinOffers(peer: Peer, options: OffersOptions): Promise<Offers> {
  const pubsub = peer.libp2p.services.pubsub
  if (pubsub === undefined) throw new MecaError('internal', `The peer was created without the topic ${options.topic}`)
  const listeners = new Set<(offer: SignedOffer, source: OfferSource) => void>()
  const judge: Judge = async (offer, source) => {
    const verdict = await options.validate(offer, source)
    if (verdict === 'accept') for (const listener of listeners) listener(offer, source)
    return verdict
  }
  pubsub.topicValidators.set(options.topic, topicValidator(peer, judge))
  pubsub.subscribe(options.topic)
  const stopPulls = await servePulls(peer, options.known)
  const stopPulling = await pullOnConnect(peer, judge)
  const stopWatching = watchGossip(peer)
  return {
    publish: (offer) => publish(pubsub, options.topic, offer),
    on: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    pull: (target, signal) => pullOffers(peer, target, judge, signal),
    close: async () => {
      stopWatching()
      stopPulling()
      pubsub.unsubscribe(options.topic)
      pubsub.topicValidators.delete(options.topic)
      await stopPulls()
    },
  }
}

async function publish(pubsub: GossipSub, topic: string, offer: SignedOffer): Promise<number> {
  const data = encodeOffer(offer)
  if (data.byteLength > OFFERS.maxOfferBytes) {
    throw new MecaError('too_large', `The offer is ${data.byteLength} bytes, the cap is ${OFFERS.maxOfferBytes}`, {
      cure: 'Name fewer images at hand in it.',
    })
  }
  return (await pubsub.publish(topic, data)).recipients.length
}

/** The caller's verdict, told to the listeners. */
export type Judge = (offer: SignedOffer, source: OfferSource) => Promise<Verdict>

/** Cheap questions first; the caller's own check, which costs a signature, comes last. */
function topicValidator(
  peer: Peer,
  judge: Judge,
): (source: { toString(): string }, message: Message) => Promise<TopicValidatorResult> {
  const neighbours = new Budget(OFFERS.neighbourPerSecond, OFFERS.neighbourBurst)
  const authors = new Budget(OFFERS.perSecond, OFFERS.burst)
  const total = new Budget(OFFERS.totalBytesPerSecond, OFFERS.totalBurstBytes)
  const verdict = async (via: string, message: Message): Promise<Verdict> => {
    const now = performance.now()
    if (!neighbours.take(via, now)) {
      peer.ban(via)
      return 'reject'
    }
    if (message.type !== 'signed' || message.data.byteLength > OFFERS.maxOfferBytes) return 'reject'
    const author = message.from.toString()
    const costBytes = Math.max(OFFERS.minCostBytes, message.data.byteLength)
    if (!authors.take(author, now) || !total.take('all', now, costBytes)) return 'ignore'
    const offer = decodeOffer(message.data)
    return offer === undefined ? 'reject' : judge(offer, { via, author })
  }
  return async (source, message) => (await verdict(source.toString(), message)) as TopicValidatorResult
}
