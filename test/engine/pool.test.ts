/** The warm pool's rules, on a clock that the test holds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import type { ContainerEnd } from '../../src/core/plan.ts'
import type { Instance } from '../../src/engine/engine.ts'
import { WarmPool } from '../../src/engine/pool.ts'
import type { Clock } from '../../src/engine/pool.ts'
import { NEVER } from '../support/engine.ts'

class HeldClock implements Clock {
  #nowMs = 0
  #timers: { atMs: number; callback: () => void }[] = []

  now(): number {
    return this.#nowMs
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { atMs: this.#nowMs + ms, callback }
    this.#timers.push(timer)
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer)
    }
  }

  async advance(ms: number): Promise<void> {
    this.#nowMs += ms
    const due = this.#timers.filter((timer) => timer.atMs <= this.#nowMs)
    this.#timers = this.#timers.filter((timer) => timer.atMs > this.#nowMs)
    for (const timer of due) timer.callback()
    await settle()
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve))

class FakeInstance implements Instance {
  readonly id = 'fake'
  readonly timings = {}
  readonly #end = Promise.withResolvers<ContainerEnd>()
  readonly ended = this.#end.promise
  stops = 0
  request = () => Promise.reject(new Error('not asked here'))
  setLogSink = () => {}

  die(): void {
    this.#end.resolve({ exitCode: 1, outOfMemory: false, logTail: '' })
  }

  async stop(): Promise<void> {
    this.stops += 1
    this.die()
    await settle()
  }
}

function bench() {
  const clock = new HeldClock()
  const gone: string[] = []
  const made: FakeInstance[] = []
  const pool = new WarmPool({ idleMs: 1_000, clock, onGone: (key) => gone.push(key) })
  const make = async () => {
    await settle()
    const instance = new FakeInstance()
    made.push(instance)
    return instance
  }
  return { clock, gone, made, pool, make }
}

test('one key has one instance, also for those who come while it starts', async () => {
  const { pool, made, make } = bench()
  const [a, b] = await Promise.all([pool.acquire('k', make, NEVER), pool.acquire('k', make, NEVER)])
  const c = await pool.acquire('k', make, NEVER)
  const other = await pool.acquire('other', make, NEVER)
  assert.equal(made.length, 2)
  assert.equal(a.instance, b.instance)
  assert.equal(a.instance, c.instance)
  assert.notEqual(a.instance, other.instance)
  assert.deepEqual([a.warm, b.warm, c.warm], [false, false, true])
})

test('an idle instance ends after the idle time, counted from its last release', async () => {
  const { pool, clock, made, make, gone } = bench()
  const a = await pool.acquire('k', make, NEVER)
  const b = await pool.acquire('k', make, NEVER)
  a.release()
  await clock.advance(5_000)
  assert.equal(made[0]?.stops, 0, 'somebody still uses it')
  b.release()
  await clock.advance(999)
  assert.equal(made[0]?.stops, 0)
  await clock.advance(1)
  await settle()
  assert.equal(made[0]?.stops, 1)
  assert.deepEqual(gone, ['k'])
  assert.equal((await pool.acquire('k', make, NEVER)).warm, false)
})

test('taking it again stops the idle clock', async () => {
  const { pool, clock, made, make } = bench()
  const a = await pool.acquire('k', make, NEVER)
  a.release()
  await clock.advance(900)
  const b = await pool.acquire('k', make, NEVER)
  await clock.advance(10_000)
  assert.equal(made[0]?.stops, 0)
  assert.equal(b.warm, true)
})

test('releasing twice is releasing once', async () => {
  const { pool, clock, made, make } = bench()
  const a = await pool.acquire('k', make, NEVER)
  await pool.acquire('k', make, NEVER)
  a.release()
  a.release()
  await clock.advance(10_000)
  assert.equal(made[0]?.stops, 0, 'the second user still holds it')
})

test('a dead instance is dropped and told, and the next user gets a new one', async () => {
  const { pool, made, make, gone } = bench()
  const a = await pool.acquire('k', make, NEVER)
  made[0]?.die()
  await settle()
  await settle()
  assert.deepEqual(gone, ['k'])
  const b = await pool.acquire('k', make, NEVER)
  assert.notEqual(a.instance, b.instance)
  a.release()
  assert.equal(pool.has('k'), true, 'a late release of the dead one does not touch the new one')
})

test('a discarded instance serves those who have it and nobody new', async () => {
  const { pool, made, make } = bench()
  const a = await pool.acquire('k', make, NEVER)
  const b = await pool.acquire('k', make, NEVER)
  a.release('discard')
  await settle()
  assert.equal(made[0]?.stops, 0)
  assert.notEqual((await pool.acquire('k', make, NEVER)).instance, b.instance)
  b.release()
  await settle()
  assert.equal(made[0]?.stops, 1)
})

test('a failed start is told to everybody who waited and not remembered', async () => {
  const { pool, make, gone } = bench()
  const fail = () => Promise.reject(new MecaError('start_failed', 'no'))
  const both = await Promise.allSettled([pool.acquire('k', fail, NEVER), pool.acquire('k', fail, NEVER)])
  assert.deepEqual(
    both.map((r) => r.status),
    ['rejected', 'rejected'],
  )
  assert.deepEqual(gone, ['k'])
  assert.equal((await pool.acquire('k', make, NEVER)).warm, false)
})

test('a start ends when the last of those who wait for it leaves, and not before', async () => {
  const { pool } = bench()
  let ended = false
  const hang = (signal: AbortSignal) =>
    new Promise<Instance>((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        ended = true
        reject(new Error('given up'))
      })
    })
  const [one, two] = [new AbortController(), new AbortController()]
  const waits = [pool.acquire('k', hang, one.signal), pool.acquire('k', hang, two.signal)]
  const outcomes = Promise.allSettled(waits)
  await settle()
  one.abort()
  await settle()
  assert.equal(ended, false)
  two.abort()
  await outcomes
  await settle()
  assert.equal(ended, true)
  assert.deepEqual(pool.list(), [])
})

test('dropIdle ends the longest idle first and stops when there is enough', async () => {
  const { pool, clock, make, gone } = bench()
  const leases = []
  for (const key of ['a', 'b', 'c']) leases.push(await pool.acquire(key, make, NEVER))
  leases[1]?.release()
  await clock.advance(10)
  leases[0]?.release()
  assert.equal(await pool.dropIdle(() => gone.length >= 1), 1)
  assert.deepEqual(gone, ['b'])
  assert.equal(await pool.dropIdle(), 1)
  assert.deepEqual(gone, ['b', 'a'], 'the one in use stays')
})

test('close ends everything, and nothing is handed out any more', async () => {
  const { pool, made, make } = bench()
  await pool.acquire('a', make, NEVER)
  const b = await pool.acquire('b', make, NEVER)
  b.release()
  await pool.close()
  assert.deepEqual(
    made.map((i) => i.stops),
    [1, 1],
  )
  await assert.rejects(pool.acquire('a', make, NEVER), { code: 'cancelled' })
})
