import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import { getData, putData, serveData } from '../../src/p2p/data.ts'
import type { DataHandler } from '../../src/p2p/data.ts'
import { DATA, PROTOCOLS } from '../../src/p2p/limits.ts'
import type { Peer } from '../../src/p2p/peer.ts'
import { errorOf, eventually, forMs, startOther, startPeer } from './support.ts'

const MIB = 1024 ** 2

async function* pieces(bytes: Uint8Array, from = 0, size = 64 * 1024): AsyncGenerator<Uint8Array> {
  for (let at = from; at < bytes.length; at += size) {
    await Promise.resolve()
    yield bytes.subarray(at, at + size)
  }
}

async function collect(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const chunk of body) all.push(chunk)
  return Buffer.concat(all)
}

const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

/** A host that keeps what it is sent and sends what it keeps, by name. */
async function shelf(t: TestContext): Promise<{ client: Peer; host: Peer; kept: Map<string, Buffer> }> {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  const kept = new Map<string, Buffer>()
  const handler: DataHandler = async (request) => {
    const name = String(request.name)
    const have = kept.get(name) ?? Buffer.alloc(0)
    if (request.op === 'put') {
      const receive = async (body: AsyncIterable<Uint8Array>): Promise<{ sha: string }> => {
        for await (const chunk of body) kept.set(name, Buffer.concat([kept.get(name) ?? Buffer.alloc(0), chunk]))
        return { sha: sha(kept.get(name) ?? have) }
      }
      return { op: 'put', offset: have.length, maxBytes: 8 * MIB, receive }
    }
    if (!kept.has(name)) throw new MecaError('not_found', `There is no output ${name}`)
    const offset = Number(request.offset)
    return { op: 'get', header: { sha: sha(have) }, lengthBytes: have.length - offset, body: pieces(have, offset) }
  }
  await serveData(host, handler)
  return { client, host, kept }
}

test('an upload arrives whole and its hash comes back; a download brings the same bytes', async (t) => {
  const { client, host } = await shelf(t)
  const bytes = randomBytes(3 * MIB + 17)
  const upload = { lengthBytes: bytes.length, read: (offset: number) => pieces(bytes, offset) }
  assert.equal((await putData(client, host.addrs(), { name: 'x' }, upload, { signal: forMs(30_000) })).sha, sha(bytes))
  const download = await getData(
    client,
    host.addrs(),
    { name: 'x', offset: 0 },
    { signal: forMs(30_000), maxBytes: 8 * MIB },
  )
  assert.equal(download.header.sha, sha(bytes))
  assert.equal(sha(await collect(download.body)), sha(bytes))
})

test('nothing is a size too', async (t) => {
  const { client, host, kept } = await shelf(t)
  const upload = { lengthBytes: 0, read: () => pieces(Buffer.alloc(0)) }
  assert.equal(
    (await putData(client, host.addrs(), { name: 'x' }, upload, { signal: forMs(30_000) })).sha,
    sha(Buffer.alloc(0)),
  )
  kept.set('x', Buffer.alloc(0))
  const download = await getData(client, host.addrs(), { name: 'x', offset: 0 }, { signal: forMs(30_000), maxBytes: 1 })
  assert.equal((await collect(download.body)).length, 0)
})

test('an upload that broke goes on where the host stopped', async (t) => {
  const { client, host, kept } = await shelf(t)
  const bytes = randomBytes(MIB)
  kept.set('x', bytes.subarray(0, 700_000))
  const asked: number[] = []
  const read = (offset: number): AsyncIterable<Uint8Array> => {
    asked.push(offset)
    return pieces(bytes, offset)
  }
  const last = await putData(
    client,
    host.addrs(),
    { name: 'x' },
    { lengthBytes: bytes.length, read },
    { signal: forMs(30_000) },
  )
  assert.deepEqual([asked, last.sha], [[700_000], sha(bytes)])
})

