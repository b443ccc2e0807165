import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  admit,
  covers,
  emptyRow,
  plus,
  requireClaimable,
  settle,
  sum,
  withVoucher,
  ZERO,
} from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { MecaError } from '../../src/core/errors.ts'
import { NATIVE } from '../../src/core/units.ts'
import { World } from './ledger.model.ts'
import type { Step } from './ledger.model.ts'

const pick = fc.nat(50)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('submit' as const),
      prices: fc.array(fc.bigInt({ min: 0n, max: 1000n }), { minLength: 1, maxLength: 4 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('resend' as const), pick }) },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('deliver' as const),
      pick,
      keep: fc.boolean(),
      busy: fc.nat(3).map((n) => n === 0),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('lose' as const), pick }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('finish' as const),
      pick,
      status: fc.constantFrom(
        'answered' as const,
        'task_failed' as const,
        'host_failed' as const,
        'cancelled' as const,
      ),
      share: fc.integer({ min: 0, max: 1000 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restartHost' as const) }) },
)

test('P28 parallel jobs, lost, late and repeated messages: nobody loses more than the bounds, and the books agree in the end', (t) => {
  const seen = { jobs: 0, refused: 0, unpaid: 0 }
  fc.assert(
    fc.property(
      fc.constantFrom(0n, 1n, 7n),
      fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }),
      (fee, steps) => {
        const world = new World(fee)
        world.check()
        for (const s of steps) world.step(s)
        world.settleDown()
        const states = [...world.clientJobs.values()].map((job) => job.state)
        assert.ok(!states.includes('sent'), 'every job has an end')
        assert.deepEqual([world.client.reserved, world.host.reserved], [ZERO, ZERO])
        assert.deepEqual(
          plus(world.client.billed, world.unheard()),
          world.host.billed,
          'both sides know the same bills',
        )
        seen.jobs += states.length
        seen.refused += states.filter((state) => state === 'refused').length
        seen.unpaid += world.unpaid
      },
    ),
    { numRuns: 3000 },
  )
  const shown = JSON.stringify(seen)
  assert.ok(
    seen.jobs > 10_000 && seen.refused > 100 && seen.unpaid > 10,
    `the runs reached what they are for: ${shown}`,
  )
  t.diagnostic(shown)
})

test('P28 all vouchers a client signs are comparable, so that any order of arrival ends in the same row', () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }),
      fc.array(fc.nat(), { minLength: 60, maxLength: 60 }),
      (steps, random) => {
        const world = new World(3n)
        for (const s of steps) world.step(s)
        const shuffled = world.signed.map((v, i) => ({ v, at: random[i] ?? 0 })).sort((a, b) => a.at - b.at)
        const row = shuffled.reduce((r, { v }) => withVoucher(r, v), emptyRow())
        assert.deepEqual(row.vouched, world.signed.at(-1) ?? ZERO)
      },
    ),
    { numRuns: 500 },
  )
})

const small = fc.bigInt({ min: 0n, max: 60n })
const hostile: fc.Arbitrary<Totals> = fc.record(
  { jobs: fc.nat(8), hostAmount: small, developerAmount: small },
  { noNullPrototype: true },
)

test('a client that sends any vouchers and any prices gets no work that is not paid and no fee that is not claimable', () => {
  const fee = 5n
  const attack = fc.oneof(
    fc.record({ voucher: hostile }),
    fc.record({ hostAmount: small }),
    fc.record({ bill: fc.nat(1000), fails: fc.boolean() }),
  )
  fc.assert(
    fc.property(fc.array(attack, { maxLength: 60, size: 'max' }), (attacks) => {
      let host = emptyRow()
      const running: bigint[] = []
      for (const a of attacks) {
        try {
          if ('voucher' in a) {
            requireClaimable(a.voucher, fee)
            host = withVoucher(host, a.voucher)
          } else if ('hostAmount' in a) {
            host = admit(host, { token: NATIVE, hostAmount: a.hostAmount, developerAmount: fee, maxSeconds: 1 })
            running.push(a.hostAmount)
          } else {
            const most = running.pop()
            if (most === undefined) continue
            const bill = {
              jobs: a.fails ? 0 : 1,
              hostAmount: (most * BigInt(a.bill)) / 1000n,
              developerAmount: a.fails ? 0n : fee,
            }
            host = settle(host, { token: NATIVE, hostAmount: most, developerAmount: fee, maxSeconds: 1 }, bill)
          }
        } catch (error) {
          assert.ok(error instanceof MecaError && error.code === 'payment')
        }
        assert.ok(covers(host.vouched, plus(host.billed, host.reserved)))
        assert.ok(host.vouched.developerAmount >= BigInt(host.vouched.jobs) * fee)
        assert.ok(sum(host.billed) <= sum(host.vouched))
      }
    }),
    { numRuns: 3000 },
  )
})
