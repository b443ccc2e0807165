/**
 * What a client can do with vouchers that it "brings back" to a host which lost nothing: at worst it owes more. And the
 * channels that pay nobody: closed, closing, unknown, another's.
 */
import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { ZERO } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { FRAME } from '../../src/core/wire.ts'
import type { Base } from '../../src/wiring/base.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { RawClient } from './raw-client.ts'
import { DEPOSIT, eventually, FakeEngine, FEE, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [HOST, MALLORY, ALICE] = [3, 4, 5]

describe('vouchers that are brought back', { skip }, () => {
  const fake = new FakeEngine()
  let stage: Stage
  let base: Base
  let side: HostSide
  let task: Published
  let mallory: RawClient
  let terms: ChannelTerms
  let channelId: Hex

  before(async () => {
    stage = await openStage()
    const opened = await stage.open('host', HOST)
    base = opened.base
    side = await openHost(base, fake.engine, opened.closer, (error) => assert.fail(String(error)))
    task = await stage.publish('brought', [base])
  })

  after(() => stage.close())

  /** A new peer each time: one that is locked out must not spoil the next test. */
  beforeEach(async () => {
    const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
    const client = await RawClient.connect(target, stage.market.signer(MALLORY))
    stage.closer.add(() => client.close())
    mallory = client
    terms = await stage.openChannel(MALLORY, base.signer.address)
    channelId = mallory.channelId(terms)
    await mallory.greet(terms)
  })

  const row = (taskId = task.taskId) => side.book.row(channelId, taskId)
  const totals = (jobs: number, hostAmount: bigint, developerAmount = FEE * BigInt(jobs)): Totals => ({
    jobs,
    hostAmount,
    developerAmount,
  })

  function bringBack(...vouchers: ReturnType<RawClient['voucher']>[]): void {
    mallory.send(FRAME.submit, { channelId, vouchers, jobs: [] })
  }

  function owe(t: Totals): void {
    mallory.send(FRAME.ack, { channelId, ids: [], vouchers: [mallory.voucher(terms, task, t)] })
  }

  /** Frames are handled in their order, so an honest job's end says that all before it was looked at. */
  async function honestJob(): Promise<void> {
    const id = `after-${Math.random().toString(36).slice(2)}`
    mallory.submit(terms, task, [mallory.job(id, task, 'x')], ['x'])
    await mallory.result(id)
  }

  const refused: [string, () => ReturnType<RawClient['voucher']>][] = [
    ['signed by another key', () => mallory.voucher(terms, task, totals(1, 5n), stage.market.signer(ALICE))],
    ['over the deposit', () => mallory.voucher(terms, task, totals(1, DEPOSIT))],
    ['short of the fee', () => mallory.voucher(terms, task, totals(2, 5n, 2n * FEE - 1n))],
    [
      'for a task that nobody published',
      () => mallory.voucher(terms, { cid: '', taskId: `0x${'0b'.repeat(32)}` }, totals(1, 5n)),
    ],
    ['for another channel', () => mallory.voucher({ ...terms, salt: `0x${'0c'.repeat(32)}` }, task, totals(1, 5n))],
  ]

  for (const [name, make] of refused) {
    test(`${name}: nothing is taken, and the next honest job is served`, async () => {
      bringBack(make())
      owe(totals(1, 5n))
      await honestJob()
      const { billed, exact } = row() ?? assert.fail('no row')
      assert.equal(side.book.rowsOf(channelId).length, 1)
      assert.ok(billed.jobs === 1 && billed.hostAmount > 5n, 'the bill is the job’s alone')
      assert.ok((exact?.totals.hostAmount ?? 0n) !== 5n)
    })
  }

  test('a client that says that it owes more, owes more, and no more than it signed', async () => {
    bringBack(mallory.voucher(terms, task, totals(3, 900n)))
    owe(totals(2, 500n))
    await eventually('the bill is taken', () => row()?.billed.hostAmount === 500n)
    assert.deepEqual(row()?.vouched, totals(3, 900n))
    owe(totals(3, 900n))
    bringBack(mallory.voucher(terms, task, totals(1, 100n)))
    owe(totals(1, 100n))
    await honestJob()
    const { billed, vouched } = row() ?? assert.fail('no row')
    assert.ok(billed.hostAmount > 500n && vouched.hostAmount >= billed.hostAmount, 'what is known does not fall')
  })

  test('what it owes on a row that was not lost is the host’s own bill, whatever it says', async () => {
    await honestJob()
    const before = row() ?? assert.fail('no row')
    owe(totals(9, before.vouched.hostAmount, before.vouched.developerAmount + 9n * FEE))
    await honestJob()
    const { billed } = row() ?? assert.fail('no row')
    assert.equal(billed.jobs, 2)
  })

  test('a flood of vouchers that are a little higher each is cut off, and asks the chain no more', async () => {
    let asked = 0
    const { state } = base.channels
    base.channels.state = function counted(...args) {
      asked++
      return state.apply(this, args)
    }
    try {
      for (let n = 1; n <= 350; n++) bringBack(mallory.voucher(terms, task, totals(1, BigInt(n))))
      await mallory.ended()
      assert.ok(asked < 700, `${asked} questions`)
    } finally {
      base.channels.state = state
    }
    assert.deepEqual(row()?.billed, ZERO)
    assert.ok((row()?.vouched.hostAmount ?? 0n) <= 300n)
  })

  test('a voucher on a channel that closed while the line stood is worth no job', async () => {
    await honestJob()
    await stage.market.channels.startClose(stage.market.wallet(MALLORY), terms, stage.market.signal)
    await eventually('the host has noticed', () => side.book.channels.get(channelId)?.state === 'closing')
    mallory.submit(terms, task, [mallory.job('too-late', task, 'x')], ['x'])
    assert.match(await mallory.refusal('payment', 'too-late'), /closing/)
    await stage.market.later(1000)
    await stage.market.channels.finishClose(stage.market.wallet(MALLORY), terms, stage.market.signal)
    await eventually('the host has noticed', () => side.book.channels.get(channelId)?.state === 'closed')
    const before = row()
    bringBack(mallory.voucher(terms, task, totals(9, 10n ** 16n)))
    mallory.submit(terms, task, [mallory.job('far-too-late', task, 'x')], ['x'])
    assert.match(await mallory.refusal('payment', 'far-too-late'), /closed/)
    assert.deepEqual(row()?.billed, before?.billed)
  })
})