test('a download that broke goes on at its offset', async (t) => {
  const { client, host, kept } = await shelf(t)
  const bytes = randomBytes(4 * MIB)
  kept.set('x', bytes)
  const options = { signal: forMs(30_000), maxBytes: 8 * MIB }
  const parts: Uint8Array[] = []
  for await (const chunk of (await getData(client, host.addrs(), { name: 'x', offset: 0 }, options)).body) {
    parts.push(chunk)
    if (Buffer.concat(parts).length > MIB) break
  }
  const offset = Buffer.concat(parts).length
  const rest = await getData(client, host.addrs(), { name: 'x', offset }, options)
  assert.equal(rest.lengthBytes, bytes.length - offset)
  assert.equal(sha(Buffer.concat([...parts, await collect(rest.body)])), sha(bytes))
})

test('refusals cross with their reason: unknown output, upload over the cap, download over the cap', async (t) => {
  const { client, host, kept } = await shelf(t)
  const signal = forMs(30_000)
  const missing = await errorOf(getData(client, host.addrs(), { name: 'y', offset: 0 }, { signal, maxBytes: 1 }))
  assert.deepEqual([missing.code, missing.message], ['not_found', 'There is no output y'])
  let read = false
  const upload = { lengthBytes: 9 * MIB, read: () => ((read = true), pieces(Buffer.alloc(0))) }
  assert.equal((await errorOf(putData(client, host.addrs(), { name: 'x' }, upload, { signal }))).code, 'too_large')
  assert.equal(read, false)
  kept.set('x', Buffer.alloc(100))
  const big = await errorOf(getData(client, host.addrs(), { name: 'x', offset: 0 }, { signal, maxBytes: 99 }))
  assert.equal(big.code, 'too_large')
})

test('a host that gives up in the middle of an upload says why, and the client stops sending', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serveData(host, async () => ({
    op: 'put',
    offset: 0,
    maxBytes: 64 * MIB,
    receive: async (body) => {
      for await (const chunk of body) if (chunk.byteLength > 0) break
      throw new MecaError('too_large', 'The disk is full at 12 MiB')
    },
  }))
  const bytes = Buffer.alloc(32 * MIB)
  const upload = { lengthBytes: bytes.length, read: (offset: number) => pieces(bytes, offset) }
  const error = await errorOf(putData(client, host.addrs(), {}, upload, { signal: forMs(30_000) }))
  assert.equal(error.message, 'The disk is full at 12 MiB')
  await eventually('both ends let the stream go', () => openStreams(client) + openStreams(host) === 0, 8_000)
})

test('a host that promises more bytes than it sends is found out', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serveData(host, async () => ({ op: 'get', lengthBytes: 1_000, body: pieces(Buffer.alloc(400)) }))
  const download = await getData(client, host.addrs(), { offset: 0 }, { signal: forMs(30_000), maxBytes: MIB })
  const error = await errorOf(collect(download.body))
  assert.ok(['protocol', 'peer_unreachable'].includes(error.code ?? ''), error.message)
})

test('a fired signal ends a transfer at once, and the host hears that the client is gone', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  let gone = false
  async function* slowly(): AsyncGenerator<Uint8Array> {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 20))
      yield Buffer.alloc(1_000)
    }
  }
  await serveData(host, async (_request, { signal }) => {
    signal.addEventListener('abort', () => (gone = true))
    return { op: 'get', lengthBytes: MIB, body: slowly() }
  })
  const stop = new AbortController()
  const download = await getData(client, host.addrs(), { offset: 0 }, { signal: stop.signal, maxBytes: MIB })
  setTimeout(() => stop.abort(), 100)
  assert.equal((await errorOf(collect(download.body))).code, 'cancelled')
  await eventually('the host notices', () => gone)
})

test('a reader that pauses holds the host back, whose memory stays bounded', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  let given = 0
  async function* source(): AsyncGenerator<Uint8Array> {
    for (; given < 64; given++) yield await Promise.resolve(Buffer.alloc(MIB))
  }
  await serveData(host, async () => ({ op: 'get', lengthBytes: 64 * MIB, body: source() }))
  const download = await getData(client, host.addrs(), { offset: 0 }, { signal: forMs(30_000), maxBytes: 64 * MIB })
  const body = download.body[Symbol.asyncIterator]()
  await body.next()
  await new Promise((resolve) => setTimeout(resolve, 500))
  assert.ok(given <= 12, `${given} MiB left the source while nobody read`)
  let bytes = 0
  for (let next = await body.next(); next.done !== true; next = await body.next()) bytes += next.value.byteLength
  assert.ok(bytes > 63 * MIB)
})

