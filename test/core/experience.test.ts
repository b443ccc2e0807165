/** What a client remembers of a host, and how it fades. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { faded, HALF_LIFE_MS, isUnreliable, learned, STRANGER, zExperience } from '../../src/core/experience.ts'
import type { Experience } from '../../src/core/experience.ts'

const NOW = 1_800_000_000_000
const HOUR_MS = 3_600_000

function failing(times: number): Experience {
  let past = STRANGER
  for (let i = 0; i < times; i++) past = learned(past, false, NOW + i * 1000)
  return past
}

test('counts halve in their half-life, whether they were looked at meanwhile or not', () => {
  const past = { answered: 8, failed: 4, at: NOW }
  assert.deepEqual(faded(past, NOW + HALF_LIFE_MS), { answered: 4, failed: 2, at: NOW + HALF_LIFE_MS })
  fc.assert(
    fc.property(fc.nat(1000), fc.nat(1000), fc.nat(10 * HALF_LIFE_MS), fc.nat(10 * HALF_LIFE_MS), (a, f, x, y) => {
      const once = faded({ answered: a, failed: f, at: NOW }, NOW + x + y)
      const twice = faded(faded({ answered: a, failed: f, at: NOW }, NOW + x), NOW + x + y)
      assert.ok(Math.abs(once.failed - twice.failed) < 1e-6 && Math.abs(once.answered - twice.answered) < 1e-6)
      assert.equal(zExperience.safeParse(twice).success, true)
    }),
    { numRuns: 500 },
  )
})

test('three failures stand against a host for hours, and not for days', () => {
  assert.equal(isUnreliable(failing(2)), false)
  const past = failing(3)
  assert.equal(isUnreliable(past), true)
  assert.equal(isUnreliable(faded(past, NOW + 12 * HOUR_MS)), true)
  assert.equal(isUnreliable(faded(past, NOW + 14 * HOUR_MS)), false)
})

test('a proven lie stands against a host for more than a week', () => {
  const caught = learned(STRANGER, false, NOW, 100)
  assert.equal(isUnreliable(faded(caught, NOW + 10 * 24 * HOUR_MS)), true)
})

test('a good name of long ago does not outweigh the failures of today', () => {
  const good = learned(STRANGER, true, NOW, 100)
  const fails = (at: number) => [1, 2, 3, 4, 5].reduce((past) => learned(past, false, at), good)
  assert.equal(isUnreliable(fails(NOW)), false)
  assert.equal(isUnreliable(fails(NOW + 10 * HALF_LIFE_MS)), true)
})

test('a clock that goes back neither adds nor takes anything', () => {
  const past = { answered: 3, failed: 1, at: NOW }
  assert.deepEqual(faded(past, NOW - HOUR_MS), past)
  assert.deepEqual(learned(past, true, NOW - HOUR_MS), { answered: 4, failed: 1, at: NOW })
})
