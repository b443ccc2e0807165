/** Caps by currency: what a setting means, and what it refuses. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { capIn, Currencies, notTaken } from '../../src/role/currencies.ts'

const MUSD: Hex = `0x${'aa'.repeat(20)}`
const TOK: Hex = `0x${'bb'.repeat(20)}`
const UNKNOWN: Hex = `0x${'cc'.repeat(20)}`
const currencies = new Currencies([
  { address: MUSD, symbol: 'MUSD', decimals: 6 },
  { address: NATIVE, symbol: 'ETH', decimals: 18 },
  { address: TOK, symbol: 'TOK', decimals: 0 },
])

test('a plain number is in the chain’s own currency, also where the market has another', () => {
  const caps = currencies.caps('client.depositCap', ['1000', '0.5MUSD', `3${TOK}`])
  assert.deepEqual(
    [...caps],
    [
      [NATIVE, 1000n],
      [MUSD, 500_000n],
      [TOK, 3n],
    ],
  )
  assert.deepEqual([...currencies.caps('client.depositCap', ['0.1'])], [[NATIVE, 10n ** 17n]])
})

test('a currency that is not known, or named twice, stops the start', () => {
  assert.throws(() => currencies.caps('client.maxPrice', ['1USDC']), {
    code: 'bad_config',
    message: /client\.maxPrice has 1USDC, known here are MUSD, ETH, TOK/,
  })
  assert.throws(() => currencies.caps('client.maxPrice', ['1', '2ETH']), {
    code: 'bad_config',
    message: /names ETH twice/,
  })
})

test('no cap allows everything, a cap that names others nothing', () => {
  const caps = currencies.caps('client.maxPrice', ['5MUSD'])
  assert.equal(capIn(undefined, TOK, 'client.maxPrice', currencies), undefined)
  assert.equal(capIn(caps, MUSD, 'client.maxPrice', currencies), 5_000_000n)
  assert.throws(() => capIn(caps, TOK, 'client.maxPrice', currencies), {
    code: 'price_cap',
    message: /says nothing of TOK/,
  })
})

test('people read amounts with symbols, and a stranger’s token by its address', () => {
  assert.equal(currencies.show(1_500_000n, MUSD), '1.5 MUSD')
  assert.equal(currencies.show(5n, UNKNOWN), `5 of the token ${UNKNOWN}`)
  assert.equal(
    notTaken(currencies, [{ token: NATIVE }, { token: MUSD }], TOK).message,
    'This host takes ETH and MUSD, not TOK',
  )
})
