/** Whether the chain knows a host, remembered for a while: it is asked for every offer in every ranking. */
import { LRUCache } from 'lru-cache'
import type { Hex } from '../core/units.ts'
import type { Base } from './base.ts'

const REMEMBER_YES_MS = 600_000
/** A host that has just started registers in a moment. */
const REMEMBER_NO_MS = 2_000
const MAX_HOSTS = 5_000

export function registeredCheck({ hosts }: Pick<Base, 'hosts'>): (host: Hex, signal: AbortSignal) => Promise<boolean> {
  const known = new LRUCache<Hex, boolean>({ max: MAX_HOSTS, ttl: REMEMBER_YES_MS })
  return async (host, signal) => {
    const remembered = known.get(host)
    if (remembered !== undefined) return remembered
    const entry = await hosts.get(host, signal)
    const registered = entry !== undefined && entry.unbondsAt === 0n
    known.set(host, registered, { ttl: registered ? REMEMBER_YES_MS : REMEMBER_NO_MS })
    return registered
  }
}
