/**
 * The one database of a home folder. Everything that is committed in one turn goes to disk in one synced write, so that
 * many callers share the price of one sync; whoever awaits `commit` knows that a power cut cannot take it back.
 *
 * After the first failed write nothing more is written: what is on disk is no longer known, and reading it anew at a
 * restart is the only way to know.
 */
import { Level } from 'level'
import { asMecaError, MecaError } from '../core/errors.ts'
import { failpoint } from '../failpoint.ts'
import { hasCode } from './files.ts'
import type { Home } from './home.ts'
import { damaged, encodeRecord } from './journal.ts'
import type { Entry, RowText, Tip } from './journal.ts'
import { Keep } from './keep.ts'
import { makeTable, Places } from './tables.ts'
import type { Codec, Database, Put, RowChange, Table } from './tables.ts'

/** All of it happens or none. Rows of ledger tables are explained by the last entry. */
export type Change = { journal?: readonly Entry[]; rows?: readonly RowChange[] }

type Waiting = { change: Change; resolve: () => void; reject: (error: MecaError) => void }

/** Enough to share a sync among all callers there are; a larger group only makes the first of them wait. */
const GROUP_CHANGES = 1024

export class Store {
  readonly #database: Database
  readonly #places: Places
  readonly #keep: Keep
  #tip: Tip
  #queue: Waiting[] = []
  #writer: Promise<void> | undefined
  #failure: MecaError | undefined

  private constructor(database: Database, places: Places, keep: Keep, tip: Tip) {
    this.#database = database
    this.#places = places
    this.#keep = keep
    this.#tip = tip
  }

  /**
   * Reads the whole journal and holds every ledger row against it. Throws `store_damaged`: the alarm. On a full disk the
   * reserve is given up: claiming and cleaning up must stay possible.
   */
  static async open(home: Home): Promise<Store> {
    try {
      return await Store.#openOnce(home)
    } catch (error) {
      if (!isDiskFull(error)) throw asOpenError(home, error)
    }
    await home.dropBallast()
    return Store.#openOnce(home).catch((error: unknown) => {
      throw asOpenError(home, error)
    })
  }

  static async #openOnce(home: Home): Promise<Store> {
    const database: Database = new Level(home.paths.database)
    try {
      await database.open()
      const places = await Places.open(database)
      const { keep, tip } = await Keep.open(home, database, places)
      failpoint('store.verified')
      return new Store(database, places, keep, tip)
    } catch (error) {
      await database.close()
      throw error
    }
  }

  /** Number of the newest journal record. */
  get sequence(): number {
    return this.#tip.seq
  }

  /** Set once a write failed; from then on every commit is refused with it. */
  get failure(): MecaError | undefined {
    return this.#failure
  }

  /** `name` is letters, dashes and underscores; it stands in front of every key. */
  table<T>(name: string, codec: Codec<T>, options: { ledger: boolean }): Table<T> {
    if (!/^[a-z_-]+$/.test(name))
      throw new MecaError('internal', `A table cannot have the name ${JSON.stringify(name)}`)
    return makeTable(this.#places, name, codec, options.ledger)
  }

  /** Resolves when the change is on disk, synced. Changes reach the disk in the order of the calls. */
  commit(change: Change): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const ledger = change.rows?.some((row) => row.ledger) ?? false
    if (ledger && (change.journal ?? []).length === 0) {
      return Promise.reject(new MecaError('internal', 'Rows of a ledger table were committed without a journal entry'))
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ change, resolve, reject })
      this.#writer ??= this.#drain()
    })
  }

  /** Waits for what was committed. */
  async close(): Promise<void> {
    await this.#writer
    this.#failure ??= new MecaError('store_failed', 'The store is closed')
    await this.#keep.close()
    await this.#database.close()
  }

  async #drain(): Promise<void> {
    // The rest of this turn may bring more changes; they share the sync.
    await new Promise((resolve) => setImmediate(resolve))
    while (this.#queue.length > 0) {
      const group = this.#queue.splice(0, GROUP_CHANGES)
      try {
        await this.#write(group)
        for (const { resolve } of group) resolve()
        await new Promise((resolve) => setImmediate(resolve))
      } catch (error) {
        this.#fail(group, error)
      }
    }
    this.#writer = undefined
  }

  async #write(group: readonly Waiting[]): Promise<void> {
    const puts: Put[] = []
    for (const waiting of group) this.#encodeOrRefuse(waiting, puts)
    if (puts.length === 0) return
    failpoint('store.before-sync')
    await this.#keep.write(puts, this.#tip)
    failpoint('store.acknowledged')
  }

  /** What cannot be written as JSON is its caller's fault alone; the rest of the group goes on. */
  #encodeOrRefuse({ change, reject }: Waiting, puts: Put[]): void {
    const before = this.#tip
    const encoded: Put[] = []
    try {
      this.#encode(change, encoded)
      puts.push(...encoded)
    } catch (error) {
      this.#tip = before
      reject(asMecaError(error))
    }
  }

  #encode(change: Change, puts: Put[]): void {
    const rows = lastOfEach(change.rows ?? [])
    const entries = change.journal ?? []
    entries.forEach((entry, i) => {
      const explained = i === entries.length - 1 ? rows.filter((row) => row.ledger).map(rowText) : []
      const record = encodeRecord(this.#tip, entry, explained)
      puts.push(['journal', record.key, record.value])
      this.#tip = record.tip
    })
    for (const row of rows) puts.push(this.#places.put(row, this.#tip.seq))
  }

  #fail(group: readonly Waiting[], cause: unknown): void {
    const full = isDiskFull(cause)
    const failure = new MecaError('store_failed', `The store can no longer write: ${asMecaError(cause).message}`, {
      cause,
      cure: full
        ? 'free some space on the disk of the home folder, then restart'
        : 'restart; if it comes again, check the disk',
      details: { diskFull: full },
    })
    this.#failure = failure
    for (const { reject } of [...group, ...this.#queue.splice(0)]) reject(failure)
  }
}

/** In one change, a later value for the same row replaces the earlier one. */
function lastOfEach(rows: readonly RowChange[]): readonly RowChange[] {
  if (rows.length < 2) return rows
  return [...new Map(rows.map((row) => [`${row.table}\n${row.key}`, row])).values()]
}

function rowText(row: RowChange): RowText {
  return [row.table, row.key, row.text]
}

function asOpenError(home: Home, error: unknown): MecaError {
  if (error instanceof MecaError) return error
  const details = { folder: home.folder }
  if (hasCode(error, 'LEVEL_LOCKED')) {
    const cure = 'stop the other process (a container that shares this volume?), or name another folder with --home'
    return new MecaError('home_in_use', `Another process has the database of ${home.folder} open`, {
      cause: error,
      cure,
      details,
    })
  }
  const why = rootMessage(error)
  if (isDiskFull(error)) {
    const cure = 'free some space on its disk'
    return new MecaError('disk_full', `The database of ${home.folder} cannot be opened: ${why}`, {
      cause: error,
      cure,
      details,
    })
  }
  return damaged(`the database of ${home.folder} cannot be opened: ${why}`, undefined, error)
}

function isDiskFull(error: unknown): boolean {
  return hasCode(error, 'ENOSPC') || rootMessage(error).includes('No space left on device')
}

/** What LevelDB itself said stands in the innermost cause. */
function rootMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : rootMessage(error.cause)
}
