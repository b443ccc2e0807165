/** Answers of a contract: what it gives is taken, byte for byte, and nothing else. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { channelsAbi } from '../../src/chain/abi.ts'
import { Codec } from '../../src/chain/codec.ts'
import type { Hex } from '../../src/core/units.ts'

const codec = new Codec(channelsAbi)
const word = (n: bigint) => n.toString(16).padStart(64, '0')
const channel = (deposit: bigint, claimed: bigint, closesAt: bigint): Hex =>
  `0x${word(deposit)}${word(claimed)}${word(closesAt)}`
const amount = fc.bigInt(0n, 2n ** 96n - 1n)

test('what the contract gives is read, in either case of letters', () => {
  fc.assert(
    fc.property(amount, amount, fc.bigInt(0n, 2n ** 64n - 1n), (deposit, claimed, closesAt) => {
      const data = channel(deposit, claimed, closesAt)
      assert.deepEqual(codec.decode('channel', data), { deposit, claimed, closesAt })
      assert.deepEqual(codec.decode('channel', `0x${data.slice(2).toUpperCase()}`), { deposit, claimed, closesAt })
    }),
  )
})

test('what is longer, shorter, or has bits where no value has any is refused', () => {
  const sound = channel(5n, 3n, 0n)
  const odd: Hex[] = [`${sound}${word(0n)}`, `${sound}00`, sound.slice(0, -2) as Hex, '0x', channel(2n ** 96n, 3n, 0n)]
  for (const data of odd) {
    assert.throws(() => codec.decode('channel', data), { code: 'chain_unreachable' }, data)
  }
})
