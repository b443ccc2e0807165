import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { billUp, priceFor, total, zTariff } from '../../src/core/tariff.ts'
import type { Tariff } from '../../src/core/tariff.ts'
import type { Resources } from '../../src/core/resources.ts'
import { MAX_AMOUNT, NATIVE } from '../../src/core/units.ts'
import { amount, resources, tariff } from './arbitraries.ts'

const SECONDS = fc.integer({ min: 1, max: 24 * 86_400 })
const RUNS = { numRuns: 10_000 }

/** A fraction of two whole numbers: the same price worked out another way, without any rounding. */
type Fraction = { over: bigint; under: bigint }
const plus = (a: Fraction, b: Fraction): Fraction => ({
  over: a.over * b.under + b.over * a.under,
  under: a.under * b.under,
})
const times = (a: Fraction, b: Fraction): Fraction => ({ over: a.over * b.over, under: a.under * b.under })
const f = (over: bigint | number, under: bigint | number = 1n): Fraction => ({
  over: BigInt(over),
  under: BigInt(under),
})

function exact(t: Tariff, r: Resources, runMs: number): Fraction {
  const cpus = times(f(r.cpuMillis, 1000), f(t.perCpuSecond))
  const memory = times(f(r.memoryBytes, 2 ** 30), f(t.perGibSecond))
  const gpus = times(f(r.gpus), f(t.perGpuSecond))
  return plus(f(t.perJob), times(f(runMs, 1000), plus(plus(cpus, memory), gpus)))
}

/** `amount` is the smallest whole number that is not below `cost`. */
function isCeilingOf(amount: bigint, cost: Fraction): boolean {
  return amount * cost.under >= cost.over && (amount - 1n) * cost.under < cost.over
}

test('a quote is the exact cost, rounded up once', () => {
  fc.assert(
    fc.property(tariff, resources, SECONDS, amount, (t, r, maxSeconds, fee) => {
      const price = priceFor(t, r, maxSeconds, fee)
      assert.ok(isCeilingOf(price.hostAmount, exact(t, r, maxSeconds * 1000)))
      assert.deepEqual(
        [price.developerAmount, price.maxSeconds, price.token, total(price)],
        [fee, maxSeconds, t.token, price.hostAmount + fee],
      )
    }),
    RUNS,
  )
})

test('a bill is never above its quote, whatever time is claimed, and within the time it is the exact cost', () => {
  const runMs = fc.oneof(fc.double({ min: -1e6, max: 4e9, noNaN: true }), fc.nat(2_000_000_000))
  fc.assert(
    fc.property(tariff, resources, SECONDS, runMs, (t, r, maxSeconds, ms) => {
      const price = priceFor(t, r, maxSeconds, 7n)
      const bill = billUp(t, r, ms, price)
      assert.ok(bill <= price.hostAmount && bill >= t.perJob)
      const whole = Math.max(0, Math.ceil(ms))
      if (whole <= maxSeconds * 1000) assert.ok(isCeilingOf(bill, exact(t, r, whole)))
      else assert.equal(bill, price.hostAmount)
    }),
    RUNS,
  )
})

test('more time or more of anything never costs less', () => {
  const more = fc.record({ cpuMillis: fc.nat(1000), memoryBytes: fc.nat(2 ** 30), gpus: fc.nat(2) })
  fc.assert(
    fc.property(tariff, resources, more, SECONDS, fc.nat(10_000), (t, r, extra, seconds, longer) => {
      const bigger = {
        cpuMillis: r.cpuMillis + extra.cpuMillis,
        memoryBytes: r.memoryBytes + extra.memoryBytes,
        gpus: r.gpus + extra.gpus,
      }
      const cost = priceFor(t, r, seconds, 0n).hostAmount
      assert.ok(priceFor(t, bigger, seconds, 0n).hostAmount >= cost)
      assert.ok(priceFor(t, r, seconds + longer, 0n).hostAmount >= cost)
      const price = priceFor(t, r, seconds, 0n)
      assert.ok(billUp(t, r, longer + 1, price) >= billUp(t, r, longer, price))
    }),
    RUNS,
  )
})

test('worked examples', () => {
  const t: Tariff = { token: NATIVE, perJob: 5n, perCpuSecond: 10n, perGibSecond: 4n, perGpuSecond: 100n }
  const rows: [Resources, number, bigint][] = [
    [{ cpuMillis: 1000, memoryBytes: 2 ** 30, gpus: 0 }, 1, 19n],
    [{ cpuMillis: 500, memoryBytes: 0, gpus: 0 }, 1, 10n],
    [{ cpuMillis: 1, memoryBytes: 0, gpus: 0 }, 1, 6n],
    [{ cpuMillis: 0, memoryBytes: 1, gpus: 0 }, 1, 6n],
    [{ cpuMillis: 0, memoryBytes: 0, gpus: 0 }, 1000, 5n],
    [{ cpuMillis: 2000, memoryBytes: 2 ** 29, gpus: 2 }, 60, 5n + 60n * (20n + 2n + 200n)],
  ]
  for (const [r, seconds, cost] of rows) assert.equal(priceFor(t, r, seconds, 0n).hostAmount, cost)
  const one = { cpuMillis: 1000, memoryBytes: 0, gpus: 0 }
  const price = priceFor(t, one, 10, 3n)
  assert.equal(billUp(t, one, 0, price), 5n, 'no time costs the job alone')
  assert.equal(billUp(t, one, 1, price), 6n, 'a millisecond is rounded up')
  assert.equal(billUp(t, one, 1000, price), 15n)
  assert.equal(billUp(t, one, 99_999, price), 105n, 'the quote is the ceiling')
})

test('a quote beyond the contracts is refused with both numbers', () => {
  const dear: Tariff = { token: NATIVE, perJob: MAX_AMOUNT, perCpuSecond: 1n, perGibSecond: 0n, perGpuSecond: 0n }
  const one = { cpuMillis: 1000, memoryBytes: 0, gpus: 0 }
  assert.throws(() => priceFor(dear, one, 1, 0n), {
    code: 'bad_input',
    message: new RegExp(`${MAX_AMOUNT + 1n}.*${MAX_AMOUNT}`),
  })
  assert.equal(priceFor({ ...dear, perCpuSecond: 0n }, one, 1, 0n).hostAmount, MAX_AMOUNT)
})

test('the tariff schema takes decimal strings only', () => {
  const good = { token: NATIVE, perJob: '1', perCpuSecond: '2', perGibSecond: '3', perGpuSecond: '4' }
  assert.equal(zTariff.parse(good).perGpuSecond, 4n)
  for (const bad of [
    { ...good, perJob: 1 },
    { ...good, perJob: '-1' },
    { ...good, perJob: '1.5' },
    { ...good, more: 1 },
    { token: NATIVE },
  ]) {
    assert.equal(zTariff.safeParse(bad).success, false)
  }
})
