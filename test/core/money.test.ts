/** Amounts of money as text: what is read, what is refused, and that no digit is lost on the way. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { amountIn, formatMoney, isSmallestUnit, readMoney } from '../../src/core/money.ts'
import type { Currency } from '../../src/core/money.ts'
import { MAX_AMOUNT, NATIVE } from '../../src/core/units.ts'

const ETH: Currency = { address: NATIVE, symbol: 'ETH', decimals: 18 }
const MUSD: Currency = { address: `0x${'aa'.repeat(20)}`, symbol: 'MUSD', decimals: 6 }
const TOK: Currency = { address: `0x${'bb'.repeat(20)}`, symbol: 'TOK', decimals: 0 }

function amount(text: string, currency: Currency): bigint {
  return amountIn(readMoney(text, '--fee'), currency, '--fee')
}

test('a plain whole number is in the smallest unit of every currency', () => {
  for (const currency of [ETH, MUSD, TOK]) assert.equal(amount('1000', currency), 1000n)
  assert.ok(isSmallestUnit(readMoney('1000', '--fee')))
  for (const text of ['1.0', '1000TOK', '1wei']) assert.ok(!isSmallestUnit(readMoney(text, '--fee')))
})

test('a point or a symbol makes it whole coins, by the decimals of the currency', () => {
  assert.equal(amount('0.02', ETH), 20_000_000_000_000_000n)
  assert.equal(amount('0.02', MUSD), 20_000n)
  assert.equal(amount('2 musd', MUSD), 2_000_000n)
  assert.equal(amount('7TOK', TOK), 7n)
  assert.equal(amount('7.0', TOK), 7n)
  assert.equal(amount(`3${MUSD.address}`, MUSD), 3_000_000n)
  assert.equal(amount(`3 ${MUSD.address.toUpperCase().replace('0X', '0x')}`, MUSD), 3_000_000n)
})

test('wei and gwei are parts of the chain’s own currency and of no token', () => {
  assert.equal(amount('7wei', ETH), 7n)
  assert.equal(amount('1.5gwei', ETH), 1_500_000_000n)
  for (const unit of ['wei', 'gwei'])
    assert.throws(() => amount(`7${unit}`, MUSD), {
      code: 'bad_input',
      message: `--fee is in ${unit}, needed is an amount in MUSD`,
    })
})

test('another currency’s symbol is refused and never converted, whichever it is', () => {
  const wrong: [string, Currency, string][] = [
    ['1MUSD', ETH, 'ETH'],
    ['1ETH', MUSD, 'MUSD'],
    ['1ETH', TOK, 'TOK'],
    ['1USDC', MUSD, 'MUSD'],
    [`1${TOK.address}`, MUSD, 'MUSD'],
  ]
  for (const [text, currency, needed] of wrong)
    assert.throws(() => amount(text, currency), { code: 'bad_input', cure: `write it in ${needed}` })
})

test('a digit that a currency does not have is refused, not rounded', () => {
  assert.equal(amount('0.000001', MUSD), 1n)
  assert.equal(amount('0.0000010', MUSD), 1n)
  for (const [text, currency] of [
    ['0.0000001', MUSD],
    ['0.5', TOK],
    ['0.5TOK', TOK],
    ['0.1gwei', TOK],
  ] as const)
    assert.throws(() => amount(text, currency), { code: 'bad_input' })
})

for (const text of [
  '',
  ' ',
  '-1',
  '+1',
  '1e18',
  '1E5',
  '1e+18',
  '0x10',
  '1,5',
  '.',
  '1.',
  '.5',
  '1..2',
  '1 2',
  'ETH',
  'ETH1',
  '1\nETH',
  '1 ETH\u0000',
  '1Ξ',
  '１',
  `1${'a'.repeat(17)}`,
  '9'.repeat(30),
  `0.${'1'.repeat(37)}`,
])
  test(`${JSON.stringify(text)} is no amount`, () => assert.throws(() => amount(text, ETH), { code: 'bad_input' }))

test('what is shown reads back as itself, in every currency', () => {
  fc.assert(
    fc.property(fc.bigInt(0n, MAX_AMOUNT), fc.nat(18), (some, decimals) => {
      const currency = { ...MUSD, decimals }
      assert.equal(amount(formatMoney(some, currency), currency), some)
    }),
  )
})
