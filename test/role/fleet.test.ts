/** The host's containers against its hardware, under random loads and at the edges of its bounds. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MecaError } from '../../src/core/errors.ts'
import type { Resources } from '../../src/core/resources.ts'
import { WarmPool } from '../../src/engine/pool.ts'
import type { Instance } from '../../src/engine/engine.ts'
import { Fleet } from '../../src/role/fleet.ts'
import type { Lease } from '../../src/role/fleet.ts'
import { poolKey } from '../../src/role/host-intake.ts'
import { GpuShelf } from '../../src/role/gpus.ts'
import { FakeEngine } from './stage.ts'

const NEVER = new AbortController().signal
const need = (cpuMillis: number, gpus = 0): Resources => ({ cpuMillis, memoryBytes: cpuMillis * 2 ** 20, gpus })
const TOTAL: Resources = { cpuMillis: 4, memoryBytes: 4 * 2 ** 20, gpus: 0 }

/** A fleet that counts what its running containers use. */
function makeFleet(maxQueue = 100) {
  const fake = new FakeEngine()
  const used = { cpuMillis: 0, peak: 0 }
  const fleet = new Fleet(TOTAL, maxQueue, (onGone) => new WarmPool({ idleMs: 60_000, onGone }))
  const start = (resources: Resources) => async (): Promise<Instance> => {
    used.cpuMillis += resources.cpuMillis
    used.peak = Math.max(used.peak, used.cpuMillis)
    const instance = await fake.engine.start('image', {} as never, { name: 'x' }, NEVER)
    void instance.ended.then(() => (used.cpuMillis -= resources.cpuMillis))
    return instance
  }
  const acquire = (key: string, resources: Resources, signal = NEVER) =>
    fleet.acquire({ key, resources, start: start(resources) }, signal)
  return { fleet, fake, used, acquire }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('whatever comes and goes, no more hardware is used than there is, and everybody is served', async () => {
  const command = fc.record({
    key: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
    act: fc.constantFrom('come', 'come', 'go', 'spoil', 'give up'),
    pick: fc.nat(100),
  })
  const sizes: Record<string, number> = { a: 1, b: 2, c: 3, d: 4, e: 1 }
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 60 }), async (commands) => {
      const { fleet, used, acquire } = makeFleet()
      const held: Lease[] = []
      const waits: { stop: AbortController; done: Promise<void> }[] = []
      for (const { key, act, pick } of commands) {
        if (act === 'come') {
          const stop = new AbortController()
          const done = acquire(key, need(sizes[key] ?? 1), stop.signal).then(
            (lease) => void held.push(lease),
            () => undefined,
          )
          waits.push({ stop, done })
        }
        const lease = held[pick % Math.max(1, held.length)]
        if (act === 'spoil') lease?.discard()
        if (act === 'go' && lease !== undefined) held.splice(held.indexOf(lease), 1)[0]?.release()
        if (act === 'give up')
          waits[pick % Math.max(1, waits.length)]?.stop.abort(new MecaError('cancelled', 'gave up'))
        await turn()
        assert.ok(used.cpuMillis <= TOTAL.cpuMillis)
        assert.ok(fleet.free.cpuMillis >= 0)
      }
      for (let rounds = 0; rounds < 500 && (held.length > 0 || fleet.queued > 0); rounds++) {
        held.shift()?.release()
        await turn()
      }
      await Promise.all(waits.map(({ done }) => done))
      for (const lease of held.splice(0)) lease.release()
      await turn()
      assert.equal(fleet.queued, 0, 'somebody waits for ever')
      assert.ok(used.peak <= TOTAL.cpuMillis)
      assert.deepEqual(fleet.free, TOTAL)
      await fleet.close()
      assert.equal(used.cpuMillis, 0)
    }),
    { numRuns: 60 },
  )
})

test('who waits is let in by order of arrival', async () => {
  const { fleet, acquire } = makeFleet()
  const first = await acquire('all', need(4))
  const order: string[] = []
  const waiting = ['x', 'y', 'z'].map(async (key) => {
    const lease = await acquire(key, need(4))
    order.push(key)
    lease.release()
  })
  await turn()
  assert.equal(fleet.queued, 3)
  first.release()
  await Promise.all(waiting)
  assert.deepEqual(order, ['x', 'y', 'z'])
  await fleet.close()
})

