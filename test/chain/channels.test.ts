/** The whole life of a channel on a real chain, in native currency and in a token, to the last unit. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import type { ClaimRow } from '../../src/chain/channels.ts'
import { Token } from '../../src/chain/token.ts'
import { voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { formatDecimal, NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { startMarket } from './market.ts'
import type { Market } from './market.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [DEVELOPER, HOST, CLIENT, SIGNER, RELAYER, DEPLOYER] = [1, 2, 3, 4, 5, 9]

let market: Market
before(async () => {
  if (skip === false) market = await startMarket()
})
after(async () => {
  if (skip === false) await market.close()
})

let serial = 0
const word = (n: number): Hex => `0x${n.toString(16).padStart(64, '0')}`

function newTerms(token: Hex): ChannelTerms {
  const [client, signer, host] = [CLIENT, SIGNER, HOST].map((i) => market.signer(i).address) as [Hex, Hex, Hex]
  return { client, signer, host, token, closeDelaySeconds: 900, salt: word(++serial) }
}

async function newTask(fee: bigint, token: Hex): Promise<Hex> {
  const taskId = word(1_000_000 + ++serial)
  const payee = market.signer(DEVELOPER).address
  const wallet = market.wallet(DEVELOPER)
  await market.tasks.publish(wallet, { taskId, fee, token, payee, name: `t${serial}`, version: '1.0' }, market.signal)
  return taskId
}

function row(terms: ChannelTerms, taskId: Hex, jobs: number, hostAmount: bigint, developerAmount: bigint): ClaimRow {
  const voucher = { channelId: market.channels.idOf(terms), taskId, jobs, hostAmount, developerAmount }
  const signature = market.signer(SIGNER).sign(voucherDigest(market.chain.domain, voucher))
  return { taskId, jobs, hostAmount, developerAmount, signature }
}

test(
  'a channel in native currency: open, claim, claim again, close, refund, withdraw, to the wei',
  { skip },
  async () => {
    const { channels, chain, signal } = market
    const [client, host] = [market.wallet(CLIENT), market.wallet(HOST)]
    const terms = newTerms(NATIVE)
    const id = channels.idOf(terms)
    const taskId = await newTask(3n, NATIVE)
    await channels.open(client, terms, 1000n, signal)
    assert.deepEqual(await channels.state(id, signal), { state: 'open', deposit: 1000n, claimed: 0n, closesAt: 0 })

    const first = await channels.claim(host, [{ terms, rows: [row(terms, taskId, 2, 100n, 6n)] }], signal)
    assert.deepEqual(first.paid, [{ channelId: id, taskId, skip: 'none', hostPaid: 100n, developerPaid: 6n }])
    const rows = [row(terms, taskId, 1, 50n, 3n), row(terms, taskId, 5, 300n, 15n)]
    const second = await channels.claim(host, [{ terms, rows }], signal)
    assert.deepEqual(
      second.skipped.map((s) => s.skip),
      ['stale'],
    )
    assert.deepEqual(
      second.paid.map((p) => [p.hostPaid, p.developerPaid]),
      [[200n, 9n]],
    )
    assert.deepEqual(await channels.lane(id, taskId, signal), { jobs: 5, hostAmount: 300n, developerAmount: 15n })

    await channels.startClose(client, terms, signal)
    const closing = await channels.state(id, signal)
    assert.equal(closing.state, 'closing')
    await assert.rejects(channels.finishClose(client, terms, signal), { code: 'chain_refused', message: /NotYet/ })
    await market.later(901)
    const before = await chain.balance(client.address, signal)
    await channels.finishClose(market.wallet(RELAYER), terms, signal)
    assert.equal((await chain.balance(client.address, signal)) - before, 685n)
    assert.equal((await channels.state(id, signal)).state, 'finished')

    const late = await channels.claim(host, [{ terms, rows: [row(terms, taskId, 6, 400n, 18n)] }], signal)
    assert.deepEqual(
      late.skipped.map((s) => s.skip),
      ['finished_channel'],
    )
    const hostBefore = await chain.balance(host.address, signal)
    await channels.withdraw(market.wallet(RELAYER), NATIVE, host.address, signal)
    assert.equal((await chain.balance(host.address, signal)) - hostBefore, 300n)
    const developer = market.signer(DEVELOPER).address
    const developerBefore = await chain.balance(developer, signal)
    await channels.withdrawTasks(market.wallet(RELAYER), NATIVE, developer, [taskId], signal)
    assert.equal((await chain.balance(developer, signal)) - developerBefore, 15n)
    assert.equal(await chain.balance(market.deployment.contracts.channels, signal), 0n)
  },
)

test('a channel in a token, opened by a relayer with a permit, ended in one transaction', { skip }, async () => {
  const { channels, chain, signal } = market
  const address = market.deployment.token ?? NATIVE
  const token = new Token(chain, address)
  const [client, host] = [market.signer(CLIENT), market.wallet(HOST)]
  await token.transfer(market.wallet(DEPLOYER), client.address, 5000n, signal)
  assert.deepEqual(await token.names(signal), { symbol: 'MUSD', decimals: 6 })

  const terms = newTerms(address)
  const taskId = await newTask(7n, address)
  const permit = await token.signPermit(client, market.deployment.contracts.channels, 2000n, 2n ** 40n, signal)
  const authority = client.sign(channels.openDigest(terms, 2000n))
  await channels.openWithPermit(market.wallet(RELAYER), terms, 2000n, authority, permit, signal)

  const claimed = 470n
  const developer = market.signer(DEVELOPER).address
  const group = { terms, rows: [row(terms, taskId, 10, 400n, 70n)] }
  const { paid } = await channels.end(
    host,
    group,
    claimed,
    { host: true, developers: [{ payee: developer, taskIds: [taskId] }] },
    signal,
  )
  assert.deepEqual(
    paid.map((p) => [p.hostPaid, p.developerPaid]),
    [[400n, 70n]],
  )
  assert.equal(await token.balance(host.address, signal), 400n)
  assert.equal(await token.balance(developer, signal), 70n)
  assert.equal(await token.balance(client.address, signal), 5000n - 470n)
  assert.equal(await token.balance(market.deployment.contracts.channels, signal), 0n)
})

test('a token channel opened by its client is approved for exactly what is missing', { skip }, async () => {
  const { channels, chain, signal } = market
  const address = market.deployment.token ?? NATIVE
  const token = new Token(chain, address)
  const client = market.wallet(CLIENT)
  const balance = await token.balance(client.address, signal)
  const terms = newTerms(address)
  await channels.open(client, terms, 100n, signal)
  await channels.topUp(client, terms, 11n, signal)
  assert.equal((await channels.state(channels.idOf(terms), signal)).deposit, 111n)
  assert.equal(await token.balance(client.address, signal), balance - 111n)
  const { symbol, decimals } = await token.names(signal)
  const needed = `needed are ${formatDecimal(balance, decimals)} ${symbol}`
  const tooMuch = channels.open(client, newTerms(address), balance, signal)
  await assert.rejects(tooMuch, { code: 'insufficient_funds', message: new RegExp(needed) })
})

test('claim and withdrawals in one transaction leave nothing behind', { skip }, async () => {
  const { channels, chain, signal } = market
  const address = market.deployment.token ?? NATIVE
  const token = new Token(chain, address)
  const [terms, taskId] = [newTerms(address), await newTask(3n, address)]
  await token.transfer(market.wallet(DEPLOYER), terms.client, 1000n, signal)
  await channels.open(market.wallet(CLIENT), terms, 1000n, signal)
  const [host, developer] = [market.wallet(HOST), market.signer(DEVELOPER).address]
  const [ofHost, ofDeveloper] = [await token.balance(host.address, signal), await token.balance(developer, signal)]
  const fees = [{ payee: developer, taskIds: [taskId] }]
  const rows = [row(terms, taskId, 2, 100n, 6n)]
  const { paid } = await channels.collect(host, [{ terms, rows }], address, fees, signal)
  assert.deepEqual(
    paid.map((p) => [p.hostPaid, p.developerPaid]),
    [[100n, 6n]],
  )
  assert.equal((await token.balance(host.address, signal)) - ofHost, 100n)
  assert.equal((await token.balance(developer, signal)) - ofDeveloper, 6n)
  assert.equal(await channels.credit(address, host.address, signal), 0n)
})

test('what a dry claim says of each kind of row', { skip }, async () => {
  const { channels, signal } = market
  const [open, unopened] = [newTerms(NATIVE), newTerms(NATIVE)]
  const taskId = await newTask(3n, NATIVE)
  const tokenTask = await newTask(3n, market.deployment.token ?? NATIVE)
  await channels.open(market.wallet(CLIENT), open, 20n, signal)
  const good = row(open, taskId, 1, 10n, 3n)
  const groups = [
    {
      terms: open,
      rows: [
        { ...good, hostAmount: 11n },
        row(open, word(77), 1, 5n, 0n),
        row(open, tokenTask, 1, 5n, 3n),
        row(open, taskId, 1, 10n, 2n),
        good,
        good,
        row(open, taskId, 2, 100n, 6n),
        row(open, taskId, 3, 101n, 9n),
      ],
    },
    { terms: unopened, rows: [row(unopened, taskId, 1, 1n, 3n)] },
  ]
  const outcomes = await channels.dryClaim(groups, open.host, signal)
  const skips = outcomes.map((o) => o.skip)
  const wanted = ['bad_signature', 'unknown_task', 'wrong_token', 'fee_missing', 'none', 'stale', 'none']
  assert.deepEqual(skips, [...wanted, 'empty_channel', 'unknown_channel'])
  assert.deepEqual([outcomes[6]?.hostPaid, outcomes[6]?.developerPaid], [6n, 1n], 'what is left, in proportion')
  const byClient = await channels.dryClaim(groups, open.client, signal)
  assert.ok(
    byClient.every(({ skip }) => skip === 'not_host'),
    'a client gets nothing for vouchers that it signs itself',
  )
})

test('P31 what a client claims of its own vouchers is nothing, and costs no transaction', { skip }, async () => {
  const { channels, signal } = market
  const client = market.wallet(CLIENT)
  const [terms, taskId] = [newTerms(NATIVE), await newTask(0n, NATIVE)]
  await channels.open(client, terms, 1000n, signal)
  const own = { terms, rows: [row(terms, taskId, 1, 0n, 1000n)] }
  const tried = await channels.claim(client, [own], signal)
  assert.equal(tried.receipt, undefined)
  assert.deepEqual(
    tried.skipped.map((s) => s.skip),
    ['not_host'],
  )
  assert.equal((await channels.state(channels.idOf(terms), signal)).claimed, 0n)
})

test('a deposit counts once enough blocks stand behind it; one below the contract is none', { skip }, async () => {
  const { channels, chain, signal } = market
  const terms = newTerms(NATIVE)
  const id = channels.idOf(terms)
  await channels.open(market.wallet(CLIENT), terms, 700n, signal)
  assert.equal(await channels.confirmedDeposit(id, 0, signal), 700n)
  assert.equal(await channels.confirmedDeposit(id, 1, signal), 700n)
  assert.equal(await channels.confirmedDeposit(id, 3, signal), 0n)
  await chain.rpc.request('anvil_mine', ['0x1'], signal)
  assert.equal(await channels.confirmedDeposit(id, 3, signal), 0n)
  await chain.rpc.request('anvil_mine', ['0x1'], signal)
  assert.equal(await channels.confirmedDeposit(id, 3, signal), 700n)
  await channels.topUp(market.wallet(CLIENT), terms, 50n, signal)
  assert.equal(await channels.confirmedDeposit(id, 3, signal), 700n, 'a top-up waits for its own confirmations')
  assert.equal(await channels.confirmedDeposit(id, 1_000_000, signal), 0n)
})
