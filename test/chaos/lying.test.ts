/** Every behaviour of a lying endpoint, once, against the money of a node: see lie.ts for what must hold. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { startMarket } from '../chain/market.ts'
import type { Market } from '../chain/market.ts'
import { BEHAVIOURS } from './behaviours.ts'
import { publishTask, underLie } from './lie.ts'
import type { Task } from './lie.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
/** They mostly wait. */
const AT_ONCE = 12

describe('an endpoint that', { skip, concurrency: AT_ONCE }, () => {
  let market: Market
  let task: Task
  before(async () => {
    market = await startMarket()
    task = await publishTask(market)
  })
  after(() => market.close())

  for (const lie of BEHAVIOURS) {
    test(`${lie.kind}: ${lie.name}`, async (t) => {
      const { errors, alarms } = await underLie(t, market, task, lie)
      t.diagnostic(`${lie.name}: ${[...errors, ...alarms].join(', ') || 'nothing noticed'}`)
      assert.ok(lie.harmless === true || errors.size + alarms.size > 0, 'neither an error nor an alarm told of it')
    })
  }
})

test('there are at least 25 behaviours, of every kind, each with a name of its own', () => {
  assert.ok(BEHAVIOURS.length >= 25)
  assert.equal(new Set(BEHAVIOURS.map(({ name }) => name)).size, BEHAVIOURS.length)
  assert.deepEqual([...new Set(BEHAVIOURS.map(({ kind }) => kind))].sort(), ['lie', 'nonsense', 'silence'])
})
