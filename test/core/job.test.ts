import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_RUN_SECONDS, PhaseClock, PHASES, zOutcome, zPhases } from '../../src/core/job.ts'

test('each phase has its own time, and together they are all of it', () => {
  const clock = new PhaseClock(1000)
  assert.equal(clock.phase, 'queued')
  clock.enter('fetching', 1010)
  clock.enter('starting', 1030)
  clock.enter('running', 1060.25)
  clock.enter('delivering', 1100)
  assert.equal(clock.phase, 'delivering')
  const phases = { queuedMs: 10, fetchMs: 20, startMs: 30.3, runMs: 39.8, deliverMs: 5, totalMs: 105 }
  assert.deepEqual(clock.read(1105), phases)
  assert.deepEqual(clock.read(1105), phases, 'reading changes nothing')
})

test('a warm job is neither fetched nor started', () => {
  const clock = new PhaseClock(0)
  clock.enter('running', 1)
  clock.enter('delivering', 3)
  assert.deepEqual(clock.read(3), { queuedMs: 1, fetchMs: 0, startMs: 0, runMs: 2, deliverMs: 0, totalMs: 3 })
})

test('the phase under way counts until now, and a clock that stands still or jumps back takes nothing away', () => {
  const clock = new PhaseClock(100)
  clock.enter('running', 110)
  assert.equal(clock.read(150).runMs, 40)
  assert.equal(clock.read(90).runMs, 0)
  assert.equal(clock.read(90).totalMs, 0)
})

test('the parts sum to the whole, whatever the steps, and always pass the schema', () => {
  const steps = fc.array(fc.tuple(fc.constantFrom(...PHASES), fc.double({ min: 0, max: 1e6, noNaN: true })), {
    maxLength: 20,
  })
  fc.assert(
    fc.property(fc.nat(1e9), steps, fc.double({ min: 0, max: 1e6, noNaN: true }), (start, moves, rest) => {
      const clock = new PhaseClock(start)
      let now = start
      for (const [phase, ms] of moves) clock.enter(phase, (now += ms))
      const phases = zPhases.parse(clock.read(now + rest))
      const parts = phases.queuedMs + phases.fetchMs + phases.startMs + phases.runMs + phases.deliverMs
      assert.ok(Math.abs(parts - phases.totalMs) < 0.5, `${parts} and ${phases.totalMs}`)
    }),
  )
})

test('an outcome keeps to its ceilings', () => {
  const good = {
    warm: true,
    phases: new PhaseClock(0).read(0),
    outputBytes: 0,
    httpStatus: 200,
    exitCode: 0,
    problem: { code: 'x', message: 'y' },
  }
  assert.equal(zOutcome.safeParse(good).success, true)
  const bad = [
    { httpStatus: 99 },
    { httpStatus: 600 },
    { exitCode: -2 },
    { exitCode: 256 },
    { contentType: 'x'.repeat(201) },
    { logTail: 'x'.repeat(8193) },
    { problem: { code: 'x', message: 'y'.repeat(4001) } },
    { warm: 'yes' },
    { outputBytes: -1 },
    { phases: { ...good.phases, runMs: -1 } },
    { phases: { ...good.phases, runMs: Infinity } },
  ]
  for (const change of bad)
    assert.equal(zOutcome.safeParse({ ...good, ...change }).success, false, JSON.stringify(change).slice(0, 60))
})

test('the longest run is one that a timer can hold', () => {
  assert.ok(MAX_RUN_SECONDS * 1000 < 2 ** 31)
})
