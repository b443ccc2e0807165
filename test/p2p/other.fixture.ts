/** A peer in its own process; what it does is named by the first argument. Tells its parent its addresses. */
import { once } from 'node:events'
import type { Stream } from '@libp2p/interface'
import { accept } from '../../src/p2p/accept.ts'
import type { Header } from '../../src/p2p/codec.ts'
import { getData, putData, serveData } from '../../src/p2p/data.ts'
import { FrameStream } from '../../src/p2p/frames.ts'
import { generateIdentity } from '../../src/p2p/identity.ts'
import { openJobs, serveJobs } from '../../src/p2p/jobs.ts'
import { DATA, JOBS, PROTOCOLS } from '../../src/p2p/limits.ts'
import { joinOffers } from '../../src/p2p/offers.ts'
import { createPeer } from '../../src/p2p/peer.ts'
import type { Peer, PeerOptions } from '../../src/p2p/peer.ts'

const roles: Readonly<Record<string, (peer: Peer, args: readonly string[]) => Promise<void>>> = {
  /** Sends every frame back. */
  echo: async (peer) => {
    await peer.libp2p.handle(PROTOCOLS.job, (stream) => void echo(new FrameStream(stream)))
  },
  /** Takes every stream and reads none. */
  deaf: async (peer) => {
    for (const [protocol, most] of Object.entries({
      [PROTOCOLS.job]: JOBS.maxStreamsPerPeer,
      [PROTOCOLS.data]: DATA.maxStreamsPerPeer,
    })) {
      await accept(peer, protocol, most, (stream) => new FrameStream(stream).closed.then(() => undefined))
    }
  },
  /** Everything loaded, nothing to do. */
  rest: () => Promise.resolve(),
  /** A host that answers every job with its own header. */
  jobs: async (peer) => {
    await serveJobs(peer, echo)
  },
  /** Sends 64 MiB: over the data protocol, and over a plain stream for comparison; takes uploads and drops them. */
  bulk: async (peer) => {
    await serveData(peer, (request) => {
      const receive = async (body: AsyncIterable<Uint8Array>): Promise<Header> => {
        let bytes = 0
        for await (const chunk of body) bytes += chunk.byteLength
        return { bytes }
      }
      if (request.op === 'put') return Promise.resolve({ op: 'put', offset: 0, maxBytes: BULK_BYTES, receive })
      return Promise.resolve({ op: 'get', lengthBytes: BULK_BYTES, body: zeros() })
    })
    await peer.libp2p.handle('/test/plain/1', (stream) => {
      stream.addEventListener('message', () => void plain(stream), { once: true })
    })
  },
  /** Talks to the peer named in the way its parent says, and tells the figure: bytes moved, or trips a second. */
  measure: (peer, [target = '']) => {
    process.on('message', (kind: string) => void ways[kind]?.(peer, target).then((bytes) => process.send?.(bytes)))
    return Promise.resolve()
  },
  /** Keeps what it hears, and tells its parent when asked. */
  listen: async (peer, [topic = '']) => {
    const heard: string[] = []
    const offers = await joinOffers(peer, { topic, validate: () => 'accept', known: () => [] })
    offers.on(({ text }) => heard.length < 10_000 && heard.push(text))
    process.on('message', () => {
      const { user, system } = process.cpuUsage()
      const peers = peer.libp2p.getConnections().map((c) => c.remotePeer.toString())
      process.send?.({ peers, heard, cpuMs: (user + system) / 1_000 })
    })
  },
  /** Publishes as fast as it can once its parent says so: new messages, or or packets of control messages. */
  flood: async (peer, [topic = '', kind = '', target = '']) => {
    peer.libp2p.services.pubsub?.subscribe(topic)
    const connection = await peer.dial(target, AbortSignal.timeout(5_000))
    process.once(
      'message',
      () => void (kind === 'new' ? floodNew(peer, topic) : floodControl(peer, connection.remotePeer.toString())),
    )
  },
}

