/** What the check at the start finds, one tampering at a time; test/crash/rot.ts does the same blindly. */
import assert from 'node:assert/strict'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Level } from 'level'
import { encodeRecord, GENESIS, seqKey } from '../../src/store/journal.ts'
import { closeWorld, openWorld, pay, tempFolder } from './support.ts'

/** Ten records; row `a` was written by 1, 4, 7 and 10, `b` by 2, 5 and 8, `c` by 3 and 6, and 9 removed `c`. */
async function tenRecords(folder: string): Promise<void> {
  const world = await openWorld(folder)
  for (let i = 0; i < 10; i++) {
    const key = 'abc'.charAt(i % 3)
    if (i === 8) await world.store.commit({ journal: [{ kind: 'removed' }], rows: [world.vouchers.del('c')] })
    else await pay(world, key, { jobs: i, hostAmount: 10n ** 18n })
  }
  await closeWorld(world)
}

type Raw = {
  get(key: string): Promise<string>
  put(key: string, value: string): Promise<void>
  del(key: string): Promise<void>
}

const record = (seq: number) => `!journal!${seqKey(seq)}`
const row = (key: string) => `!ledger!vouchers/${key}`

const TAMPERINGS: [what: string, tamper: (db: Raw) => Promise<void>, message: RegExp][] = [
  ['the first record is missing', (db) => db.del(record(1)), /record 1 is missing/],
  ['a record in the middle is missing', (db) => db.del(record(5)), /record 5 is missing/],
  ['the newest record is missing', (db) => db.del(record(10)), /10 records were acknowledged, 9 are there/],
  [
    'all records are missing',
    async (db) => {
      for (let i = 1; i <= 10; i++) await db.del(record(i))
    },
    /10 records were acknowledged, 0 are there/,
  ],
  [
    'an amount in a record was changed',
    async (db) => db.put(record(4), (await db.get(record(4))).replace('1000000', '2000000')),
    /checksum of record 4/,
  ],
  [
    'a checksum was changed',
    async (db) => db.put(record(4), `x${(await db.get(record(4))).slice(1)}`),
    /checksum of record 4/,
  ],
  [
    'a record was put over another',
    async (db) => db.put(record(5), await db.get(record(4))),
    /record 5 does not follow/,
  ],
  [
    'a well-made record has another one before it',
    (db) => db.put(record(10), encodeRecord({ seq: 9, hash: 'other' }, { kind: 'voucher' }, []).value),
    /record 10 does not follow/,
  ],
  [
    'a record was added under an odd key',
    (db) => db.put('!journal!x', 'y'),
    /record 11 is missing, the next one there is "x"/,
  ],
  [
    'a row has another amount',
    async (db) => db.put(row('b'), (await db.get(row('b'))).replace('1000000', '2000000')),
    /row "b" of vouchers is not what record 8/,
  ],
  [
    'a row is an older version of itself',
    async (db) => db.put(row('a'), (await db.get(row('a'))).replace('10:', '7:')),
    /row "a" of vouchers is not what record 7/,
  ],
  [
    'a row names a later record',
    async (db) => db.put(row('a'), (await db.get(row('a'))).replace('10:', '11:')),
    /2 rows are there, the journal explains 1/,
  ],
  ['a row names no record', (db) => db.put(row('a'), 'x'), /row "a" of vouchers is not what record 1/],
  ['a row is missing', (db) => db.del(row('a')), /row "a" of vouchers is missing/],
  [
    'a removed row is back',
    async (db) => db.put(row('c'), (await db.get(row('b'))).replace('8:', '6:')),
    /row "c" of vouchers is not what record 6/,
  ],
  [
    'a removed row is back under the number of its removal',
    async (db) => db.put(row('c'), (await db.get(row('b'))).replace('8:', '9:')),
    /row "c" of vouchers is not what record 9/,
  ],
  [
    'a row was added',
    async (db) => db.put(row('d'), await db.get(row('b'))),
    /3 rows are there, the journal explains 2/,
  ],
  [
    'a row was added to another table',
    async (db) => db.put('!ledger!channels/x', await db.get(row('b'))),
    /3 rows are there/,
  ],
]

for (const [what, tamper, message] of TAMPERINGS) {
  test(`alarm: ${what}`, async (t) => {
    const folder = await tempFolder(t)
    await tenRecords(folder)
    const database = new Level(join(folder, 'database'))
    await tamper(database)
    await database.close()
    await assert.rejects(openWorld(folder), { code: 'store_damaged', message, cure: /copy the home folder/ })
  })
}

test('alarm: the head is gone, or both its halves are, or the database is', async (t) => {
  const folder = await tempFolder(t)
  await tenRecords(folder)
  const head = join(folder, 'head')
  const good = await readFile(head)
  await rm(head)
  await assert.rejects(openWorld(folder), { code: 'store_damaged', message: /head is gone/ })
  await assert.rejects(openWorld(folder), { code: 'store_damaged', message: /head is gone/ })
  await writeFile(head, Buffer.alloc(good.length))
  await assert.rejects(openWorld(folder), { code: 'store_damaged', message: /neither half/ })
  await writeFile(head, good)
  await rm(join(folder, 'database'), { recursive: true })
  await assert.rejects(openWorld(folder), {
    code: 'store_damaged',
    message: /10 records were acknowledged, 0 are there/,
  })
})

test('alarm: the database is that of another home with as many records', async (t) => {
  const folder = await tempFolder(t)
  const [one, other] = [join(folder, 'one'), join(folder, 'other')]
  await tenRecords(one)
  const world = await openWorld(other)
  for (let i = 0; i < 10; i++) await pay(world, 'a', { jobs: i, hostAmount: 1n })
  await closeWorld(world)
  await rm(join(one, 'database'), { recursive: true })
  await cp(join(other, 'database'), join(one, 'database'), { recursive: true })
  await assert.rejects(openWorld(one), {
    code: 'store_damaged',
    message: /record 10 is not the one that was acknowledged/,
  })
})

test('one half of the head may be torn, and records may run ahead of it: both are what a power cut leaves', async (t) => {
  const folder = await tempFolder(t)
  await tenRecords(folder)
  const head = await readFile(join(folder, 'head'))
  for (const half of [0, 4096]) {
    const torn = Buffer.from(head)
    torn.fill(0, half, half + 4096)
    await writeFile(join(folder, 'head'), torn)
    const world = await openWorld(folder)
    assert.equal(world.store.sequence, 10)
    await closeWorld(world)
  }
})

test('records are numbered from one and each names the hash of the one before', () => {
  const first = encodeRecord(GENESIS, { kind: 'voucher', body: { amount: 2n ** 90n } }, [['t', 'k', 'v']])
  const second = encodeRecord(first.tip, { kind: 'voucher' }, [])
  assert.equal(first.key, '0000000000000001')
  assert.ok(
    first.value.endsWith(
      '{"seq":1,"prev":"","kind":"voucher","body":{"amount":"1237940039285380274899124224"},"rows":[["t","k","v"]]}',
    ),
  )
  assert.equal(second.tip.seq, 2)
  assert.ok(second.value.includes(`"prev":"${first.tip.hash}"`))
})
