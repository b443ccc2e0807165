import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { MecaError } from '../../src/core/errors.ts'
import { FrameStream } from '../../src/p2p/frames.ts'
import type { FrameStreamOptions } from '../../src/p2p/frames.ts'
import { FRAME, STREAM } from '../../src/p2p/limits.ts'
import { errorOf, eventually, forMs, startOther, startPeer } from './support.ts'

const PROTOCOL = '/test/frames/1'

/** Both ends of one stream between two peers, unwrapped. */
async function rawPair(t: TestContext): Promise<[Stream, Stream]> {
  const [a, b] = await Promise.all([startPeer(t), startPeer(t)])
  const arrived = Promise.withResolvers<Stream>()
  await b.libp2p.handle(PROTOCOL, (stream) => arrived.resolve(stream))
  const connection = await a.dial(b.addrs(), forMs(30_000))
  return [await connection.newStream(PROTOCOL), await arrived.promise]
}

async function pair(t: TestContext, options: FrameStreamOptions = {}): Promise<[FrameStream, FrameStream]> {
  const [here, there] = await rawPair(t)
  return [new FrameStream(here, options), new FrameStream(there, options)]
}

test('messages arrive in order with their attachments, both ways', async (t) => {
  const [here, there] = await pair(t)
  const big = Buffer.alloc(1024 ** 2, 'x')
  for (let n = 0; n < 500; n++)
    void here.send(1, { n, text: 'é' }, n % 100 === 0 ? [big, Buffer.from(`tail ${n}`)] : [])
  for (let n = 0; n < 500; n++) {
    const frame = await there.next()
    assert.equal(frame?.header.n, n)
    assert.deepEqual(
      frame.attachments.map((a) => a.byteLength),
      n % 100 === 0 ? [big.length, `tail ${n}`.length] : [],
    )
  }
  await there.send(2, { back: true })
  assert.deepEqual(await here.next(), { type: 2, header: { back: true }, attachments: [] })
})

test('a clean end: the reader gets undefined, `closed` has no reason, and sending fails', async (t) => {
  const [here, there] = await pair(t)
  await here.send(1, { last: true })
  await here.close()
  assert.equal((await there.next())?.header.last, true)
  assert.equal(await there.next(), undefined)
  await there.close()
  assert.equal(await here.closed, undefined)
  assert.equal(await there.closed, undefined)
  assert.equal((await errorOf(here.send(1, {}))).code, 'peer_unreachable')
})

test('an oversize frame resets the stream, and the reader hears why', async (t) => {
  const [here, there] = await rawPair(t)
  const frames = new FrameStream(there)
  const lie = Buffer.alloc(4)
  lie.writeUInt32BE(FRAME.maxFrameBytes + 1)
  here.send(lie)
  assert.equal((await errorOf(frames.next())).code, 'protocol')
  await eventually('the sender is reset', () => here.status === 'reset')
})

test('an end in the middle of a message is a broken protocol', async (t) => {
  const [here, there] = await rawPair(t)
  here.send(Buffer.from([0, 0, 1, 0, 1]))
  await here.close()
  assert.equal((await errorOf(new FrameStream(there).next())).code, 'protocol')
})

test('a half-open stream on which nothing moves is dropped after its idle deadline', async (t) => {
  const [here, there] = await rawPair(t)
  const frames = new FrameStream(there, { idleTimeoutMs: 300 })
  here.send(Buffer.from([0, 0]))
  const started = performance.now()
  assert.equal((await errorOf(frames.next())).code, 'timeout')
  assert.ok(performance.now() - started < 2_000)
})

test('keep-alives hold an idle stream open, and never reach the reader', async (t) => {
  const [here, there] = await pair(t, { idleTimeoutMs: 400, keepAliveMs: 100 })
  await new Promise((resolve) => setTimeout(resolve, 1_200))
  assert.equal(here.isClosed, false)
  await here.send(7, { n: 1 })
  assert.equal((await there.next())?.type, 7)
})

test('a slow reader stops the sender, whose memory stays bounded, and nothing is lost', async (t) => {
  const [here, there] = await pair(t)
  const body = Buffer.alloc(256 * 1024, 1)
  const total = 200
  let sent = 0
  const sender = (async () => {
    for (; sent < total; sent++) await here.send(1, { n: sent }, [body])
  })()
  await new Promise((resolve) => setTimeout(resolve, 500))
  const ceiling = (FRAME.sendQueueBytes * 2 + STREAM.readBufferBytes + STREAM.pauseAboveBytes) / body.length
  assert.ok(sent <= ceiling, `${sent} frames of 256 KiB were taken while nobody read; the ceiling is ${ceiling}`)
  for (let n = 0; n < total; n++) assert.equal((await there.next())?.header.n, n)
  await sender
})

test('a reader that takes nothing is dropped after the write deadline', async (t) => {
  const [here, there] = await rawPair(t)
  there.pause()
  const frames = new FrameStream(here, { writeTimeoutMs: 400 })
  const body = Buffer.alloc(1024 ** 2)
  const error = await errorOf(
    (async () => {
      for (let i = 0; i < 64; i++) await frames.send(1, {}, [body])
    })(),
  )
  assert.equal(error.code, 'timeout')
})

test('abort reaches the other side, and its reader', async (t) => {
  const [here, there] = await pair(t)
  const reading = errorOf(there.next())
  here.abort(new MecaError('cancelled', 'enough'))
  assert.equal((await reading).code, 'peer_unreachable')
  assert.equal((await here.closed)?.code, 'cancelled')
})

test('a peer whose process is killed ends the stream at once', async (t) => {
  const other = await startOther(t, 'echo')
  const peer = await startPeer(t)
  const frames = new FrameStream(await peer.openStream(other.addrs, '/meca/job/1', forMs(30_000)))
  await frames.send(1, { n: 1 })
  assert.equal((await frames.next())?.header.n, 1)
  other.child.kill('SIGKILL')
  await frames.next().catch(() => undefined)
  await frames.closed
  assert.ok(frames.isClosed)
})

test('at least 10,000 round trips a second at 64 in flight between two processes', async (t) => {
  const host = await startOther(t, 'echo')
  // Neither end is this process: the test runner's hooks on promises cost more than the messages.
  const client = await startOther(t, 'measure', host.addrs[0] ?? '')
  const rates: number[] = []
  for (let round = 0; round < 4; round++) {
    client.child.send('trips')
    rates.push(Number((await once(client.child, 'message'))[0]))
  }
  t.diagnostic(`${Math.round(Math.max(...rates))} round trips a second`)
  assert.ok(Math.max(...rates) >= 10_000, rates.join(', '))
})
