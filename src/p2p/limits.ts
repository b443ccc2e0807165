/**
 * Every protocol name, ceiling and deadline of the peer-to-peer room, each with its reason. A stranger on the other
 * end of any stream can cost us at most what stands here.
 */
import type { Hex } from '../core/units.ts'

const KIB = 1024
const MIB = 1024 ** 2

/** A change that an older peer would misread gets a new number. */
export const PROTOCOLS = {
  quote: '/meca/quote/1',
  job: '/meca/job/1',
  data: '/meca/data/1',
  offers: '/meca/offers/1',
  dht: '/meca/kad/1',
} as const

/** Offers of one market: one chain and one set of contracts, so that markets do not hear each other. */
export function offersTopic(chainId: number, channelsAddress: Hex): string {
  return `/meca/offers/1/${chainId}/${channelsAddress.slice(2, 10).toLowerCase()}`
}

export const FRAME = {
  /** A job's header holds a voucher, a quote and options: a few KiB. This leaves room for environment and labels. */
  maxHeaderBytes: 256 * KIB,
  /** Small inputs and outputs ride in the frame; larger ones take `/meca/data/1`, where they are streamed. */
  maxFrameBytes: 4 * MIB,
  /** Our deepest header nests 5; deeper JSON is made to break recursive readers. */
  maxHeaderDepth: 32,
  /** One attachment per output of a files task, at most the number of outputs a descriptor may declare. */
  maxAttachments: 256,
  /** Attachments below this are copied into the batch: one long write is cheaper than many short ones. */
  copyBelowBytes: 16 * KIB,
  /** What waits to be written before `send` makes its caller wait: a full frame fits. */
  sendQueueBytes: 4 * MIB,
} as const

export const STREAM = {
  /** Bytes that arrived and were not read before the sender is told to stop. */
  pauseAboveBytes: 512 * KIB,
  /** Bytes that may wait for the line before a writer waits: a few round trips of a fast local link. */
  writeAheadBytes: 512 * KIB,
  /** Largest flow-control window: 2 MiB fill a link of 100 MB/s over 20 ms of round trip. */
  windowBytes: 2 * MIB,
  /** Over twice the window: a window may arrive after a pause, and a second one after a resume that paused again. */
  readBufferBytes: 5 * MIB,
  /** A stream on which nothing moves, and nobody pauses, is dropped. Long streams send a keep-alive at a third of it. */
  idleTimeoutMs: 90_000,
  keepAliveMs: 30_000,
  /** A reader that takes nothing for so long while we have bytes for it is dropped: it holds our memory. */
  writeTimeoutMs: 60_000,
  /** What a graceful close may take before it becomes a reset. */
  closeTimeoutMs: 5_000,
} as const

export const CONNECTION = {
  /** A host talks to its clients and a mesh of a dozen peers; 200 connections cost about 30 MiB. */
  maxConnections: 200,
  /** Of one peer: its first, one after a reconnect, and a relayed one beside the direct. */
  maxPerPeer: 4,
  /** New connections a second from one address: a household behind one NAT, not a flood. */
  inboundPerSecond: 10,
  /** Handshakes at a time: each costs a few milliseconds of CPU before we know who is there. */
  maxPending: 10,
  maxParallelDials: 20,
  maxDialQueue: 100,
  /** A peer that names more addresses than this has us knock on other people's doors. */
  maxAddressesPerPeer: 12,
  /** Streams of all protocols on one connection, each way: 4 jobs, 8 data, 16 quotes, gossip, and the blocks of IPFS. */
  maxStreams: 64,
  dialTimeoutMs: 10_000,
  upgradeTimeoutMs: 10_000,
  negotiationTimeoutMs: 10_000,
  /** How long a peer that flooded us stays locked out. */
  banMs: 10 * 60_000,
  /** Locked-out peers remembered; beyond it the oldest is forgotten. */
  maxBans: 10_000,
} as const

export const RPC = {
  /** A question or its answer: a quote with its signature is about 1 KiB. */
  maxMessageBytes: 64 * KIB,
  timeoutMs: 10_000,
  /** Streams at a time from one peer, then reset; our own side waits its turn. */
  maxStreamsPerPeer: 16,
  /** Questions a second from one peer, and how many at once after a rest: a client that starts 100 jobs. */
  perSecond: 50,
  burst: 150,
} as const

export const JOBS = {
  /** A client needs one; a few let old ones end while it reconnects. */
  maxStreamsPerPeer: 4,
} as const

export const DATA = {
  /** Uploads and downloads at a time of one peer. */
  maxStreamsPerPeer: 8,
  /** The opening header and its answer: ids, a name and an offset. */
  maxHeaderBytes: 16 * KIB,
  /** The answer to the opening header: the host looks at its disk. */
  answerTimeoutMs: 20_000,
  /** Size of one write: below 64 KiB the cost per write shows, above 256 KiB only the memory. */
  chunkBytes: 128 * KIB,
  /** Largest transfer that a header may announce: 64 GiB. The caller sets its own, lower cap. */
  maxTransferBytes: 64 * 1024 * MIB,
} as const

export const OFFERS = {
  /** One signed offer; ours are 1 to 2 KiB. */
  maxOfferBytes: 64 * KIB,
  /** New offers a second from one signing peer (one in five seconds), and how many at once. */
  perSecond: 0.2,
  burst: 5,
  /**
   * What we look at and pass on in all, in bytes a second; a message counts at least `minCostBytes`, for its signature.
   * A market of 1,000 hosts that publish 2 KiB every 30 s needs 70 KiB.
   */
  totalBytesPerSecond: 128 * KIB,
  totalBurstBytes: 256 * KIB,
  minCostBytes: 1 * KIB,
  /** What one neighbour may hand us: twice what an honest one passes on itself; beyond it the neighbour is banned. */
  neighbourPerSecond: 250,
  neighbourBurst: 500,
  /** The same for all bytes of its gossip stream, which counts what no validator sees. */
  neighbourBytesPerSecond: 256 * KIB,
  neighbourBurstBytes: 1 * MIB,
  watchMs: 500,
  /** One gossip packet: an answer may hold many offers; a larger one ends that neighbour's gossip. */
  maxPacketBytes: 1 * MIB,
  /** Answer to "which offers do you know": at most this many and this many bytes, newest first. */
  maxPullOffers: 500,
  maxPullBytes: 2 * MIB,
  /** Pulls a second by one peer: two at connect, and a few by hand. */
  pullPerSecond: 0.2,
  pullBurst: 6,
  /** What is published between our pull at connect and the moment gossip flows is caught by a second pull. */
  secondPullMs: 1_500,
  pullTimeoutMs: 5_000,
  /** A pull that holds this many forged offers is not read on, and its peer is banned. */
  maxRejectedPerPull: 3,
} as const

/** Counted per peer; beyond it the longest idle is forgotten, which gives that peer a fresh burst. */
export const MAX_TRACKED_PEERS = 5_000

export const RELAY = {
  /** Peers that may be reachable through us at once. */
  maxReservations: 64,
  /** The usual 128 KiB and 2 minutes cut every real job: a relayed connection may carry 1 GiB in 2 hours. */
  dataLimitBytes: 1024 * MIB,
  durationLimitMs: 2 * 3_600_000,
  reservationTtlMs: 2 * 3_600_000,
  maxHopStreams: 32,
  maxStopStreams: 128,
} as const
