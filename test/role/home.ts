/** A real home folder with its store and tables, for the tests of one story; gone with the test. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChannelRecord } from '../../src/core/records.ts'
import { toHex } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { Book } from '../../src/role/book.ts'
import { Blobs } from '../../src/store/blobs.ts'
import { openHome } from '../../src/store/home.ts'
import { Store } from '../../src/store/store.ts'
import { openTables } from '../../src/wiring/tables.ts'

/** What ends with a test, or with something else that has an end. */
export type Ending = { after(end: () => unknown): void }

export async function openStore(t: Ending) {
  const folder = await mkdtemp(join(tmpdir(), 'meca-role-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const home = await openHome(folder, { ballastBytes: 0, floorBytes: 0 })
  t.after(() => home.close())
  const store = await Store.open(home)
  t.after(() => store.close())
  return { store, tables: openTables(store), blobs: await Blobs.open(home, 2 ** 24) }
}

export async function openBook(t: Ending, side: ChannelRecord['side']) {
  const { store, tables, blobs } = await openStore(t)
  return { store, tables, blobs, book: await Book.open(store, tables, side) }
}

/** 32 bytes that are the number. */
export function word(n: number): Hex {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt32BE(n, 28)
  bytes.writeUInt32BE(n, 0)
  return toHex(bytes)
}
