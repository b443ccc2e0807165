/**
 * Large inputs and outputs over connections that break in the middle: they go on where they stopped, nothing is sent
 * twice but what was on its way, and a host that gives other bytes the second time is caught.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { INLINE_BYTES } from '../../src/core/wire.ts'
import type { Progress } from '../../src/role/api-common.ts'
import { Book } from '../../src/role/book.ts'
import type { RunResult } from '../../src/role/api-client.ts'
import { outputName } from '../../src/role/client-bytes.ts'
import { Client } from '../../src/role/client.ts'
import type { ClientComponents, HostLink } from '../../src/role/client-components.ts'
import { Payer } from '../../src/role/payer.ts'
import { sha256 } from '../../src/role/sums.ts'
import type { Base } from '../../src/wiring/base.ts'
import { clientComponents, openClient } from '../../src/wiring/client-side.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { RawHost } from './raw-host.ts'
import { eventually, FakeEngine, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const MIB = 2 ** 20
const BYTES = 24 * MIB
const CLIENT = 5
const HOST = 3
const RESTARTED = 6
const RESTARTING = 4
const { signal } = new AbortController()

/** Breaks every connection of a peer, as a cut cable does. */
function cut({ peer }: Base): void {
  for (const connection of peer.libp2p.getConnections()) connection.abort(new Error('the cable was cut'))
}

/** The bytes of `body`, counted; `onPassed` is called once for each mark that they pass, of all bytes ever. */
function counter(marks: number[], onPassed: () => void) {
  const passed = { bytes: 0 }
  async function* counted(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      passed.bytes += chunk.length
      yield chunk
      if (passed.bytes < (marks[0] ?? Infinity)) continue
      marks.shift()
      onPassed()
    }
  }
  return { passed, counted }
}

/** Gives the first body that it is given up to a mark, and no more until it is over. */
function holder(atBytes: number) {
  const over = Promise.withResolvers<void>()
  let isFirst = true
  async function* held(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    const holds = isFirst
    isFirst = false
    let bytes = 0
    for await (const chunk of body) {
      yield chunk
      bytes += chunk.length
      if (holds && bytes >= atBytes) await over.promise
    }
  }
  return { held, isOver: () => over.resolve() }
}

