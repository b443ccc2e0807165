/**
 * The newest writes: promised by the tail alone. The worst power cut takes everything from the database that was not
 * synced; here it is played by a copy of the database as it was before the first write.
 */
import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { z } from 'zod'
import { Head } from '../../src/store/head.ts'
import { jsonCodec } from '../../src/store/tables.ts'
import { encodeGroup } from '../../src/store/tail.ts'
import { closeWorld, collect, openWorld, pay, tempFolder } from './support.ts'
import type { World } from './support.ts'

const BLOCK_BYTES = 4096
/** Each of the ten payments is one group of two copies. */
const PAYMENTS = 10

/** The folder as a power cut may leave it after what `work` was promised. */
async function cutAfter(t: TestContext, work: (world: World) => Promise<void>): Promise<string> {
  const folder = await tempFolder(t)
  const [home, left] = [join(folder, 'home'), join(folder, 'left')]
  await closeWorld(await openWorld(home))
  await cp(home, left, { recursive: true, filter: (path) => !/lock\.[0-9]+$/.test(path) })
  const world = await openWorld(home)
  try {
    await work(world)
    for (const file of ['head', 'tail']) await cp(join(home, file), join(left, file))
  } finally {
    await closeWorld(world)
  }
  return left
}

async function tenPayments(world: World): Promise<void> {
  for (let i = 1; i <= PAYMENTS; i++) await pay(world, `${i}`, { jobs: i, hostAmount: 10n ** 18n })
}

async function opened<T>(folder: string, look: (world: World) => Promise<T> | T): Promise<T> {
  const world = await openWorld(folder)
  try {
    return await look(world)
  } finally {
    await closeWorld(world)
  }
}

async function spoil(folder: string, at: number): Promise<void> {
  const bytes = await readFile(join(folder, 'tail'))
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  await writeFile(join(folder, 'tail'), bytes)
}

const sequenceOf = (folder: string): Promise<number> => opened(folder, ({ store }) => store.sequence)

test('what was promised is there, though the database has lost all of it, and again after another cut', async (t) => {
  const folder = await cutAfter(t, tenPayments)
  await opened(folder, async ({ store, vouchers }) => {
    assert.equal(store.sequence, PAYMENTS)
    assert.equal(await vouchers.count(), PAYMENTS)
    assert.deepEqual(vouchers.getSync('10'), { jobs: 10, hostAmount: 10n ** 18n })
  })
  assert.equal(await sequenceOf(folder), PAYMENTS)
})

test('a flipped bit in any block of the tail loses nothing', async (t) => {
  const folder = await cutAfter(t, tenPayments)
  for (let block = 0; block < 2 * PAYMENTS; block++) {
    const copy = `${folder}-${block}`
    await cp(folder, copy, { recursive: true })
    await spoil(copy, block * BLOCK_BYTES + 60 + block)
    assert.equal(await sequenceOf(copy), PAYMENTS, `block ${block}`)
  }
})

test('a group spoiled in both copies: an alarm in the middle, and a write that nobody was told of at the end', async (t) => {
  const folder = await cutAfter(t, tenPayments)
  for (const [group, copy] of [4, 9].map((number) => [number, `${folder}-${number}`] as const)) {
    await cp(folder, copy, { recursive: true })
    for (const block of [2 * group, 2 * group + 1]) await spoil(copy, block * BLOCK_BYTES + 200)
  }
  await assert.rejects(openWorld(`${folder}-4`), { code: 'store_damaged', message: /group 5 cannot be read/ })
  assert.equal(await sequenceOf(`${folder}-9`), PAYMENTS - 1)
})

test('alarm: the tail is gone or cut short, at every start', async (t) => {
  const folder = await cutAfter(t, tenPayments)
  await truncate(join(folder, 'tail'), 7 * BLOCK_BYTES)
  await assert.rejects(openWorld(folder), { code: 'store_damaged', message: /has 28672 of its 1048576 bytes/ })
  await rm(join(folder, 'tail'))
  // The database of a home that has worked has records; this one lost them, and the next start must not forget that.
  await opened(await cutAfter(t, tenPayments), async ({ home }) => {
    await cp(home.paths.database, join(folder, 'database'), { recursive: true })
  })
  for (let i = 0; i < 2; i++) {
    await assert.rejects(openWorld(folder), { code: 'store_damaged', message: /tail is gone/ })
  }
})

