/** A client that lost its disk and kept its key: it finds its channels, learns what it signed, and pays nothing twice. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { covers } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { failure } from '../support/engine.ts'
import { heard, openParties, requireAgreement, settled, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import { eventually } from './stage.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [CLIENT, HOST, SECOND] = [5, 6, 7]

describe('a client that lost its disk', { skip }, () => {
  let parties: Parties
  let client: Party
  let host: Party
  let task: Published
  let losses = 0

  before(async () => {
    parties = await openParties()
    host = await parties.open('host', HOST, { host: true })
    client = await parties.open('client', CLIENT, { meets: host })
    task = await parties.stage.publish('found', [host.base, client.base])
    await heard(client, host)
  })

  after(() => parties.close())

  /** The same key on an empty disk. */
  async function loseDisk(): Promise<void> {
    await client.close()
    client = await parties.open(`client-${++losses}`, CLIENT, { meets: host })
    await heard(client, host)
    for (const holder of [client.base])
      await holder.ipfs.fetch(task.cid, { signal, maxBytes: 2 ** 20, providers: host.base.peer.addrs() })
  }

  const hostRow = () => {
    const [channelId] = client.client.book.channels.keys()
    const row = channelId === undefined ? undefined : host.side?.book.row(channelId, task.taskId)
    assert.ok(row)
    return row
  }

  async function channels() {
    const all = await client.money.channels(signal)
    return all.filter(({ state }) => state !== 'closed')
  }

  test('finds its channel at its start, goes on over it, and both ledgers agree to the wei', async () => {
    const first = await parties.run(client, task, 'one')
    await settled(host, first)
    const [before] = await channels()
    await loseDisk()
    await eventually('the channel is found', async () => (await channels()).length === 1)
    const second = await parties.run(client, task, 'two')
    const [channel, ...more] = await channels()
    assert.deepEqual(more, [], 'no other channel was opened')
    assert.equal(channel?.channel, before?.channel)
    assert.equal(BigInt(channel?.billed ?? 0), first + second)
    await settled(host, first + second)
    await host.money.claim({}, signal)
    await requireAgreement(client)
    await requireAgreement(host)
  })

  test('never says that it has no channels while it still looks for them', async () => {
    const known = (await channels()).map(({ channel }) => channel)
    await client.close()
    client = await parties.open(`client-${++losses}`, CLIENT, { meets: host })
    assert.deepEqual(
      (await channels()).map(({ channel }) => channel),
      known,
    )
    assert.equal(known.length, 1)
  })

  test('never signs below what it signed', async () => {
    const signed: Totals = hostRow().vouched
    await loseDisk()
    await parties.run(client, task, 'three')
    assert.ok(covers(hostRow().vouched, signed))
  })

  test('a job id of before is answered with its result and costs nothing', async () => {
    await parties.run(client, task, 'paid once', 'precious')
    const ran = parties.fake.requests
    const before = hostRow().billed
    await loseDisk()
    await client.money.recover(signal)
    await eventually('the channel is found', async () => (await channels()).length === 1)
    await parties.run(client, task, 'paid once', 'precious')
    assert.equal(parties.fake.requests, ran, 'nothing ran again')
    assert.deepEqual(hostRow().billed, before)
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.api.output('precious')) chunks.push(chunk)
    assert.equal(Buffer.concat(chunks).toString(), 'paid once')
    await failure('job_conflict', parties.run(client, task, 'another input', 'precious'))
    const next = await parties.run(client, task, 'after it')
    const [channel] = await channels()
    const total = before.hostAmount + before.developerAmount + next
    assert.equal(BigInt(channel?.billed ?? 0), total)
    await settled(host, total)
  })

  test('a job that still runs when the disk is lost is taken up by its id, and billed once', async () => {
    const gate = Promise.withResolvers<undefined>()
    parties.fake.answer = async (body) => {
      await gate.promise
      return { status: 200, contentType: 'text/plain', body }
    }
    const [before] = await channels()
    const cut = parties.run(client, task, 'long', 'under-way')
    cut.catch(() => undefined)
    await eventually('the job runs', () => (host.side?.host.jobs.live.size ?? 0) === 1)
    await loseDisk()
    await assert.rejects(cut)
    await eventually('the channel is found', async () => (await channels()).length === 1)
    const again = parties.run(client, task, 'long', 'under-way')
    setTimeout(() => gate.resolve(undefined), 300)
    const cost = await again
    const [channel] = await channels()
    assert.equal(BigInt(channel?.billed ?? 0), BigInt(before?.billed ?? 0) + cost)
    await settled(host, BigInt(channel?.billed ?? 0))
    parties.fake.answer = (body) => Promise.resolve({ status: 200, contentType: 'text/plain', body })
  })

  test('with its host gone it gets its money back all the same; the rest is told', async () => {
    const second = await parties.open('second', SECOND, { host: true, meets: host })
    await heard(client, second)
    await second.base.ipfs.fetch(task.cid, { signal, maxBytes: 2 ** 20, providers: host.base.peer.addrs() })
    const paid = await parties.run(client, task, 'for the second', 'second-1', second.address)
    await settled(second, paid)
    await second.money.claim({}, signal)
    await second.close()
    await loseDisk()
    await eventually('both channels are found', async () => (await channels()).length === 2)
    const [lost] = (await channels()).filter((c) => c.host === second.address)
    assert.equal(BigInt(lost?.billed ?? 0), paid, 'what the chain paid is known from the chain')
    assert.deepEqual((await client.money.recover(signal)).channels, [], 'nothing is found twice')
    const closing = await client.money.close(lost?.channel ?? '0x', signal)
    assert.equal(closing.state, 'closing')
    await parties.stage.market.later(901)
    const closed = await client.money.close(lost?.channel ?? '0x', signal)
    assert.deepEqual([closed.state, closed.claimed], ['closed', paid.toString()])
    await host.money.claim({}, signal)
    await requireAgreement(client)
  })
})
