import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  admit,
  asTotals,
  covers,
  emptyRow,
  equal,
  highest,
  minus,
  nextVoucher,
  plus,
  requireClaimable,
  requirePaid,
  reserve,
  settle,
  sum,
  totalsToWire,
  withVoucher,
  ZERO,
} from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { Price } from '../../src/core/tariff.ts'
import { MAX_AMOUNT, NATIVE } from '../../src/core/units.ts'
import { totals } from './arbitraries.ts'

const price = (hostAmount: bigint, developerAmount: bigint): Price => ({
  token: NATIVE,
  hostAmount,
  developerAmount,
  maxSeconds: 1,
})
const of = (jobs: number, hostAmount: bigint, developerAmount: bigint): Totals => ({
  jobs,
  hostAmount,
  developerAmount,
})

test('one job after another: the slack of the last pays for the next', () => {
  let client = emptyRow()
  const first = nextVoucher(client, [price(100n, 7n)])
  assert.deepEqual(first, of(1, 100n, 7n))
  client = reserve({ ...client, vouched: first }, price(100n, 7n))
  client = settle(client, price(100n, 7n), of(1, 30n, 7n))
  assert.deepEqual(client, { vouched: of(1, 100n, 7n), billed: of(1, 30n, 7n), reserved: ZERO })
  assert.deepEqual(nextVoucher(client, [price(100n, 7n)]), of(2, 130n, 14n), 'billed + quote')
  assert.deepEqual(nextVoucher(client, [price(50n, 7n)]), of(2, 100n, 14n), 'never below what is signed')
})

test('a failed task leaves its fee to the next job', () => {
  const row = settle(
    reserve({ ...emptyRow(), vouched: of(1, 100n, 7n) }, price(100n, 7n)),
    price(100n, 7n),
    of(0, 100n, 0n),
  )
  assert.deepEqual(nextVoucher(row, [price(100n, 7n)]), of(1, 200n, 7n))
})

test('a voucher for one more job covers those that are still under way', () => {
  const row = { vouched: of(2, 50n, 2n), billed: of(1, 10n, 1n), reserved: of(1, 20n, 1n) }
  assert.deepEqual(nextVoucher(row, [price(30n, 1n)]), of(3, 60n, 3n))
})

test('jobs at the same time are vouched for together, in one voucher', () => {
  const prices = [price(10n, 1n), price(20n, 1n), price(30n, 1n)]
  const vouched = nextVoucher(emptyRow(), prices)
  assert.deepEqual(vouched, of(3, 60n, 3n))
  let host = withVoucher(emptyRow(), vouched)
  for (const p of prices) host = admit(host, p)
  assert.throws(() => admit(host, price(1n, 0n)), { code: 'payment', message: /1 needed, 0 vouched/ })
})

test('admit holds each of the three numbers, and says both sides', () => {
  const row = { ...emptyRow(), vouched: of(1, 100n, 7n) }
  assert.deepEqual(admit(row, price(100n, 7n)).reserved, of(1, 100n, 7n))
  const short: [Totals, Price][] = [
    [of(0, 100n, 7n), price(100n, 7n)],
    [of(1, 99n, 7n), price(100n, 7n)],
    [of(1, 100n, 6n), price(100n, 7n)],
    [of(1, 1000n, 6n), price(100n, 7n)],
  ]
  for (const [vouched, p] of short) {
    assert.throws(
      () => admit({ ...emptyRow(), vouched }, p),
      (error: unknown) => {
        assert.ok(error instanceof Error && 'code' in error && 'details' in error && error.code === 'payment')
        assert.deepEqual(error.details, { balance: totalsToWire(vouched), need: totalsToWire(asTotals(p)) })
        return true
      },
    )
  }
})

test('P7 an older voucher after a newer one, or the same one again, changes nothing', () => {
  const row = withVoucher(emptyRow(), of(2, 200n, 14n))
  for (const old of [of(1, 100n, 7n), of(2, 200n, 14n), ZERO, of(2, 199n, 14n)])
    assert.equal(withVoucher(row, old), row)
  assert.deepEqual(withVoucher(row, of(2, 200n, 15n)).vouched, of(2, 200n, 15n))
})

test('a voucher that rises in one number and falls in another is refused with both', () => {
  const row = withVoucher(emptyRow(), of(2, 200n, 14n))
  for (const bad of [of(1, 300n, 14n), of(3, 199n, 14n), of(3, 300n, 13n)]) {
    assert.throws(() => withVoucher(row, bad), {
      code: 'payment',
      details: { before: totalsToWire(of(2, 200n, 14n)), now: totalsToWire(bad) },
    })
  }
})

test('a voucher that the contract would skip for its fee is refused before a job starts on it', () => {
  requireClaimable(of(3, 0n, 21n), 7n)
  requireClaimable(of(3, 0n, 22n), 7n)
  requireClaimable(of(1000, 5n, 0n), 0n)
  assert.throws(() => requireClaimable(of(1000, 10n ** 18n, 7n), 7n), {
    code: 'payment',
    message: /7 for the developer, 1000 jobs of 7 need 7000/,
  })
})

test('a release is not signed over less than was billed: the chain may have gone back behind the claim', () => {
  const row = (hostAmount: bigint, developerAmount: bigint) => ({ billed: { jobs: 1, hostAmount, developerAmount } })
  const rows = [row(10n, 2n), row(5n, 0n)]
  assert.throws(() => requirePaid(rows, 16n), { code: 'busy', details: { claimed: '16', billed: '17' } })
  requirePaid(rows, 17n)
  requirePaid(rows, 18n)
  requirePaid([], 0n)
})

test('a hostile price cannot make a client sign what the contracts cannot carry', () => {
  assert.throws(() => nextVoucher({ ...emptyRow(), billed: of(1, 1n, 0n) }, [price(MAX_AMOUNT, 0n)]), {
    code: 'payment',
  })
  assert.throws(() => nextVoucher(emptyRow(), [price(MAX_AMOUNT, 1n)]), { code: 'payment' })
  assert.equal(sum(nextVoucher(emptyRow(), [price(MAX_AMOUNT - 1n, 1n)])), MAX_AMOUNT)
})

test('a voucher over exactly what was billed never takes back a higher one', () => {
  let host = admit(withVoucher(emptyRow(), of(1, 100n, 7n)), price(100n, 7n))
  host = settle(host, price(100n, 7n), of(1, 30n, 7n))
  assert.equal(withVoucher(host, host.billed), host)
  assert.ok(covers(host.vouched, host.billed))
})

test('totals: sums and differences undo each other, the highest covers both', () => {
  fc.assert(
    fc.property(totals, totals, (a, b) => {
      assert.deepEqual(minus(plus(a, b), b), a)
      const top = highest(a, b)
      assert.ok(covers(top, a) && covers(top, b))
      assert.ok(equal(top, highest(b, a)) && equal(highest(top, a), top))
      assert.equal(
        equal(a, b),
        a.jobs === b.jobs && a.hostAmount === b.hostAmount && a.developerAmount === b.developerAmount,
      )
      assert.equal(covers(a, b) && covers(b, a), equal(a, b))
      assert.equal(sum(plus(a, b)), sum(a) + sum(b))
    }),
  )
})
