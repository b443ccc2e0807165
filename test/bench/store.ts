/**
 * What it costs to promise that money is on disk, beside the same database used plainly in the same run: one synced put
 * each, and synced batches collected by hand, which is the least that can be paid. The store does more (a hash chain,
 * the row, a second sync for the head) and waits for its callers; the goal is a ratio to that least, with 64 callers.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { z } from 'zod'
import { openHome } from '../../src/store/home.ts'
import { Store } from '../../src/store/store.ts'
import { jsonCodec } from '../../src/store/tables.ts'

const GOAL = 0.3
const ROUND_MS = 1000
const ROUNDS = 3
const CALLERS = 64
/** As long as a voucher with its signature. */
const BODY = 'x'.repeat(365)

const folder = await mkdtemp(join(tmpdir(), 'meca-bench-store-'))
const home = await openHome(join(folder, 'home'), { ballastBytes: 0 })
const store = await Store.open(home)
const rows = store.table('rows', jsonCodec(z.string()), { ledger: true })
const plain = new Level(join(folder, 'plain'))

let serial = 0
const ways: Record<string, { callers: number; once(caller: number): Promise<void>; each?: number }> = {
  'plain put, synced, 1 caller': { callers: 1, once: () => plain.put(`${serial++}`, BODY, { sync: true }) },
  [`plain put, synced, ${CALLERS} callers`]: {
    callers: CALLERS,
    once: () => plain.put(`${serial++}`, BODY, { sync: true }),
  },
  [`plain batch of ${CALLERS}, synced`]: {
    callers: 1,
    each: CALLERS,
    once: () => plain.batch(batch(), { sync: true }),
  },
  'record, 1 caller': { callers: 1, once: () => store.commit({ journal: [{ kind: 'bench', body: BODY }] }) },
  [`record, ${CALLERS} callers`]: {
    callers: CALLERS,
    once: () => store.commit({ journal: [{ kind: 'bench', body: BODY }] }),
  },
  [`record and row, ${CALLERS} callers`]: {
    callers: CALLERS,
    once: (caller) => store.commit({ journal: [{ kind: 'bench' }], rows: [rows.put(`${caller}`, BODY)] }),
  },
}

try {
  const best: Record<string, number> = {}
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, way] of Object.entries(ways)) best[name] = Math.max(best[name] ?? 0, await perSecond(way))
  }
  const began = performance.now()
  const records = store.sequence
  await store.close()
  await (await Store.open(home)).close()
  const checkedPerSecond = Math.round(records / ((performance.now() - began) / 1000))
  const ratio = (best[`record, ${CALLERS} callers`] ?? 0) / (best[`plain batch of ${CALLERS}, synced`] ?? 1)
  console.log(
    JSON.stringify({ perSecond: best, checkedPerSecond, ratio: Math.round(ratio * 100) / 100, goal: GOAL }, null, 2),
  )
  process.exitCode = ratio >= GOAL ? 0 : 1
} finally {
  await plain.close()
  await home.close()
  await rm(folder, { recursive: true, force: true })
}

function batch() {
  return Array.from({ length: CALLERS }, () => ({ type: 'put' as const, key: `${serial++}`, value: BODY }))
}

async function perSecond({
  callers,
  once,
  each = 1,
}: {
  callers: number
  once(caller: number): Promise<void>
  each?: number
}): Promise<number> {
  let done = 0
  const began = performance.now()
  await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      for (; performance.now() - began < ROUND_MS; done += each) await once(caller)
    }),
  )
  return Math.round(done / ((performance.now() - began) / 1000))
}
