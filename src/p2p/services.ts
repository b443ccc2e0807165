/**
 * The parts of libp2p that a role may ask for. Each is imported only then: together they are a third of the memory and
 * of the start-up time of a command that needs none of them.
 */
import type { GossipSub } from '@libp2p/gossipsub'
import type { Identify } from '@libp2p/identify'
import type { CircuitRelayService } from '@libp2p/circuit-relay-v2'
import type { KadDHT } from '@libp2p/kad-dht'
import type { Ping } from '@libp2p/ping'
import type { Libp2pOptions, ServiceFactoryMap } from 'libp2p'
import { gossipOptions } from './gossip.ts'
import { PROTOCOLS, RELAY } from './limits.ts'
import type { PeerOptions } from './peer.ts'

export type Services = {
  identify: Identify
  ping: Ping
  pubsub?: GossipSub
  dht?: KadDHT
  dcutr?: unknown
  relay?: CircuitRelayService
}

type Factories = Partial<ServiceFactoryMap<Services>>
type Discovery = NonNullable<Libp2pOptions['peerDiscovery']>
type Transports = NonNullable<Libp2pOptions['transports']>

export async function optionalServices(options: PeerOptions): Promise<Factories> {
  return {
    ...(await gossipService(options.topics ?? [])),
    ...(await dhtService(options.dht ?? 'off')),
    ...(await relayServices(options.relay ?? 'off')),
  }
}

export async function optionalDiscovery({ bootstrap = [], mdns = false }: PeerOptions): Promise<Discovery> {
  const found: Discovery = []
  if (bootstrap.length > 0)
    found.push((await import('@libp2p/bootstrap')).bootstrap({ list: [...bootstrap], timeout: 0 }))
  if (mdns) found.push((await import('@libp2p/mdns')).mdns({ serviceTag: '_meca-discovery._udp.local' }))
  return found
}

export async function relayTransports(relayed: boolean): Promise<Transports> {
  if (!relayed) return []
  const { circuitRelayTransport } = await import('@libp2p/circuit-relay-v2')
  return [
    circuitRelayTransport({
      maxInboundStopStreams: RELAY.maxStopStreams,
      maxOutboundStopStreams: RELAY.maxStopStreams,
    }),
  ]
}

async function gossipService(topics: readonly string[]): Promise<Factories> {
  if (topics.length === 0) return {}
  const { gossipsub } = await import('@libp2p/gossipsub')
  return { pubsub: gossipsub(gossipOptions(topics)) }
}

/** A table of our own: the public network's peers hold nothing for us, and would fill it. */
async function dhtService(mode: 'off' | 'client' | 'server'): Promise<Factories> {
  if (mode === 'off') return {}
  const { kadDHT, passthroughMapper } = await import('@libp2p/kad-dht')
  const shared = { protocol: PROTOCOLS.dht, peerInfoMapper: passthroughMapper, allowQueryWithZeroPeers: true }
  return { dht: kadDHT({ ...shared, clientMode: mode === 'client' }) }
}

async function relayServices(mode: 'off' | 'client' | 'server'): Promise<Factories> {
  if (mode === 'off') return {}
  const { dcutr } = await import('@libp2p/dcutr')
  if (mode === 'client') return { dcutr: dcutr() }
  const { circuitRelayServer } = await import('@libp2p/circuit-relay-v2')
  const reservations = {
    maxReservations: RELAY.maxReservations,
    reservationTtl: RELAY.reservationTtlMs,
    defaultDataLimit: BigInt(RELAY.dataLimitBytes),
    defaultDurationLimit: RELAY.durationLimitMs,
  }
  const relay = circuitRelayServer({
    reservations,
    maxInboundHopStreams: RELAY.maxHopStreams,
    maxOutboundHopStreams: RELAY.maxHopStreams,
    maxOutboundStopStreams: RELAY.maxStopStreams,
  })
  return { dcutr: dcutr(), relay }
}
