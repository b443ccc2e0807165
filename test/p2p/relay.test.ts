import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { openJobs, serveJobs } from '../../src/p2p/jobs.ts'
import { offersTopic } from '../../src/p2p/limits.ts'
import { joinOffers } from '../../src/p2p/offers.ts'
import type { Peer } from '../../src/p2p/peer.ts'
import { errorOf, eventually, forMs, startPeer } from './support.ts'

const TOPIC = offersTopic(1, '0x0000000000000000000000000000000000000001')

/** A relay, a host that nobody can dial and that waits at the relay, and a client. */
async function behindRelay(t: TestContext): Promise<{ relay: Peer; host: Peer; client: Peer; address: string }> {
  const relay = await startPeer(t, { relay: 'server', topics: [TOPIC] })
  const host = await startPeer(t, { relay: 'client', topics: [TOPIC], listen: [`${relay.addrs()[0]}/p2p-circuit`] })
  const client = await startPeer(t, { relay: 'client', topics: [TOPIC] })
  await eventually(
    'the host has a place at the relay',
    () => host.addrs().some((a) => a.includes('/p2p-circuit')),
    10_000,
  )
  return { relay, host, client, address: host.addrs().find((a) => a.includes('/p2p-circuit')) ?? '' }
}

test('a host that cannot be dialled is reached through a relay, and its limits are raised and shown', async (t) => {
  const { host, client, address } = await behindRelay(t)
  const connection = await client.dial(address, forMs(30_000))
  assert.equal(connection.remotePeer.toString(), host.peerId)
  assert.ok((connection.limits?.bytes ?? 0n) > 1_000_000_000n, `${connection.limits?.bytes} bytes`)
  assert.ok((connection.limits?.seconds ?? 0) > 7_000, `${connection.limits?.seconds} s`)
})

test('a job of 8 MiB goes through the relay, where the usual 128 KiB would cut it', async (t) => {
  const { host, client, address } = await behindRelay(t)
  await serveJobs(host, async (stream) => {
    for await (const { header, attachments } of stream) await stream.send(2, header, attachments)
  })
  const stream = await openJobs(client, address, forMs(30_000))
  const input = Buffer.alloc(2 * 1024 ** 2, 5)
  for (let n = 0; n < 4; n++) {
    await stream.send(1, { n }, [input])
    const back = await stream.next()
    assert.deepEqual([back?.header.n, back?.attachments[0]?.byteLength], [n, input.length])
  }
})

test('offers reach a client through the relay, and through a relayed connection', async (t) => {
  const { relay, host, client, address } = await behindRelay(t)
  const quiet = { topic: TOPIC, validate: () => 'accept' as const, known: () => [] }
  await joinOffers(relay, quiet)
  const offered = { text: 'behind a NAT', signature: '0x' }
  await joinOffers(host, { ...quiet, known: () => [offered] })
  const offers = await joinOffers(client, quiet)
  const heard: string[] = []
  offers.on((offer) => heard.push(offer.text))
  await client.dial(address, forMs(30_000))
  await eventually('the client pulls it', () => heard.includes('behind a NAT'))
})

test('a peer without the relay option neither relays nor dials through one', async (t) => {
  const { address } = await behindRelay(t)
  const plain = await startPeer(t)
  assert.equal((await errorOf(plain.dial(address, forMs(30_000)))).code, 'peer_unreachable')
  const noRelay = `${plain.addrs()[0]}/p2p-circuit/p2p/${address.split('/p2p/').at(-1)}`
  const client = await startPeer(t, { relay: 'client' })
  assert.equal((await errorOf(client.dial(noRelay, forMs(30_000)))).code, 'peer_unreachable')
})
