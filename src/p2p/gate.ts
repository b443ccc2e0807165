/**
 * Who may connect: a list of locked-out peers, for good by the owner's configuration or for a while after a flood, and
 * the filter for the addresses that strangers claim.
 */
import { networkInterfaces } from 'node:os'
import type { ConnectionGater } from '@libp2p/interface'
import type { Neighbourhood } from './addresses.ts'
import { mayDial } from './addresses.ts'
import { CONNECTION } from './limits.ts'

export type Gate = {
  gater: ConnectionGater
  isBanned(peerId: string): boolean
  /** Locks a peer out for `forMs`; the caller closes its connections. */
  ban(peerId: string, forMs?: number): void
}

/** `connectionsOf` says how many connections a peer has. */
export function createGate(
  denied: readonly string[],
  home: Neighbourhood,
  connectionsOf: (peerId: string) => number,
  now: () => number = Date.now,
): Gate {
  const forever = new Set(denied)
  const bannedUntilMs = new Map<string, number>()
  const isBanned = (peerId: string): boolean => forever.has(peerId) || (bannedUntilMs.get(peerId) ?? 0) > now()
  const deny = (peerId: { toString(): string }): boolean => isBanned(peerId.toString())
  return {
    isBanned,
    ban: (peerId, forMs = CONNECTION.banMs) => {
      bannedUntilMs.delete(peerId)
      bannedUntilMs.set(peerId, now() + forMs)
      const oldest = bannedUntilMs.keys().next().value
      if (bannedUntilMs.size > CONNECTION.maxBans && oldest !== undefined) bannedUntilMs.delete(oldest)
    },
    gater: {
      denyDialPeer: deny,
      denyInboundEncryptedConnection: (peerId) =>
        deny(peerId) || connectionsOf(peerId.toString()) >= CONNECTION.maxPerPeer,
      denyInboundRelayReservation: deny,
      denyOutboundRelayedConnection: (source, destination) => deny(source) || deny(destination),
      denyInboundRelayedConnection: (_relay, remote) => deny(remote),
      filterMultiaddrForPeer: (_peer, address) => mayDial(address, home),
    },
  }
}

/** The networks that this machine is part of. Loopback is one of them only where the caller says so. */
export function neighbourhood(loopback: boolean): Neighbourhood {
  const interfaces = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((i) => !i.internal)
    .map((i) => ({ address: i.address, prefix: Number(i.cidr?.split('/')[1] ?? (i.family === 'IPv4' ? 32 : 128)) }))
  return { interfaces, loopback }
}

/** A node that listens on loopback lives in a market of one machine: a devnet, or a test. */
export function listensOnLoopback(listen: readonly string[]): boolean {
  return listen.some((address) => /^\/ip4\/127\.|^\/ip6\/::1\//.test(address))
}