async function floodNew(peer: Peer, topic: string): Promise<void> {
  for (let n = 0; ; n++) {
    await peer.libp2p.services.pubsub
      ?.publish(topic, Buffer.from(`{"o":"flood ${n} ${'x'.repeat(800)}","s":""}`))
      .catch(() => undefined)
    if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** One packet of subscriptions, which no validator sees, sent over and over on a gossip stream of our own. */
async function floodControl(peer: Peer, peerId: string): Promise<void> {
  const connection = await peer.dial(peerId, AbortSignal.timeout(5_000))
  const stream = await connection.newStream(['/meshsub/1.2.0', '/meshsub/1.1.0'], { maxOutboundStreams: 10 })
  const packet = Buffer.concat(
    Array.from({ length: 5_000 }, () => Buffer.from([8, 0x0a, 6, 8, 1, 0x12, 2, 0x78, 0x79])),
  )
  while (stream.status === 'open') {
    if (!stream.send(packet)) await once(stream, 'drain')
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const TRIPS = 20_000
const BULK_BYTES = 64 * 1024 ** 2
const CHUNK = Buffer.alloc(128 * 1024, 1)

const ways: Readonly<Record<string, (peer: Peer, target: string) => Promise<number>>> = {
  plain: async (peer, target) => {
    const connection = await peer.dial(target, AbortSignal.timeout(5_000))
    const stream = await connection.newStream('/test/plain/1')
    stream.send(Buffer.from([1]))
    const bytes = await count(stream)
    await stream.close()
    return bytes
  },
  /** 100 B messages, 64 in flight; gives round trips a second. */
  trips: async (peer, target) => {
    const frames = await openJobs(peer, target, AbortSignal.timeout(5_000))
    const waiting = new Map<unknown, () => void>()
    const reader = (async () => {
      for await (const frame of frames) waiting.get(frame.header.n)?.()
    })()
    let left = TRIPS
    const started = performance.now()
    const runner = async (): Promise<void> => {
      for (let n = left--; n > 0; n = left--) {
        const answered = new Promise<void>((resolve) => waiting.set(n, resolve))
        await frames.send(1, { n, body: 'x'.repeat(80) })
        await answered
        waiting.delete(n)
      }
    }
    await Promise.all(Array.from({ length: 64 }, runner))
    const perSecond = (TRIPS / (performance.now() - started)) * 1_000
    await frames.close()
    await reader
    return perSecond
  },
  get: async (peer, target) => {
    const options = { signal: AbortSignal.timeout(60_000), maxBytes: BULK_BYTES }
    return count((await getData(peer, target, { offset: 0 }, options)).body)
  },
  put: async (peer, target) => {
    const upload = { lengthBytes: BULK_BYTES, read: zeros }
    return Number((await putData(peer, target, {}, upload, { signal: AbortSignal.timeout(60_000) })).bytes)
  },
}

async function count(body: AsyncIterable<{ byteLength: number }>): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += chunk.byteLength
  return bytes
}

async function* zeros(): AsyncGenerator<Uint8Array> {
  for (let sent = 0; sent < BULK_BYTES; sent += CHUNK.length) yield await Promise.resolve(CHUNK)
}

/** The least that respects back-pressure. */
async function plain(stream: Stream): Promise<void> {
  for (let sent = 0; sent < BULK_BYTES; sent += CHUNK.length) {
    if (!stream.send(CHUNK)) await once(stream, 'drain')
    await Promise.resolve()
  }
  await stream.close()
}

async function echo(frames: FrameStream): Promise<void> {
  for await (const frame of frames) {
    await frames.send(frame.type, frame.header, frame.attachments)
  }
  await frames.close()
}

const role = roles[process.argv[2] ?? '']
if (role === undefined) throw new Error(`no role ${process.argv[2]}`)
const args = process.argv.slice(3)
const topics = args.filter((a) => a.startsWith('/meca/offers/'))
const everything: Partial<PeerOptions> = process.argv[2] === 'rest' ? { dht: 'server', relay: 'server' } : {}
const peer = await createPeer({ identity: await generateIdentity(), topics, ...everything })
await role(peer, args)
process.on('disconnect', () => process.exit(0))
process.send?.({ addrs: peer.addrs() })
