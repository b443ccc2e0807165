/**
 * Write before you act: a disk that takes its time holds everything up that must wait for it, on both sides of a job. The
 * store's commits wait at a gate here; while it is shut, nothing may happen that only a written record allows.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { FRAME } from '../../src/core/wire.ts'
import { Book } from '../../src/role/book.ts'
import { Client } from '../../src/role/client.ts'
import { Payer } from '../../src/role/payer.ts'
import type { Base } from '../../src/wiring/base.ts'
import { clientComponents } from '../../src/wiring/client-side.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { RawClient } from './raw-client.ts'
import { RawHost } from './raw-host.ts'
import { eventually, FakeEngine, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [HOST, CLIENT, ALICE] = [3, 5, 6]
/** What would happen too early happens within this. */
const TOO_EARLY_MS = 250

/** Commits of this base wait while the gate is shut; in their order, as ever. */
function gateOf({ store }: Base): { shut(): void; open(): void; waiting(): number } {
  const commit = store.commit.bind(store)
  let gate: PromiseWithResolvers<void> | undefined
  let waiting = 0
  store.commit = async (change) => {
    waiting++
    await gate?.promise
    waiting--
    return commit(change)
  }
  return {
    shut: () => (gate = Promise.withResolvers()),
    open: () => (gate?.resolve(), (gate = undefined)),
    waiting: () => waiting,
  }
}

function aWhile(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, TOO_EARLY_MS))
}

describe('a host writes before it acts', { skip }, () => {
  const fake = new FakeEngine()
  let stage: Stage
  let side: HostSide
  let task: Published
  let alice: RawClient
  let terms: ChannelTerms
  let gate: ReturnType<typeof gateOf>

  before(async () => {
    stage = await openStage()
    const { base, closer } = await stage.open('host', HOST)
    side = await openHost(base, fake.engine, closer, (error) => assert.fail(String(error)))
    task = await stage.publish('patient', [base])
    terms = await stage.openChannel(ALICE, base.signer.address)
    const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
    alice = await RawClient.connect(target, stage.market.signer(ALICE))
    stage.closer.add(() => alice.close())
    await alice.greet(terms)
    gate = gateOf(base)
  })

  after(() => stage.close())

  test('4.5 a voucher and its job are on disk before the job starts', async () => {
    // A container that is warm: the first start of an image waits for the disk itself.
    alice.submit(terms, task, [alice.job('warm', task, 'in')], ['in'])
    await alice.result('warm')
    const before = fake.requests
    gate.shut()
    alice.submit(terms, task, [alice.job('first', task, 'in')], ['in'])
    await eventually('the job is admitted', () => gate.waiting() > 0)
    await aWhile()
    assert.equal(fake.requests, before)
    gate.open()
    await alice.result('first')
  })

  test('4.5 a receipt and its output are on disk before they are sent', async () => {
    const asked = Promise.withResolvers<void>()
    fake.answer = (body) => {
      gate.shut()
      asked.resolve()
      return Promise.resolve({ status: 200, contentType: 'text/plain', body })
    }
    alice.forget()
    alice.submit(terms, task, [alice.job('second', task, 'in')], ['in'])
    await asked.promise
    await eventually('the receipt is made', () => gate.waiting() > 0)
    await aWhile()
    assert.equal(alice.count(FRAME.results), 0)
    gate.open()
    await alice.result('second')
  })
})

describe('a client writes before it acts', { skip }, () => {
  let stage: Stage
  let base: Base
  let host: RawHost
  let client: Client
  let task: Published
  let gate: ReturnType<typeof gateOf>

  before(async () => {
    stage = await openStage()
    ;({ base } = await stage.open('client', CLIENT))
    const book = await Book.open(base.store, base.tables, 'client')
    task = await stage.publish('patient', [base])
    host = await RawHost.open(base.chain.domain)
    host.offer(base)
    const components = clientComponents(base, book, { add: () => undefined })
    client = new Client(components, {
      market: base.market,
      tasks: base.tasks,
      payer: new Payer(components),
      registered: () => Promise.resolve(true),
      providers: () => [],
      defaultMaxSeconds: 1,
      overheadMs: 60_000,
      defaultMaxPrice: undefined,
      onLog: () => undefined,
      offersWaitMs: 1000,
    })
    gate = gateOf(base)
  })

  after(async () => {
    await client.close()
    await host.close()
    await stage.close()
  })

  const run = (id: string) =>
    client.run(task.cid, Buffer.from('in'), { id, host: host.address }, () => undefined, AbortSignal.timeout(60_000))

  test('4.5 a channel is on disk before it is opened', async () => {
    const before = await stage.market.chain.transactionCount(base.signer.address, 'latest', stage.market.signal)
    gate.shut()
    const first = run('first')
    await eventually('the channel is decided on', () => gate.waiting() > 0)
    await aWhile()
    const now = await stage.market.chain.transactionCount(base.signer.address, 'latest', stage.market.signal)
    assert.equal(now, before)
    // Nor is a transaction decided on, which would wait here, too.
    assert.equal(gate.waiting(), 1)
    gate.open()
    assert.equal((await first).status, 'answered')
  })

  test('4.5 a voucher and its job are on disk before they are sent', async () => {
    const sent = host.submits.length
    gate.shut()
    const second = run('second')
    await eventually('the voucher is signed', () => gate.waiting() > 0)
    await aWhile()
    assert.equal(host.submits.length, sent)
    gate.open()
    assert.equal((await second).status, 'answered')
  })

  test('4.5 a result is on disk before it is acknowledged', async () => {
    host.behave.submit = (line, { channelId, jobs }) => {
      gate.shut()
      for (const job of jobs) line.results(channelId, [line.honest(channelId, job)])
    }
    const third = run('third')
    await eventually('the result is checked', () => gate.waiting() > 0)
    await aWhile()
    const acknowledged = () => host.acks.flatMap(({ ids }) => ids)
    assert.equal(acknowledged().includes('third'), false)
    gate.open()
    assert.equal((await third).status, 'answered')
    await eventually('the result is acknowledged', () => acknowledged().includes('third'))
  })
})
