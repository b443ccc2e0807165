/**
 * Where a transaction stands, as far as an endpoint can be believed: a receipt counts where it names the transaction
 * that was asked for, and where the chain has at its height the very block that it names.
 */
import type { Hex } from '../core/units.ts'
import type { Chain, TxReceipt } from './chain.ts'

/**
 * `waiting`: in no block, or not deep enough; `nonce_used`: its number was used by something whose receipt cannot be
 * seen, or not yet; `gap`: numbers before its own are missing, so that it cannot get into a block.
 */
export type Standing = TxReceipt | 'waiting' | 'nonce_used' | 'gap'

type Numbered = { from: Hex; nonce: number; hashes: readonly Hex[] }

export async function standingOf(
  chain: Chain,
  { from, nonce, hashes }: Numbered,
  confirmations: number,
  signal: AbortSignal,
): Promise<Standing> {
  const used = await chain.transactionCount(from, 'latest', signal)
  if (used < nonce) return 'gap'
  if (used === nonce) return 'waiting'
  for (const hash of hashes) {
    const receipt = await chain.receipt(hash, signal)
    if (receipt === undefined) continue
    return (await isDeep(chain, receipt, confirmations, signal)) ? receipt : 'waiting'
  }
  return 'nonce_used'
}

/** Whether so many blocks stand behind it, its own counted, and its own is the one that the chain has there. */
async function isDeep(chain: Chain, receipt: TxReceipt, confirmations: number, signal: AbortSignal): Promise<boolean> {
  const head = await chain.block(signal)
  if (head.number - receipt.blockNumber + 1 < confirmations) return false
  return (await chain.block(signal, receipt.blockNumber)).hash === receipt.blockHash
}
