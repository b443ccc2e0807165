/**
 * Taking in streams of one protocol, with a ceiling per peer. libp2p counts per connection, and a peer may open several
 * of those.
 */
import type { Stream } from '@libp2p/interface'
import { MecaError } from '../core/errors.ts'
import type { Peer } from './peer.ts'

/** `handler` owns the stream until its promise settles and must not reject. Ends with the returned function. */
export async function accept(
  peer: Peer,
  protocol: string,
  maxPerPeer: number,
  handler: (stream: Stream, peerId: string) => Promise<void>,
): Promise<() => Promise<void>> {
  const open = new Map<string, number>()
  const take = async (stream: Stream, peerId: string): Promise<void> => {
    const count = open.get(peerId) ?? 0
    if (count >= maxPerPeer) return stream.abort(tooMany(protocol, maxPerPeer))
    open.set(peerId, count + 1)
    await handler(stream, peerId)
    const left = (open.get(peerId) ?? 1) - 1
    if (left === 0) open.delete(peerId)
    else open.set(peerId, left)
  }
  await peer.libp2p.handle(protocol, (stream, connection) => void take(stream, connection.remotePeer.toString()), {
    maxInboundStreams: maxPerPeer,
    maxOutboundStreams: maxPerPeer,
    runOnLimitedConnection: true,
  })
  return () => peer.libp2p.unhandle(protocol)
}

function tooMany(protocol: string, max: number): MecaError {
  return new MecaError('busy', `The peer has ${max} streams of ${protocol} open, which is the most`)
}
