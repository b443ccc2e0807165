/** The pure parts: who may be dialled, how much may be asked, whose turn it is, what an offer looks like as bytes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import fc from 'fast-check'
import { mayDial } from '../../src/p2p/addresses.ts'
import { Budget } from '../../src/p2p/budget.ts'
import { createGate, listensOnLoopback, neighbourhood } from '../../src/p2p/gate.ts'
import { CONNECTION, MAX_TRACKED_PEERS } from '../../src/p2p/limits.ts'
import { decodeOffer, decodeOffers, encodeOffer, encodeOffers } from '../../src/p2p/signed-offer.ts'
import { Slots } from '../../src/p2p/slots.ts'

const ID = '/p2p/12D3KooWHFKTMzwerBtsVmtz4ZZEQy2heafxzWw6wNn5PPYkBxJ5'
const HOME = {
  interfaces: [
    { address: '192.168.1.7', prefix: 24 },
    { address: 'fd00:1::7', prefix: 64 },
  ],
  loopback: false,
}

const dialable = [
  '/ip4/8.8.8.8/tcp/1',
  '/ip6/2606:4700::1/tcp/1',
  '/dns4/host.example/tcp/1',
  '/ip4/192.168.1.200/tcp/1',
  '/ip6/fd00:1::9/tcp/1',
  `/ip4/8.8.8.8/tcp/1${ID}/p2p-circuit`,
]
const refused = [
  '/ip4/127.0.0.1/tcp/8545',
  '/ip6/::1/tcp/1',
  '/ip6/::ffff:127.0.0.1/tcp/1',
  '/ip4/0.0.0.0/tcp/1',
  '/ip4/10.0.0.1/tcp/1',
  '/ip4/192.168.2.1/tcp/1',
  '/ip4/172.16.0.1/tcp/1',
  '/ip4/169.254.169.254/tcp/80',
  '/ip4/100.64.0.1/tcp/1',
  '/ip6/fe80::1/tcp/1',
  '/ip6/fd00:2::1/tcp/1',
  '/ip4/224.0.0.1/tcp/1',
  `/ip4/10.0.0.1/tcp/1${ID}/p2p-circuit`,
]

for (const address of dialable)
  test(`a stranger's ${address.replace(ID, '/p2p/X')} may be dialled`, () =>
    assert.equal(mayDial(multiaddr(address), HOME), true))
for (const address of refused)
  test(`a stranger's ${address.replace(ID, '/p2p/X')} is not dialled`, () =>
    assert.equal(mayDial(multiaddr(address), HOME), false))

test('loopback is dialled only by a peer that listens there itself', () => {
  assert.deepEqual(
    ['/ip4/127.0.0.1/tcp/0', '/ip6/::1/tcp/0', '/ip4/0.0.0.0/tcp/4001'].map((a) => listensOnLoopback([a])),
    [true, true, false],
  )
  assert.equal(neighbourhood(false).loopback, false)
  assert.equal(mayDial(multiaddr('/ip4/127.0.0.1/tcp/1'), { ...HOME, loopback: true }), true)
})

test('a budget never grants more than the burst and the rate allow, whatever the order of asking', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ waitMs: fc.nat(3_000), amount: fc.integer({ min: 1, max: 5 }) }), { maxLength: 60 }),
      (asks) => {
        const budget = new Budget(2, 10)
        let now = 0
        let granted = 0
        for (const { waitMs, amount } of asks) {
          now += waitMs
          if (budget.take('peer', now, amount)) granted += amount
          assert.ok(granted <= 10 + (2 * now) / 1_000 + 1e-9)
        }
      },
    ),
  )
})

test('a budget grants again after a rest, and counts each key apart', () => {
  const budget = new Budget(1, 2)
  const takes = (key: string, now: number): boolean => budget.take(key, now)
  assert.deepEqual([takes('a', 0), takes('a', 0), takes('a', 0), takes('b', 0)], [true, true, false, true])
  assert.deepEqual([takes('a', 999), takes('a', 1_000), takes('a', 1_000)], [false, true, false])
})

test('a clock that goes back grants nothing extra', () => {
  const budget = new Budget(1, 1)
  assert.deepEqual([budget.take('a', 5_000), budget.take('a', 0), budget.take('a', 5_500)], [true, false, false])
})

test('a budget forgets the longest idle key rather than grow without end', () => {
  const budget = new Budget(0.001, 1)
  for (let n = 0; n < MAX_TRACKED_PEERS; n++) budget.take(`peer ${n}`, 0)
  assert.equal(budget.take('peer 0', 0), false)
  budget.take('one more', 0)
  assert.equal(budget.take('peer 0', 0), false, 'asking made it recent')
  assert.equal(budget.take('peer 1', 0), true, 'the longest idle was forgotten')
})

test('slots run so many at a time, in order, and an abort leaves the queue', async () => {
  const slots = new Slots(2)
  const never = new AbortController().signal
  const log: string[] = []
  const gates = new Map<string, () => void>()
  const work = (name: string, signal = never): Promise<void> =>
    slots.run('k', signal, () => {
      log.push(name)
      return new Promise<void>((resolve) => gates.set(name, resolve))
    })
  const stop = new AbortController()
  const all = [work('a'), work('b'), work('c', stop.signal), work('d')]
  const left = assert.rejects(all[2] ?? Promise.resolve(), { code: 'cancelled' })
  await Promise.resolve()
  assert.deepEqual(log, ['a', 'b'])
  stop.abort()
  await left
  gates.get('a')?.()
  await all[0]
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(log, ['a', 'b', 'd'])
  gates.get('b')?.()
  gates.get('d')?.()
  await Promise.all([all[1], all[3]])
  assert.equal(await slots.run('k', never, () => Promise.resolve('free again')), 'free again')
})

test('a failing piece of work gives its slot back', async () => {
  const slots = new Slots(1)
  const never = new AbortController().signal
  await assert.rejects(slots.run('k', never, () => Promise.reject(new Error('no'))))
  assert.equal(await slots.run('k', never, () => Promise.resolve(1)), 1)
})

const offer = fc.record({ text: fc.string(), signature: fc.string() }, { noNullPrototype: true })

test('offers survive their bytes, one by one and as a list', () => {
  fc.assert(
    fc.property(fc.array(offer, { maxLength: 10 }), (offers) => {
      assert.deepEqual(
        offers.map((o) => decodeOffer(encodeOffer(o))),
        offers,
      )
      assert.deepEqual([...decodeOffers(encodeOffers(offers, 100, 1e6), 100)], offers)
    }),
  )
})

test('a list of offers keeps to its caps when written and when read', () => {
  const offers = Array.from({ length: 20 }, (_, n) => ({ text: `offer ${n}`, signature: 's' }))
  assert.equal([...decodeOffers(encodeOffers(offers, 5, 1e6), 100)].length, 5)
  assert.ok(encodeOffers(offers, 100, 100).byteLength <= 100)
  assert.equal([...decodeOffers(encodeOffers(offers, 100, 1e6), 7)].length, 7)
})

test('junk is no offer, and never throws', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((j) => Buffer.from(j)),
      ),
      (junk) => {
        const found = decodeOffer(junk)
        assert.ok(found === undefined || typeof found.text === 'string')
        assert.ok([...decodeOffers(junk, 50)].length <= 50)
      },
    ),
    { numRuns: 1_000 },
  )
  for (const text of ['{}', '[]', 'null', '{"o":1,"s":""}', '{"o":""}'])
    assert.equal(decodeOffer(Buffer.from(text)), undefined)
})

test('a ban ends by itself, a denial does not, and the list of bans has a ceiling', () => {
  let now = 0
  const gate = createGate(
    ['denied'],
    HOME,
    () => 0,
    () => now,
  )
  gate.ban('rogue')
  assert.deepEqual([gate.isBanned('rogue'), gate.isBanned('denied'), gate.isBanned('honest')], [true, true, false])
  now = CONNECTION.banMs + 1
  assert.deepEqual([gate.isBanned('rogue'), gate.isBanned('denied')], [false, true])
  for (let n = 0; n <= CONNECTION.maxBans; n++) gate.ban(`peer ${n}`)
  assert.deepEqual([gate.isBanned('peer 0'), gate.isBanned(`peer ${CONNECTION.maxBans}`)], [false, true])
})
