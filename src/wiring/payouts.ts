/**
 * What was drawn out of the contract, by token: each payout that the chain still knows of. A reorganisation may undo one,
 * and then the same money is drawn again under another transaction, so one that is not on chain does not count.
 */
import type { Hex } from '../core/units.ts'
import type { Base } from './base.ts'

/** Chains that went back by more than an hour's blocks are not known; a day leaves room for a clock that is wrong. */
const SURE_AFTER_MS = 86_400_000

export async function drawnByToken({ tables, chain, signal }: Base): Promise<Map<Hex, bigint>> {
  const sums = new Map<Hex, bigint>()
  for await (const [, { tx, token, amount, at }] of tables.payouts.entries()) {
    if (Date.now() - at < SURE_AFTER_MS && !(await isThere(chain, tx, signal))) continue
    sums.set(token, (sums.get(token) ?? 0n) + amount)
  }
  return sums
}

async function isThere(chain: Base['chain'], tx: Hex, signal: AbortSignal): Promise<boolean> {
  try {
    return (await chain.receipt(tx, signal))?.status === true
  } catch {
    // A chain that does not answer has not gone back, and what else is told of this host does not need it.
    return true
  }
}
