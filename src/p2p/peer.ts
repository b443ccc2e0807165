/**
 * The node's place in the network: one libp2p for offers, quotes, jobs, data and (handed to src/ipfs) blocks. Only here
 * is libp2p put together; everything is lowered from its defaults to what a host needs, and what a role does not ask
 * for is not even loaded.
 */
import { identify } from '@libp2p/identify'
import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import type { Multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'
import { mayDial } from './addresses.ts'
import { createGate, listensOnLoopback, neighbourhood } from './gate.ts'
import { decodeIdentity } from './identity.ts'
import { CONNECTION, STREAM } from './limits.ts'
import type { ErrorLog } from './logger.ts'
import { componentLogger } from './logger.ts'
import type { Services } from './services.ts'
import { optionalServices, optionalDiscovery, relayTransports } from './services.ts'

export type PeerOptions = {
  /** From `loadIdentity` or `generateIdentity`. */
  identity: Uint8Array
  /** Multiaddrs; default one free port on loopback. An empty list listens nowhere. */
  listen?: readonly string[]
  /** Addresses to tell others instead of those we listen on. */
  announce?: readonly string[]
  /** Peers to connect to at start, each with its /p2p/ part. */
  bootstrap?: readonly string[]
  /** Find peers on the local network; tells everybody there that we exist. */
  mdns?: boolean
  /** `server` also answers others; needs to be reachable. Default off. */
  dht?: 'off' | 'client' | 'server'
  /** `client` can dial and be reached through relays; `server` also relays for others. Default off. */
  relay?: 'off' | 'client' | 'server'
  /** Gossip topics of this node; without one gossipsub is not loaded. See `offersTopic`. */
  topics?: readonly string[]
  /** Whether strangers may point us at ports of this machine; default: only where we listen on loopback ourselves. */
  allowLoopback?: boolean
  /** Peer ids that may never connect. */
  deny?: readonly string[]
  /** libp2p's own errors; there are many and few matter, so this belongs at debug level. */
  onError?: ErrorLog
}

/** A peer id, one multiaddr, or several of one peer. */
export type Target = string | readonly string[]

export type Peer = {
  readonly libp2p: Libp2p<Services>
  readonly peerId: string
  /** Where others reach us, each with our /p2p/ part. */
  addrs(): string[]
  /** The connection that exists, a direct one first, or a new one. Errors: `peer_unreachable`, `cancelled`. */
  dial(target: Target, signal: AbortSignal): Promise<Connection>
  /** Whether an address that a stranger gave us (in an offer, say) may be dialled; false too for what is no address. */
  mayDial(address: string): boolean
  /** A stream to the peer; naming its protocol costs one round trip, which is why jobs share a long-lived one. */
  openStream(target: Target, protocol: string, signal: AbortSignal): Promise<Stream>
  /** Closes the peer's connections and locks it out for a while. */
  ban(peerId: string): void
  close(): Promise<void>
}

export async function createPeer(options: PeerOptions): Promise<Peer> {
  const listen = options.listen ?? ['/ip4/127.0.0.1/tcp/0']
  const home = neighbourhood(options.allowLoopback ?? listensOnLoopback(listen))
  const connectionsOf = (peerId: string): Connection[] =>
    libp2p.getConnections().filter((c) => c.remotePeer.toString() === peerId)
  const gate = createGate(options.deny ?? [], home, (peerId) => connectionsOf(peerId).length)
  const relayed = options.relay !== undefined && options.relay !== 'off'
  const ban = (peerId: string): void => {
    gate.ban(peerId)
    for (const c of connectionsOf(peerId)) c.abort(new Error('banned'))
  }
  const libp2p: Libp2p<Services> = await createLibp2p<Services>({
    privateKey: decodeIdentity(options.identity),
    logger: componentLogger(options.onError),
    nodeInfo: { name: 'meca', version: '1' },
    addresses: { listen: [...listen], appendAnnounce: [], announce: [...(options.announce ?? [])] },
    transports: [tcp({ backlog: 64, ...socketDeadlines }), ...(await relayTransports(relayed))],
    connectionEncrypters: [tls(), noise()],
    streamMuxers: [yamux(muxer)],
    connectionManager: connections,
    connectionGater: gate.gater,
    peerDiscovery: await optionalDiscovery(options),
    services: { identify: identify(), ping: ping(), ...(await optionalServices(options)) },
  })
  // Asked for with every job, and dear: libp2p checks each against every network interface.
  let addresses: string[] | undefined
  libp2p.addEventListener('self:peer:update', () => (addresses = undefined))
  return {
    libp2p,
    peerId: libp2p.peerId.toString(),
    addrs: () => (addresses ??= libp2p.getMultiaddrs().map(String)),
    dial: (target, signal) => dial(libp2p, target, signal),
    mayDial: (address) => isMultiaddrText(address) && mayDial(multiaddr(address), home),
    openStream: (target, protocol, signal) => openStream(libp2p, target, protocol, signal),
    ban,
    close: async () => libp2p.stop(),
  }
}

/** libp2p's connection monitor pings every 10 s, so a socket that is silent for two minutes is dead. */
const socketDeadlines = { inboundSocketInactivityTimeout: 120_000, outboundSocketInactivityTimeout: 120_000 }

const muxer = {
  maxInboundStreams: CONNECTION.maxStreams,
  maxOutboundStreams: CONNECTION.maxStreams,
  streamOptions: { maxStreamWindowSize: STREAM.windowBytes, maxReadBufferLength: STREAM.readBufferBytes },
}

const connections = {
  maxConnections: CONNECTION.maxConnections,
  inboundConnectionThreshold: CONNECTION.inboundPerSecond,
  maxIncomingPendingConnections: CONNECTION.maxPending,
  maxParallelDials: CONNECTION.maxParallelDials,
  maxDialQueueLength: CONNECTION.maxDialQueue,
  maxPeerAddrsToDial: CONNECTION.maxAddressesPerPeer,
  dialTimeout: CONNECTION.dialTimeoutMs,
  inboundUpgradeTimeout: CONNECTION.upgradeTimeoutMs,
  inboundStreamProtocolNegotiationTimeout: CONNECTION.negotiationTimeoutMs,
  outboundStreamProtocolNegotiationTimeout: CONNECTION.negotiationTimeoutMs,
}

async function dial(libp2p: Libp2p, target: Target, signal: AbortSignal): Promise<Connection> {
  const { peerId, addresses } = parseTarget(target)
  const open = peerId === undefined ? [] : libp2p.getConnections(peerId).filter((c) => c.status === 'open')
  const existing = open.find((c) => c.limits === undefined) ?? open[0]
  if (existing !== undefined) return existing
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(CONNECTION.dialTimeoutMs)])
  try {
    return await libp2p.dial(addresses.length > 0 ? addresses : (peerId as PeerId), { signal: deadline })
  } catch (cause) {
    throw unreachable(target, signal, cause)
  }
}

