/** The ways to name a task. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidOf } from '../../src/core/cid.ts'
import type { Hex } from '../../src/core/units.ts'
import { Tasks } from '../../src/role/tasks.ts'

const LATEST: Hex = `0x${'ab'.repeat(32)}`
const FIRST: Hex = `0x${'cd'.repeat(32)}`
const WHO = `0x${'11'.repeat(20)}`
const signal = new AbortController().signal

const tasks = new Tasks(
  {
    read: async () => new Uint8Array(),
    entry: async () => undefined,
    latest: async (_developer, name) => (name === 'words' ? LATEST : undefined),
    version: async (_developer, _name, version) => (version === '1.0.0' ? FIRST : undefined),
  },
  () => 0,
)

test('a task is named by CID, by its id on chain, by its name, or by name and version', async () => {
  assert.equal(await tasks.resolve(cidOf(LATEST), signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(LATEST, signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(LATEST.toUpperCase().replace('0X', '0x'), signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(`${WHO}/words`, signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(`${WHO}/words@1.0.0`, signal), cidOf(FIRST))
})

for (const ref of ['nope', '', '0x12', '/', 'a/b/c', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG']) {
  test(`${JSON.stringify(ref)} names no task, and the cure says what does`, () =>
    assert.rejects(tasks.resolve(ref, signal), { code: 'bad_input', cure: /developer\/name.*CID/ }))
}

test('a name that nobody published is not found', () =>
  assert.rejects(tasks.resolve(`${WHO}/other`, signal), { code: 'not_found' }))
