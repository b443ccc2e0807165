/**
 * Short forms of `npm run crash`, `crash:points`, `crash:engine` and `crash:rot` in one market of processes. Disks and power
 * have theirs at the store (test/store/crash.test.ts); a whole market on a disk of its own takes a minute.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import type { Failpoint } from '../../src/failpoint.ts'
import { dockerMissing } from '../support/images.ts'
import { randomFrom } from '../support/random.ts'
import { killOne, leftIn, moveTo } from './engine.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import { noOwnEngine, OwnEngine } from './own-engine.ts'
import { visitAll } from './points.ts'
import { rotHome } from './rot.ts'
import { killSome } from './run.ts'
import { settleAndJudge } from './settle.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()
const seed = Date.now() % 2 ** 31

/** The places between a voucher and its result, on both sides; the long form visits all. */
const POINTS: readonly Failpoint[] = [
  'host.accepted',
  'host.before-accept',
  'host.voucher-verified',
  'host.result-written',
  'host.before-result',
  'client.voucher-written',
  'client.job-sent',
  'client.before-result',
  'client.result-written',
]

/** Where a job with files is in the middle of something. */
const FILES_POINTS: readonly Failpoint[] = [
  'client.input-going',
  'engine.room-made',
  'engine.staged',
  'engine.files-started',
  'engine.files-ended',
  'files.collected',
  'files.packed',
  'files.kept',
  'client.output-fetched',
]

describe('a market is killed under load, judged at the end', { skip }, () => {
  const random = randomFrom(seed)
  const { signal } = new AbortController()
  let market: CrashMarket
  let load: Load
  let engine: OwnEngine | undefined

  before(async () => {
    market = await CrashMarket.open({ signal })
    load = new Load(market, randomFrom(seed + 1))
  })

  after(async () => {
    await market.close()
    await engine?.close()
  })

  test(`G3 kill -9 of host, client or both at random (seed ${seed})`, async () => {
    load.begin()
    await market.until('jobs are answered', () => Promise.resolve(load.told.length > 20))
    assert.ok((await killSome(market, 'both', random)) > 0)
    await load.drain()
  })

  const point = POINTS[seed % POINTS.length] ?? 'host.accepted'
  test(`G4 kill -9 at ${point}`, async () => {
    assert.deepEqual((await visitAll({ market, load, signal }, [point], 1, random, () => undefined)).unreached, [])
  })

  const filesPoint = FILES_POINTS[seed % FILES_POINTS.length] ?? 'engine.staged'
  test(`G4 kill -9 in the middle of a job with files, at ${filesPoint}`, async () => {
    assert.deepEqual((await visitAll({ market, load, signal }, [filesPoint], 1, random, () => undefined)).unreached, [])
  })

  const victim = seed % 2 === 0 ? 'engine' : 'engine with files'
  test(`G6 kill -9 of the ${victim} in the middle of a job`, { skip: noOwnEngine() }, async () => {
    engine = await OwnEngine.open()
    await moveTo(engine, market)
    await load.one('plain')
    const { toldMs } = await killOne(engine, market, load, victim)
    assert.ok(toldMs < 10_000, `told after ${toldMs} ms`)
  })

  test('G17 after all that nothing is lost, charged twice or left behind', async () => {
    const { findings, ended } = await settleAndJudge(market, load)
    assert.deepEqual(findings, [], `seed ${seed}, ${point}, ${filesPoint}`)
    assert.deepEqual(engine === undefined ? [] : await leftIn(engine), [])
    assert.ok((ended['answered'] ?? 0) > 20, 'little was answered, so little was tried')
  })

  test('G8 a bit or a cut in its home is an alarm, or harmless', async () => {
    const { alarms, tried } = await rotHome(market.host.member.home, 24, seed)
    assert.ok(alarms > 0, `none of ${tried} was noticed (seed ${seed})`)
  })
})
