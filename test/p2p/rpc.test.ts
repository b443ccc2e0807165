import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { MecaError } from '../../src/core/errors.ts'
import { accept } from '../../src/p2p/accept.ts'
import { FrameStream } from '../../src/p2p/frames.ts'
import { PROTOCOLS, RPC } from '../../src/p2p/limits.ts'
import { askQuote, serveQuotes } from '../../src/p2p/quotes.ts'
import { ask, firstFrame, serve } from '../../src/p2p/rpc.ts'
import { errorOf, eventually, forMs, startPeer } from './support.ts'

const ASK = '/test/ask/1'

test('a question is answered, and the host knows who asks', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serveQuotes(host, async (request, { peerId }) => ({ ...request, price: '5', peerId }))
  const answer = await askQuote(client, host.addrs(), { task: 'bafy' }, { signal: forMs(30_000) })
  assert.deepEqual(answer, { task: 'bafy', price: '5', peerId: client.peerId })
})

test('a refusal crosses with its code, words, cure and numbers', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serveQuotes(host, () =>
    Promise.reject(new MecaError('busy', '3 CPUs asked, 2 there', { cure: 'Wait.', details: { free: 2 } })),
  )
  const error = (await errorOf(askQuote(client, host.addrs(), {}, { signal: forMs(30_000) }))) as MecaError
  assert.deepEqual(
    [error.code, error.message, error.cure, error.details],
    ['busy', '3 CPUs asked, 2 there', 'Wait.', { free: 2 }],
  )
})

test('a host that never answers costs the time limit and no more', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await host.libp2p.handle(ASK, () => undefined)
  const started = performance.now()
  const error = await errorOf(ask(client, host.addrs(), ASK, {}, { signal: forMs(60_000), timeoutMs: 400 }))
  assert.equal(error.code, 'timeout')
  assert.ok(performance.now() - started < 2_000)
})

test('a fired signal ends the question as cancelled', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await host.libp2p.handle(ASK, () => undefined)
  const stop = new AbortController()
  setTimeout(() => stop.abort(), 200)
  assert.equal((await errorOf(ask(client, host.addrs(), ASK, {}, { signal: stop.signal }))).code, 'cancelled')
})

test('a peer that does not speak the protocol is an error with an end', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  const error = await errorOf(ask(client, host.addrs(), ASK, {}, { signal: forMs(30_000), timeoutMs: 3_000 }))
  assert.equal(error.code, 'peer_unreachable')
})

test('an address where nobody listens is peer_unreachable and names it', async (t) => {
  const client = await startPeer(t)
  const nobody = '/ip4/127.0.0.1/tcp/9/p2p/12D3KooWHFKTMzwerBtsVmtz4ZZEQy2heafxzWw6wNn5PPYkBxJ5'
  const error = await errorOf(ask(client, nobody, ASK, {}, { signal: forMs(30_000) }))
  assert.equal(error.code, 'peer_unreachable')
  assert.match(error.message, /tcp\/9/)
  assert.equal((await errorOf(client.dial('not an address', forMs(1_000)))).code, 'bad_input')
})

test('an answer that is not one is a broken protocol', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await host.libp2p.handle(ASK, async (stream: Stream) => {
    stream.send(Buffer.from('HTTP/1.1 200 OK\r\n\r\n hello there'))
    await stream.close()
  })
  assert.equal((await errorOf(ask(client, host.addrs(), ASK, {}, { signal: forMs(30_000) }))).code, 'protocol')
})

test('a question over the cap is refused by its own sender, with both numbers', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serve(host, ASK, async () => ({}))
  const question = { x: 'y'.repeat(RPC.maxMessageBytes) }
  const error = await errorOf(ask(client, host.addrs(), ASK, question, { signal: forMs(30_000) }))
  assert.equal(error.code, 'too_large')
  assert.match(error.message, new RegExp(String(RPC.maxMessageBytes)))
})

test('100 questions at once are answered although a peer may only have a few streams', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  let most = 0
  let open = 0
  await serve(host, ASK, async (question) => {
    most = Math.max(most, ++open)
    await new Promise((resolve) => setTimeout(resolve, 5))
    open--
    return { n: question.n }
  })
  const numbers = Array.from({ length: 100 }, (_, n) => n)
  const answers = await Promise.all(
    numbers.map((n) => ask(client, host.addrs(), ASK, { n }, { signal: forMs(30_000) })),
  )
  assert.deepEqual(
    answers.map((a) => a.header.n),
    numbers,
  )
  assert.ok(most <= RPC.maxStreamsPerPeer, `${most} at once`)
})

test('who asks too often is told so', async (t) => {
  const [client, host] = await Promise.all([startPeer(t), startPeer(t)])
  await serve(host, ASK, async () => ({}), { perSecond: 0.1, burst: 2 })
  const once = (): Promise<unknown> => ask(client, host.addrs(), ASK, {}, { signal: forMs(30_000) })
  await once()
  await once()
  assert.equal((await errorOf(once())).code, 'busy')
})

test('a question that drips in is dropped at the time limit, however often it moves', async (t) => {
  const [rogue, host] = await Promise.all([startPeer(t), startPeer(t)])
  let asked = false
  await accept(host, ASK, 4, async (stream) => {
    const frames = new FrameStream(stream, { idleTimeoutMs: 300 })
    await firstFrame(frames, 1, ASK, 600).then(
      () => (asked = true),
      () => undefined,
    )
  })
  const stream = await (await rogue.dial(host.addrs(), forMs(30_000))).newStream(ASK)
  const drip = setInterval(() => stream.status === 'open' && stream.send(Uint8Array.of(0)), 100)
  t.after(() => clearInterval(drip))
  stream.send(Buffer.from([0, 0, 1, 0]))
  await eventually('the stream is reset', () => stream.status === 'reset', 2_000)
  assert.equal(asked, false)
})

test('a stranger that opens more streams than its share has the rest reset, and the host goes on', async (t) => {
  const [rogue, honest, host] = await Promise.all([startPeer(t), startPeer(t), startPeer(t)])
  let handled = 0
  await serve(host, PROTOCOLS.quote, async () => ({ n: ++handled }))
  const connection = await rogue.dial(host.addrs(), forMs(30_000))
  const opened = await Promise.allSettled(
    Array.from({ length: 60 }, () => connection.newStream(PROTOCOLS.quote, { maxOutboundStreams: 1_000 })),
  )
  const streams = opened.flatMap((o) => (o.status === 'fulfilled' ? [o.value] : []))
  await eventually(
    'the excess is reset',
    () => streams.filter((s) => s.status === 'open').length <= RPC.maxStreamsPerPeer,
  )
  assert.ok(streams.some((s) => s.status === 'open'))
  assert.deepEqual(await askQuote(honest, host.addrs(), {}, { signal: forMs(30_000) }), { n: 1 })
})