test('an idle container makes room for another job and counts as free', async () => {
  const { fleet, fake, acquire } = makeFleet()
  ;(await acquire('old', need(4))).release()
  assert.deepEqual(fleet.free, TOTAL)
  assert.equal(fake.running, 1)
  const lease = await acquire('new', need(4))
  assert.equal(lease.warm, false)
  assert.equal(fake.running, 1)
  lease.release()
  await fleet.close()
})

test('a job that could neither start nor wait is refused with its numbers, and one that fits a warm container is not', async () => {
  const { fleet, acquire } = makeFleet(1)
  const lease = await acquire('busy', need(4))
  const stop = new AbortController()
  const waiting = acquire('next', need(1), stop.signal)
  waiting.catch(() => undefined)
  await turn()
  assert.throws(
    () => fleet.requireRoom('third', need(1)),
    (error) =>
      error instanceof MecaError &&
      error.code === 'busy' &&
      /0.001 CPUs asked, 0 there.*1 jobs wait/.test(error.message),
  )
  fleet.requireRoom('busy', need(4))
  stop.abort(new MecaError('cancelled', 'gave up'))
  await assert.rejects(waiting)
  fleet.requireRoom('third', need(1))
  lease.release()
  await fleet.close()
})

test('jobs that were let in and have not come yet take places, until they come or end', () => {
  const { fleet } = makeFleet(2)
  const gone = Array.from({ length: 64 }, () => {
    fleet.requireRoom('key', need(1))
    return fleet.expect('key')
  })
  assert.throws(() => fleet.requireRoom('key', need(1)), /wait already/)
  for (const end of gone) end()
  for (const end of gone) end()
  fleet.requireRoom('key', need(1))
})

test('a container that does not start gives its room back to who waits', async () => {
  const { fleet, acquire } = makeFleet()
  const failing = fleet.acquire({ key: 'bad', resources: need(4), start: () => Promise.reject(new Error('no')) }, NEVER)
  const waiting = acquire('good', need(4))
  await assert.rejects(failing)
  ;(await waiting).release()
  await fleet.close()
})

test('a GPU belongs to one container at a time and comes back when it has ended', async () => {
  const fake = new FakeEngine()
  const shelf = new GpuShelf(2)
  const seen: (readonly string[])[] = []
  const start = (ids: readonly string[]) => {
    seen.push(ids)
    return fake.engine.start('image', {} as never, { name: 'x' }, NEVER)
  }
  const [a] = [await shelf.lend(1, start), await shelf.lend(1, start)]
  await assert.rejects(shelf.lend(1, start), /1 GPUs asked, 0 are free/)
  await a.stop()
  await turn()
  await assert.rejects(shelf.lend(1, () => Promise.reject(new Error('does not start'))))
  await shelf.lend(1, start)
  assert.deepEqual(seen, [['0'], ['1'], ['0']])
})

test('jobs with files of one client and one task each take room of their own, and wait for it', async () => {
  const { fleet } = makeFleet()
  const client = `0x${'c'.repeat(40)}` as const
  const task = (format: string) => ({ manifest: { image: { id: `sha256:${'1'.repeat(64)}` as const }, format } })
  const key = (format: string, id: string) => poolKey(task(format), { id, resources: need(1) }, client)
  assert.equal(key('meca', 'a'), key('meca', 'b'), 'one warm container serves many')
  const ids = Array.from({ length: 20 }, (_, i) => `job-${i}`)
  let [now, peak, done] = [0, 0, 0]
  await Promise.all(
    ids.map(async (id) => {
      const leave = await fleet.room(key('cytomine', id), need(1), NEVER)
      peak = Math.max(peak, ++now)
      await turn()
      now -= 1
      done += 1
      leave()
    }),
  )
  assert.equal(peak, TOTAL.cpuMillis)
  assert.equal(done, ids.length)
  assert.deepEqual(fleet.free, TOTAL)
})

test('who gives up while room is looked for does not wait for the room of others', async () => {
  const { fleet, acquire } = makeFleet()
  const held = await acquire('a', need(4))
  const stop = new AbortController()
  const waits = [acquire('b', need(1), stop.signal), fleet.room('c', need(1), stop.signal)]
  stop.abort(new MecaError('cancelled', 'gave up'))
  for (const wait of waits) await assert.rejects(wait, { code: 'cancelled' })
  assert.equal(fleet.queued, 0)
  held.release()
  await fleet.close()
})
