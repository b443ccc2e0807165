/** Copies of the vouchers in a book, as lines that stand alone: the highest of each row, and the exact one where there is one. */
import { sum } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { RowRecord } from '../core/records.ts'
import type { Signer } from '../core/signature.ts'
import { voucherDigest } from '../core/typed.ts'
import type { ChannelTerms, Domain } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { formatVoucherLine } from '../core/voucher-line.ts'
import type { VoucherLine } from '../core/voucher-line.ts'
import type { Book } from './book.ts'

export function vouchedLine(domain: Domain, terms: ChannelTerms, row: RowRecord): VoucherLine {
  return lineOf(domain, terms, row, row.vouched, row.vouchedSignature)
}

/** Undefined where the client has not said yet what it owes exactly. */
export function exactLine(domain: Domain, terms: ChannelTerms, row: RowRecord): VoucherLine | undefined {
  if (row.exact === undefined) return undefined
  return { ...lineOf(domain, terms, row, row.exact.totals, row.exact.signature), exact: true }
}

/** All that a book holds. A client signs what it owes exactly, so that its host can be handed the file. */
export function copiesOf(domain: Domain, book: Book, signer: Signer): string[] {
  return [...book.channels.values()].flatMap(({ channelId, terms, side }) =>
    book.rowsOf(channelId).flatMap((row) => {
      const known = side === 'client' && sum(row.billed) > 0n ? { ...row, exact: signed(domain, row, signer) } : row
      const lines = [vouchedLine(domain, terms, known), exactLine(domain, terms, known)]
      return lines.flatMap((line) => (line === undefined || sum(line) === 0n ? [] : [formatVoucherLine(line)]))
    }),
  )
}

function signed(domain: Domain, { channelId, taskId, billed: totals }: RowRecord, signer: Signer) {
  return { totals, signature: signer.sign(voucherDigest(domain, { channelId, taskId, ...totals })) }
}

function lineOf(
  domain: Domain,
  terms: ChannelTerms,
  { channelId, taskId }: RowRecord,
  totals: Totals,
  signature: Hex,
): VoucherLine {
  const { chainId, channels } = domain
  return { version: 1, chainId, channels, channelId, terms, taskId, ...totals, signature }
}
