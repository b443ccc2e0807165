/**
 * Receipts: what the host says it did, signed. Receipts of jobs that end together are the leaves of one Merkle tree and
 * share one signature over its root; each carries the path to that root, so that any one of them proves itself, to the
 * client and to the Hosts contract.
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import type { Show } from './money.ts'
import type { Totals } from './ledger.ts'
import { recover } from './signature.ts'
import type { Signer } from './signature.ts'
import type { Price } from './tariff.ts'
import { fromHex, keccak, receiptHash, receiptsDigest, toHex } from './typed.ts'
import type { Domain, Receipt } from './typed.ts'
import { zAmount, zCount, zHash, zSignature } from './units.ts'
import type { Hex } from './units.ts'

/** How a job ended, and its number on the wire and on chain. */
export const STATUS = { answered: 1, task_failed: 2, host_failed: 3, cancelled: 4 } as const
export type JobStatus = keyof typeof STATUS

export type SignedReceipt = { receipt: Receipt; proof: Hex[]; signature: Hex }

/** At most 2^16 receipts share a tree: far more than jobs that can end in one turn. */
const MAX_PROOF = 16

export const zSignedReceipt = z.strictObject({
  receipt: z.strictObject({
    channelId: zHash,
    jobHash: zHash,
    taskId: zHash,
    inputHash: zHash,
    outputHash: zHash,
    status: z.number().int().min(1).max(4),
    hostAmount: zAmount,
    developerAmount: zAmount,
    startedAt: zCount,
    endedAt: zCount,
  }),
  proof: z.array(zHash).max(MAX_PROOF),
  signature: zSignature,
})

/** One signature for all of `receipts`; the results stand in the same order. */
export function signReceipts(domain: Domain, signer: Signer, receipts: readonly Receipt[]): SignedReceipt[] {
  const levels = treeOf(receipts.map(receiptHash))
  const root = levels.at(-1)?.[0]
  if (root === undefined) return []
  const signature = signer.sign(receiptsDigest(domain, root))
  return receipts.map((receipt, i) => ({ receipt, proof: proofOf(levels, i), signature }))
}

/**
 * A function that says whether `host` signed a receipt. It remembers the last root it recovered, since the receipts of
 * one message usually share one.
 */
export function receiptChecker(domain: Domain, host: Hex): (signed: SignedReceipt) => boolean {
  let last: { key: string; ok: boolean } | undefined
  return (signed) => {
    const root = signed.proof.reduce<Uint8Array>(
      (node, sibling) => parentOf(node, fromHex(sibling)),
      receiptHash(signed.receipt),
    )
    const key = toHex(root) + signed.signature
    if (last?.key !== key) last = { key, ok: recover(receiptsDigest(domain, root), signed.signature) === host }
    return last.ok
  }
}

/** The bill in a receipt, held against the rules of design.md 5. Throws `not_verified` where the host asks too much. */
export function billOf(receipt: Receipt, price: Price, show: Show = String): Totals {
  const { status, hostAmount, developerAmount } = receipt
  const free = status === STATUS.host_failed
  const withFee = status === STATUS.answered
  const wrong =
    hostAmount > (free ? 0n : price.hostAmount) || developerAmount !== (withFee ? price.developerAmount : 0n)
  if (wrong) {
    throw new MecaError(
      'not_verified',
      `The host billed ${show(hostAmount)} + ${show(developerAmount)} for a job of status ${status}, agreed were at most ${show(price.hostAmount)} + ${show(price.developerAmount)}`,
    )
  }
  return { jobs: withFee ? 1 : 0, hostAmount, developerAmount }
}

function treeOf(leaves: readonly Uint8Array[]): Uint8Array[][] {
  const levels = [[...leaves]]
  for (let level = levels[0] ?? []; level.length > 1; levels.push(level)) {
    const next: Uint8Array[] = []
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i], level[i + 1]]
      if (left !== undefined) next.push(right === undefined ? left : parentOf(left, right))
    }
    level = next
  }
  return levels
}

function proofOf(levels: readonly Uint8Array[][], leaf: number): Hex[] {
  const proof: Hex[] = []
  let index = leaf
  for (const level of levels.slice(0, -1)) {
    const sibling = level[index ^ 1]
    if (sibling !== undefined) proof.push(toHex(sibling))
    index >>= 1
  }
  return proof
}

/** Pairs are sorted, so that a path needs no left and right. */
function parentOf(a: Uint8Array, b: Uint8Array): Uint8Array {
  return keccak(Buffer.compare(a, b) <= 0 ? Buffer.concat([a, b]) : Buffer.concat([b, a]))
}