test('64 MiB cost at most 1.2 times the CPU of a plain libp2p stream', async (t) => {
  const host = await startOther(t, 'bulk')
  // Neither end is this process: the test runner's hooks on promises cost more than the transfer.
  const client = await startOther(t, 'measure', host.addrs[0] ?? '')
  const rounds: Record<'plain' | 'get' | 'put', { cpuMs: number; wallMs: number }[]> = { plain: [], get: [], put: [] }
  for (let round = 0; round < 8; round++) {
    for (const kind of ['plain', 'get', 'put'] as const) {
      const [cpuBefore, started] = [await cpuMs(host.child, client.child), performance.now()]
      client.child.send(kind)
      const [bytes] = (await once(client.child, 'message')) as [number]
      assert.equal(bytes, 64 * MIB)
      rounds[kind].push({
        cpuMs: (await cpuMs(host.child, client.child)) - cpuBefore,
        wallMs: performance.now() - started,
      })
    }
  }
  const mean = (kind: keyof typeof rounds): number => rounds[kind].reduce((total, r) => total + r.cpuMs, 0) / 8
  const fastest = (kind: keyof typeof rounds): number => Math.min(...rounds[kind].map((r) => r.wallMs))
  for (const [name, measure] of Object.entries({ 'CPU, mean': mean, 'time, fastest': fastest })) {
    const ratio = (kind: keyof typeof rounds): string => (measure(kind) / measure('plain')).toFixed(2)
    t.diagnostic(
      `64 MiB, ${name}: plain ${measure('plain').toFixed(0)} ms, get × ${ratio('get')}, put × ${ratio('put')}`,
    )
  }
  const worst = Math.max(mean('get'), mean('put')) / mean('plain')
  assert.ok(worst <= 1.2, `${worst}`)
})

test('64 MiB down and up cost a host at most 64 MiB of memory', async (t) => {
  const other = await startOther(t, 'bulk')
  const client = await startPeer(t)
  const signal = forMs(60_000)
  await client.dial(other.addrs, signal)
  const before = rssMib(other.child.pid)
  let most = before
  const sampler = setInterval(() => (most = Math.max(most, rssMib(other.child.pid))), 10)
  await count((await getData(client, other.addrs, { offset: 0 }, { signal, maxBytes: 64 * MIB })).body)
  await putData(client, other.addrs, {}, zeros(64 * MIB), { signal })
  clearInterval(sampler)
  t.diagnostic(`RSS ${before.toFixed(0)} MiB, +${(most - before).toFixed(0)} MiB`)
  assert.ok(most - before <= 64, `${most - before} MiB`)
})

async function count(body: AsyncIterable<{ byteLength: number }>): Promise<number> {
  let bytes = 0
  for await (const chunk of body) bytes += chunk.byteLength
  return bytes
}

function zeros(lengthBytes: number): { lengthBytes: number; read: () => AsyncIterable<Uint8Array> } {
  const chunk = Buffer.alloc(DATA.chunkBytes)
  async function* read(): AsyncGenerator<Uint8Array> {
    for (let sent = 0; sent < lengthBytes; sent += chunk.length) yield await Promise.resolve(chunk)
  }
  return { lengthBytes, read }
}

function rssMib(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

/** User and system time of the processes so far; the kernel counts in hundredths of a second. */
async function cpuMs(...children: ChildProcess[]): Promise<number> {
  const ticks = await Promise.all(
    children.map(async ({ pid }) => {
      const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
      return Number(fields[11]) + Number(fields[12])
    }),
  )
  return ticks.reduce((sum, n) => sum + n * 10, 0)
}

function openStreams(peer: Peer): number {
  return peer.libp2p
    .getConnections()
    .flatMap((c) => c.streams)
    .filter((s) => s.protocol === PROTOCOLS.data).length
}
