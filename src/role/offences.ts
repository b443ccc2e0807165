/**
 * What clear breaches of the rules come to: forged vouchers, and speaking for a channel without its key. An honest client
 * does neither, so a peer that goes on is locked out, and with it the channel that it proved to speak for: peers cost
 * nothing, a funded channel does. Nobody else can get a channel locked out, since only its signer can say hello for it.
 */
import { LRUCache } from 'lru-cache'
import { MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'

/** Breaches of one peer within the window before it is locked out; each costs a signature check, 40 µs. */
const MAX_OFFENCES = 20
const WINDOW_MS = 60_000
/** A client says hello when it connects; one that lost its connection tries about once a second. */
const MAX_HELLOS = 120
/** As long as p2p locks a peer out. */
const LOCKED_MS = 10 * 60_000
/** Remembered of each; beyond it the one that was quiet longest is forgotten. */
const MAX_KNOWN = 5_000

export class Offences {
  readonly #ofPeer = new LRUCache<string, number>({ max: MAX_KNOWN, ttl: WINDOW_MS, noUpdateTTL: true })
  readonly #hellos = new LRUCache<Hex, number>({ max: MAX_KNOWN, ttl: WINDOW_MS, noUpdateTTL: true })
  readonly #locked = new LRUCache<Hex, true>({ max: MAX_KNOWN, ttl: LOCKED_MS })

  /** True where it was one too many: lock the peer out. */
  add(peerId: string, channels: Iterable<Hex>, error: unknown): boolean {
    if (!isOffence(error)) return false
    const count = (this.#ofPeer.get(peerId) ?? 0) + 1
    this.#ofPeer.set(peerId, count)
    if (count <= MAX_OFFENCES) return false
    for (const channelId of channels) this.#locked.set(channelId, true)
    return true
  }

  /** Throws `unauthorized` where this channel's client flooded the host a while ago. */
  requireFree(channelId: Hex): void {
    if (!this.#locked.has(channelId)) return
    throw new MecaError('unauthorized', `The client of channel ${channelId} sent a flood of forged messages`, {
      cure: `wait ${LOCKED_MS / 60_000} minutes`,
    })
  }

  /** For a hello that is sound, since it asks the chain. Throws `busy` where they come all the time. */
  countHello(channelId: Hex): void {
    const hellos = (this.#hellos.get(channelId) ?? 0) + 1
    this.#hellos.set(channelId, hellos)
    if (hellos > MAX_HELLOS) throw new MecaError('busy', `${hellos} hellos for channel ${channelId} within a minute`)
  }
}

/** The voucher's error carries it, since its code is that of every payment that is not accepted. */
export const FORGED = { forged: true } as const

export function isForged(error: unknown): error is MecaError {
  return error instanceof MecaError && error.details?.['forged'] === true
}

function isOffence(error: unknown): boolean {
  return isForged(error) || (error instanceof MecaError && error.code === 'unauthorized')
}
