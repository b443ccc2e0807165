/** What is written down of a channel that the chain shows like this. The chain may go back, so all but a release may. */
import type { ChannelRecord } from '../core/records.ts'
import type { ChainChannel } from './host-components.ts'

/** For so long after its end a channel is still looked at: chains that went back by an hour's blocks are not known. */
export const WATCH_CLOSED_MS = 3_600_000

/**
 * `now` in ms. Nothing reopens a channel that was released here: as a host, since its client may end it at any moment; as
 * a client, since nothing more is to be signed on it.
 */
export function asSeen(known: ChannelRecord, seen: ChainChannel, now: number): ChannelRecord {
  const { closedAt: endedAt, ...old } = known
  const { deposit, claimed, closesAt, closed } = seen
  const state = closed ? 'closed' : closesAt > 0 || old.released === true ? 'closing' : 'open'
  return { ...old, deposit, claimed, closesAt, state, ...(closed ? { closedAt: endedAt ?? now } : {}) }
}

/** Whether the chain has to be asked about a channel still. */
export function isWatched({ state, closedAt = 0 }: ChannelRecord, pending: bigint, now: number): boolean {
  return state !== 'closed' || pending > 0n || now - closedAt < WATCH_CLOSED_MS
}
