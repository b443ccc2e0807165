/** What every store test needs: a home folder of its own that is gone afterwards, and a ledger table to write to. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { z } from 'zod'
import { zAmount, zCount } from '../../src/core/units.ts'
import { openHome } from '../../src/store/home.ts'
import type { Home } from '../../src/store/home.ts'
import { Store } from '../../src/store/store.ts'
import { jsonCodec } from '../../src/store/tables.ts'
import type { Table } from '../../src/store/tables.ts'

const zRow = z.strictObject({ jobs: zCount, hostAmount: zAmount })
export type Row = z.infer<typeof zRow>

/** No ballast: most tests are not about a full disk, and 16 MiB each add up. */
export const SMALL = { ballastBytes: 0, floorBytes: 0 }

export async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-store-test-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export type World = { home: Home; store: Store; vouchers: Table<Row> }

export async function openWorld(folder: string): Promise<World> {
  const home = await openHome(folder, SMALL)
  try {
    const store = await Store.open(home)
    return { home, store, vouchers: store.table('vouchers', jsonCodec(zRow), { ledger: true }) }
  } catch (error) {
    await home.close()
    throw error
  }
}

export async function closeWorld({ home, store }: World): Promise<void> {
  await store.close()
  await home.close()
}

export async function pay({ store, vouchers }: World, key: string, row: Row): Promise<void> {
  await store.commit({ journal: [{ kind: 'voucher', body: { key } }], rows: [vouchers.put(key, row)] })
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
