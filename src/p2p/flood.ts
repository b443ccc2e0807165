/**
 * The watch over gossip streams: counts the bytes that each neighbour sends us before anything is decoded, since copies,
 * control messages and undecodable packets never reach a validator or a score. Who sends too many is banned.
 */
import type { Stream } from '@libp2p/interface'
import { Budget } from './budget.ts'
import { OFFERS } from './limits.ts'
import type { Peer } from './peer.ts'

export function watchGossip(peer: Peer): () => void {
  const budget = new Budget(OFFERS.neighbourBytesPerSecond, OFFERS.neighbourBurstBytes)
  const watched = new WeakSet<Stream>()
  const watch = (stream: Stream, peerId: string): void => {
    // libp2p hands what is buffered to the first listener; it must be gossipsub's, so we only ever come second.
    if (watched.has(stream) || stream.listenerCount('message') === 0) return
    watched.add(stream)
    stream.addEventListener('message', (event) => {
      if (!budget.take(peerId, performance.now(), event.data.byteLength)) peer.ban(peerId)
    })
  }
  const timer = setInterval(() => {
    for (const connection of peer.libp2p.getConnections()) {
      for (const stream of connection.streams) {
        if (stream.direction === 'inbound' && stream.protocol.startsWith('/meshsub/'))
          watch(stream, connection.remotePeer.toString())
      }
    }
  }, OFFERS.watchMs).unref()
  return () => clearInterval(timer)
}
