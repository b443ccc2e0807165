/** What was earned adds up: receipts, rows, claims, credit and withdrawals, by whatever it is summed. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { EarningsBy, EarningsLine } from '../../src/role/api-money.ts'
import { openParties, settled, signal, heard } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import { FEE } from './stage.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [ALICE, BOB, HOST, DEVELOPER] = [4, 5, 6, 8]

describe('earnings', { skip }, () => {
  let parties: Parties
  let host: Party
  let alice: Party
  let bob: Party
  let developer: Party
  let tasks: Published[]
  let billed = 0n

  before(async () => {
    parties = await openParties()
    host = await parties.open('host', HOST, { host: true })
    alice = await parties.open('alice', ALICE, { meets: host })
    bob = await parties.open('bob', BOB, { meets: host })
    developer = await parties.open('developer', DEVELOPER, { meets: host })
    const holders = [host.base, alice.base, bob.base]
    tasks = [await parties.stage.publish('first', holders), await parties.stage.publish('second', holders)]
    await Promise.all([heard(alice, host), heard(bob, host)])
  })

  after(() => parties.close())

  const [FIRST, SECOND] = [0, 1]
  const taskAt = (i: number): Published => tasks[i] ?? assert.fail('no such task')

  async function lines(of: Party, by: EarningsBy, since?: number): Promise<EarningsLine[]> {
    const report = await of.money.earnings({ by, ...(since === undefined ? {} : { since }) }, signal)
    assert.ok(report.ok, JSON.stringify(report.checks.filter(({ ok }) => !ok)))
    assert.equal(report.difference, '0')
    return report.lines
  }

  const all = (
    of: readonly EarningsLine[],
    key: 'hostAmount' | 'developerAmount' | 'claimed' | 'withdrawn' | 'atRisk',
  ) => of.reduce((sum, line) => sum + BigInt(line[key]), 0n)

  test('nothing was earned yet, and that adds up', async () => {
    assert.deepEqual(await lines(host, 'token'), [])
    assert.deepEqual(await lines(developer, 'task'), [])
  })

  test('what was billed and not claimed is at risk, by task and by client', async () => {
    const costs = [
      await parties.run(alice, taskAt(FIRST), 'a'),
      await parties.run(alice, taskAt(SECOND), 'b'),
      await parties.run(bob, taskAt(FIRST), 'c'),
    ]
    billed = costs.reduce((a, b) => a + b, 0n)
    await settled(host, billed)
    const byTask = await lines(host, 'task')
    assert.deepEqual(
      byTask.map(({ key, run }) => [key, run]).sort(),
      [
        [taskAt(FIRST).cid, 2],
        [taskAt(SECOND).cid, 1],
      ].sort(),
    )
    const owed = all(await lines(host, 'token'), 'atRisk')
    assert.ok(owed > 0n)
    for (const by of ['token', 'day', 'task', 'client'] as const)
      assert.equal(
        all(await lines(host, by, Date.now() + 86_400_000), 'atRisk'),
        owed,
        'at risk now, whatever was asked for',
      )
    const byClient = await lines(host, 'client')
    assert.deepEqual(
      byClient.map(({ key, run }) => [key, run]).sort(),
      [
        [alice.address, 2],
        [bob.address, 1],
      ].sort(),
    )
    for (const some of [byTask, byClient, await lines(host, 'token'), await lines(host, 'day')]) {
      assert.equal(all(some, 'hostAmount') + all(some, 'developerAmount'), billed)
      assert.equal(all(some, 'atRisk'), all(some, 'hostAmount'))
      assert.equal(all(some, 'claimed'), 0n)
    }
  })

  test('claimed and withdrawn by host and developer, every sum the chain’s', async () => {
    const claim = await host.money.claim({}, signal)
    assert.equal(BigInt(claim.host) + BigInt(claim.developer), billed)
    for (const by of ['token', 'day', 'task', 'client'] as const) {
      const some = await lines(host, by)
      assert.equal(all(some, 'claimed'), BigInt(claim.host), by)
      assert.equal(all(some, 'atRisk'), 0n)
      assert.ok(some.every(({ token }) => token === NATIVE))
      const fees = await lines(developer, by)
      assert.equal(all(fees, 'claimed'), 3n * FEE, by)
      assert.equal(
        fees.reduce((sum, { run }) => sum + run, 0),
        3,
      )
    }
    const drawn = await host.money.withdraw({ token: NATIVE }, signal)
    assert.equal(drawn.amount, claim.host)
    await developer.money.withdraw({ token: NATIVE }, signal)
    for (const by of ['token', 'day', 'task', 'client'] as const) {
      assert.equal(all(await lines(host, by), 'withdrawn'), BigInt(claim.host), `host by ${by}`)
      assert.equal(all(await lines(developer, by), 'withdrawn'), 3n * FEE, `developer by ${by}`)
    }
  })

  test('a second round adds to the first; a close with everybody gone home changes no sum', async () => {
    const more = await parties.run(bob, taskAt(SECOND), 'd')
    billed += more
    await settled(host, billed)
    const [mine] = await bob.money.channels(signal)
    await bob.money.close(mine?.channel ?? '0x', signal)
    const some = await lines(host, 'client')
    assert.equal(all(some, 'hostAmount') + all(some, 'developerAmount'), billed)
    assert.equal(all(some, 'claimed'), all(some, 'hostAmount'))
    assert.equal(all(some, 'atRisk'), 0n)
  })

  test('since a time, only what happened then; sums over all time add up all the same', async () => {
    assert.deepEqual(await lines(host, 'day', Date.now() + 3_600_000 * 24 * 400), [])
    const everything = await lines(host, 'day', 0)
    assert.equal(all(everything, 'hostAmount') + all(everything, 'developerAmount'), billed)
  })

  test('a task that was sold twice: what each of its payees drew adds up, and what they draw elsewhere does not', async () => {
    const { market } = parties.stage
    const { taskId } = taskAt(SECOND)
    const draw = (account: number, payee: Party) =>
      market.channels.withdrawTasks(market.wallet(account), NATIVE, payee.address, [taskId], signal)
    const sell = (from: number, to: Party, sold = taskId) =>
      market.tasks.setPayee(market.wallet(from), sold, to.address, market.signal)
    const runs = async () => {
      billed += await parties.run(alice, taskAt(SECOND), 'again')
      await settled(host, billed)
      await host.money.claim({}, signal)
    }
    const drawn = async () => {
      const byTask = await lines(developer, 'task')
      for (const by of ['token', 'day', 'client'] as const)
        assert.equal(all(await lines(developer, by), 'withdrawn'), all(byTask, 'withdrawn'), by)
      return all(byTask, 'withdrawn')
    }
    await draw(DEVELOPER, developer)
    assert.equal(await drawn(), 4n * FEE)
    await sell(DEVELOPER, alice)
    await runs()
    await draw(ALICE, alice)
    assert.equal(await drawn(), 5n * FEE)
    await sell(ALICE, bob)
    assert.equal(await drawn(), 5n * FEE)
    await runs()
    assert.equal(await drawn(), 5n * FEE, 'nobody drew the last one yet')
    await draw(BOB, bob)
    assert.equal(await drawn(), 6n * FEE)
    // Now the developer is no payee any more, and in no log: it is who gave its tasks away.
    await sell(DEVELOPER, alice, taskAt(FIRST).taskId)
    assert.equal(await drawn(), 6n * FEE)
  })

  test('a host that lost its records says so: the chain paid on channels that it does not know', async () => {
    await host.close()
    const fresh = await parties.open('fresh', HOST, { host: true, meets: alice })
    const report = await fresh.money.earnings({ by: 'token' }, signal)
    assert.equal(report.ok, false)
    assert.ok(BigInt(report.difference) > 0n)
    assert.match(report.checks.filter(({ ok }) => !ok)[0]?.what ?? '', /not in the records/)
  })
})
