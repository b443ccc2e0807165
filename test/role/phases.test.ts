/** How far a job is: from the live client while it is followed, from disk what was heard last where the client has ended. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { ClientPhases } from '../../src/role/client-phases.ts'
import { openStore } from './home.ts'
import { heard, openParties, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import { eventually } from './stage.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [HOST, CLIENT] = [3, 5]
const NOW = 1_800_000_000_000
const quiet = (): void => undefined

async function openPhases(t: TestContext, sent: readonly string[]) {
  const { store, tables } = await openStore(t)
  const clock = { now: NOW }
  const warnings: string[] = []
  const clientJobs = { getSync: (id: string) => (sent.includes(id) ? { state: 'sent' as const } : undefined) }
  const parts = {
    store,
    tables: { phases: tables.phases, clientJobs },
    log: { warn: (_: object, text: string) => void warnings.push(text) },
    wallNow: () => clock.now,
  }
  const start = async () => {
    const phases = new ClientPhases(parts)
    await phases.recover()
    return phases
  }
  return { store, tables, clock, warnings, start }
}

test('a job is queued until its host says more; a phase that is told twice began when it was told first', async (t) => {
  const { start, clock } = await openPhases(t, [])
  const phases = await start()
  assert.equal(phases.of('a'), undefined)
  phases.follow('a')
  assert.deepEqual(phases.of('a'), { phase: 'queued', at: NOW, isFollowed: true })
  clock.now += 10
  phases.tell('a', 'running')
  clock.now += 10
  phases.tell('a', 'running')
  assert.deepEqual(phases.of('a'), { phase: 'running', at: NOW + 10, isFollowed: true })
  phases.leave('a')
  assert.deepEqual(phases.of('a'), { phase: 'running', at: NOW + 10, isFollowed: false })
  phases.follow('a')
  assert.deepEqual(phases.of('a'), { phase: 'running', at: NOW + 10, isFollowed: true })
  phases.end('a')
  phases.tell('a', 'delivering')
  assert.equal(phases.of('a'), undefined)
  await phases.close()
})

test('what was heard last is there after a restart, but for jobs that have ended', async (t) => {
  const { start, tables, clock } = await openPhases(t, ['a', 'b'])
  const phases = await start()
  for (const id of ['a', 'b', 'over', 'short']) phases.follow(id)
  phases.tell('a', 'running')
  phases.end('short')
  await phases.close()
  assert.equal(await tables.phases.count(), 3)
  clock.now += 1000
  const again = await start()
  assert.deepEqual(again.of('a'), { phase: 'running', at: NOW, isFollowed: false })
  assert.deepEqual(again.of('b'), { phase: 'queued', at: NOW, isFollowed: false })
  assert.equal(again.of('over'), undefined)
  again.end('a')
  await again.close()
  assert.equal(await tables.phases.count(), 1)
})

test('a row that cannot be read keeps no client from starting', async (t) => {
  const { start, store, tables, warnings } = await openPhases(t, ['a'])
  await store.commit({ rows: [{ table: tables.phases.name, ledger: false, key: 'a', text: '{"phase":"asleep"}' }] })
  const phases = await start()
  assert.match(warnings.join(), /cannot be read/)
  assert.equal(phases.of('a'), undefined)
})

describe('a job under way', { skip }, () => {
  let parties: Parties
  let host: Party
  let client: Party
  let task: Published
  const gate = Promise.withResolvers<void>()

  before(async () => {
    parties = await openParties()
    host = await parties.open('host', HOST, { host: true })
    client = await parties.open('client', CLIENT, { meets: host })
    await heard(client, host)
    task = await parties.stage.publish('patient', [host.base, client.base])
  })

  after(async () => {
    gate.resolve()
    await parties.close()
  })

  const stateOf = async (id: string) => {
    const [listed] = (await client.api.jobs({ limit: 10 })).filter(({ job }) => job === id)
    const { state, underWay } = await client.api.job(id)
    assert.deepEqual([listed?.state, listed?.underWay], [state, underWay], 'the list and the job say the same')
    return { state, isFollowed: underWay?.isFollowed }
  }

  test('its phase is shown while it is followed, after its client was restarted, and not after its end', async () => {
    parties.fake.answer = async (body) => {
      await gate.promise
      return { status: 200, contentType: 'text/plain', body }
    }
    const ask = () => client.api.run(task.cid, Buffer.from('in'), { id: 'long', maxSeconds: 60 }, quiet, signal)
    const first = ask().catch((error: unknown) => error)
    await eventually('it runs', async () => {
      const known = (await client.api.jobs({ limit: 1 }))[0]
      return known?.state === 'running'
    })
    assert.deepEqual(await stateOf('long'), { state: 'running', isFollowed: true })

    await client.close()
    await first
    client = await parties.open('client', CLIENT, { meets: host })
    await heard(client, host)
    assert.deepEqual(await stateOf('long'), { state: 'running', isFollowed: false })

    const second = ask()
    const isFollowed = async () => (await client.api.job('long')).underWay?.isFollowed === true
    await eventually('it is followed again', isFollowed)
    assert.deepEqual(await stateOf('long'), { state: 'running', isFollowed: true })
    gate.resolve()
    assert.equal((await second).status, 'answered')
    // The result is handed out while it is on its way to disk, from where the list is read.
    await eventually('its end is written down', async () => (await client.api.job('long')).underWay === undefined)
    await eventually('the list says so', async () => (await client.api.jobs({ limit: 1 }))[0]?.state === 'answered')
    assert.deepEqual(await stateOf('long'), { state: 'answered', isFollowed: undefined })
  })
})
