/**
 * A host that lies, against a real client over real libp2p and a real chain. Whatever it sends, the client's books say
 * what is owed for what was delivered, and no voucher goes beyond that and the price of the job it risked.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { MecaError } from '../../src/core/errors.ts'
import { sum } from '../../src/core/ledger.ts'
import type { Tariff } from '../../src/core/tariff.ts'
import { NATIVE } from '../../src/core/units.ts'
import { STATUS } from '../../src/core/receipt.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { channelIdOf, voucherDigest } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import type { ClientMessage } from '../../src/core/wire.ts'
import type { RunOptions } from '../../src/role/api-client.ts'
import { Book } from '../../src/role/book.ts'
import { Client } from '../../src/role/client.ts'
import type { ClientComponents } from '../../src/role/client-components.ts'
import { Payer } from '../../src/role/payer.ts'
import type { Base } from '../../src/wiring/base.ts'
import { clientComponents } from '../../src/wiring/client-side.ts'
import { failure } from '../support/engine.ts'
import { PER_JOB, RawHost } from './raw-host.ts'
import type { Line, RawResult } from './raw-host.ts'
import { eventually, FEE, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const CLIENT = 5
const PRICE = PER_JOB + FEE
const quiet = (): void => undefined

describe('a hostile host', { skip }, () => {
  let stage: Stage
  let base: Base
  let book: Book
  let task: Published
  let host: RawHost
  let client: Client
  let ids = 0

  before(async () => {
    stage = await openStage()
    ;({ base } = await stage.open('client', CLIENT))
    book = await Book.open(base.store, base.tables, 'client')
    task = await stage.publish('trusting', [base])
  })

  after(() => stage.close())

  beforeEach(async () => {
    host = await RawHost.open(base.chain.domain)
    host.offer(base)
    client = makeClient()
  })

  afterEach(async () => {
    await client.close()
    await host.close()
  })

  function makeClient(over: Partial<ClientComponents> = {}, overheadMs = 60_000): Client {
    const components = { ...clientComponents(base, book, { add: () => undefined }), ...over }
    return new Client(components, {
      market: base.market,
      tasks: base.tasks,
      payer: new Payer(components),
      registered: () => Promise.resolve(true),
      providers: () => [],
      defaultMaxSeconds: 1,
      overheadMs,
      defaultMaxPrice: undefined,
      onLog: quiet,
      offersWaitMs: 1000,
    })
  }

  const newId = () => `job-${++ids}`

  function run(id = newId(), options: RunOptions = {}, input = 'in', signal = new AbortController().signal) {
    return client.run(task.cid, Buffer.from(input), { id, host: host.address, ...options }, quiet, signal)
  }

  async function outputOf(id: string): Promise<string> {
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.answers.output(id)) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  }

  /** What the books say of all that was ever promised to this host. */
  function owed(to = host.address) {
    const rows = [...book.channels.values()]
      .filter(({ terms }) => terms.host === to)
      .flatMap(({ channelId }) => book.rowsOf(channelId))
    const all = (of: 'vouched' | 'billed' | 'reserved') => rows.reduce((total, row) => total + sum(row[of]), 0n)
    return { vouched: all('vouched'), billed: all('billed'), reserved: all('reserved') }
  }

  /** The highest sum over which the host ever got a signature. */
  function signedFor(): bigint {
    const vouchers = [...host.submits, ...host.acks].flatMap((message) => message.vouchers)
    return vouchers.map(sum).reduce((a, b) => (a > b ? a : b), 0n)
  }

  /** Each job is answered with what `make` makes of the honest result. */
  function answerWith(
    make: (honest: RawResult, line: Line, job: ClientMessage<'submit'>['jobs'][number]) => RawResult[],
  ) {
    host.behave.submit = (line, { channelId, jobs }) => {
      for (const job of jobs) line.results(channelId, make(line.honest(channelId, job), line, job))
    }
  }

  const tampered: [string, (honest: RawResult) => RawResult, ('not_verified' | 'protocol' | 'too_large')?][] = [
    ['a receipt for another job', (r) => ({ ...r, receipt: { ...r.receipt, jobHash: `0x${'11'.repeat(32)}` } })],
    ['a receipt for another task', (r) => ({ ...r, receipt: { ...r.receipt, taskId: `0x${'11'.repeat(32)}` } })],
    ['a receipt for another input', (r) => ({ ...r, receipt: { ...r.receipt, inputHash: `0x${'11'.repeat(32)}` } })],
    ['a receipt of another channel', (r) => ({ ...r, receipt: { ...r.receipt, channelId: `0x${'11'.repeat(32)}` } })],
    ['a receipt signed by somebody else', (r) => ({ ...r, by: makeSigner(Buffer.alloc(32, 9)) })],
    ['an output that is not the receipt’s', (r) => ({ ...r, output: Buffer.from('evil') })],
    ['an output that is named and not there', (r) => ({ ...r, wire: { inline: 900 } }), 'protocol'],
    ['an output of another length than it says', (r) => ({ ...r, wire: outcome({ outputBytes: 0 }) })],
    [
      'an output too large to take',
      (r) => ({ ...r, wire: { ...outcome({ outputBytes: 2 ** 45 }), inline: undefined } }),
      'too_large',
    ],
    ['a bill over the quote', (r) => ({ ...r, receipt: { ...r.receipt, hostAmount: PER_JOB + 1n } })],
    ['a fee over the fee', (r) => ({ ...r, receipt: { ...r.receipt, developerAmount: FEE + 1n } })],
    ['an answer without its fee', (r) => ({ ...r, receipt: { ...r.receipt, developerAmount: 0n } })],
    ['a fee without an answer', (r) => ({ ...r, receipt: { ...r.receipt, status: STATUS.task_failed } })],
    [
      'a bill for its own failure',
      (r) => ({ ...r, receipt: { ...r.receipt, status: STATUS.host_failed, developerAmount: 0n } }),
    ],
    [
      'a bill for a cancel nobody asked for',
      (r) => ({ ...r, receipt: { ...r.receipt, status: STATUS.cancelled, developerAmount: 0n } }),
    ],
  ]

  for (const [name, tamper, code = 'not_verified'] of tampered) {
    test(`${name}: not believed, not billed, one price at risk`, async () => {
      answerWith((honest) => [tamper(honest)])
      const id = newId()
      await failure(code, run(id))
      assert.deepEqual(owed(), { vouched: PRICE, billed: 0n, reserved: PRICE })
      assert.equal(signedFor(), PRICE)
      await assert.rejects(client.answers.output(id))
      assert.equal((await base.tables.clientJobs.get(id))?.state, 'sent')
    })
  }

  test('who was caught lying is not chosen again while there is anybody else, however cheap', async () => {
    const honest = await RawHost.open(base.chain.domain)
    try {
      const dear: Tariff = {
        token: NATIVE,
        perJob: 50n * PER_JOB,
        perCpuSecond: 0n,
        perGibSecond: 0n,
        perGpuSecond: 0n,
      }
      honest.offer(base, { tariffs: [dear] })
      answerWith((result) => [{ ...result, output: Buffer.from('evil') }])
      await failure('not_verified', run())
      host.submits.length = 0
      for (let i = 0; i < 3; i++) {
        const choice = await client.choose(
          await base.tasks.get(task.cid, stage.market.signal),
          { inputBytes: 2 },
          stage.market.signal,
        )
        const among = choice.candidates.filter(({ offer }) => [host.address, honest.address].includes(offer.host))
        assert.equal(among[0]?.offer.host, honest.address)
      }
    } finally {
      await honest.close()
    }
  })

  test('the same result twice in one message and in two is booked once', async () => {
    host.behave.submit = (line, { channelId, jobs }) => {
      const results = jobs.flatMap((job) => [line.honest(channelId, job), line.honest(channelId, job)])
      line.results(channelId, results)
      line.results(channelId, results)
    }
    await run()
    await run()
    await eventually('all is acknowledged', () => signedFor() === 2n * PRICE)
    assert.deepEqual(owed(), { vouched: 2n * PRICE, billed: 2n * PRICE, reserved: 0n })
  })

  test('a job that is refused costs nothing, and its price pays the next', async () => {
    host.behave.submit = (line, { channelId, jobs }) => {
      for (const { id } of jobs) line.refuse(channelId, id, 'busy')
    }
    for (let i = 0; i < 3; i++) await failure('no_host', run())
    assert.deepEqual(owed(), { vouched: PRICE, billed: 0n, reserved: 0n })
    host.behave = {}
    await run()
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
  })

  test('a host that refused a job, so that nobody looked at its voucher, gets the voucher again with the next', async () => {
    host.behave.submit = (line, { channelId, jobs }) => {
      for (const { id } of jobs) line.refuse(channelId, id, 'disk_full')
    }
    await failure('no_host', run())
    host.behave = {}
    await run()
    const vouchers = host.submits.map((submit) => submit.vouchers.length)
    assert.deepEqual(vouchers, [1, 1])
  })

  test('a job that was refused and is then answered, again and again, is booked once', async () => {
    const flood = Promise.withResolvers<void>()
    host.behave.submit = (line, { channelId, jobs }) => {
      for (const job of jobs) {
        line.refuse(channelId, job.id, 'busy')
        const result = line.honest(channelId, job)
        for (let i = 0; i < 5; i++) line.results(channelId, [result, result, result])
      }
      flood.resolve()
    }
    await failure('no_host', run())
    await flood.promise
    host.behave = {}
    await run()
    await eventually('the books are exact', () => owed().reserved === 0n && signedFor() >= 2n * PRICE)
    assert.deepEqual(owed(), { vouched: 2n * PRICE, billed: 2n * PRICE, reserved: 0n })
  })

  test('a job that was refused and then answered with lies raises no later voucher', async () => {
    host.behave.submit = (line, { channelId, jobs }) => {
      for (const job of jobs) {
        line.refuse(channelId, job.id, 'busy')
        const lie = { ...line.honest(channelId, job), output: Buffer.from('evil') }
        for (let i = 0; i < 20; i++) line.results(channelId, [lie, lie])
      }
    }
    await failure('no_host', run())
    host.behave = {}
    await run()
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
  })

  test('forged rows in a welcome are not taken', async () => {
    const other = makeSigner(Buffer.alloc(32, 8))
    const totals = { jobs: 5, hostAmount: 10n ** 15n, developerAmount: 10n ** 15n }
    const own = stage.market.signer(CLIENT)
    const forge = (channelId: Hex, signer = other, of = channelId) => ({
      taskId: task.taskId,
      vouched: totals,
      billed: totals,
      signature: signer.sign(voucherDigest(base.chain.domain, { channelId: of, taskId: task.taskId, ...totals })),
    })
    host.behave.hello = (line, { terms }) => {
      const channelId = channelIdOf(base.chain.domain, terms)
      // Signed by another; signed by the client itself for another channel.
      line.welcome(channelId, [forge(channelId), forge(channelId, own, `0x${'12'.repeat(32)}`)])
      line.welcome(channelId, [forge(channelId)])
    }
    await run()
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
  })

  test('a welcome that bills more than was vouched for ends the line', async () => {
    host.behave.hello = (line, { terms }) => {
      const channelId = channelIdOf(base.chain.domain, terms)
      const vouched = { jobs: 0, hostAmount: 0n, developerAmount: 0n }
      const billed = { ...vouched, hostAmount: 5n }
      line.welcome(channelId, [{ taskId: task.taskId, vouched, billed, signature: `0x${'00'.repeat(65)}` }])
    }
    await assert.rejects(run())
    assert.deepEqual(owed(), { vouched: 0n, billed: 0n, reserved: 0n })
  })

  test('a large output that is cut short, or that is another, is not believed', async () => {
    const real = Buffer.alloc(200_000, 'r')
    for (const sent of [Buffer.alloc(100_000, 'r'), Buffer.alloc(200_000, 'e')]) {
      answerWith((_, line, job) => {
        const result = line.honest(host.submits.at(-1)?.channelId ?? '0x', job, {}, real)
        return [
          {
            ...result,
            output: new Uint8Array(0),
            wire: { ...outcome({ outputBytes: real.length }), inline: undefined },
          },
        ]
      })
      host.behave.get = () => ({ op: 'get', lengthBytes: sent.length, body: [sent] as never })
      const before = owed().billed
      await assert.rejects(run())
      assert.equal(owed().billed, before)
    }
    host.behave.get = () => ({ op: 'get', lengthBytes: real.length, body: [real] as never })
    const id = newId()
    await run(id)
    assert.equal((await outputOf(id)).length, real.length)
  })

  test('silence after the job was sent ends by the deadline; asked again, the answer is taken and paid once', async () => {
    client = makeClient({}, 500)
    host.behave.submit = quiet
    const id = newId()
    await failure('timeout', run(id))
    assert.deepEqual(owed(), { vouched: PRICE, billed: 0n, reserved: PRICE })
    const [submit] = host.submits
    assert.ok(submit)
    host.behave.attach = (line, { channelId }) =>
      line.results(
        channelId,
        submit.jobs.map((job) => line.honest(channelId, job)),
      )
    const result = await run(id)
    assert.equal(result.status, 'answered')
    assert.equal(await outputOf(id), 'done')
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
  })

  test('silence after the hello ends too, with nothing sent, and the job goes to no host behind the caller’s back', async () => {
    let line: Line | undefined
    let channelId: Hex | undefined
    host.behave.hello = (to, { terms }) => {
      line = to
      channelId = channelIdOf(base.chain.domain, terms)
    }
    const id = newId()
    const error = await failure('no_host', run(id))
    assert.match(error.message, /hello/)
    if (line !== undefined && channelId !== undefined) line.welcome(channelId)
    await new Promise((resolve) => setTimeout(resolve, 200))
    assert.deepEqual(host.ids, [])
    assert.deepEqual(owed(), { vouched: 0n, billed: 0n, reserved: 0n })
  })

  test('a job that is cancelled before it was sent is never sent', async () => {
    const greeted = Promise.withResolvers<() => void>()
    host.behave.hello = (line, { terms }) => {
      greeted.resolve(() => line.welcome(channelIdOf(base.chain.domain, terms)))
    }
    const stop = new AbortController()
    const id = newId()
    const running = run(id, {}, 'in', stop.signal)
    running.catch(() => undefined)
    const welcome = await greeted.promise
    stop.abort()
    welcome()
    await failure('cancelled', running)
    await run(newId())
    assert.equal(host.ids.includes(id), false)
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
  })

  test('a line that breaks after the job was sent is made again, and the result comes over it', async () => {
    let broken = 0
    host.behave.submit = (line) => {
      broken++
      line.stream.abort(new MecaError('protocol', 'the test breaks the line'))
    }
    host.behave.attach = (line, { channelId }) =>
      line.results(
        channelId,
        host.submits.flatMap(({ jobs }) => jobs).map((job) => line.honest(channelId, job)),
      )
    const result = await run()
    assert.equal(result.status, 'answered')
    assert.equal(broken, 1)
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
  })

  test('a host that lost the job with the line gets it once more; one that goes on losing it is given up', async () => {
    let lose = 1
    host.behave.submit = (line, { channelId, jobs }) => {
      if (lose-- > 0) line.stream.abort(new MecaError('protocol', 'the test breaks the line'))
      else
        line.results(
          channelId,
          jobs.map((job) => line.honest(channelId, job)),
        )
    }
    host.behave.attach = (line, { channelId, ids: asked }) => {
      for (const id of asked) line.refuse(channelId, id, 'not_found')
    }
    assert.equal((await run()).status, 'answered')
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
    host.behave.submit = (line, { channelId, jobs }) => {
      for (const { id } of jobs) line.refuse(channelId, id, 'not_found')
    }
    const id = newId()
    await failure('not_found', run(id))
    assert.equal(host.ids.filter((sent) => sent === id).length, 2)
    assert.deepEqual(owed(), { vouched: 2n * PRICE, billed: PRICE, reserved: 0n })
  })

  test('the same id asked for twice at once is sent once, and both callers get the result', async () => {
    const gate = Promise.withResolvers<void>()
    host.behave.submit = (line, { channelId, jobs }) => {
      void gate.promise.then(() =>
        line.results(
          channelId,
          jobs.map((job) => line.honest(channelId, job)),
        ),
      )
    }
    const id = newId()
    const both = [run(id), run(id)]
    await failure('job_conflict', run(id, {}, 'another input'))
    await eventually('it is sent', () => host.ids.length > 0)
    const third = run(id)
    await new Promise((resolve) => setTimeout(resolve, 100))
    gate.resolve()
    const [a, b, c] = await Promise.all([...both, third])
    assert.equal(a?.receipt, b?.receipt)
    assert.equal(a?.receipt, c?.receipt)
    assert.deepEqual(host.ids, [id])
    assert.deepEqual(owed(), { vouched: PRICE, billed: PRICE, reserved: 0n })
  })

  test('a cap on spending refuses before a channel is opened, and holds no room back', async () => {
    const { spending } = clientComponents(base, book, { add: () => undefined })
    client = makeClient({ spending: { ...spending, perHostCap: new Map([[NATIVE, PRICE]]) } })
    await run()
    for (let i = 0; i < 3; i++) await failure('price_cap', run())
    client = makeClient({ spending: { ...spending, perDayCap: new Map([[NATIVE, 1n]]) } })
    const other = await RawHost.open(base.chain.domain)
    try {
      other.offer(base)
      const before = book.channels.size
      await failure('price_cap', run(newId(), { host: other.address }))
      assert.equal(book.channels.size, before)
    } finally {
      await other.close()
    }
  })

  test('a client’s cancel may be billed, within the quote', async () => {
    const sent = Promise.withResolvers<void>()
    host.behave.submit = () => sent.resolve()
    host.behave.cancel = (line, { channelId }) => {
      const jobs = host.submits.flatMap((submit) => submit.jobs)
      line.results(
        channelId,
        jobs.map((job) => line.honest(channelId, job, { status: STATUS.cancelled, developerAmount: 0n })),
      )
    }
    const stop = new AbortController()
    const running = run(newId(), {}, 'in', stop.signal)
    await sent.promise
    stop.abort()
    assert.equal((await running).status, 'cancelled')
    assert.deepEqual(owed(), { vouched: PRICE, billed: PER_JOB, reserved: 0n })
  })
})

const PHASES = { queuedMs: 0, fetchMs: 0, startMs: 0, runMs: 1, deliverMs: 0, totalMs: 1 }

function outcome(over: { outputBytes: number }) {
  return { outcome: { httpStatus: 200, warm: true, phases: PHASES, ...over } }
}
