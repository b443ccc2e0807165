/**
 * The pull: asking a peer which offers it knows. Gossip only carries what is published while one listens; this is how a
 * newcomer catches up.
 */
import { Budget } from './budget.ts'
import { OFFERS, PROTOCOLS } from './limits.ts'
import type { Judge } from './offers.ts'
import type { Peer, Target } from './peer.ts'
import { ask, serve } from './rpc.ts'
import type { SignedOffer } from './signed-offer.ts'
import { decodeOffers, encodeOffers } from './signed-offer.ts'

/** The header and the frame's own fields; the offers get the rest of an answer. */
const ENVELOPE_BYTES = 1_024

/** Answers pulls with as many offers as fit, in the order given. */
export function servePulls(peer: Peer, known: () => readonly SignedOffer[]): Promise<() => Promise<void>> {
  const answer = (): Buffer => encodeOffers(known(), OFFERS.maxPullOffers, OFFERS.maxPullBytes - ENVELOPE_BYTES)
  return serve(peer, PROTOCOLS.offers, () => Promise.resolve({ header: {}, attachments: [answer()] }), {
    perSecond: OFFERS.pullPerSecond,
    burst: OFFERS.pullBurst,
    maxAnswerBytes: OFFERS.maxPullBytes,
  })
}

/** Resolves to how many offers the judge accepted. A peer that hands out forgeries is banned. */
export async function pullOffers(peer: Peer, target: Target, judge: Judge, signal: AbortSignal): Promise<number> {
  const connection = await peer.dial(target, signal)
  const via = connection.remotePeer.toString()
  const { attachments } = await ask(
    peer,
    via,
    PROTOCOLS.offers,
    {},
    {
      signal,
      timeoutMs: OFFERS.pullTimeoutMs,
      maxAnswerBytes: OFFERS.maxPullBytes,
    },
  )
  let accepted = 0
  let rejected = 0
  for (const offer of decodeOffers(attachments[0] ?? new Uint8Array(), OFFERS.maxPullOffers)) {
    const verdict = offer === undefined ? 'reject' : await judge(offer, { via })
    if (verdict === 'accept') accepted++
    if (verdict === 'reject' && ++rejected >= OFFERS.maxRejectedPerPull) {
      peer.ban(via)
      break
    }
  }
  return accepted
}

/** Pulls from every peer that connects and speaks the protocol, and once more when gossip with it surely flows. */
export async function pullOnConnect(peer: Peer, judge: Judge): Promise<() => void> {
  const stopped = new AbortController()
  const budget = new Budget(OFFERS.pullPerSecond, OFFERS.pullBurst)
  const pull = (peerId: string): void => {
    if (stopped.signal.aborted || !budget.take(peerId, performance.now())) return
    // A peer that cannot answer has nothing for us; another one does, and gossip comes in any case.
    pullOffers(peer, peerId, judge, stopped.signal).catch(() => undefined)
  }
  const topology = await peer.libp2p.register(PROTOCOLS.offers, {
    notifyOnLimitedConnection: true,
    onConnect: (peerId) => {
      pull(peerId.toString())
      setTimeout(() => pull(peerId.toString()), OFFERS.secondPullMs).unref()
    },
  })
  return () => {
    stopped.abort()
    peer.libp2p.unregister(topology)
  }
}
