/** Hardware facts: believable on this machine, and not believed where they cannot be true. */
import assert from 'node:assert/strict'
import { cpus, totalmem } from 'node:os'
import { test } from 'node:test'
import { factReader, judge } from '../../src/engine/facts.ts'

test('this machine has the processors and the memory that Node sees, and a disk under the folder', async () => {
  const facts = await factReader(process.cwd())()
  assert.equal(facts.cpu.cores, cpus().length)
  assert.ok(Math.abs(facts.memory.totalBytes - totalmem()) < 2 ** 20)
  assert.ok(facts.memory.freeBytes > 0 && facts.memory.freeBytes <= facts.memory.totalBytes)
  assert.ok(facts.disk.freeBytes > 0 && facts.disk.freeBytes <= facts.disk.totalBytes)
  assert.deepEqual(facts.doubts, [])
})

test('moving facts are read again only after half a minute', async () => {
  let now = 0
  const read = factReader(process.cwd(), () => now)
  const first = await read()
  now = 29_000
  assert.equal((await read()).memory, first.memory)
  now = 31_000
  assert.notEqual((await read()).memory, first.memory)
})

for (const value of [-1, Number.NaN, 2 ** 64, Number.POSITIVE_INFINITY]) {
  test(`${value} bytes are refused and doubted`, () => {
    const sane = judge()
    assert.equal(sane('memory', value, 2 ** 46), 0)
    assert.equal(sane.doubts.length, 1)
  })
}
