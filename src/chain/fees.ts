/**
 * What to offer for a transaction: enough for the next few blocks at first, and an eighth more each time it is not
 * taken, which is the least rise that nodes accept for a replacement. Chains without a base fee get one gas price.
 *
 * The bound: no transaction offers more per gas than the owner's cap, whatever an endpoint says the chain asks.
 */
import type { Transaction } from 'ethers'
import { MecaError } from '../core/errors.ts'
import { formatGwei } from '../core/money.ts'
import type { Chain } from './chain.ts'

export type Fees = { type: 2; maxFeePerGas: bigint; maxPriorityFeePerGas: bigint } | { type: 0; gasPrice: bigint }

/** Throws `price_cap` where the chain asks more per gas than `cap`. */
export async function startFees(chain: Chain, cap: bigint, signal: AbortSignal): Promise<Fees> {
  const { baseFeePerGas } = await chain.block(signal)
  const gasPrice = await chain.gasPrice(signal)
  const asked = larger(gasPrice, baseFeePerGas ?? 0n)
  if (asked > cap) throw tooDear(asked, cap)
  if (baseFeePerGas === undefined) return { type: 0, gasPrice }
  // The endpoint's price is base fee plus a usual tip. Twice the base fee lasts six full blocks in a row.
  const tip = gasPrice > baseFeePerGas ? gasPrice - baseFeePerGas : 1n
  return { type: 2, maxFeePerGas: smaller(2n * baseFeePerGas + tip, cap), maxPriorityFeePerGas: smaller(tip, cap) }
}

/**
 * The fees of what replaces `tx`: above it as far as nodes ask, and enough for the chain as it is now; undefined where
 * that is over the cap, so that `tx` stays what it is.
 */
export function nextFees(tx: Transaction, now: Fees, cap: bigint): Fees | undefined {
  const most =
    now.type === 0 ? larger(raised(tx.gasPrice), now.gasPrice) : larger(raised(tx.maxFeePerGas), now.maxFeePerGas)
  if (most > cap) return undefined
  if (now.type === 0) return { type: 0, gasPrice: most }
  const tip = larger(raised(tx.maxPriorityFeePerGas), now.maxPriorityFeePerGas)
  return { type: 2, maxFeePerGas: most, maxPriorityFeePerGas: smaller(tip, most) }
}

function tooDear(asked: bigint, cap: bigint): MecaError {
  return new MecaError(
    'price_cap',
    `The chain asks ${formatGwei(asked)} for gas, chain.maxFeePerGas allows ${formatGwei(cap)}`,
    {
      cure: 'wait until it is cheaper, or raise chain.maxFeePerGas',
      details: { asked: asked.toString(), cap: cap.toString() },
    },
  )
}

/** A fifth more, and at least one: above the eighth that nodes ask for, whatever their rounding. */
function raised(fee: bigint | null): bigint {
  return (fee ?? 0n) + (fee ?? 0n) / 5n + 1n
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b
}
