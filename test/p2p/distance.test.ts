/** Over a distance the cost is round trips: each of these counts them through a line that delays every byte. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { getData, serveData } from '../../src/p2p/data.ts'
import { openJobs, serveJobs } from '../../src/p2p/jobs.ts'
import type { Peer } from '../../src/p2p/peer.ts'
import { askQuote, serveQuotes } from '../../src/p2p/quotes.ts'
import { forMs, startPeer } from './support.ts'

const ONE_WAY_MS = 40
/** Of a round trip: what the two processors may take besides. */
const TOLERANCE = 0.6

/** The host's address at the far end of a line that holds every chunk back for `ONE_WAY_MS`. */
async function farAway(t: TestContext, host: Peer): Promise<string> {
  const port = Number(/\/tcp\/(\d+)/.exec(host.addrs()[0] ?? '')?.[1])
  const sockets = new Set<Socket>()
  const delayed = (from: Socket, to: Socket): void => {
    sockets.add(from)
    from.on('data', (chunk) => setTimeout(() => to.writable && to.write(chunk), ONE_WAY_MS))
    from.on('close', () => setTimeout(() => to.destroy(), ONE_WAY_MS))
    from.on('error', () => to.destroy())
  }
  const line = createServer((near) => {
    const far = connect(port, '127.0.0.1')
    delayed(near, far)
    delayed(far, near)
  }).listen(0, '127.0.0.1')
  await once(line, 'listening')
  t.after(() => {
    line.close()
    for (const socket of sockets) socket.destroy()
  })
  return `/ip4/127.0.0.1/tcp/${(line.address() as AddressInfo).port}/p2p/${host.peerId}`
}

/** The fewest round trips that `run` took, tried until they are as few as expected: more can be noise, fewer cannot. */
async function roundTrips(expected: number, run: () => Promise<unknown>): Promise<number> {
  let fewest = Infinity
  for (let n = 0; n < 40 && fewest > expected + TOLERANCE; n++) {
    const started = performance.now()
    await run()
    fewest = Math.min(fewest, (performance.now() - started) / (2 * ONE_WAY_MS))
  }
  return fewest
}

test('a message on an open job stream takes one round trip; a quote or a download, each a new stream, two', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serveQuotes(host, async () => ({ price: '1' }))
  await serveJobs(host, async (stream) => {
    for await (const frame of stream) await stream.send(2, frame.header)
  })
  const body = async function* (): AsyncGenerator<Uint8Array> {
    yield await Promise.resolve(Buffer.alloc(10))
  }
  await serveData(host, async () => ({ op: 'get', lengthBytes: 10, body: body() }))
  const address = await farAway(t, host)
  const signal = forMs(60_000)
  await client.dial(address, signal)
  const stream = await openJobs(client, host.peerId, signal)
  const took = {
    job: await roundTrips(1, async () => {
      await stream.send(1, {})
      await stream.next()
    }),
    quote: await roundTrips(2, () => askQuote(client, host.peerId, {}, { signal })),
    data: await roundTrips(2, async () => {
      const download = await getData(client, host.peerId, { offset: 0 }, { signal, maxBytes: 10 })
      for await (const chunk of download.body) assert.equal(chunk.byteLength, 10)
    }),
  }
  t.diagnostic(
    Object.entries(took)
      .map(([name, trips]) => `${name} ${trips.toFixed(2)}`)
      .join(', '),
  )
  assert.ok(took.job < 1 + TOLERANCE, `${took.job}`)
  assert.ok(took.quote < 2 + TOLERANCE, `${took.quote}`)
  assert.ok(took.data < 2 + TOLERANCE, `${took.data}`)
})
