/**
 * Typed tables over one database. Rows of ledger tables are written together with the journal record that explains
 * them and carry its number, so that a lost or altered row shows at the next start; plain tables (caches, settings)
 * hold what may be lost.
 */
import type { Level } from 'level'
import type { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { toWire } from '../core/wire.ts'
import { damaged } from './journal.ts'

export type Database = Level<string, string>
type Sublevel = ReturnType<typeof sublevelOf>
type Place = 'journal' | 'ledger' | 'plain'
/** One key's value in its part of the database; null removes it. */
export type Put = readonly [place: Place, key: string, value: string | null]
type Operation =
  { type: 'put'; sublevel: Sublevel; key: string; value: string } | { type: 'del'; sublevel: Sublevel; key: string }

export type Codec<T> = { encode(value: T): string; decode(text: string): T }

/** JSON on disk; bigints become decimal strings on the way in, so the schema has to turn them back (`zAmount`). */
export function jsonCodec<T>(schema: z.ZodType<T>): Codec<T> {
  return { encode: (value) => JSON.stringify(toWire(value)), decode: (text) => schema.parse(JSON.parse(text)) }
}

/** One row to write or, where `text` is null, to remove. Made by a table, carried out by `Store.commit`. */
export type RowChange = {
  readonly table: string
  readonly ledger: boolean
  readonly key: string
  readonly text: string | null
}

/** Keys from `gte` to before `lt`, or those that begin with `prefix`; in the order of their text. */
export type Range = { prefix?: string; gte?: string; lt?: string; reverse?: boolean; limit?: number }

export type Table<T> = {
  readonly name: string
  put(key: string, value: T): RowChange
  del(key: string): RowChange
  get(key: string): Promise<T | undefined>
  /** Blocks for some microseconds where the row is in memory, some hundred where it is on disk. */
  getSync(key: string): T | undefined
  entries(range?: Range): AsyncGenerator<[key: string, value: T]>
  count(range?: Range): Promise<number>
}

export function makeTable<T>(places: Places, name: string, codec: Codec<T>, ledger: boolean): Table<T> {
  const place = ledger ? 'ledger' : 'plain'
  const rows = places[place]
  const decode = (key: string, stored: string): T => {
    try {
      return codec.decode(ledger ? splitRow(stored).text : stored)
    } catch (error) {
      throw unreadableRow(name, key, ledger, error)
    }
  }
  return {
    name,
    put: (key, value) => ({ table: name, ledger, key, text: codec.encode(value) }),
    del: (key) => ({ table: name, ledger, key, text: null }),
    get: async (key) => {
      const stored = await places.get(place, rowKey(name, key))
      return stored === undefined ? undefined : decode(key, stored)
    },
    getSync: (key) => {
      const stored = places.getSync(place, rowKey(name, key))
      return stored === undefined ? undefined : decode(key, stored)
    },
    async *entries(range = {}) {
      await places.settle()
      for await (const batch of chunks(rows.iterator(bounds(name, range)))) {
        for (const [full, stored] of batch) {
          const key = full.slice(name.length + 1)
          yield [key, decode(key, stored)]
        }
      }
    },
    count: async (range = {}) => {
      await places.settle()
      return countKeys(rows, bounds(name, range))
    },
  }
}

/**
 * The parts of the database, and what was written and is not in it yet. The rows of all ledger tables lie together, so
 * that nothing can hide beside them.
 */
export class Places {
  readonly journal: Sublevel
  readonly ledger: Sublevel
  readonly plain: Sublevel
  /** Resolves when the database has what was written so far: whoever reads a range needs that. */
  settle: () => Promise<void> = () => Promise.resolve()
  /** The newest value of each key. */
  readonly #held = new Map<string, Put>()

  private constructor(database: Database) {
    this.journal = sublevelOf(database, 'journal')
    this.ledger = sublevelOf(database, 'ledger')
    this.plain = sublevelOf(database, 'plain')
  }

  static async open(database: Database): Promise<Places> {
    const places = new Places(database)
    for (const place of [places.journal, places.ledger, places.plain]) await place.open()
    return places
  }

  getSync(place: Place, key: string): string | undefined {
    const held = this.#held.get(heldKey(place, key))
    return held === undefined ? this[place].getSync(key) : (held[2] ?? undefined)
  }

  async get(place: Place, key: string): Promise<string | undefined> {
    const held = this.#held.get(heldKey(place, key))
    return held === undefined ? this[place].get(key) : (held[2] ?? undefined)
  }

  get isHolding(): boolean {
    return this.#held.size > 0
  }

  hold(puts: readonly Put[]): void {
    for (const put of puts) this.#held.set(heldKey(put[0], put[1]), put)
  }

  held(): Put[] {
    return [...this.#held.values()]
  }

  /** The database has these; a key that was written again meanwhile is held on. */
  release(puts: readonly Put[]): void {
    for (const put of puts) {
      const key = heldKey(put[0], put[1])
      if (this.#held.get(key) === put) this.#held.delete(key)
    }
  }

  /** `seq` is the number of the journal record that explains the row. */
  put({ table, ledger, key, text }: RowChange, seq: number): Put {
    return ledger ? ledgerPut(table, key, text, seq) : ['plain', rowKey(table, key), text]
  }

  operation([place, key, value]: Put): Operation {
    const at = { sublevel: this[place], key }
    return value === null ? { type: 'del', ...at } : { type: 'put', ...at, value }
  }
}

function heldKey(place: Place, key: string): string {
  return `${place} ${key}`
}

function sublevelOf(database: Database, name: string) {
  return database.sublevel(name)
}

export function rowKey(table: string, key: string): string {
  return `${table}/${key}`
}

export async function countKeys(
  place: Sublevel,
  range: { gte?: string; lt?: string; limit?: number } = {},
): Promise<number> {
  let count = 0
  for await (const keys of chunks(place.keys(range))) count += keys.length
  return count
}

/** A row of a ledger table carries the number of its record. */
export function ledgerPut(table: string, key: string, text: string | null, seq: number): Put {
  return ['ledger', rowKey(table, key), text === null ? null : `${seq}:${text}`]
}

export function splitRow(stored: string): { seq: number; text: string } {
  const colon = stored.indexOf(':')
  return { seq: colon < 1 ? NaN : Number(stored.slice(0, colon)), text: stored.slice(colon + 1) }
}

/** Thousands at a time: one step of a LevelDB iterator costs more than what it brings. */
export async function* chunks<T>(iterator: {
  nextv(size: number): Promise<T[]>
  close(): Promise<void>
}): AsyncGenerator<T[]> {
  try {
    for (let batch = await iterator.nextv(1000); batch.length > 0; batch = await iterator.nextv(1000)) yield batch
  } finally {
    await iterator.close()
  }
}

/** LevelDB's bounds for a range within a table. U+10FFFF sorts after every other character. */
function bounds(
  table: string,
  { prefix = '', gte = prefix, lt = `${prefix}\u{10ffff}`, reverse = false, limit = -1 }: Range,
) {
  return { gte: rowKey(table, gte), lt: rowKey(table, lt), reverse, limit }
}

function unreadableRow(table: string, key: string, ledger: boolean, cause: unknown): MecaError {
  const what = `row ${JSON.stringify(key)} of ${table} cannot be read`
  return ledger ? damaged(what, undefined, cause) : new MecaError('store_damaged', `On disk, ${what}`, { cause })
}
