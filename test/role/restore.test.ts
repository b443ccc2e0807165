/** A host that lost its disk: what an export or its clients still hold pays it, to the wei; what is worth nothing is refused. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import { findAnvil } from '../../src/chain/anvil.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { channelIdOf, voucherDigest } from '../../src/core/typed.ts'
import { formatVoucherLine, parseVoucherLine } from '../../src/core/voucher-line.ts'
import type { VoucherLine } from '../../src/core/voucher-line.ts'
import { makeRestorer } from '../../src/wiring/copies-side.ts'
import { moneyApi } from '../../src/wiring/money-side.ts'
import { exactAt, heard, openParties, requireAgreement, settled, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [CLIENT, HOST, OTHER] = [5, 6, 7]

describe('a host that lost its disk', { skip }, () => {
  let parties: Parties
  let client: Party
  let host: Party
  let task: Published

  before(async () => {
    parties = await openParties()
    host = await parties.open('host', HOST, { host: true })
    client = await parties.open('client', CLIENT, { meets: host })
    task = await parties.stage.publish('lost', [host.base, client.base])
  })

  after(() => parties.close())

  test('claims from an export alone what its clients owe it, to the wei', async () => {
    const billed = [await parties.run(client, task, 'one'), await parties.run(client, task, 'two')]
    const owed = billed.reduce((a, b) => a + b, 0n)
    await settled(host, owed)
    const { lines } = await host.money.vouchers()
    const stopped = moneyApi(host.base, host.client, undefined)
    assert.deepEqual((await stopped.vouchers()).lines, lines, 'also of a host that does not run')
    assert.equal((await stopped.channels(signal)).length, 1)
    await host.close()
    host = await parties.open('host-again', HOST, { host: true, meets: client })
    await heard(client, host)
    assert.equal((await host.money.claim({}, signal)).tx, null)
    const report = await host.money.restore(lines, {}, signal)
    assert.equal(report.refused, 0, JSON.stringify(report))
    assert.ok(report.adopted > 0)
    const claim = await host.money.claim({}, signal)
    assert.equal(BigInt(claim.host) + BigInt(claim.developer), owed)
    await requireAgreement(host)
    await requireAgreement(client)
    assert.equal((await host.money.restore(lines, {}, signal)).collected > 0, true)
  })

  test('serves on afterwards, on the same channel, and counts as its client does', async () => {
    await parties.run(client, task, 'three')
    const [channel, ...more] = await client.money.channels(signal)
    assert.ok(channel)
    assert.deepEqual(more, [])
    await settled(host, BigInt(channel.billed))
    await host.money.claim({}, signal)
    await requireAgreement(host)
    await requireAgreement(client)
  })

  test('gets back from its client alone what that holds, at the next job, and claims it', async () => {
    const before = await client.money.channels(signal)
    const lost = await parties.run(client, task, 'four')
    await settled(host, BigInt(before[0]?.billed ?? 0) + lost)
    await host.close()
    host = await parties.open('host-a-third-time', HOST, { host: true, meets: client })
    await heard(client, host)
    const next = await parties.run(client, task, 'five')
    const billed = BigInt(before[0]?.billed ?? 0) + lost + next
    await settled(host, billed)
    const claim = await host.money.claim({}, signal)
    assert.equal(BigInt(claim.host) + BigInt(claim.developer), lost + next)
    await requireAgreement(host)
    await requireAgreement(client)
  })

  test('is given back what it lost before its word ends a channel: a release costs it nothing', async () => {
    const [before] = await client.money.channels(signal)
    assert.ok(before)
    const lost = await parties.run(client, task, 'six')
    await settled(host, BigInt(before.billed) + lost)
    await host.close()
    host = await parties.open('host-a-fourth-time', HOST, { host: true, meets: client })
    await heard(client, host)
    const closed = await client.money.close(before.channel, signal)
    assert.equal(closed.state, 'closed')
    assert.equal(BigInt(closed.claimed), BigInt(before.billed) + lost)
    await requireAgreement(host)
    await requireAgreement(client)
  })

  test('imports what its client exported, which signs what it owes exactly', async () => {
    await parties.run(client, task, 'seven')
    await settled(host, exactAt(host))
    const { lines } = await client.money.vouchers()
    await host.close()
    host = await parties.open('host-a-fifth-time', HOST, { host: true, meets: client })
    await heard(client, host)
    await host.money.restore(lines, {}, signal)
    const [open] = (await client.money.channels(signal)).filter(({ state }) => state === 'open')
    const claim = await host.money.claim({}, signal)
    assert.equal(BigInt(claim.host) + BigInt(claim.developer), BigInt(open?.billed ?? -1))
    await requireAgreement(client)
  })

  describe('garbage in an export', () => {
    let good: VoucherLine

    before(async () => {
      const fresh = await parties.stage.openChannel(CLIENT, host.address)
      good = vouch({ jobs: 1, hostAmount: 500n, developerAmount: 1_000_000n }, fresh)
    })

    function vouch(
      { jobs, hostAmount, developerAmount }: Totals,
      terms = good.terms,
      over: Partial<VoucherLine> = {},
      account = CLIENT,
    ): VoucherLine {
      const { domain } = host.base.chain
      const totals = { jobs, hostAmount, developerAmount }
      const voucher = { channelId: channelIdOf(domain, terms), taskId: task.taskId, ...totals, ...over }
      const signature = parties.stage.market.signer(account).sign(voucherDigest(domain, voucher))
      return { version: 1, chainId: domain.chainId, channels: domain.channels, terms, signature, ...voucher }
    }

    const wrong: [string, string, () => string | Promise<string>][] = [
      ['no JSON', 'bad_input', () => '{"version":1'],
      ['an empty line', 'bad_input', () => ''],
      ['an amount that is a number', 'bad_input', () => JSON.stringify({ ...JSON.parse(line(good)), hostAmount: 5 })],
      ['an unknown field', 'bad_input', () => JSON.stringify({ ...JSON.parse(line(good)), extra: 1 })],
      ['an amount beyond 96 bits', 'bad_input', () => line({ ...good, hostAmount: 2n ** 96n })],
      ['another chain', 'wrong_chain', () => line({ ...good, chainId: 1 })],
      ['another contract', 'wrong_chain', () => line({ ...good, channels: `0x${'ee'.repeat(20)}` })],
      [
        'terms of another channel',
        'not_verified',
        () => line({ ...good, terms: { ...good.terms, salt: `0x${'01'.repeat(32)}` } }),
      ],
      ['a changed amount', 'not_verified', () => line({ ...good, hostAmount: good.hostAmount + 1n })],
      ['another signer', 'not_verified', () => line(vouch(good, good.terms, {}, OTHER))],
      [
        'a channel for another host',
        'unauthorized',
        async () => line(vouch(good, await parties.stage.openChannel(CLIENT, `0x${'77'.repeat(20)}`))),
      ],
      [
        'a channel that nobody opened',
        'not_found',
        () => line(vouch(good, { ...good.terms, salt: `0x${'09'.repeat(32)}` })),
      ],
      [
        'a task that nobody published',
        'not_found',
        () => line(vouch(good, good.terms, { taskId: `0x${'0a'.repeat(32)}` })),
      ],
      [
        'too little for the developer',
        'payment',
        () => line(vouch({ jobs: 2, hostAmount: 500n, developerAmount: 1_999_999n })),
      ],
      [
        'a channel that is closed',
        'payment',
        async () => {
          const terms = await parties.stage.openChannel(CLIENT, host.address)
          const { market } = parties.stage
          await market.channels.startClose(market.wallet(CLIENT), terms, signal)
          await market.later(901)
          await market.channels.finishClose(market.wallet(CLIENT), terms, signal)
          return line(vouch(good, terms))
        },
      ],
    ]
    const line = (voucher: VoucherLine) => formatVoucherLine(voucher)

    for (const [name, code, make] of wrong) {
      test(`${name}: ${code}, nothing adopted`, async () => {
        const channels = host.side?.book.channels.size
        const text = await make()
        const report = await host.money.restore([text], {}, signal)
        assert.deepEqual([report.refused, report.rows[0]?.code], [1, code], JSON.stringify(report))
        assert.equal(host.side?.book.channels.size, channels)
        await contractAgrees(text, false)
      })
    }

    test('a voucher for a channel that is closing is taken, and claimed in time', async () => {
      const terms = await parties.stage.openChannel(CLIENT, host.address)
      const { market } = parties.stage
      await market.channels.startClose(market.wallet(CLIENT), terms, signal)
      const text = line(vouch(good, terms))
      await contractAgrees(text, true)
      assert.equal((await host.money.restore([text], {}, signal)).adopted, 1)
      await host.money.claim({ channel: channelIdOf(host.base.chain.domain, terms) }, signal)
      assert.equal((await host.money.restore([text], {}, signal)).collected, 1)
    })

    test('of many for one row the highest is taken, in whatever order they stand; bad lines hold up no good one', async () => {
      const lines = [3, 1, 5, 2].map((n) =>
        line(vouch({ jobs: n, hostAmount: 100n * BigInt(n), developerAmount: 1_000_000n * BigInt(n) })),
      )
      const report = await host.money.restore([...lines, 'nonsense'], {}, signal)
      assert.deepEqual(
        report.rows.map(({ outcome }) => outcome),
        ['known', 'known', 'adopted', 'known', 'refused'],
      )
      const row = host.side?.book.row(good.channelId, task.taskId)
      assert.deepEqual(row?.vouched, { jobs: 5, hostAmount: 500n, developerAmount: 5_000_000n })
      assert.equal((await host.money.restore(lines, {}, signal)).adopted, 0)
    })

    test('whatever is mangled: taken exactly where the contract would pay', async () => {
      const terms = await parties.stage.openChannel(OTHER, host.address, 10n ** 9n)
      const amount = fc.constantFrom(0n, 1n, 999_999n, 1_000_000n, 2_000_000n, 10n ** 9n, 2n ** 96n - 1n)
      const totals = fc.record({ jobs: fc.integer({ min: 0, max: 3 }), hostAmount: amount, developerAmount: amount })
      await fc.assert(
        fc.asyncProperty(totals, fc.constantFrom(OTHER, CLIENT), async (t, account) => {
          const voucher = vouch(t, terms, {}, account)
          const restorer = makeRestorer(host.base, await emptyBook())
          const [judged] = await restorer.import([line(voucher)], false, signal)
          assert.equal(judged?.outcome === 'adopted', await wouldPay(voucher), JSON.stringify(judged?.reason))
        }),
        { numRuns: 60 },
      )
    })

    /** A book over the same store that knows nothing and writes nothing. */
    async function emptyBook() {
      const { Book } = await import('../../src/role/book.ts')
      const { base } = host
      const none = { commit: () => Promise.resolve() }
      const book = await Book.open(base.store, base.tables, 'host')
      book.channels.clear()
      return Object.assign(book, none)
    }

    async function wouldPay({ terms, ...row }: VoucherLine): Promise<boolean> {
      const [outcome] = await host.base.channels.dryClaim([{ terms, rows: [row] }], host.address, signal)
      return outcome?.skip === 'none'
    }

    async function contractAgrees(text: string, pays: boolean): Promise<void> {
      let voucher: VoucherLine
      try {
        voucher = parseVoucherLine(text)
      } catch {
        return // no voucher at all, so that no contract can be asked
      }
      const { domain } = host.base.chain
      if (voucher.chainId !== domain.chainId || voucher.channels !== domain.channels) return
      assert.equal(await wouldPay(voucher), pays)
    }
  })
})
