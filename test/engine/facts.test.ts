/** Hardware facts: believable on this machine, and not believed where they cannot be true. */
import assert from 'node:assert/strict'
import { cpus, totalmem } from 'node:os'
import { test } from 'node:test'
import { factReader, gpusOf, judge } from '../../src/engine/facts.ts'

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

const ABSURD: readonly unknown[] = [
  -1,
  Number.NaN,
  10 ** 30,
  Number.POSITIVE_INFINITY,
  undefined,
  null,
  '',
  '24 576 MiB',
  '24.576,00',
  '[N/A]',
  'nicht unterstützt',
  {},
  [24_576],
  2n ** 64n,
]

for (const value of ABSURD) {
  test(`a GPU with ${String(value)} (${typeof value}) MiB keeps its number, offers no memory and is doubted`, () => {
    const sane = judge()
    const cards = [
      { vendor: 'NVIDIA', name: 'A', memoryTotal: value },
      { vendor: 'NVIDIA Corporation', model: 'B', vram: 24_576 },
    ]
    assert.deepEqual(gpusOf(cards, sane), [
      { id: '0', model: 'A', memoryBytes: 0 },
      { id: '1', model: 'B', memoryBytes: 24 * 2 ** 30 },
    ])
    assert.equal(sane.doubts.length, 1)
  })
}

test('only cards of the one maker are counted, and a list that no machine has is none', () => {
  const sane = judge()
  const others = [{ vendor: 'Intel' }, { vendor: undefined }, { vendor: 7 }, {}]
  assert.deepEqual(gpusOf(others, sane), [])
  assert.deepEqual(sane.doubts, [])
  const many = Array.from({ length: 1025 }, () => ({ vendor: 'nvidia', memoryTotal: 1 }))
  assert.deepEqual(gpusOf(many, sane), [])
  assert.match(sane.doubts[0] ?? '', /number of GPUs was reported as "1025"/)
})

test('a name of a card is cut and cannot steer a terminal', () => {
  const [gpu] = gpusOf([{ vendor: 'nvidia', name: `\u001b[2J${'x'.repeat(1000)}`, memoryTotal: 1 }], judge())
  assert.ok(gpu !== undefined && gpu.model.length <= 100)
  assert.ok(!gpu.model.includes('\u001b'))
})
