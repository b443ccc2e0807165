/** How far a host works on deposits that are not confirmed: never beyond the owner's limit, whatever the chain does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ChannelRecord } from '../../src/core/records.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Lending } from '../../src/role/lending.ts'
import { word } from './home.ts'

const LIMIT = 100n
const LIMITS = new Map([[NATIVE, LIMIT]])

function channel(n: number): ChannelRecord {
  const terms = { client: NATIVE, signer: NATIVE, host: NATIVE, token: NATIVE, closeDelaySeconds: 1, salt: word(n) }
  return {
    channelId: word(n),
    side: 'host',
    terms,
    state: 'open',
    deposit: 0n,
    claimed: 0n,
    closesAt: 0,
    createdAt: 0,
  }
}

function book(channels: number) {
  const vouched = new Map<Hex, bigint>()
  return {
    vouched,
    channels: new Map(Array.from({ length: channels }, (_, i) => [word(i), channel(i)] as const)),
    vouchedOn: (id: Hex) => vouched.get(id) ?? 0n,
  }
}

test('nothing is lent by default, and a confirmed deposit counts in full', () => {
  const lending = new Lending(new Map(), book(1))
  assert.equal(lending.counted(word(0), NATIVE, 0n, 500n), 0n)
  assert.equal(lending.counted(word(0), NATIVE, 500n, 500n), 500n)
})

test('the limit is one for all channels, and is free again when a deposit is confirmed', () => {
  const lending = new Lending(LIMITS, book(3))
  assert.equal(lending.counted(word(0), NATIVE, 0n, 70n), 70n)
  assert.equal(lending.counted(word(1), NATIVE, 0n, 70n), 30n)
  assert.equal(lending.counted(word(2), NATIVE, 0n, 70n), 0n)
  assert.equal(lending.counted(word(0), NATIVE, 70n, 70n), 70n)
  assert.equal(lending.counted(word(2), NATIVE, 0n, 70n), 70n)
})

test('a deposit that vanished keeps its part of the limit, over a restart too', () => {
  const records = book(2)
  const lending = new Lending(LIMITS, records)
  assert.equal(lending.counted(word(0), NATIVE, 0n, 80n), 80n)
  records.vouched.set(word(0), 80n)
  assert.equal(lending.counted(word(0), NATIVE, 0n, 0n), 0n)
  assert.equal(lending.exposed(NATIVE), 80n)
  assert.equal(lending.counted(word(1), NATIVE, 0n, 500n), 20n)
  const restarted = new Lending(LIMITS, records)
  assert.equal(restarted.counted(word(1), NATIVE, 0n, 500n), 20n)
})

test('whatever deposits, reorganisations, vouchers and restarts come: never more than the limit is vouched for unconfirmed', () => {
  const step = fc.record({
    id: fc.nat(3),
    confirmed: fc.bigInt(0n, 150n),
    newest: fc.bigInt(0n, 300n),
    vouch: fc.bigInt(0n, 400n),
    restart: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const records = book(4)
      let lending = new Lending(LIMITS, records)
      // What was ever confirmed stays so here; what a deeper reorganisation takes is the owner's choice of confirmations.
      const sure = new Map<Hex, bigint>()
      for (const { id, confirmed, newest, vouch, restart } of steps) {
        if (restart) lending = new Lending(LIMITS, records)
        const channelId = word(id)
        sure.set(channelId, confirmed > (sure.get(channelId) ?? 0n) ? confirmed : (sure.get(channelId) ?? 0n))
        const now = sure.get(channelId) ?? 0n
        const counted = lending.counted(channelId, NATIVE, now, newest > now ? newest : now)
        // As host-vouchers does: cumulative, and never beyond what counts.
        if (vouch <= counted && vouch > (records.vouched.get(channelId) ?? 0n)) records.vouched.set(channelId, vouch)
        const unsure = [...records.channels.keys()]
          .map((of) => (records.vouched.get(of) ?? 0n) - (sure.get(of) ?? 0n))
          .reduce((all, beyond) => all + (beyond > 0n ? beyond : 0n), 0n)
        assert.ok(unsure <= LIMIT, `${unsure} is vouched for beyond confirmed deposits`)
      }
    }),
    { numRuns: 500 },
  )
})
