/**
 * A client that breaks every rule of the job protocol, against a real host over real libp2p and a real chain. After each
 * attack: a typed refusal, nothing run, nothing charged, and the next honest job is served.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { emptyRow, nextVoucher } from '../../src/core/ledger.ts'
import { STATUS } from '../../src/core/receipt.ts'
import { makeDomain, quoteDigest, toHex, voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import { FRAME, MAX_BATCH, toWire } from '../../src/core/wire.ts'
import type { JobRequest } from '../../src/core/wire.ts'
import { getData, putData } from '../../src/p2p/data.ts'
import { sha256 } from '../../src/role/sums.ts'
import type { Base } from '../../src/wiring/base.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { failure } from '../support/engine.ts'
import { booked, RawClient } from './raw-client.ts'
import { DEPOSIT, eventually, FakeEngine, openStage, RESOURCES } from './stage.ts'
import type { Published, Stage } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const MALLORY = 4
const ALICE = 5
const HOST = 3

/** The input comes on a stream of its own, or never. */
function withoutInput({ inline: _, ...job }: JobRequest): JobRequest {
  return job
}

describe('a hostile client', { skip }, () => {
  const fake = new FakeEngine()
  let stage: Stage
  let base: Base
  let side: HostSide
  let task: Published
  let mallory: RawClient
  let alice: RawClient
  let terms: ChannelTerms
  let honest: ChannelTerms
  let ids = 0

  before(async () => {
    stage = await openStage()
    const opened = await stage.open('host', HOST, { 'host.maxQueue': 4 })
    base = opened.base
    side = await openHost(base, fake.engine, opened.closer, (error) => assert.fail(String(error)))
    task = await stage.publish('echo', [base])
    terms = await stage.openChannel(MALLORY, base.signer.address)
    honest = await stage.openChannel(ALICE, base.signer.address)
    const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
    mallory = await RawClient.connect(target, stage.market.signer(MALLORY))
    alice = await RawClient.connect(target, stage.market.signer(ALICE))
    stage.closer.add(() => mallory.close())
    stage.closer.add(() => alice.close())
    await alice.greet(honest)
  })

  after(() => stage.close())

  let ran = 0
  let billedBefore = 0n
  beforeEach(async () => {
    await mallory.reconnect()
    await alice.reconnect()
    await alice.greet(honest)
    ran = fake.requests
    billedBefore = books(terms).billed
  })

  afterEach(async () => {
    await eventually('no job is left under way', () => side.host.jobs.live.size === 0)
    fake.answer = (body) => Promise.resolve({ status: 200, contentType: 'text/plain', body })
    const { output } = await work(alice, honest, 'honest')
    assert.equal(Buffer.from(output ?? []).toString(), 'honest')
  })

  const newId = () => `job-${++ids}`
  const books = (of: ChannelTerms) => booked(side, mallory.channelId(of))

  /** An honest job, to its end. */
  async function work(client: RawClient, of: ChannelTerms, input: string, id = newId()) {
    client.submit(of, task, [client.job(id, task, input)], [input])
    return client.result(id)
  }

  /** Since the test began nothing was run, and nothing billed to Mallory. */
  function nothingRan(): void {
    assert.equal(fake.requests, ran)
    assert.equal(books(terms).billed, billedBefore)
    assert.equal(books(terms).reserved, 0n)
  }

  test('a hello signed by another key is refused', async () => {
    mallory.hello(terms, { signer: stage.market.signer(ALICE) })
    await mallory.refusal('unauthorized')
    nothingRan()
  })

  test('a hello for a channel of somebody else, which anybody can see on chain, is refused', async () => {
    mallory.hello(honest)
    await mallory.refusal('unauthorized')
  })

  test('a hello whose time is long gone, or far ahead, is refused', async () => {
    mallory.hello(terms, { issuedAt: Date.now() - 301_000 })
    await mallory.refusal('unauthorized')
    mallory.forget()
    mallory.hello(terms, { issuedAt: Date.now() + 400_000 })
    await mallory.refusal('unauthorized')
  })

  test('a hello that was heard on another connection and is replayed is refused', async () => {
    const eve = mallory
    const digestOfAlice = { peerId: alice.peer.peerId, signer: alice.signer }
    eve.hello(honest, digestOfAlice)
    await eve.refusal('unauthorized')
  })

  test('a hello for a channel that pays another host is refused', async () => {
    const other = await stage.openChannel(MALLORY, stage.market.signer(7).address)
    mallory.hello(other)
    await mallory.refusal('bad_input')
  })

  test('a channel that nobody opened, one in a token that is not taken, one that closes too fast: refused', async () => {
    mallory.hello({ ...terms, salt: toHex(Buffer.alloc(32, 7)) })
    assert.match(await mallory.refusal('busy'), /no deposit/)
    mallory.forget()
    mallory.hello({ ...terms, token: stage.market.deployment.token ?? `0x${'11'.repeat(20)}` })
    assert.match(await mallory.refusal('refused'), /This host takes/)
    mallory.forget()
    mallory.hello({ ...terms, closeDelaySeconds: 1 })
    assert.match(await mallory.refusal('refused'), /close delay/)
  })

  test('a submit, a cancel, an ack, an attach and a release without a hello do nothing', async () => {
    const id = newId()
    mallory.submit(terms, task, [mallory.job(id, task, 'x')], ['x'])
    const channelId = mallory.channelId(terms)
    mallory.send(FRAME.cancel, { channelId, id })
    mallory.send(FRAME.ack, { channelId, ids: [id], vouchers: [] })
    mallory.send(FRAME.attach, { channelId, ids: [id] })
    mallory.send(FRAME.release, { channelId })
    mallory.hello(terms, { issuedAt: 0 })
    await mallory.refusal('unauthorized')
    assert.equal(mallory.count(FRAME.released), 0)
    nothingRan()
  })

  test('who breaks the rules again and again is locked out', async () => {
    const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
    const pest = await RawClient.connect(target, stage.market.signer(MALLORY))
    try {
      for (let i = 0; i < 30; i++) pest.hello(terms, { issuedAt: 0 })
      await pest.ended()
      await failure('peer_unreachable', pest.reconnect())
    } finally {
      await pest.close()
    }
  })

  test('a message of no known type or shape ends the stream, and only that', async () => {
    mallory.send(99, { a: 1 })
    await mallory.ended()
    await mallory.reconnect()
    mallory.send(FRAME.submit, { channelId: mallory.channelId(terms), vouchers: 'many', jobs: [] })
    await mallory.ended()
  })

  test('a batch over its ceiling ends the stream before anything is looked at', async () => {
    await mallory.greet(terms)
    const jobs = Array.from({ length: MAX_BATCH + 1 }, () => mallory.job(newId(), task, 'x'))
    mallory.submit(terms, task, jobs, ['x'])
    await mallory.ended()
    nothingRan()
  })

  test('vouchers: by another key, too high, of another channel, market or contract, short of the fee: no job runs', async () => {
    await mallory.greet(terms)
    const channelId = mallory.channelId(terms)
    const job = mallory.job('never', task, 'x')
    const good = nextVoucher(emptyRow(), [job.price])
    const { chainId, channels } = base.chain.domain
    const elsewhere = (domain: ReturnType<typeof makeDomain>) => ({
      ...mallory.voucher(terms, task, good),
      signature: mallory.signer.sign(voucherDigest(domain, { channelId, taskId: task.taskId, ...good })),
    })
    const bad: [string, RegExp, Record<string, unknown>][] = [
      ['another key', /not signed by/, mallory.voucher(terms, task, good, stage.market.signer(ALICE))],
      ['another channel', /not signed by/, mallory.voucher({ ...terms, salt: toHex(Buffer.alloc(32, 1)) }, task, good)],
      ['another chain', /not signed by/, elsewhere(makeDomain(chainId + 1, channels))],
      ['another contract', /not signed by/, elsewhere(makeDomain(chainId, `0x${'22'.repeat(20)}`))],
      ['over the deposit', /deposit is/, mallory.voucher(terms, task, { ...good, hostAmount: DEPOSIT + 1n })],
      ['fee short', /for the developer/, mallory.voucher(terms, task, { ...good, jobs: 9 })],
      [
        'numbers changed',
        /not signed by/,
        { ...mallory.voucher(terms, task, good), hostAmount: `${good.hostAmount + 1n}` },
      ],
    ]
    for (const [name, reason, voucher] of bad) {
      const id = newId()
      mallory.send(FRAME.submit, { channelId, vouchers: [voucher], jobs: [{ ...job, id }] }, [Buffer.from('x')])
      assert.match(await mallory.refusal('payment', id), reason, name)
      nothingRan()
      assert.equal(books(terms).vouched, 0n, name)
    }
  })

  test('no voucher, or one that covers half of two jobs: only what is covered runs', async () => {
    await mallory.greet(terms)
    const channelId = mallory.channelId(terms)
    const [a, b, c] = [newId(), newId(), newId()]
    mallory.send(FRAME.submit, { channelId, vouchers: [], jobs: [mallory.job(a, task, 'x')] }, [Buffer.from('x')])
    await mallory.refusal('payment', a)
    const jobs = [mallory.job(b, task, 'x'), mallory.job(c, task, 'x')]
    const [first] = jobs
    assert.ok(first)
    const vouchers = [mallory.voucher(terms, task, nextVoucher(emptyRow(), [first.price]))]
    mallory.send(FRAME.submit, { channelId, vouchers, jobs }, [Buffer.from('x')])
    await mallory.result(b)
    assert.match(await mallory.refusal('payment', c), /does not cover/)
    assert.equal(fake.requests, ran + 1)
  })

  test('a voucher that falls, or rises in one number and falls in another, takes nothing back', async () => {
    await mallory.greet(terms)
    await work(mallory, terms, 'first')
    const { vouched } = books(terms)
    const row = side.book.row(mallory.channelId(terms), task.taskId)
    assert.ok(row)
    const channelId = mallory.channelId(terms)
    const job = mallory.job(newId(), task, 'x')
    const lower = { ...row.vouched, hostAmount: 0n }
    const mixed = {
      ...row.vouched,
      hostAmount: row.vouched.hostAmount - 1n,
      developerAmount: row.vouched.developerAmount * 5n,
    }
    for (const [totals, reason] of [
      [lower, /does not cover/],
      [mixed, /lower in another/],
    ] as const) {
      const id = newId()
      const vouchers = [mallory.voucher(terms, task, totals)]
      mallory.send(FRAME.submit, { channelId, vouchers, jobs: [{ ...job, id }] }, [Buffer.from('x')])
      assert.match(await mallory.refusal('payment', id), reason)
      assert.equal(books(terms).vouched, vouched)
    }
  })

  test('the same id with another input or task is refused; with the same input it is answered and not run again', async () => {
    await mallory.greet(terms)
    const id = newId()
    const first = await work(mallory, terms, 'once', id)
    const { billed } = books(terms)
    const runs = fake.requests
    mallory.forget()
    mallory.submit(terms, task, [mallory.job(id, task, 'twice')], ['twice'])
    await mallory.refusal('job_conflict', id)
    mallory.submit(terms, task, [mallory.job(id, task, 'once')], ['once'])
    const again = await mallory.result(id)
    assert.deepEqual(again.result.signed, first.result.signed)
    assert.equal(fake.requests, runs)
    assert.equal(books(terms).billed, billed)
  })

  test('the same id twice in one batch, and twice on two streams at once, runs once', async () => {
    await mallory.greet(terms)
    const id = newId()
    const job = mallory.job(id, task, 'x')
    const channelId = mallory.channelId(terms)
    const row = side.book.row(channelId, task.taskId) ?? emptyRow()
    const vouchers = [mallory.voucher(terms, task, nextVoucher(row, [job.price, job.price]))]
    mallory.send(FRAME.submit, { channelId, vouchers, jobs: [job, job] }, [Buffer.from('x')])
    mallory.send(FRAME.submit, { channelId, vouchers, jobs: [job] }, [Buffer.from('x')])
    await mallory.result(id)
    assert.equal(fake.requests, ran + 1)
    assert.equal(books(terms).reserved, 0n)
  })

  test('a job under the price, over the limits, or with an offer or a quote that does not stand is refused', async () => {
    await mallory.greet(terms)
    const honestJob = mallory.job('x', task, 'x')
    const { price } = honestJob
    const { address } = base.signer
    const quote = (over: Record<string, unknown>, signer = base.signer) => {
      const body = {
        v: 1,
        host: address,
        task: task.cid,
        token: NATIVE,
        hostAmount: price.hostAmount,
        developerAmount: price.developerAmount,
        maxSeconds: price.maxSeconds,
        resources: RESOURCES,
        nonce: toHex(Buffer.alloc(32, 1)),
        expiresAt: Date.now() + 60_000,
        ...over,
      }
      const text = JSON.stringify(toWire(body))
      return { quote: { text, signature: signer.sign(quoteDigest(base.chain.domain, text)) } }
    }
    const bad: [string, Parameters<RawClient['refusal']>[0], Record<string, unknown>][] = [
      ['under the price', 'payment', { price: { ...price, hostAmount: price.hostAmount - 1n } }],
      ['under the fee', 'payment', { price: { ...price, developerAmount: 0n } }],
      ['over the fee', 'payment', { price: { ...price, developerAmount: price.developerAmount + 1n } }],
      ['another token', 'payment', { price: { ...price, token: `0x${'33'.repeat(20)}` } }],
      ['an offer never made', 'quote_expired', { basis: { offer: 1 } }],
      ['an expired quote', 'quote_expired', { basis: quote({ expiresAt: Date.now() - 1000 }) }],
      ['a quote by another', 'not_verified', { basis: quote({ hostAmount: 0n }, mallory.signer) }],
      ['a quote for less time', 'payment', { basis: quote({ maxSeconds: 1 }) }],
      [
        'a quote for another task',
        'payment',
        { basis: quote({ task: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi' }) },
      ],
      ['more hardware than there is', 'refused', { resources: { ...RESOURCES, cpuMillis: 999_000 } }],
      ['less hardware than the task needs', 'bad_input', { resources: { ...RESOURCES, memoryBytes: 1 } }],
      ['a GPU that is not there', 'refused', { resources: { ...RESOURCES, gpus: 1 } }],
      ['longer than allowed', 'refused', { price: { ...price, maxSeconds: 2_000_000 } }],
      ['too large an input', 'too_large', { inputBytes: 2 ** 50 }],
      ['a runtime that is not there', 'refused', { runtime: 'kata' }],
      ['no such task', 'not_found', { task: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi' }],
    ]
    for (const [name, code, over] of bad) {
      const id = newId()
      mallory.submit(terms, task, [mallory.job(id, task, 'x', over)], ['x'])
      const reason = await mallory.refusal(code, id).catch((error: unknown) => assert.fail(`${name}: ${String(error)}`))
      assert.notEqual(reason, '', name)
      nothingRan()
    }
    const id = newId()
    mallory.submit(terms, task, [mallory.job(id, task, 'x', { basis: quote({}) })], ['x'])
    await mallory.result(id)
  })

  test('an input that is not the promised one: nothing runs, nothing is billed', async () => {
    await mallory.greet(terms)
    for (const over of [{ inputHash: sha256(Buffer.from('other')) }, { inputBytes: 3 }]) {
      const id = newId()
      mallory.submit(terms, task, [mallory.job(id, task, 'x', over)], ['x'])
      const { result } = await mallory.result(id)
      assert.equal(result.signed.receipt.status, STATUS.host_failed)
      assert.equal(result.outcome.problem?.code, 'bad_input')
      nothingRan()
    }
  })

  test('an upload that is not the promised one is refused, and the right one still counts', async () => {
    await mallory.greet(terms)
    const id = newId()
    const right = 'y'.repeat(100_000)
    mallory.submit(terms, task, [withoutInput(mallory.job(id, task, right))], [])
    const header = { op: 'put', channelId: mallory.channelId(terms), id, offset: 0 } as const
    const put = (text: string, of = header) =>
      putData(
        mallory.peer,
        base.peer.addrs(),
        of,
        { lengthBytes: text.length, read: () => [Buffer.from(text)] as never },
        {
          signal: AbortSignal.timeout(30_000),
        },
      )
    await assert.rejects(put('z'.repeat(100_000)))
    await failure('too_large', put('y'.repeat(100_001)))
    await failure('unauthorized', put(right, { ...header, channelId: mallory.channelId(honest) }))
    assert.equal(fake.requests, ran)
    await put(right)
    const { result } = await mallory.result(id)
    assert.equal(result.signed.receipt.status, STATUS.answered)
  })

  test('inputs that are promised and never sent fill no more than the queue', async () => {
    const rich = await stage.openChannel(MALLORY, base.signer.address, 100n * DEPOSIT)
    await mallory.greet(rich)
    const big = 'never sent'.repeat(10_000)
    const jobs = Array.from({ length: 200 }, () => withoutInput(mallory.job(newId(), task, big)))
    mallory.submit(rich, task, jobs, [])
    const last = jobs.at(-1)
    assert.ok(last)
    await mallory.refusal('busy', last.id)
    const waiting = side.host.jobs.live.size
    assert.ok(waiting <= 64 + 4, `${waiting} jobs wait: one container takes 64, the queue has 4 places`)
    const { output } = await work(alice, honest, 'served meanwhile')
    assert.equal(Buffer.from(output ?? []).toString(), 'served meanwhile')
    for (const { id } of jobs) mallory.send(FRAME.cancel, { channelId: mallory.channelId(rich), id })
    await eventually('they are gone', () => side.host.jobs.live.size === 0)
    assert.equal(books(rich).billed, 0n)
    assert.equal(books(rich).reserved, 0n)
  })

  test('a result that is never read harms nobody, and waits', async () => {
    await mallory.greet(terms)
    const id = newId()
    mallory.submit(terms, task, [mallory.job(id, task, 'unread')], ['unread'])
    await mallory.stream.close()
    await eventually('the job has ended', () => side.host.jobs.find(`${terms.client}/${id}`)?.signed !== undefined)
    await mallory.reconnect()
    await mallory.greet(terms)
    mallory.send(FRAME.attach, { channelId: mallory.channelId(terms), ids: [id] })
    const { output } = await mallory.result(id)
    assert.equal(Buffer.from(output ?? []).toString(), 'unread')
  })

  test("another's jobs can be neither cancelled, acknowledged, attached to nor read", async () => {
    await mallory.greet(terms)
    const gate = Promise.withResolvers<void>()
    const asked = Promise.withResolvers<void>()
    fake.answer = async () => {
      asked.resolve()
      await gate.promise
      return { status: 200, contentType: 'text/plain', body: Buffer.from('secret'.repeat(20_000)) }
    }
    const id = newId()
    alice.submit(honest, task, [alice.job(id, task, 'in')], ['in'])
    await asked.promise
    const channelId = mallory.channelId(terms)
    mallory.send(FRAME.cancel, { channelId, id })
    mallory.send(FRAME.ack, { channelId, ids: [id], vouchers: [] })
    mallory.send(FRAME.attach, { channelId, ids: [id] })
    await mallory.refusal('not_found', id)
    gate.resolve()
    const { result } = await alice.result(id)
    assert.equal(result.signed.receipt.status, STATUS.answered)
    const get = (client: RawClient, of: ChannelTerms) =>
      getData(
        client.peer,
        base.peer.addrs(),
        { op: 'get', channelId: client.channelId(of), id, offset: 0 },
        {
          signal: AbortSignal.timeout(30_000),
          maxBytes: 2 ** 20,
        },
      )
    await failure('not_found', get(mallory, terms))
    await failure('unauthorized', get(mallory, honest))
    assert.equal(await base.tables.acks.get(`${honest.client}/${id}`), undefined)
    const { body } = await get(alice, honest)
    let bytes = 0
    for await (const chunk of body) bytes += chunk.length
    assert.equal(bytes, 120_000)
  })

  test('acknowledging what never was leaves nothing on disk', async () => {
    await mallory.greet(terms)
    const before = await base.tables.acks.count()
    const made = Array.from({ length: 1000 }, (_, i) => `made-up-${i}`)
    mallory.send(FRAME.ack, { channelId: mallory.channelId(terms), ids: made, vouchers: [] })
    await work(mallory, terms, 'after the acks')
    assert.equal(await base.tables.acks.count(), before)
  })

  test('a channel whose close has begun takes no new jobs after the next hello, and its host collects', async () => {
    const closing = await stage.openChannel(MALLORY, base.signer.address)
    await mallory.greet(closing)
    await work(mallory, closing, 'before')
    await stage.market.channels.startClose(stage.market.wallet(MALLORY), closing, stage.market.signal)
    await mallory.reconnect()
    mallory.hello(closing)
    await mallory.refusal('payment')
    const { billed } = books(closing)
    await eventually('what was billed is collected', async () => {
      const lane = await stage.market.channels.lane(mallory.channelId(closing), task.taskId, stage.market.signal)
      return lane.hostAmount + lane.developerAmount >= billed
    })
    await stage.market.later(1000)
    await stage.market.channels.finishClose(stage.market.wallet(MALLORY), closing, stage.market.signal)
    await mallory.reconnect()
    mallory.hello(closing)
    assert.match(await mallory.refusal('payment'), /closed/)
  })

  test('a release while a job runs is refused', async () => {
    await mallory.greet(terms)
    const gate = Promise.withResolvers<void>()
    fake.answer = async (body) => {
      await gate.promise
      return { status: 200, contentType: 'text/plain', body }
    }
    const id = newId()
    mallory.submit(terms, task, [mallory.job(id, task, 'x')], ['x'])
    await eventually('the job runs', () => side.host.jobs.runningOn(mallory.channelId(terms)) === 1)
    mallory.send(FRAME.release, { channelId: mallory.channelId(terms) })
    await mallory.refusal('busy')
    gate.resolve()
    await mallory.result(id)
  })

  test('a release before the exact voucher is refused; after it, nothing new is taken on the channel', async () => {
    const left = await stage.openChannel(MALLORY, base.signer.address)
    const channelId = mallory.channelId(left)
    await mallory.greet(left)
    await work(mallory, left, 'one job')
    mallory.send(FRAME.release, { channelId })
    await mallory.refusal('payment')
    const row = side.book.row(channelId, task.taskId)
    assert.ok(row)
    mallory.send(FRAME.ack, { channelId, ids: [], vouchers: [mallory.voucher(left, task, row.billed)] })
    mallory.send(FRAME.release, { channelId })
    const word = await mallory.released()
    assert.equal(word.claimed, row.billed.hostAmount + row.billed.developerAmount)
    const runs = fake.requests
    const late = newId()
    mallory.submit(left, task, [mallory.job(late, task, 'late')], ['late'])
    await mallory.refusal('payment', late)
    await mallory.reconnect()
    mallory.hello(left)
    await mallory.refusal('payment')
    assert.equal(fake.requests, runs)
  })

  test('a job that was on its way when the channel was released is refused too', async () => {
    const left = await stage.openChannel(MALLORY, base.signer.address)
    const channelId = mallory.channelId(left)
    await mallory.greet(left)
    // The task has to be looked up on chain first, which takes longer than the release that overtakes it.
    const fresh = await stage.publish(`slow-${ids}`, [base])
    const row = () => side.book.row(channelId, fresh.taskId)
    const second = await RawClient.connect(
      { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address },
      mallory.signer,
    )
    try {
      await second.greet(left)
      const id = newId()
      const held = Promise.withResolvers<void>()
      const { get } = base.tasks
      base.tasks.get = async (...args) => {
        await held.promise
        return get.apply(base.tasks, args)
      }
      mallory.submit(left, fresh, [mallory.job(id, fresh, 'x')], ['x'])
      await mallory.event(id)
      second.send(FRAME.release, { channelId })
      const word = await second.released()
      assert.equal(word.claimed, 0n)
      base.tasks.get = get.bind(base.tasks)
      held.resolve()
      await mallory.refusal('payment', id)
      assert.equal(row()?.billed.hostAmount ?? 0n, 0n)
      assert.equal(fake.requests, ran)
    } finally {
      await second.close()
    }
  })
})
