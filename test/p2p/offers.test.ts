import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { MecaError } from '../../src/core/errors.ts'
import { offersTopic, OFFERS, PROTOCOLS } from '../../src/p2p/limits.ts'
import { joinOffers } from '../../src/p2p/offers.ts'
import type { Offers, OfferSource, SignedOffer, Verdict } from '../../src/p2p/offers.ts'
import type { Peer, PeerOptions } from '../../src/p2p/peer.ts'
import { serve } from '../../src/p2p/rpc.ts'
import { errorOf, eventually, forMs, startOther, startPeer } from './support.ts'

const TOPIC = offersTopic(31337, '0xABCDEF0123456789abcdef0123456789abcdef01')

type Trader = { peer: Peer; offers: Offers; heard: SignedOffer[]; sources: OfferSource[]; known: SignedOffer[] }

/** A peer in the market that keeps what it accepts: everything new, unless `validate` says otherwise. */
async function trader(
  t: TestContext,
  options: Partial<PeerOptions> & { validate?: (offer: SignedOffer) => Verdict } = {},
): Promise<Trader> {
  const { validate = () => 'accept', ...rest } = options
  const peer = await startPeer(t, { topics: [TOPIC], ...rest })
  const known: SignedOffer[] = []
  const heard: SignedOffer[] = []
  const sources: OfferSource[] = []
  const judge = (offer: SignedOffer): Verdict => {
    if (known.some((k) => k.text === offer.text)) return 'ignore'
    const verdict = validate(offer)
    if (verdict === 'accept') known.unshift(offer)
    return verdict
  }
  const offers = await joinOffers(peer, { topic: TOPIC, validate: judge, known: () => known })
  offers.on((offer, source) => {
    heard.push(offer)
    sources.push(source)
  })
  return { peer, offers, heard, sources, known }
}

const offer = (text: string): SignedOffer => ({ text, signature: `0x${text.length}` })

/** Connected, and each other's subscription known. */
async function connect(a: Trader, b: Trader): Promise<void> {
  await a.peer.dial(b.peer.addrs(), forMs(30_000))
  const sees = (x: Trader, y: Trader): boolean =>
    x.peer.libp2p.services.pubsub?.getSubscribers(TOPIC).some((p) => p.toString() === y.peer.peerId) === true
  await eventually('both subscriptions are known', () => sees(a, b) && sees(b, a))
}

test('the topic names the chain and the contracts, whatever the spelling of the address', () => {
  assert.equal(TOPIC, '/meca/offers/1/31337/abcdef01')
})

test('two peers are enough: an offer arrives word for word, with who published it', async (t) => {
  const [host, client] = await Promise.all([trader(t), trader(t)])
  await connect(client, host)
  const sent = offer('{"price":"5","text":"é\\n"}')
  assert.equal(await host.offers.publish(sent), 1)
  await eventually('the client hears it', () => client.heard.length === 1)
  assert.deepEqual(client.heard, [sent])
  assert.deepEqual(client.sources, [{ via: host.peer.peerId, author: host.peer.peerId }])
})

test('an offer travels over a peer in the middle', async (t) => {
  const [host, middle, client] = await Promise.all([trader(t), trader(t), trader(t)])
  await connect(host, middle)
  await connect(client, middle)
  await host.offers.publish(offer('far'))
  await eventually('the client hears it', () => client.heard.length === 1)
  assert.deepEqual(client.sources, [{ via: middle.peer.peerId, author: host.peer.peerId }])
})

test('a client that comes late is told the offers when it connects', async (t) => {
  const [host, client] = await Promise.all([trader(t), trader(t)])
  const texts = Array.from({ length: 40 }, (_, n) => `offer ${n}`)
  host.known.push(...texts.map(offer))
  const started = performance.now()
  await client.peer.dial(host.peer.addrs(), forMs(30_000))
  await eventually('it has them all', () => client.heard.length === 40)
  const tookMs = performance.now() - started
  t.diagnostic(`${tookMs.toFixed(0)} ms from dial to 40 offers`)
  assert.deepEqual(
    client.heard.map((o) => o.text),
    texts,
  )
  assert.ok(tookMs < 15_000, `${tookMs} ms`)
})

test('what is published before gossip flows is caught by the second pull', async (t) => {
  const [host, client] = await Promise.all([trader(t), trader(t)])
  await client.peer.dial(host.peer.addrs(), forMs(30_000))
  await new Promise((resolve) => setTimeout(resolve, 200))
  host.known.push(offer('in between'))
  await eventually('the client has it', () => client.heard.length === 1, OFFERS.secondPullMs + 2_000)
})

test('a pull can be asked for, and says how many were new', async (t) => {
  const [host, client] = await Promise.all([trader(t), trader(t)])
  host.known.push(offer('a'), offer('b'))
  await eventually('the pull at connect is done', () => {
    void client.peer.dial(host.peer.addrs(), forMs(30_000))
    return client.heard.length === 2
  })
  host.known.push(offer('c'))
  assert.equal(await client.offers.pull(host.peer.addrs(), forMs(30_000)), 1)
})

