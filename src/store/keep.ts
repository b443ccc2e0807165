/**
 * How a group of writes becomes a promise: written to the tail and synced, in one write. Then it counts, and is read from
 * memory until the database has taken it over a moment later, many groups at once and unsynced. When the tail is full the
 * database is synced, the head says how far it has come, and the tail begins anew.
 *
 * The tail is always written first, so that the database never knows what the tail and the head do not.
 */
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { failpoint } from '../failpoint.ts'
import { hasCode, syncFolder } from './files.ts'
import { Head } from './head.ts'
import type { Mark } from './head.ts'
import type { Home } from './home.ts'
import type { Tip } from './journal.ts'
import { countKeys } from './tables.ts'
import type { Database, Places, Put } from './tables.ts'
import { encodeGroup, newestTip, Tail } from './tail.ts'
import { verify } from './verify.ts'

/** What is written within so long goes to the database together; it is read from memory meanwhile. */
const TAKE_OVER_MS = 10

export class Keep {
  readonly #database: Database
  readonly #folder: string
  readonly #places: Places
  readonly #head: Head
  readonly #tail: Tail
  /** The newest group that is on disk, wherever. */
  #kept: Mark
  #timer: NodeJS.Timeout | undefined
  #takingOver: Promise<void> | undefined
  #failure: { cause: unknown } | undefined

  private constructor(database: Database, folder: string, places: Places, head: Head, tail: Tail, kept: Mark) {
    this.#database = database
    this.#folder = folder
    this.#places = places
    this.#head = head
    this.#tail = tail
    this.#kept = kept
    places.settle = () => this.#settled()
  }

  /** Brings the database up to what was promised, then checks all of it. Throws `store_damaged`: the alarm. */
  static async open(home: Home, database: Database, places: Places): Promise<{ keep: Keep; tip: Tip }> {
    const { paths } = home
    const isEmpty = (await countKeys(places.journal, { limit: 1 })) === 0
    const { head, mark } = await Head.open(paths.head, isEmpty)
    let tail: Tail | undefined
    try {
      const group = mark.group ?? 0
      const opened = await Tail.open(paths.tail, group, isEmpty || mark.group === undefined)
      tail = opened.tail
      const { groups } = opened
      const puts = groups.flatMap((each) => each.puts.map((put) => places.operation(put)))
      await database.batch(puts, { sync: true })
      const tip = await verify(places, newestTip(groups) ?? mark.tip)
      const keep = new Keep(database, paths.database, places, head, tail, { tip, group: group + groups.length })
      await keep.#sync()
      return { keep, tip }
    } catch (error) {
      await head.close()
      await tail?.close()
      throw error
    }
  }

  /** Resolves when the group is promised; `tip` is the journal's newest record with it. One call at a time. */
  async write(puts: readonly Put[], tip: Tip): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure.cause
    const mark = { tip, group: this.#kept.group + 1 }
    const blocks = encodeGroup(mark.group, puts)
    if (!this.#tail.fits(blocks)) await this.#sync()
    if (!this.#tail.fits(blocks)) return this.#writeLarge(puts, mark)
    await this.#tail.append(blocks)
    failpoint('store.synced')
    this.#kept = mark
    this.#places.hold(puts)
    this.#timer ??= setTimeout(() => void this.#takeOver(), TAKE_OVER_MS)
  }

  /** Without a write that failed, all of it is in the database and the head counts it. */
  async close(): Promise<void> {
    try {
      await this.#sync()
    } catch (cause) {
      // What is promised is in the tail, from where the next start reads it; the store has said why it failed.
      this.#failure ??= { cause }
    } finally {
      clearTimeout(this.#timer)
      await this.#head.close()
      await this.#tail.close()
    }
  }

  /** A group that is larger than the whole tail, which is empty now: the old groups there must not come over it. */
  async #writeLarge(puts: readonly Put[], mark: Mark): Promise<void> {
    const operations = puts.map((put) => this.#places.operation(put))
    await this.#database.batch(operations, { sync: true })
    this.#kept = mark
    await this.#head.advance(mark)
  }

  async #sync(): Promise<void> {
    await this.#settled()
    await syncLogs(this.#folder)
    await this.#head.advance(this.#kept)
    this.#tail.restart()
  }

  /** Resolves when the database has all that was written so far. */
  async #settled(): Promise<void> {
    while (this.#failure === undefined && this.#places.isHolding) await this.#takeOver()
    if (this.#failure !== undefined) throw this.#failure.cause
  }

  #takeOver(): Promise<void> {
    clearTimeout(this.#timer)
    this.#takingOver ??= this.#takeOverHeld().finally(() => {
      this.#takingOver = undefined
      this.#timer = undefined
      if (this.#places.isHolding && this.#failure === undefined)
        this.#timer = setTimeout(() => void this.#takeOver(), TAKE_OVER_MS)
    })
    return this.#takingOver
  }

  /** Never rejects: whoever writes next is told, and what is promised is in the tail. */
  async #takeOverHeld(): Promise<void> {
    try {
      const puts = this.#places.held()
      await this.#database.batch(puts.map((put) => this.#places.operation(put)))
      this.#places.release(puts)
      failpoint('store.taken-over')
    } catch (cause) {
      this.#failure = { cause }
    }
  }
}

/**
 * LevelDB syncs the log that it writes to, and not the one before, whose writes are on disk only when they have become a
 * table. So every log is synced here. One that has gone since it was listed has become a table, which LevelDB syncs.
 */
async function syncLogs(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.endsWith('.log')) continue
    try {
      const file = await open(join(folder, name), 'r')
      await file.datasync().finally(() => file.close())
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error
    }
  }
  await syncFolder(folder)
}
