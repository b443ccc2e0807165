import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { add, fits, NOTHING, shortage, subtract, zResources } from '../../src/core/resources.ts'
import { resources } from './arbitraries.ts'

const GIB = 2 ** 30

test('a job fits where nothing is missing, and the first thing missing is named with both numbers', () => {
  const free = { cpuMillis: 2000, memoryBytes: 4 * GIB, gpus: 1 }
  const rows: [typeof free, string | undefined][] = [
    [free, undefined],
    [NOTHING, undefined],
    [{ ...free, cpuMillis: 2500 }, '2.5 CPUs asked, 2 there'],
    [{ ...free, memoryBytes: 5 * GIB }, '5120 MiB of memory asked, 4096 there'],
    [{ ...free, gpus: 2 }, '2 GPUs asked, 1 there'],
    [{ ...free, memoryBytes: 4 * GIB + 1 }, '4097 MiB of memory asked, 4096 there'],
  ]
  for (const [want, reason] of rows) {
    assert.equal(shortage(want, free), reason)
    assert.equal(fits(want, free), reason === undefined)
  }
})

test('a shortage never names the same number twice', () => {
  fc.assert(
    fc.property(resources, resources, (want, free) => {
      const [asked, there] = (shortage(want, free) ?? '1 asked, 0 there').match(/[0-9.]+/g) ?? []
      return asked !== undefined && there !== undefined && Number(asked) > Number(there)
    }),
    { numRuns: 5000 },
  )
})

test('what is taken and given back is what was there, and nothing is ever below nothing', () => {
  fc.assert(
    fc.property(resources, resources, (a, b) => {
      assert.deepEqual(subtract(add(a, b), b), a)
      const left = subtract(a, b)
      assert.ok(left.cpuMillis >= 0 && left.memoryBytes >= 0 && left.gpus >= 0)
      assert.ok(fits(a, add(a, b)))
      if (fits(b, a)) assert.deepEqual(add(b, left), a)
    }),
  )
})

test('the schema takes whole numbers within the ceilings and nothing beside them', () => {
  const top = { cpuMillis: 4_096_000, memoryBytes: 2 ** 46, gpus: 1024 }
  assert.deepEqual(zResources.parse(top), top)
  for (const key of ['cpuMillis', 'memoryBytes', 'gpus'] as const) {
    for (const bad of [top[key] + 1, -1, 0.5, NaN, Infinity, '1', null, undefined, 1n]) {
      assert.equal(zResources.safeParse({ ...top, [key]: bad }).success, false, `${key} ${String(bad)}`)
    }
  }
  assert.equal(zResources.safeParse({ ...top, disk: 1 }).success, false)
})
