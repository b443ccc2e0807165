/** Either side can go: the client gets the rest of its deposit without the host, the host what it earned without the client. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { ChannelSummary } from '../../src/role/api-money.ts'
import { failure } from '../support/engine.ts'
import { heard, openParties, requireAgreement, settled, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import { eventually } from './stage.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [HASTY, HOST, SECOND, FIRST_CLIENT] = [1, 3, 4, 5]

describe('leaving', { skip }, () => {
  let parties: Parties
  let host: Party
  let task: Published
  let opened = 0

  before(async () => {
    parties = await openParties()
    host = await parties.open('host', HOST, { host: true })
    task = await parties.stage.publish('leaver', [host.base])
  })

  after(() => parties.close())

  async function newClient(flags: Record<string, unknown> = {}): Promise<Party> {
    const client = await parties.open(`client-${++opened}`, FIRST_CLIENT + opened - 1, { meets: host, flags })
    await heard(client, host)
    await client.base.ipfs.fetch(task.cid, { signal, maxBytes: 2 ** 20, providers: host.base.peer.addrs() })
    return client
  }

  async function only(client: Party): Promise<ChannelSummary> {
    const [channel, ...more] = await client.money.channels(signal)
    assert.ok(channel)
    assert.deepEqual(more, [])
    return channel
  }

  test('with both there a channel closes at once: the host is paid, the rest is back, to the wei', async () => {
    const client = await newClient()
    const { chain } = client.base
    const billed = await parties.run(client, task, 'one')
    const { channel, deposit } = await only(client)
    const before = await chain.balance(client.address, signal)
    const closed = await client.money.close(channel, signal)
    assert.deepEqual(
      [closed.state, closed.claimed, closed.locked, closed.refundable],
      ['closed', billed.toString(), '0', '0'],
    )
    const [row] = closed.rows
    assert.equal(BigInt(row?.claimed.host ?? 0) + BigInt(row?.claimed.developer ?? 0), billed, 'by task as well')
    const gas = before + BigInt(deposit) - billed - (await chain.balance(client.address, signal))
    assert.ok(gas > 0n && gas < 10n ** 16n, `only gas is missing: ${gas}`)
    await requireAgreement(client)
    await requireAgreement(host)
    await failure('not_found', client.money.close(`0x${'12'.repeat(32)}`, signal))
    await failure('not_found', host.money.claim({ channel: `0x${'12'.repeat(32)}` }, signal))
    await failure('bad_input', client.money.open(host.address, 0n, signal))
    await failure('bad_input', client.money.open(NATIVE, 1n, signal))
    assert.equal((await client.money.close(channel, signal)).state, 'closed', 'closing it again changes nothing')
    await client.close()
  })

  test('with the host gone: by the delay, however often it is asked before; what was claimed stays claimed', async () => {
    const second = await parties.open('second', SECOND, { host: true, meets: host })
    const client = await newClient()
    await heard(client, second)
    await second.base.ipfs.fetch(task.cid, { signal, maxBytes: 2 ** 20, providers: host.base.peer.addrs() })
    const billed = await parties.run(client, task, 'two', 'gone-1', second.address)
    await settled(second, billed)
    await second.money.claim({}, signal)
    await second.close()
    const { channel, deposit } = await only(client)
    const closing = await client.money.close(channel, signal)
    assert.equal(closing.state, 'closing')
    assert.ok((closing.closesAt ?? 0) > Date.now())
    assert.equal(
      (await client.money.close(channel, signal)).state,
      'closing',
      'before its time nothing is lost by asking',
    )
    await parties.stage.market.later(901)
    const { chain } = client.base
    const before = await chain.balance(client.address, signal)
    const closed = await client.money.close(channel, signal)
    assert.equal(closed.state, 'closed')
    const back = (await chain.balance(client.address, signal)) - before
    const rest = BigInt(deposit) - billed
    assert.ok(back <= rest && back > rest - 10n ** 15n, `${back} of ${rest} came back`)
    await requireAgreement(client)
    await client.close()
  })

  test('with the client gone before it said what it owes exactly: the host claims in its time, and alone', async () => {
    const hasty = await parties.open('hasty', HASTY, { host: true, meets: host, flags: { 'host.claimEveryMs': 1000 } })
    await hasty.base.ipfs.fetch(task.cid, { signal, maxBytes: 2 ** 20, providers: host.base.peer.addrs() })
    const client = await newClient()
    await heard(client, hasty)
    const gate = Promise.withResolvers<undefined>()
    parties.fake.answer = async (body) => {
      await gate.promise
      return { status: 200, contentType: 'text/plain', body }
    }
    const cut = parties.run(client, task, 'three', 'cut-1', hasty.address)
    cut.catch(() => undefined)
    await eventually('the job runs', () => (hasty.side?.host.jobs.live.size ?? 0) === 1)
    await client.close()
    await assert.rejects(cut)
    gate.resolve(undefined)
    const [channel] = (await hasty.money.channels(signal)).filter((c) => c.client === client.address)
    assert.ok(channel)
    await eventually('the host has claimed what it billed', async () => {
      const [now] = (await hasty.money.channels(signal)).filter((c) => c.channel === channel.channel)
      return now !== undefined && BigInt(now.billed) > 0n && BigInt(now.claimed) >= BigInt(now.billed)
    })
    const credit = await hasty.base.channels.credit(channel.token, hasty.address, signal)
    assert.ok(credit > 0n)
    parties.fake.answer = (body) => Promise.resolve({ status: 200, contentType: 'text/plain', body })
  })

  test('a client that starts to close while its host is there is collected from before the end', async () => {
    const client = await newClient()
    const billed = await parties.run(client, task, 'four', undefined, host.address)
    await settled(host, billed + (await othersExact(client)))
    const { channel } = await only(client)
    const record = client.client.book.channels.get(channel)
    assert.ok(record)
    await client.base.channels.startClose(client.base.wallet, record.terms, signal)
    await eventually('the host notices and claims', async () => (await only(client)).claimed === billed.toString())
    await parties.stage.market.later(901)
    assert.equal((await client.money.close(channel, signal)).state, 'closed')
    await requireAgreement(client)
    await client.close()
  })

  /** Exact vouchers that the host holds of other clients. */
  async function othersExact(client: Party): Promise<bigint> {
    const { book } = host.side ?? assert.fail()
    return [...book.channels.values()]
      .filter(({ terms }) => terms.client !== client.address)
      .flatMap(({ channelId }) => book.rowsOf(channelId))
      .reduce((all, { exact }) => all + (exact?.totals.hostAmount ?? 0n) + (exact?.totals.developerAmount ?? 0n), 0n)
  }
})
