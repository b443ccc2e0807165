/** What is offered for a transaction: never more than the owner's cap, whatever the chain is said to ask. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Transaction } from 'ethers'
import fc from 'fast-check'
import type { Chain } from '../../src/chain/chain.ts'
import { nextFees, startFees } from '../../src/chain/fees.ts'

const { signal } = new AbortController()
const wei = fc.bigInt(0n, 10n ** 20n)

/** A chain that asks so much. */
function asking(baseFeePerGas: bigint | undefined, gasPrice: bigint): Chain {
  const block = () => Promise.resolve({ number: 1, hash: '0x', timestamp: 1, baseFeePerGas })
  return { block, gasPrice: () => Promise.resolve(gasPrice) } as Partial<Chain> as Chain
}

test('a first offer is within the cap, or none is made', async () => {
  await fc.assert(
    fc.asyncProperty(fc.option(wei, { nil: undefined }), wei, wei, async (baseFee, gasPrice, cap) => {
      const fees = await startFees(asking(baseFee, gasPrice), cap, signal).catch((error: { code: string }) => error)
      if ('code' in fees) {
        assert.equal(fees.code, 'price_cap')
        assert.ok(gasPrice > cap || (baseFee ?? 0n) > cap)
      } else if (fees.type === 0) assert.ok(fees.gasPrice <= cap)
      else assert.ok(fees.maxFeePerGas <= cap && fees.maxPriorityFeePerGas <= fees.maxFeePerGas)
    }),
    { numRuns: 300 },
  )
})

test('a rise is an eighth at least and within the cap, or there is none', () => {
  fc.assert(
    fc.property(wei, wei, wei, wei, (offered, tip, asked, cap) => {
      const tx = new Transaction()
      Object.assign(tx, { type: 2, maxFeePerGas: offered, maxPriorityFeePerGas: tip < offered ? tip : offered })
      const now = { type: 2, maxFeePerGas: asked, maxPriorityFeePerGas: 1n } as const
      const next = nextFees(tx, now, cap)
      if (next === undefined) return assert.ok(offered + offered / 5n + 1n > cap || asked > cap)
      assert.ok(next.type === 2 && next.maxFeePerGas <= cap && next.maxPriorityFeePerGas <= next.maxFeePerGas)
      assert.ok(next.maxFeePerGas >= asked && next.maxFeePerGas * 8n >= offered * 9n)
    }),
    { numRuns: 1000 },
  )
})