describe('transfers that break', { skip }, () => {
  const fake = new FakeEngine()
  let stage: Stage
  let base: Base
  let hostBase: Base
  let side: HostSide
  let book: Book
  let task: Published
  let ids = 0
  const clients: Client[] = []

  before(async () => {
    stage = await openStage()
    const opened = await stage.open('host', HOST)
    hostBase = opened.base
    side = await openHost(hostBase, fake.engine, opened.closer, (error) => assert.fail(String(error)))
    ;({ base } = await stage.open('client', CLIENT, { 'p2p.bootstrap': hostBase.peer.addrs().join(' ') }))
    book = await Book.open(base.store, base.tables, 'client')
    task = await stage.publish('echo', [hostBase, base])
    await eventually('the host is heard', () => base.market.find(hostBase.signer.address) !== undefined)
  })
  afterEach(async () => {
    for (const client of clients.splice(0)) await client.close()
    for (const { home } of [base, hostBase]) {
      await eventually(
        'nothing half is left',
        async () => (await readdir(join(home.paths.blobs, 'incoming'))).length === 0,
      )
    }
  })
  after(() => stage.close())

  function clientOver(link: Partial<HostLink>): Client {
    const plain = clientComponents(base, book, { add: () => undefined })
    const components: ClientComponents = { ...plain, link: { ...plain.link, ...link } }
    const client = new Client(components, {
      market: base.market,
      tasks: base.tasks,
      payer: new Payer(components),
      registered: () => Promise.resolve(true),
      providers: () => [],
      defaultMaxSeconds: 20,
      overheadMs: 60_000,
      defaultMaxPrice: undefined,
      onLog: () => undefined,
      offersWaitMs: 1000,
    })
    clients.push(client)
    return client
  }

  /** A client of its own; opened again it is the same home, and another process for all that anybody can see. */
  async function openRestarted() {
    const bootstrap = { 'p2p.bootstrap': hostBase.peer.addrs().join(' ') }
    const opened = await stage.open('restarted', RESTARTED, bootstrap)
    const { client } = await openClient(opened.base, opened.closer)
    await eventually('the host is heard', () => opened.base.market.find(hostBase.signer.address) !== undefined)
    return { ...opened, client }
  }

  const plainLink = () => clientComponents(base, book, { add: () => undefined }).link
  const outputOf = async (client: Client, id: string) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.answers.output(id)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  test('an input goes on where the host stopped, and its rate is told', async () => {
    fake.answer = (body) => Promise.resolve({ status: 200, contentType: 'text/plain', body: Buffer.from(sha256(body)) })
    const { passed, counted } = counter([8 * MIB, 16 * MIB], () => cut(base))
    const starts: number[] = []
    const client = clientOver({
      put: (host, header, { lengthBytes, read }, until) =>
        plainLink().put(
          host,
          header,
          { lengthBytes, read: (offset) => (starts.push(offset), counted(read(offset))) },
          until,
        ),
    })
    const input = randomBytes(BYTES)
    const told: Progress[] = []
    const options = { id: `job-${++ids}`, host: hostBase.signer.address }
    const result = await client.run(task.cid, input, options, (progress) => told.push(progress), signal)
    assert.equal(result.status, 'answered', result.problem?.message)
    assert.equal(String(await outputOf(client, result.job)), sha256(input))
    assert.equal(starts.length, 3)
    assert.equal(starts[0], 0)
    assert.ok(
      starts.every((at, i) => i === 0 || at > (starts[i - 1] ?? 0)),
      starts.join(),
    )
    assert.ok(passed.bytes < 1.5 * BYTES, `${passed.bytes} bytes were sent`)
    const sent = told.flatMap((p) => (p.kind === 'bytes' && p.step === 'send' ? [p.doneBytes] : []))
    assert.equal(sent.at(-1), BYTES)
    assert.ok(sent.length > 10)
  })

  test('an output goes on where the client stopped', async () => {
    const output = randomBytes(BYTES)
    fake.answer = () => Promise.resolve({ status: 200, contentType: 'text/plain', body: output })
    const { passed, counted } = counter([8 * MIB, 16 * MIB], () => cut(hostBase))
    const { blobs } = hostBase
    const offsets: number[] = []
    const read = blobs.read.bind(blobs)
    blobs.read = (hash, options) => {
      offsets.push(options.offset ?? 0)
      return counted(read(hash, options))
    }
    try {
      const client = clientOver({})
      const told: Progress[] = []
      const options = { id: `job-${++ids}`, host: hostBase.signer.address }
      const result = await client.run(task.cid, Buffer.from('go'), options, (progress) => told.push(progress), signal)
      assert.equal(result.outputHash, sha256(output))
      assert.deepEqual(await outputOf(client, result.job), output)
      assert.equal(offsets.length, 3)
      assert.ok(passed.bytes < 1.5 * BYTES, `${passed.bytes} bytes were sent`)
      const received = told.flatMap((p) => (p.kind === 'bytes' && p.step === 'receive' ? [p.doneBytes] : []))
      assert.equal(received.at(-1), BYTES)
    } finally {
      Reflect.deleteProperty(blobs, 'read')
    }
  })

  test('what rides in a message is told by no bar, and what is at hand already is not sent again', async () => {
    fake.answer = (body) => Promise.resolve({ status: 200, contentType: 'text/plain', body: body.subarray(0, 10) })
    const { passed, counted } = counter([], () => undefined)
    const client = clientOver({
      put: (host, header, { lengthBytes, read }, until) =>
        plainLink().put(host, header, { lengthBytes, read: (offset) => counted(read(offset)) }, until),
    })
    const told: Progress[] = []
    const run = (input: Uint8Array) =>
      client.run(task.cid, input, { host: hostBase.signer.address }, (progress) => told.push(progress), signal)
    await run(randomBytes(INLINE_BYTES))
    assert.deepEqual(
      told.filter(({ kind }) => kind === 'bytes'),
      [],
    )
    const input = randomBytes(4 * MIB)
    await run(input)
    assert.equal(passed.bytes, input.length)
    await run(input)
    assert.equal(passed.bytes, input.length)
  })

  test('a client that never comes back leaves nothing of its input', async () => {
    const stop = new AbortController()
    const { counted } = counter([2 * MIB], () => stop.abort())
    const client = clientOver({
      put: (host, header, { lengthBytes, read }, until) =>
        plainLink().put(host, header, { lengthBytes, read: (offset) => counted(read(offset)) }, until),
    })
    const used = hostBase.blobs.usedBytes
    await client
      .run(task.cid, randomBytes(BYTES), { host: hostBase.signer.address }, () => undefined, stop.signal)
      .catch(() => undefined) // refused or billed as cancelled: either is an end
    await eventually('the job has ended', () => side.host.jobs.live.size === 0)
    await eventually('its bytes are given back', () => hostBase.blobs.usedBytes === used)
  })

  test('an output goes on where a client stopped that was restarted meanwhile', async () => {
    const output = randomBytes(BYTES)
    fake.answer = () => Promise.resolve({ status: 200, contentType: 'text/plain', body: output })
    const { passed, counted } = counter([], () => undefined)
    const { held, isOver } = holder(12 * MIB)
    const { blobs } = hostBase
    const offsets: number[] = []
    const read = blobs.read.bind(blobs)
    blobs.read = (hash, options) => {
      offsets.push(options.offset ?? 0)
      return held(counted(read(hash, options)))
    }
    const options = { id: `job-${++ids}`, host: hostBase.signer.address, maxSeconds: 20 }
    try {
      const first = await openRestarted()
      const isUnderWay = Promise.withResolvers<void>()
      const cutOff = first.client.run(
        task.cid,
        Buffer.from('go'),
        options,
        (told) => {
          if (told.kind === 'bytes' && told.step === 'receive' && told.doneBytes >= 8 * MIB) isUnderWay.resolve()
        },
        signal,
      )
      cutOff.catch(() => undefined)
      await Promise.race([isUnderWay.promise, cutOff])
      await first.closer.close()
      isOver()
      await assert.rejects(cutOff)
      const second = await openRestarted()
      await eventually(
        'the output has come',
        async () => (await second.client.answers.record(options.id)).state === 'done',
      )
      const result = await second.client.run(task.cid, Buffer.from('go'), options, () => undefined, signal)
      assert.equal(result.replayed, true)
      assert.equal(result.outputHash, sha256(output))
      assert.deepEqual(await outputOf(second.client, result.job), output)
      assert.ok(offsets.length >= 2 && (offsets.at(-1) ?? 0) >= 8 * MIB, offsets.join())
      assert.ok(passed.bytes < 1.5 * BYTES, `${passed.bytes} bytes were sent`)
      assert.deepEqual(await readdir(join(second.base.home.paths.blobs, 'incoming')), [])
      await second.closer.close()
    } finally {
      Reflect.deleteProperty(blobs, 'read')
    }
  })

  test('an output that was spoilt while its client was away comes once more, and its host is not blamed', async () => {
    const output = randomBytes(BYTES)
    fake.answer = () => Promise.resolve({ status: 200, contentType: 'text/plain', body: output })
    const client = clientOver({})
    const id = `job-${++ids}`
    const [channelId] = [...book.channels.keys()]
    assert.ok(channelId)
    const part = await base.blobs.resume(outputName({ channelId, id }), BYTES, signal)
    await part.append([randomBytes(8 * MIB)], signal)
    await part.leave()
    const told: number[] = []
    const result = await client.run(
      task.cid,
      Buffer.from('go'),
      { id, host: hostBase.signer.address },
      (progress) => progress.kind === 'bytes' && progress.step === 'receive' && told.push(progress.doneBytes),
      signal,
    )
    assert.deepEqual(await outputOf(client, result.job), output)
    assert.deepEqual([told[0], told.includes(0)], [8 * MIB, true])
  })

  test('an input goes on where a host stopped that was restarted, for the next job that brings it', async () => {
    fake.answer = (body) => Promise.resolve({ status: 200, contentType: 'text/plain', body: Buffer.from(sha256(body)) })
    const openRestarting = async () => {
      const bootstrap = { 'p2p.bootstrap': base.peer.addrs().join(' ') }
      const opened = await stage.open('restarting', RESTARTING, bootstrap)
      await openHost(opened.base, fake.engine, opened.closer, (error) => assert.fail(String(error)))
      return opened
    }
    const first = await openRestarting()
    const host = first.base.signer.address
    await eventually('the other host is heard', () => base.market.find(host) !== undefined)
    const isUnderWay = Promise.withResolvers<void>()
    const { counted } = counter([8 * MIB], () => isUnderWay.resolve())
    const { held, isOver } = holder(12 * MIB)
    const starts: number[] = []
    const client = clientOver({
      put: (to, header, { lengthBytes, read }, until) =>
        plainLink().put(to, header, { lengthBytes, read: (at) => (starts.push(at), held(counted(read(at)))) }, until),
    })
    const input = randomBytes(BYTES)
    const run = () => client.run(task.cid, input, { host }, () => undefined, signal)
    const lost = run().catch((error: unknown) => error)
    await isUnderWay.promise
    const before = base.market.find(host)?.at ?? 0
    await first.closer.close()
    isOver()
    const second = await openRestarting()
    await eventually('the host is heard again', () => (base.market.find(host)?.at ?? 0) > before)
    const ended = (await lost) as Partial<RunResult & { code: string }>
    assert.ok(ended.status === 'host_failed' || ended.code === 'peer_unreachable', JSON.stringify(ended))
    const result = await run()
    assert.equal(result.status, 'answered', result.problem?.message)
    assert.equal(String(await outputOf(client, result.job)), sha256(input))
    assert.ok((starts.at(-1) ?? 0) > 0, starts.join())
    await second.closer.close()
  })

  test('a host that breaks off and goes on with other bytes, or fewer, is caught and not paid more', async () => {
    const truth = randomBytes(4 * MIB)
    const lies = [
      { rest: (at: number) => randomBytes(truth.length - at), code: 'not_verified' },
      { rest: (at: number) => truth.subarray(at + MIB), code: 'not_verified' },
      { rest: (at: number) => Buffer.concat([truth.subarray(at), randomBytes(9)]), code: 'too_large' },
    ]
    for (const { rest, code } of lies) {
      const host = await RawHost.open(base.chain.domain)
      try {
        host.offer(base)
        let gets = 0
        host.behave = {
          submit: (line, { channelId, jobs }) =>
            line.results(
              channelId,
              jobs.map((job) => ({
                ...line.honest(channelId, job, { outputHash: sha256(truth) }, Buffer.alloc(0)),
                wire: { inline: undefined, outcome: { warm: true, phases: NO_TIME, outputBytes: truth.length } },
              })),
            ),
          get: (_id, offset) => {
            if (gets++ === 0) return { op: 'get', lengthBytes: truth.length, body: broken(truth.subarray(0, 2 * MIB)) }
            const bytes = rest(offset)
            return { op: 'get', lengthBytes: bytes.length, body: whole(bytes) }
          },
        }
        const client = clientOver({})
        const run = client.run(
          task.cid,
          Buffer.from('x'),
          { host: host.address, id: `job-${++ids}` },
          () => undefined,
          signal,
        )
        await assert.rejects(run, { code })
        assert.equal(gets, 2)
      } finally {
        await host.close()
      }
    }
  })
})

const NO_TIME = { queuedMs: 0, fetchMs: 0, startMs: 0, runMs: 1, deliverMs: 0, totalMs: 1 }

async function* whole(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}

/** What of it arrives before the break is the network's own business. */
async function* broken(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
  throw new Error('the disk made a noise')
}