test('an ignored offer reaches nobody else', async (t) => {
  const middle = await trader(t, { validate: () => 'ignore' })
  const [host, client] = await Promise.all([trader(t), trader(t)])
  await connect(host, middle)
  await connect(client, middle)
  await host.offers.publish(offer('stale'))
  await new Promise((resolve) => setTimeout(resolve, 500))
  assert.equal(client.heard.length, 0)
})

test('an offer over the cap is refused by its own publisher, and by everybody else', async (t) => {
  const [host, client] = await Promise.all([trader(t), trader(t)])
  const big = offer('x'.repeat(OFFERS.maxOfferBytes))
  assert.equal(((await errorOf(host.offers.publish(big))) as MecaError).code, 'too_large')
  await connect(client, host)
  const data = Buffer.from(JSON.stringify({ o: big.text, s: big.signature }))
  await host.peer.libp2p.services.pubsub?.publish(TOPIC, data)
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(client.heard.length, 0)
})

test('forged offers cost score until the neighbour is not listened to any more', async (t) => {
  let forged = 0
  const client = await trader(t, { validate: (o) => (o.text.startsWith('forged') ? (forged++, 'reject') : 'accept') })
  const rogue = await trader(t)
  await connect(rogue, client)
  for (let n = 0; n < 4; n++) await rogue.offers.publish(offer(`forged ${n}`))
  await eventually('the forgeries are judged', () => forged === 4)
  // gossipsub trusts a neighbour for a second before it looks at its score again.
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  await rogue.offers.publish(offer('true'))
  await new Promise((resolve) => setTimeout(resolve, 300))
  assert.equal(client.heard.length, 0)
})

test('a peer that answers a pull with forgeries is banned', async (t) => {
  const client = await trader(t, { validate: () => 'reject' })
  const rogue = await startPeer(t)
  const lines = Array.from({ length: 50 }, (_, n) => JSON.stringify({ o: `forged ${n}`, s: '' })).join('\n')
  await serve(rogue, PROTOCOLS.offers, async () => ({ header: {}, attachments: [Buffer.from(lines)] }))
  await rogue.dial(client.peer.addrs(), forMs(30_000))
  await eventually('its connection is closed', () => client.peer.libp2p.getConnections().length === 0)
  await rogue.dial(client.peer.addrs(), forMs(30_000)).catch(() => undefined)
  await new Promise((resolve) => setTimeout(resolve, 200))
  assert.equal(client.peer.libp2p.getConnections().length, 0)
})

test('one author may publish a few offers at once, not dozens', async (t) => {
  const [host, client] = await Promise.all([trader(t), trader(t)])
  await connect(client, host)
  for (let n = 0; n < 30; n++) await host.offers.publish(offer(`n ${n}`))
  await eventually('the burst is heard', () => client.heard.length >= OFFERS.burst)
  await new Promise((resolve) => setTimeout(resolve, 500))
  assert.ok(
    client.heard.length >= OFFERS.burst && client.heard.length <= OFFERS.burst + 1,
    `${client.heard.length} heard`,
  )
})

for (const kind of ['new', 'control']) {
  test(`a flood of ${kind} messages is cut off within 5 s, and an honest offer still arrives`, async (t) => {
    const victim = await startOther(t, 'listen', TOPIC)
    const honest = await trader(t)
    await honest.peer.dial(victim.addrs, forMs(30_000))
    const flooder = await startOther(t, 'flood', TOPIC, kind, String(victim.addrs[0]))
    const flooderId = flooder.addrs[0]?.split('/p2p/')[1] ?? ''
    const before = await told(victim.child)
    assert.ok(before.peers.includes(flooderId))
    const started = performance.now()
    flooder.child.send('go')
    let now = before
    while (now.peers.includes(flooderId)) {
      assert.ok(performance.now() - started < 5_000, 'the flooder is still connected after 5 s')
      await new Promise((resolve) => setTimeout(resolve, 50))
      now = await told(victim.child)
    }
    const tookMs = performance.now() - started
    assert.equal(await honest.offers.publish(offer('honest')), 1)
    await new Promise((resolve) => setTimeout(resolve, Math.max(500, 5_000 - tookMs)))
    const after = await told(victim.child)
    const share = (after.cpuMs - before.cpuMs) / (performance.now() - started)
    t.diagnostic(`cut off after ${tookMs.toFixed(0)} ms; ${(share * 100).toFixed(0)} % of one CPU over 5 s`)
    assert.ok(after.heard.includes('honest'))
    assert.ok(share < 0.2, `${share} of a CPU`)
  })
}

type State = { peers: string[]; heard: string[]; cpuMs: number }

async function told(child: ChildProcess): Promise<State> {
  child.send('tell')
  const [state] = (await once(child, 'message')) as [State]
  return state
}
