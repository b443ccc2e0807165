/**
 * The book of one side: its channels and rows in memory, written through to the store. Every change is staged in memory
 * and handed to the store in the same turn, so the order on disk is the order in which things were decided; what must
 * be on disk before the next step awaits `commit`.
 */
import { emptyRow, reserve, sum } from '../core/ledger.ts'
import type { Row } from '../core/ledger.ts'
import { rowKey } from '../core/records.ts'
import type { ChannelRecord, RowRecord } from '../core/records.ts'
import type { Price } from '../core/tariff.ts'
import type { Hex } from '../core/units.ts'
import type { Change, Store } from '../store/store.ts'
import type { Table } from '../store/tables.ts'

/** A row with the prices of the jobs under way; only what `RowRecord` names is written down. */
export type LiveRow = RowRecord & Row

export type MoneyTables = { channels: Table<ChannelRecord>; rows: Table<RowRecord> }

type Written = {
  rows?: Iterable<LiveRow>
  channels?: Iterable<ChannelRecord>
  also?: NonNullable<Change['rows']>
  body?: unknown
}

export class Book {
  readonly channels = new Map<Hex, ChannelRecord>()
  readonly #rows = new Map<Hex, Map<Hex, LiveRow>>()
  readonly #store: Store
  readonly #tables: MoneyTables

  private constructor(store: Store, tables: MoneyTables) {
    this.#store = store
    this.#tables = tables
  }

  /** `side` picks the channels; a node that is client and host keeps two books. */
  static async open(store: Store, tables: MoneyTables, side: ChannelRecord['side']): Promise<Book> {
    const book = new Book(store, tables)
    for await (const [, channel] of tables.channels.entries()) {
      if (channel.side === side) book.channels.set(channel.channelId, channel)
    }
    for await (const [, row] of tables.rows.entries()) {
      if (book.channels.has(row.channelId)) book.stageRow({ ...row, reserved: emptyRow().reserved })
    }
    return book
  }

  row(channelId: Hex, taskId: Hex): LiveRow | undefined {
    return this.#rows.get(channelId)?.get(taskId)
  }

  rowsOf(channelId: Hex): LiveRow[] {
    return [...(this.#rows.get(channelId)?.values() ?? [])]
  }

  /** Everything that was ever vouched for on a channel; must stay within its deposit. */
  vouchedOn(channelId: Hex): bigint {
    return this.rowsOf(channelId).reduce((all, row) => all + sum(row.vouched), 0n)
  }

  /** At start: a job that was under way when the process ended still holds its price. */
  holdReservation(channelId: Hex, taskId: Hex, price: Price): void {
    const row = this.row(channelId, taskId)
    if (row !== undefined) this.stageRow({ ...row, ...reserve(row, price) })
  }

  stageRow(row: LiveRow): void {
    const rows = this.#rows.get(row.channelId) ?? new Map<Hex, LiveRow>()
    this.#rows.set(row.channelId, rows.set(row.taskId, row))
  }

  stageChannel(channel: ChannelRecord): void {
    this.channels.set(channel.channelId, channel)
  }

  /**
   * Writes what was staged, in one atomic change together with `also`. `kind` names the change in the journal. Written is
   * what is staged now: who staged a row and then waited must not put an older one over what came meanwhile.
   */
  commit(kind: string, what: Written): Promise<void> {
    const rows = [...(what.rows ?? [])].map((row) =>
      this.#tables.rows.put(rowKey(row.channelId, row.taskId), stored(this.row(row.channelId, row.taskId) ?? row)),
    )
    const channels = [...(what.channels ?? [])].map((channel) =>
      this.#tables.channels.put(channel.channelId, this.channels.get(channel.channelId) ?? channel),
    )
    return this.#store.commit({
      journal: [what.body === undefined ? { kind } : { kind, body: what.body }],
      rows: [...channels, ...rows, ...(what.also ?? [])],
    })
  }
}

function stored({ reserved: _, ...row }: LiveRow): RowRecord {
  return row
}
