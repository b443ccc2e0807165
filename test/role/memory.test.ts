/** What a client keeps of its experience with hosts: on disk, in bounds, and never in the way of a start. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { HALF_LIFE_MS } from '../../src/core/experience.ts'
import { ClientMemory } from '../../src/role/client-memory.ts'
import { openStore } from './home.ts'

const NOW = 1_800_000_000_000
const ROW = 'hosts'

async function open(t: TestContext) {
  const { store, tables } = await openStore(t)
  const warnings: string[] = []
  const clock = { now: NOW }
  const log = { warn: (_: object, text: string) => void warnings.push(text) }
  const start = async () => {
    const memory = new ClientMemory({ store, tables, log, wallNow: () => clock.now })
    await memory.recover()
    return memory
  }
  return { store, tables, warnings, clock, start }
}

function host(n: number): `0x${string}` {
  return `0x${n.toString(16).padStart(40, '0')}`
}

test('what was learned of a host is there after a restart, and fades meanwhile', async (t) => {
  const { start, clock } = await open(t)
  const memory = await start()
  memory.count(host(1), true)
  memory.count(host(1), true)
  memory.count(host(1), false)
  memory.count(host(2), false, 100)
  await memory.close()
  clock.now += HALF_LIFE_MS
  const again = await start()
  assert.deepEqual(again.of(host(1)), { answered: 1, failed: 0.5, at: clock.now })
  assert.deepEqual(again.of(host(2)), { answered: 0, failed: 50, at: clock.now })
  assert.deepEqual(again.of(host(3)), { answered: 0, failed: 0, at: clock.now })
})

test('a thousand hosts are remembered: those that were met last', async (t) => {
  const { start, tables } = await open(t)
  const memory = await start()
  for (let i = 0; i < 1000; i++) memory.count(host(i), true)
  memory.count(host(0), false)
  memory.count(host(1000), true)
  await memory.close()
  assert.equal((await tables.experience.get(ROW))?.length, 1000)
  const again = await start()
  assert.deepEqual(
    [0, 1, 2, 1000].map((n) => again.of(host(n)).answered),
    [1, 0, 1, 1],
  )
  assert.equal(again.of(host(0)).failed, 1)
})

test('a row that cannot be read is said to be lost, and written anew', async (t) => {
  const { start, store, tables, warnings } = await open(t)
  await store.commit({ rows: [{ table: tables.experience.name, ledger: false, key: ROW, text: '[{"host":1}]' }] })
  const memory = await start()
  assert.match(warnings.join(), /cannot be read/)
  memory.count(host(1), true)
  await memory.close()
  assert.equal((await start()).of(host(1)).answered, 1)
  assert.equal(warnings.length, 1)
})
