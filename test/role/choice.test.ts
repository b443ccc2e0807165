/** Which host a client's jobs go to, with two hosts of the same price: in a burst, and after a restart. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { Hex } from '../../src/core/units.ts'
import type { RunResult } from '../../src/role/api-client.ts'
import { heard, openParties, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import { eventually } from './stage.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [ONE, OTHER, CLIENT] = [3, 4, 5]
const BURST = 20
const quiet = (): void => undefined

describe('a client between two hosts of the same price', { skip }, () => {
  let parties: Parties
  let hosts: Party[]
  let client: Party
  let task: Published

  before(async () => {
    parties = await openParties()
    const first = await parties.open('one', ONE, { host: true })
    hosts = [first, await parties.open('other', OTHER, { host: true, meets: first })]
    client = await openClient()
    task = await parties.stage.publish('patient', [...hosts.map(({ base }) => base), client.base])
  })

  after(() => parties.close())

  async function openClient(): Promise<Party> {
    const opened = await parties.open('client', CLIENT, { meets: hosts[0] ?? assert.fail() })
    for (const host of hosts) await heard(opened, host)
    return opened
  }

  async function ranked(): Promise<{ host: Hex; reliable: boolean }[]> {
    const known = await client.base.tasks.get(task.cid, signal)
    const { candidates } = await client.client.client.choose(known, { inputBytes: 2, maxSeconds: 20 }, signal)
    return candidates.map(({ offer, reliable }) => ({ host: offer.host, reliable }))
  }

  test('a burst is spread over both, though the offers say nothing of it yet', async () => {
    // Nothing ends before all of it is under way, or a fast machine would never have two jobs at once.
    const gate = Promise.withResolvers<void>()
    parties.fake.answer = async (body) => {
      await gate.promise
      return { status: 200, contentType: 'text/plain', body }
    }
    const jobs = Array.from({ length: BURST }, (_, i) =>
      client.api.run(task.cid, Buffer.from(`job ${i}`), { maxSeconds: 20 }, quiet, signal),
    )
    await Promise.race([eventually('all are at work', () => parties.fake.requests === BURST), Promise.all(jobs)])
    gate.resolve()
    const results: RunResult[] = await Promise.all(jobs)
    const each = hosts.map(({ address }) => results.filter(({ host }) => host === address).length)
    // The first ones go where the first channel is opened: the second costs gas, and is worth it from the third job on.
    assert.ok(Math.min(...each) >= 8, `${each.join(' and ')} of ${BURST}`)
  })

  test('a host that failed stands behind the other one, also for a client that was restarted', async () => {
    const [bad] = await ranked()
    assert.ok(bad?.reliable)
    parties.fake.answer = () => Promise.reject(new MecaError('task_failed', 'It went out like a light'))
    // Enough of them to outweigh what it answered in the burst.
    for (let i = 0; i < BURST; i++) {
      const failed = await client.api.run(task.cid, Buffer.from('x'), { maxSeconds: 20, host: bad.host }, quiet, signal)
      assert.equal(failed.status, 'task_failed')
    }
    const before = await ranked()
    assert.deepEqual([before[0]?.reliable, before[1]], [true, { host: bad.host, reliable: false }])
    await client.close()
    client = await openClient()
    assert.deepEqual(await ranked(), before)
  })
})
