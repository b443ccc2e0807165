/**
 * What both sides write down: channels, their rows and their jobs. A row is money: it is on disk, synced, before
 * anything happens that it pays for. `reserved` is not stored; it is the sum of the prices of the jobs under way.
 */
import { z } from 'zod'
import { zOutcome } from './job.ts'
import { zSignedReceipt } from './receipt.ts'
import { zResources } from './resources.ts'
import { zAddress, zAmount, zCid, zCount, zHash, zJobId, zSignature } from './units.ts'
import type { Hex } from './units.ts'
import { zPrice, zProblem, zTerms, zTotals } from './wire.ts'

export const zChannelRecord = z.strictObject({
  channelId: zHash,
  /** On which side of it this node stands. */
  side: z.enum(['client', 'host']),
  terms: zTerms,
  state: z.enum(['opening', 'open', 'closing', 'closed']),
  deposit: zAmount,
  claimed: zAmount,
  /** Seconds since the epoch, as the contract says; 0 while nobody is closing. */
  closesAt: zCount,
  createdAt: zCount,
  /** When its client, which had lost its records, found it on the chain. */
  recoveredAt: zCount.optional(),
  /** The host gave its word that it has all it wants, the client signs nothing more: nothing on chain takes that back. */
  released: z.literal(true).optional(),
  /** When the chain was first seen to have ended it, ms: for a while longer a reorganisation may bring it back. */
  closedAt: zCount.optional(),
})
export type ChannelRecord = z.infer<typeof zChannelRecord>

export const zRowRecord = z.strictObject({
  channelId: zHash,
  taskId: zHash,
  cid: zCid,
  /** The highest voucher and the client's signature over it. */
  vouched: zTotals,
  vouchedSignature: zSignature,
  billed: zTotals,
  /** A voucher over exactly what was billed at some moment: what a host claims when nothing is in flight. */
  exact: z.strictObject({ totals: zTotals, signature: zSignature }).optional(),
  /** What the chain has paid out of this row. */
  claimed: zTotals,
})
export type RowRecord = z.infer<typeof zRowRecord>

export function rowKey(channelId: Hex, taskId: Hex): string {
  return `${channelId}/${taskId}`
}

export const zHostJob = z.strictObject({
  id: zJobId,
  channelId: zHash,
  client: zAddress,
  taskId: zHash,
  cid: zCid,
  inputHash: zHash,
  inputBytes: zCount,
  price: zPrice,
  resources: zResources,
  acceptedAt: zCount,
  /** Set together: the job has ended, what was signed and what was said. */
  signed: zSignedReceipt.optional(),
  outcome: zOutcome.optional(),
})
export type HostJob = z.infer<typeof zHostJob>

/** A job id belongs to the client that chose it. */
export function hostJobKey(client: Hex, id: string): string {
  return `${client}/${id}`
}

const zRefusal = z.strictObject({ host: zAddress, code: z.string().max(40), reason: z.string().max(2000) })

export const zClientJob = z.strictObject({
  id: zJobId,
  cid: zCid,
  taskId: zHash,
  name: z.string().max(200),
  inputHash: zHash,
  inputBytes: zCount,
  host: zAddress,
  channelId: zHash,
  price: zPrice,
  /** `sent`: a voucher for it is signed, the end is not known; `done`: a receipt is here; `refused`: nothing ran. */
  state: z.enum(['sent', 'done', 'refused']),
  createdAt: zCount,
  /** When its caller first wished it to end, before its host was told: from then on it may be billed as cancelled. */
  cancelledAt: zCount.optional(),
  endedAt: zCount.optional(),
  signed: zSignedReceipt.optional(),
  outcome: zOutcome.optional(),
  problem: zProblem.optional(),
  refusals: z.array(zRefusal).max(1000),
  /** Why this host: what its offer said when it was chosen. */
  chosen: z
    .strictObject({
      imageAtHand: z.boolean(),
      channelOpen: z.boolean(),
      free: zResources,
      queueFree: zCount,
      runtimes: z.array(z.string().max(40)).max(10),
    })
    .optional(),
})
export type ClientJob = z.infer<typeof zClientJob>