async function openStream(libp2p: Libp2p, target: Target, protocol: string, signal: AbortSignal): Promise<Stream> {
  const connection = await dial(libp2p, target, signal)
  try {
    return await connection.newStream(protocol, { signal, runOnLimitedConnection: true })
  } catch (cause) {
    throw unreachable(target, signal, cause)
  }
}

function parseTarget(target: Target): { peerId: PeerId | undefined; addresses: Multiaddr[] } {
  const texts = typeof target === 'string' ? [target] : target
  try {
    const addresses = texts.filter((t) => t.startsWith('/')).map((t) => multiaddr(t))
    const named = texts.find((t) => !t.startsWith('/')) ?? addresses.map(lastPeerId).find((id) => id !== undefined)
    if (named === undefined && addresses.length === 0) throw new Error('it is empty')
    return { peerId: named === undefined ? undefined : peerIdFromString(named), addresses }
  } catch (cause) {
    throw new MecaError('bad_input', `${quote(texts.join(' '))} is neither a peer id nor a multiaddr`, { cause })
  }
}

function isMultiaddrText(text: string): boolean {
  try {
    return multiaddr(text).getComponents().length > 0
  } catch {
    return false // The library has no test that does not throw.
  }
}

function lastPeerId(address: Multiaddr): string | undefined {
  return address.getComponents().findLast((c) => c.name === 'p2p')?.value
}

function unreachable(target: Target, signal: AbortSignal, cause: unknown): MecaError {
  const who = typeof target === 'string' ? target : target.join(', ')
  if (signal.aborted) return new MecaError('cancelled', `Reaching ${who} was cancelled`, { cause })
  return new MecaError('peer_unreachable', `Could not reach ${who}: ${reason(cause)}`, {
    cause,
    cure: 'Check that the peer runs and that its address is right; a peer behind a NAT needs a relay.',
    details: { target: who },
  })
}

function reason(cause: unknown): string {
  if (cause instanceof AggregateError && cause.errors.length > 0) return reason(cause.errors[0])
  return cause instanceof Error ? cause.message : String(cause)
}
