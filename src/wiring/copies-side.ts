/** Builds a host's second place for vouchers, and the way back from it. */
import type { RowRecord } from '../core/records.ts'
import { exactLine, vouchedLine } from '../role/copies.ts'
import type { Book } from '../role/book.ts'
import { Restorer } from '../role/restore.ts'
import { VoucherExport } from '../store/export.ts'
import { chainChannel } from './base.ts'
import type { Base, Closer } from './base.ts'

/** Undefined where the owner named no second place. */
export async function openCopies({ config }: Base, closer: Closer): Promise<VoucherExport | undefined> {
  if (config.store.exportFile === undefined) return undefined
  const copies = await VoucherExport.open(config.store.exportFile)
  closer.add(() => copies.close())
  return copies
}

/** Writes what a host has just accepted to the second place; a failure there is told, and stops nothing. */
export function exporter(
  base: Base,
  book: Book,
  copies: VoucherExport | undefined,
): (rows: readonly RowRecord[], kind: 'vouched' | 'exact') => void {
  if (copies === undefined) return () => undefined
  return (rows, kind) => {
    const lineOf = kind === 'exact' ? exactLine : vouchedLine
    const vouchers = rows.flatMap((row) => {
      const terms = book.channels.get(row.channelId)?.terms
      return terms === undefined ? [] : (lineOf(base.chain.domain, terms, row) ?? [])
    })
    copies.append(vouchers).catch((error: unknown) => base.log.error({ err: error }, 'the copy of the vouchers failed'))
  }
}

export function makeRestorer({ chain, channels, registry, signer, currencies }: Base, book: Book): Restorer {
  return new Restorer({
    domain: chain.domain,
    host: signer.address,
    book,
    state: (id, signal) => chainChannel(channels, id, signal),
    lane: (id, task, signal) => channels.lane(id, task, signal),
    task: (id, signal) => registry.get(id, signal),
    currencies,
    wallNow: () => Date.now(),
  })
}
