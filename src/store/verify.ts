/**
 * The check at every start: the journal's chain from its first record to the head, and every ledger row against the
 * record that wrote it. Each row names that record, so one pass is enough and memory does not grow with the tables.
 */
import { damaged, decodeRecord, GENESIS } from './journal.ts'
import type { RowText, Tip } from './journal.ts'
import { chunks, countKeys, rowKey, splitRow } from './tables.ts'
import type { Places } from './tables.ts'

/** Resolves to the newest record. Throws `store_damaged`. `head` is what must at least be there. */
export async function verify(places: Places, head: Tip): Promise<Tip> {
  const rows = new RowCheck(places)
  let tip = GENESIS
  let atHead = head.seq === 0 ? GENESIS : undefined
  for await (const batch of chunks(places.journal.iterator())) {
    for (const [key, value] of batch) {
      const next = decodeRecord(tip, key, value)
      tip = next.tip
      if (tip.seq === head.seq) atHead = tip
      for (const row of next.record.rows) rows.see(tip.seq, row)
    }
  }
  if (atHead === undefined) throw damaged(`${head.seq} records were acknowledged, ${tip.seq} are there`, tip.seq + 1)
  if (atHead.hash !== head.hash) throw damaged(`record ${head.seq} is not the one that was acknowledged`, head.seq)
  await rows.finish()
  return tip
}

class RowCheck {
  readonly #places: Places
  /** Rows that a record wrote and that are not there: a later record must have removed them. */
  readonly #gone = new Set<string>()
  #matched = 0

  constructor(places: Places) {
    this.#places = places
  }

  see(seq: number, [table, key, text]: RowText): void {
    const stored = this.#places.ledger.getSync(rowKey(table, key))
    const name = `row ${JSON.stringify(key)} of ${table}`
    if (stored === undefined) {
      if (text === null) this.#gone.delete(name)
      else this.#gone.add(name)
      return
    }
    const row = splitRow(stored)
    if (row.seq > seq) return // a later record wrote it, and will be held against it
    if (row.seq !== seq || row.text !== text) throw damaged(`${name} is not what record ${seq} made it`, seq)
    this.#matched++
  }

  /** Every row was matched by one record, so more rows than matches are rows that no record explains. */
  async finish(): Promise<void> {
    for (const name of this.#gone) throw damaged(`${name} is missing`)
    const count = await countKeys(this.#places.ledger)
    if (count !== this.#matched) throw damaged(`${count} rows are there, the journal explains ${this.#matched}`)
  }
}
