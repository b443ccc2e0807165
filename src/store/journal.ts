/**
 * The form of the journal: one record per change of money, each with its number, the hash of the record before it and
 * a checksum over all of its text. LevelDB drops damaged records without a word, so what it gives back is believed
 * only as far as this chain holds. A record carries the rows that it changed, so that the rows can be checked
 * against it, and made again from it.
 *
 * Found: a flipped byte in a record, a missing, doubled or foreign record, records missing at the end (by the head and
 * the tail, see head.ts and tail.ts). Not found: the whole home folder put back to an older copy of itself.
 */
import { hash } from 'node:crypto'
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { zCount } from '../core/units.ts'

/** What happened, in a word and with its circumstances; bigints are stored as decimal strings. */
export type Entry = { kind: string; body?: unknown }

/** Table, key, and the row's text; null where the row was removed. */
export type RowText = readonly [table: string, key: string, text: string | null]

export type JournalRecord = { seq: number; prev: string; kind: string; body?: unknown; rows: RowText[] }

/** The newest record that a chain has reached. */
export type Tip = { seq: number; hash: string }

export const GENESIS: Tip = { seq: 0, hash: '' }

/** sha-256 in base64url. */
const HASH_CHARS = 43

/** Sorts as text as it sorts as a number. */
export function seqKey(seq: number): string {
  return String(seq).padStart(16, '0')
}

export function encodeRecord(
  tip: Tip,
  entry: Entry,
  rows: readonly RowText[],
): { key: string; value: string; tip: Tip } {
  const seq = tip.seq + 1
  const record = { seq, prev: tip.hash, kind: entry.kind, body: entry.body, rows }
  // Nearly every record has no body, and then no bigint that would have to be looked for.
  const text = entry.body === undefined ? JSON.stringify(record) : stringify(record)
  const sum = hash('sha256', text, 'base64url')
  return { key: seqKey(seq), value: sum + text, tip: { seq, hash: sum } }
}

const zRecord = z.strictObject({
  seq: zCount,
  prev: z.string(),
  kind: z.string(),
  body: z.unknown().optional(),
  rows: z.array(z.tuple([z.string(), z.string(), z.string().nullable()])),
})

/** What a stored record says that it is, unchecked. */
export function tipOf(key: string, value: string): Tip {
  return { seq: Number(key), hash: value.slice(0, HASH_CHARS) }
}

/** A stored record's text, whose checksum is not looked at here. */
export function readRecord(value: string): JournalRecord {
  return zRecord.parse(JSON.parse(value.slice(HASH_CHARS)))
}

/** The record that follows `tip`. Throws `store_damaged` and says which one is not what it should be. */
export function decodeRecord(tip: Tip, key: string, value: string): { record: JournalRecord; tip: Tip } {
  const seq = tip.seq + 1
  if (key !== seqKey(seq)) throw damaged(`record ${seq} is missing, the next one there is ${JSON.stringify(key)}`, seq)
  const text = value.slice(HASH_CHARS)
  const sum = hash('sha256', text, 'base64url')
  if (sum !== value.slice(0, HASH_CHARS)) throw damaged(`the checksum of record ${seq} does not fit its text`, seq)
  const record = readRecord(value)
  if (record.seq !== seq || record.prev !== tip.hash) {
    throw damaged(`record ${seq} does not follow the one before it`, seq)
  }
  return { record, tip: { seq, hash: sum } }
}

/** The alarm: the records are not what was written, so that going on could sign or claim a wrong amount. */
export function damaged(what: string, seq?: number, cause?: unknown): MecaError {
  return new MecaError('store_damaged', `The money records on disk are damaged: ${what}`, {
    cause,
    cure:
      'copy the home folder away before anything else, then restore it from a backup; ' +
      'the file of store.exportFile, where one was set, still holds every voucher',
    details: { ...(seq === undefined ? {} : { record: seq }), what },
  })
}

/** JSON with every bigint as a decimal string. */
function stringify(value: unknown): string {
  return JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? v.toString() : v))
}
