/** Which vouchers a host claims, and in how many transactions. Pure. */
import { equal, sum } from '../core/ledger.ts'
import type { ChannelTerms } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import type { LiveRow } from './book.ts'

export type ClaimRow = { taskId: Hex; jobs: number; hostAmount: bigint; developerAmount: bigint; signature: Hex }
export type ClaimGroup = { terms: ChannelTerms; rows: ClaimRow[] }

/** Rows in one claim: well under what fits in a block. */
const MAX_ROWS = 100

/**
 * The voucher a claim uses: the one over what was billed. The highest one says more than that, so it is claimed only
 * where work would else stay unpaid: a close is running, or the client has long been silent (`urgent`).
 */
export function voucherToClaim(row: LiveRow, urgent: boolean): ClaimRow | undefined {
  const { exact, vouched, billed, claimed, taskId } = row
  const enough = exact !== undefined && equal(exact.totals, billed)
  if (exact !== undefined && (enough || !urgent)) {
    return sum(exact.totals) > sum(claimed) ? { taskId, ...exact.totals, signature: exact.signature } : undefined
  }
  return urgent && sum(billed) > sum(claimed) ? { taskId, ...vouched, signature: row.vouchedSignature } : undefined
}

/** The groups in as many claims as are needed, none with more than `MAX_ROWS` rows. */
export function inClaims(groups: readonly ClaimGroup[]): ClaimGroup[][] {
  const claims: ClaimGroup[][] = []
  let room = 0
  for (const { terms, rows } of groups) {
    for (let at = 0; at < rows.length;) {
      if (room === 0) claims.push([])
      if (room === 0) room = MAX_ROWS
      const part = rows.slice(at, at + room)
      claims.at(-1)?.push({ terms, rows: part })
      at += part.length
      room -= part.length
    }
  }
  return claims
}
