/**
 * What to offer for a transaction: enough for the next few blocks at first, and an eighth more each time it is not
 * taken, which is the least rise that nodes accept for a replacement. Chains without a base fee get one gas price.
 */
import type { Transaction } from 'ethers'
import type { Chain } from './chain.ts'

export type Fees = { type: 2; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint } | { type: 0; gasPrice: bigint }

export async function startFees(chain: Chain, signal: AbortSignal): Promise<Fees> {
  const { baseFeePerGas } = await chain.block(signal)
  const gasPrice = await chain.gasPrice(signal)
  if (baseFeePerGas === undefined) return { type: 0, gasPrice }
  // The endpoint's price is base fee plus a usual tip. Twice the base fee lasts six full blocks in a row.
  const tip = gasPrice > baseFeePerGas ? gasPrice - baseFeePerGas : 1n
  return { type: 2, maxFeePerGas: 2n * baseFeePerGas + tip, maxPriorityFeePerGas: tip }
}

/** The fees of what replaces `tx`: above it as far as nodes ask, and enough for the chain as it is now. */
export function nextFees(tx: Transaction, now: Fees): Fees {
  if (now.type === 0) return { type: 0, gasPrice: larger(raised(tx.gasPrice), now.gasPrice) }
  return {
    type: 2,
    maxFeePerGas: larger(raised(tx.maxFeePerGas), now.maxFeePerGas),
    maxPriorityFeePerGas: larger(raised(tx.maxPriorityFeePerGas), now.maxPriorityFeePerGas),
  }
}

/** A fifth more, and at least one: above the eighth that nodes ask for, whatever their rounding. */
function raised(fee: bigint | null): bigint {
  return (fee ?? 0n) + (fee ?? 0n) / 5n + 1n
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
