import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { MecaError } from '../../src/core/errors.ts'
import { armFailpoints } from '../../src/failpoint.ts'
import { jsonCodec } from '../../src/store/tables.ts'
import { closeWorld, collect, openWorld, pay, tempFolder } from './support.ts'

test('what was committed is there after closing and opening, with bigints as bigints', async (t) => {
  const folder = await tempFolder(t)
  const world = await openWorld(folder)
  await pay(world, 'c1/t1', { jobs: 1, hostAmount: 2n ** 95n })
  await pay(world, 'c1/t1', { jobs: 2, hostAmount: 2n ** 96n - 1n })
  await closeWorld(world)

  const again = await openWorld(folder)
  assert.deepEqual(again.vouchers.getSync('c1/t1'), { jobs: 2, hostAmount: 2n ** 96n - 1n })
  assert.deepEqual(await again.vouchers.get('c1/t1'), { jobs: 2, hostAmount: 2n ** 96n - 1n })
  assert.equal(await again.vouchers.get('c1/t2'), undefined)
  assert.equal(again.store.sequence, 2)
  await closeWorld(again)
})

test('a range is read in the order of the keys, by prefix, bounds, limit and backwards, and within its table', async (t) => {
  const world = await openWorld(await tempFolder(t))
  const { store, vouchers } = world
  const other = store.table('vouchers_old', jsonCodec(z.string()), { ledger: true })
  const rows = ['a/1', 'a/2', 'b/1', 'b/\u{1f600}', 'c'].map((key, jobs) => vouchers.put(key, { jobs, hostAmount: 0n }))
  await store.commit({ journal: [{ kind: 'many' }], rows: [...rows, other.put('b/x', 'other')] })
  const keys = async (range: Parameters<typeof vouchers.entries>[0]) =>
    (await collect(vouchers.entries(range))).map(([key]) => key)
  assert.deepEqual(await keys({}), ['a/1', 'a/2', 'b/1', 'b/\u{1f600}', 'c'])
  assert.deepEqual(await keys({ prefix: 'b/' }), ['b/1', 'b/\u{1f600}'])
  assert.deepEqual(await keys({ gte: 'a/2', lt: 'c' }), ['a/2', 'b/1', 'b/\u{1f600}'])
  assert.deepEqual(await keys({ reverse: true, limit: 2 }), ['c', 'b/\u{1f600}'])
  assert.equal(await vouchers.count(), 5)
  assert.equal(await vouchers.count({ prefix: 'a' }), 2)
  await closeWorld(world)
})

test('rows that were removed, and put back, pass the check at the next start', async (t) => {
  const folder = await tempFolder(t)
  const world = await openWorld(folder)
  const { store, vouchers } = world
  const row = { jobs: 1, hostAmount: 1n }
  for (const key of ['gone', 'back']) await pay(world, key, row)
  await store.commit({
    journal: [{ kind: 'removed' }],
    rows: [vouchers.del('gone'), vouchers.del('back'), vouchers.del('never')],
  })
  await pay(world, 'back', row)
  await store.commit({
    journal: [{ kind: 'first' }, { kind: 'second' }],
    rows: [vouchers.put('twice', row), vouchers.put('twice', { jobs: 2, hostAmount: 2n })],
  })
  await closeWorld(world)
  const again = await openWorld(folder)
  assert.equal(again.vouchers.getSync('gone'), undefined)
  assert.deepEqual(again.vouchers.getSync('back'), row)
  assert.deepEqual(again.vouchers.getSync('twice'), { jobs: 2, hostAmount: 2n })
  await closeWorld(again)
})

test('a ledger row without a journal entry is refused, a plain row needs none', async (t) => {
  const world = await openWorld(await tempFolder(t))
  const { store, vouchers } = world
  await assert.rejects(store.commit({ rows: [vouchers.put('k', { jobs: 1, hostAmount: 1n })] }), { code: 'internal' })
  const offers = store.table('offers', jsonCodec(z.string()), { ledger: false })
  await store.commit({ rows: [offers.put('h1', 'offer')] })
  assert.equal(offers.getSync('h1'), 'offer')
  assert.equal(store.sequence, 0)
  await closeWorld(world)
})

test('a change that cannot be written as JSON fails alone', async (t) => {
  const folder = await tempFolder(t)
  const world = await openWorld(folder)
  const circular: Record<string, unknown> = {}
  circular.self = circular
  const good = pay(world, 'a', { jobs: 1, hostAmount: 1n })
  const bad = world.store.commit({ journal: [{ kind: 'fine' }, { kind: 'bad', body: circular }] })
  const alsoGood = pay(world, 'b', { jobs: 1, hostAmount: 1n })
  await assert.rejects(bad, { code: 'internal', message: /circular/ })
  await Promise.all([good, alsoGood])
  assert.equal(world.store.sequence, 2)
  await closeWorld(world)
  await closeWorld(await openWorld(folder))
})

test('the first failed write refuses what waits and all that comes after, and says to restart', async (t) => {
  t.after(() => armFailpoints(''))
  const folder = await tempFolder(t)
  const world = await openWorld(folder)
  await pay(world, 'a', { jobs: 1, hostAmount: 1n })
  armFailpoints('store.before-sync=throw')
  const results = await Promise.allSettled(['b', 'c'].map((key) => pay(world, key, { jobs: 1, hostAmount: 1n })))
  for (const result of results) {
    assert.equal(result.status, 'rejected')
    assert.ok(result.reason instanceof MecaError)
    assert.equal(result.reason.code, 'store_failed')
    assert.match(result.reason.cure ?? '', /restart/)
  }
  await assert.rejects(pay(world, 'd', { jobs: 1, hostAmount: 1n }), { code: 'store_failed' })
  assert.equal(world.store.failure?.code, 'store_failed')
  assert.deepEqual(world.vouchers.getSync('a'), { jobs: 1, hostAmount: 1n })
  await closeWorld(world)

  const again = await openWorld(folder)
  assert.deepEqual(await collect(again.vouchers.entries()), [['a', { jobs: 1, hostAmount: 1n }]])
  await pay(again, 'd', { jobs: 1, hostAmount: 1n })
  await closeWorld(again)
})

test('close waits for what was committed before it', async (t) => {
  const folder = await tempFolder(t)
  const world = await openWorld(folder)
  const commits = Array.from({ length: 3000 }, (_, i) => pay(world, String(i), { jobs: i, hostAmount: 0n }))
  await closeWorld(world)
  await Promise.all(commits)
  const again = await openWorld(folder)
  assert.equal(await again.vouchers.count(), 3000)
  await closeWorld(again)
})
