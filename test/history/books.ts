/**
 * A node's part of a history, read out of its home folder once its process has ended: every line and every receipt that
 * its journal ever took in, over all restarts. The records say themselves on which side of a channel the node stood.
 */
import { join } from 'node:path'
import { Level } from 'level'
import { STATUS } from '../../src/core/receipt.ts'
import type { JobStatus, SignedReceipt } from '../../src/core/receipt.ts'
import { zChannelRecord, zClientJob, zHostJob, zRowRecord } from '../../src/core/records.ts'
import type { Price } from '../../src/core/tariff.ts'
import type { Hex } from '../../src/core/units.ts'
import { decodeRecord, GENESIS } from '../../src/store/journal.ts'
import type { RowText } from '../../src/store/journal.ts'
import { Places } from '../../src/store/tables.ts'
import type { Bill, Ended, Line, Party } from './history.ts'

export type Books = { lines: Line[]; ended: Ended[]; records: number }

/** Throws where the journal's chain does not hold. */
export async function readBooks(homeFolder: string, who: Hex): Promise<Books> {
  const database = new Level(join(homeFolder, 'database'))
  try {
    await database.open()
    const places = await Places.open(database)
    const reader = new Reader(who)
    let tip = GENESIS
    for await (const [key, value] of places.journal.iterator()) {
      const next = decodeRecord(tip, key, value)
      tip = next.tip
      for (const row of next.record.rows) reader.see(row)
    }
    return { ...reader.books, records: tip.seq }
  } finally {
    await database.close()
  }
}

class Reader {
  readonly books: { lines: Line[]; ended: Ended[] } = { lines: [], ended: [] }
  readonly #who: Hex
  readonly #sides = new Map<Hex, Party['side']>()

  constructor(who: Hex) {
    this.#who = who
  }

  see([table, , text]: RowText): void {
    if (text === null) return
    const value: unknown = JSON.parse(text)
    if (table === 'channels') this.#channel(value)
    if (table === 'rows') this.#row(value)
    if (table === 'host-jobs') this.#hostJob(value)
    if (table === 'client-jobs') this.#clientJob(value)
  }

  #channel(value: unknown): void {
    const { channelId, side } = zChannelRecord.parse(value)
    this.#sides.set(channelId, side)
  }

  #row(value: unknown): void {
    const { channelId, taskId, vouched, billed, claimed, exact } = zRowRecord.parse(value)
    const by = { side: this.#sides.get(channelId) ?? 'client', who: this.#who } as const
    const line: Line = { by, channel: channelId, task: taskId, vouched, billed, claimed }
    this.books.lines.push(exact === undefined ? line : { ...line, exact: exact.totals })
  }

  #hostJob(value: unknown): void {
    const { id, channelId, taskId, client, price, signed } = zHostJob.parse(value)
    if (signed === undefined) return
    const by = { side: 'host', who: this.#who } as const
    this.books.ended.push({ by, client, channel: channelId, task: taskId, job: id, bill: billIn(signed, price) })
  }

  #clientJob(value: unknown): void {
    const { id, channelId, taskId, price, signed } = zClientJob.parse(value)
    if (signed === undefined) return
    const by = { side: 'client', who: this.#who } as const
    const bill = billIn(signed, price)
    this.books.ended.push({ by, client: this.#who, channel: channelId, task: taskId, job: id, bill })
  }
}

function billIn({ receipt, signature }: SignedReceipt, price: Price): Bill {
  const { hostAmount: host, developerAmount: developer, inputHash, outputHash } = receipt
  const [status = 'cancelled'] = (Object.keys(STATUS) as JobStatus[]).filter((name) => STATUS[name] === receipt.status)
  const agreed = { host: price.hostAmount, developer: price.developerAmount }
  const digest = receiptDigest({ receipt: signature, status, host, developer, outputHash })
  return { status, agreed, host, developer, inputHash, outputHash, digest }
}

/** The same for the record in a book and for what a caller is told. */
export function receiptDigest(told: {
  receipt: Hex
  status: JobStatus
  host: bigint
  developer: bigint
  outputHash: Hex
}): string {
  return [told.receipt, told.status, told.host, told.developer, told.outputHash].join(' ')
}
