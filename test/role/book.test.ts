/** The book of one side over a real store: what is on disk is never older than what is in memory. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { emptyRow } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { NATIVE } from '../../src/core/units.ts'
import { Book } from '../../src/role/book.ts'
import type { LiveRow } from '../../src/role/book.ts'
import { openTables } from '../../src/wiring/tables.ts'
import { closeWorld, openWorld, tempFolder } from '../store/support.ts'

const CHANNEL = `0x${'c1'.repeat(32)}` as const
const TASK = `0x${'71'.repeat(32)}` as const
const PARTY = `0x${'11'.repeat(20)}` as const

test('a row that was staged, then overtaken, does not put older numbers over newer ones on disk', async (t) => {
  const folder = await tempFolder(t)
  const world = await openWorld(folder)
  t.after(() => closeWorld(world))
  const tables = openTables(world.store)
  const book = await Book.open(world.store, tables, 'host')
  const terms = { client: PARTY, signer: PARTY, host: PARTY, token: NATIVE, closeDelaySeconds: 900, salt: CHANNEL }
  const channel = { channelId: CHANNEL, side: 'host', terms, state: 'open', deposit: 10n, claimed: 0n } as const
  const opened = { ...channel, closesAt: 0, createdAt: 1 }
  book.stageChannel(opened)
  const older = rowOf(totals(1))
  book.stageRow(older)
  // Meanwhile a voucher comes and is written; whoever holds the older row is still waiting for a chain.
  const newer = rowOf(totals(2))
  book.stageRow(newer)
  book.stageChannel({ ...opened, deposit: 20n })
  await book.commit('accept', { rows: [newer] })
  await book.commit('claimed', { rows: [older], channels: [opened] })
  assert.deepEqual((await tables.rows.get(`${CHANNEL}/${TASK}`))?.vouched, totals(2))
  assert.equal((await tables.channels.get(CHANNEL))?.deposit, 20n)
})

function rowOf(vouched: Totals): LiveRow {
  const cid = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
  const vouchedSignature = `0x${'00'.repeat(65)}` as const
  const claimed = emptyRow().billed
  return { channelId: CHANNEL, taskId: TASK, cid, ...emptyRow(), vouched, vouchedSignature, claimed }
}

function totals(jobs: number): Totals {
  return { jobs, hostAmount: BigInt(jobs), developerAmount: 0n }
}
