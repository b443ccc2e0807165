/** Warm containers with a real engine: task-contracts.md 1.8, M-17 to M-19. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Plan } from '../../src/core/plan.ts'
import { WarmPool } from '../../src/engine/pool.ts'
import { NEVER, TestEngine, ask, text } from '../support/engine.ts'
import { appImage, dockerMissing } from '../support/images.ts'
import { eventually } from '../support/eventually.ts'
import { appPlan } from '../support/plans.ts'

const skip = await dockerMissing()
const t = new TestEngine(2)
let image = ''

before(async () => {
  if (skip === false) image = await appImage()
})
after(async () => {
  if (skip === false) await t.end()
})

async function job(pool: WarmPool, plan: Plan, body = '{}') {
  const key = `${image} ${JSON.stringify(plan.resources)}`
  const lease = await pool.acquire(key, (signal) => t.start(image, plan, {}, signal), NEVER)
  try {
    return { id: lease.instance.id, warm: lease.warm, body: text(await ask(lease.instance, body)) }
  } finally {
    lease.release()
  }
}

test(
  'M-17 two requests with the same resources share one container; other resources get another',
  { skip },
  async () => {
    const pool = new WarmPool({ idleMs: 60_000 })
    const one = await job(pool, appPlan('counter'))
    const two = await job(pool, appPlan('counter'))
    const other = await job(pool, appPlan('counter', { resources: { memoryBytes: 96 * 2 ** 20 } }))
    assert.deepEqual([one.body, two.body, other.body], ['1', '2', '1'])
    assert.deepEqual([one.warm, two.warm, other.warm], [false, true, false])
    assert.equal(one.id, two.id)
    assert.equal((await t.tasks()).length, 2)
    await pool.close()
    assert.deepEqual(await t.tasks(), [])
  },
)

test('M-18 two overlapping requests that sleep 2 s both end in about 2 s in one container', { skip }, async () => {
  const pool = new WarmPool({ idleMs: 60_000 })
  const plan = appPlan('slow', { env: { SLEEP_MS: '2000' } })
  await job(pool, appPlan('slow', { env: { SLEEP_MS: '2000' } }))
  const began = Date.now()
  const both = await Promise.all([job(pool, plan), job(pool, plan)])
  assert.ok(Date.now() - began < 3_900, 'one after the other is 4 s')
  assert.equal(both[0].id, both[1].id)
  await pool.close()
})

test('M-19 after the idle time the container is gone, and the next request gets a new one', { skip }, async () => {
  const pool = new WarmPool({ idleMs: 300 })
  const one = await job(pool, appPlan('counter'))
  await eventually('nothing runs', async () => (await t.tasks()).length === 0)
  const two = await job(pool, appPlan('counter'))
  assert.notEqual(one.id, two.id)
  assert.equal(two.body, '1')
  await pool.close()
})

test('a container that died is replaced', { skip }, async () => {
  const pool = new WarmPool({ idleMs: 60_000 })
  const one = await job(pool, appPlan('counter'))
  await t.docker.getContainer(one.id).kill()
  await eventually('its death is known', async () => (await t.tasks()).length === 0)
  const two = await job(pool, appPlan('counter'))
  assert.deepEqual([two.warm, two.body], [false, '1'])
  await pool.close()
})