test('more than the tail holds, and more than it could ever hold at once', async (t) => {
  const long = 'x'.repeat(60_000)
  const folder = await tempFolder(t)
  const [home, killed] = [join(folder, 'home'), join(folder, 'killed')]
  const world = await openWorld(home)
  const texts = world.store.table('texts', jsonCodec(z.string()), { ledger: true })
  const write = (key: string, text: string) =>
    world.store.commit({ journal: [{ kind: 'text' }], rows: [texts.put(key, text)] })
  for (let i = 0; i < 20; i++) await write(`long-${i}`, `${i} ${long}`)
  await write('largest', long.repeat(20))
  for (let i = 0; i < 3; i++) await write(`long-${i}`, `again ${i}`)
  const live = await Promise.all(
    ['head', 'tail'].map(async (file) => [file, await readFile(join(home, file))] as const),
  )
  await closeWorld(world)
  // What a killed process leaves that had no time for the head: the newest writes once in the database, once in the tail.
  await cp(home, killed, { recursive: true })
  for (const [file, bytes] of live) await writeFile(join(killed, file), bytes)
  for (const left of [killed, home]) {
    await opened(left, ({ store }) => {
      const read = store.table('texts', jsonCodec(z.string()), { ledger: true })
      assert.equal(store.sequence, 24)
      assert.equal(read.getSync('largest'), long.repeat(20))
      assert.deepEqual([read.getSync('long-0'), read.getSync('long-19')], ['again 0', `19 ${long}`])
    })
  }
})

test('what was promised a moment ago is read, before the database has it', async (t) => {
  const world = await openWorld(await tempFolder(t))
  const { store, vouchers } = world
  const row = (jobs: number) => ({ jobs, hostAmount: 0n })
  await pay(world, 'a', row(1))
  assert.deepEqual(vouchers.getSync('a'), row(1))
  assert.deepEqual(await vouchers.get('a'), row(1))
  await pay(world, 'a', row(2))
  assert.deepEqual(await collect(vouchers.entries()), [['a', row(2)]])
  await store.commit({ journal: [{ kind: 'removed' }], rows: [vouchers.del('a')] })
  assert.equal(vouchers.getSync('a'), undefined)
  assert.equal(await vouchers.count(), 0)
  await closeWorld(world)
})

test('a text that looks like a group is none, wherever it comes to lie', () => {
  const bait = Buffer.from(encodeGroup(99, [['journal', 'x', 'y']])).toString('latin1')
  const padded = bait.replaceAll('\0', '').padEnd(128)
  for (let shift = 0; shift < padded.length; shift++) {
    const blocks = encodeGroup(1, [['plain', 'k', ' '.repeat(shift) + padded.repeat(100)]])
    const beginnings = Array.from({ length: blocks.length / BLOCK_BYTES }, (_, i) => i * BLOCK_BYTES)
    // The two copies' own.
    assert.deepEqual(
      beginnings.filter((at) => blocks[at] === 0x0a),
      [0, blocks.length / 2],
    )
  }
})

test('a home from before there was a tail is opened, and has one from then on', async (t) => {
  const folder = await tempFolder(t)
  const world = await openWorld(folder)
  await tenPayments(world)
  await closeWorld(world)
  const head = join(folder, 'head')
  const { head: file, mark } = await Head.open(head, false)
  await file.close()
  const text = `${mark.tip.seq} ${mark.tip.hash}`
  await writeFile(head, `${hash('sha256', text, 'hex')} ${text}`.padEnd(BLOCK_BYTES).repeat(2))
  await rm(join(folder, 'tail'))
  await opened(folder, tenPayments)
  assert.equal(await sequenceOf(folder), 2 * PAYMENTS)
  await rm(join(folder, 'tail'))
  await assert.rejects(openWorld(folder), { code: 'store_damaged', message: /tail is gone/ })
})
