/**
 * Short forms of `npm run crash`, `crash:points` and `crash:rot` in one market of processes, and of `crash:engine` and
 * `crash:disk`: what was killed, where, and with which seed stands in the name of a failure.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import type { Failpoint } from '../../src/failpoint.ts'
import { dockerMissing } from '../support/images.ts'
import { randomFrom } from '../support/random.ts'
import { engineRun } from './engine.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import { noOwnEngine } from './own-engine.ts'
import { visitAll } from './points.ts'
import { rotHome } from './rot.ts'
import { killSome } from './run.ts'
import { settleAndJudge } from './settle.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()
const seed = Date.now() % 2 ** 31

/** One of each story; the long form visits all. */
const STORIES: readonly (readonly Failpoint[])[] = [
  ['host.accepted', 'host.before-accept', 'host.voucher-verified', 'host.result-written', 'host.before-result'],
  ['client.voucher-written', 'client.job-sent', 'client.before-result', 'client.result-written'],
]

test(
  'G3 G4 G8 kill -9 at random and at failpoints under load, then rot: nothing lost or charged twice',
  { skip },
  async () => {
    const random = randomFrom(seed)
    const { signal } = new AbortController()
    const market = await CrashMarket.open({ signal })
    try {
      const load = new Load(market, randomFrom(seed + 1))
      load.begin()
      await market.until('jobs are answered', () => Promise.resolve(load.told.length > 20))
      await killSome(market, 'both', random)
      await load.drain()
      const points = STORIES.map((story) => story[Math.floor(random() * story.length)] ?? 'host.accepted')
      const { unreached } = await visitAll({ market, load, signal }, points, 1, random, () => undefined)
      const { findings, ended } = await settleAndJudge(market, load)
      assert.deepEqual([...unreached, ...findings], [], `seed ${seed}, ${points.join()}`)
      assert.ok((ended['answered'] ?? 0) > 20, `little was answered, so little was tried (seed ${seed})`)
      const { alarms, tried } = await rotHome(market.host.member.home, 12, seed)
      assert.ok(alarms > 0, `none of ${tried} was noticed (seed ${seed})`)
    } finally {
      await market.close()
    }
  },
)

test(
  'G6 kill -9 of an engine in the middle of a job: told in time, not charged, the next one works',
  { skip: skip === false ? noOwnEngine() : skip },
  async () => {
    const { findings, told } = await engineRun(1, ['engine'])
    assert.deepEqual(findings, [])
    assert.equal(told.length, 1)
  },
)
