/**
 * What a chain does without lying: fees beyond every measure, blocks that do not come, a key that somebody else uses too,
 * clocks that are set wrong, and a client that closes while its host is down. Each with what must be true in the end.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { Chain } from '../../src/chain/chain.ts'
import { connect } from '../../src/chain/chain.ts'
import { Wallet } from '../../src/chain/wallet.ts'
import type { WalletOptions } from '../../src/chain/wallet.ts'
import { makeSigner } from '../../src/core/signature.ts'
import type { Signer } from '../../src/core/signature.ts'
import { sum } from '../../src/core/ledger.ts'
import { toHex } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { doctor } from '../../src/wiring/doctor.ts'
import { hostApi } from '../../src/wiring/host-api.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { memoryIntents, startMarket } from '../chain/market.ts'
import type { Market } from '../chain/market.ts'
import { RawClient } from '../role/raw-client.ts'
import { eventually, FakeEngine, openStage } from '../role/stage.ts'
import { BEHAVIOURS } from './behaviours.ts'
import { startProxy } from './proxy.ts'
import type { Stage } from '../role/stage.ts'

type Ending = { after(end: () => unknown): void }
type Trouble = { name: string; run(t: Ending): Promise<void> }

const GWEI = 10n ** 9n
const TO: Hex = '0x00000000000000000000000000000000000c0ffe'
const CLIENT = 5
const HOST = 3
const CLOSE_SECONDS = 900

type Funded = { market: Market; chain: Chain; signer: Signer; intents: ReturnType<typeof memoryIntents> }

async function funded(t: Ending): Promise<Funded & { wallet(options?: WalletOptions): Wallet }> {
  const market = await startMarket()
  t.after(() => market.close())
  const { signal } = market
  const chain = await connect(market.url, market.deployment, { signal, pollMs: 20 })
  const signer = makeSigner(randomBytes(32))
  await market.rpc('anvil_setBalance', signer.address, `0x${(10n ** 19n).toString(16)}`)
  const intents = memoryIntents()
  return { market, chain, signer, intents, wallet: (options) => new Wallet(chain, signer, intents, options) }
}

const pay = (value: bigint) => ({ to: TO, data: '0x', value }) as const
const setBaseFee = (market: Market, wei: bigint) =>
  market.rpc('anvil_setNextBlockBaseFeePerGas', `0x${wei.toString(16)}`)

async function codeOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'nothing',
    (error: unknown) => String((error as { code?: unknown }).code),
  )
}

/** A host that owes nothing and is owed for one job, whose client is then gone. */
async function owedHost(t: Ending, flags: Record<string, unknown> = {}) {
  const stage = await openStage()
  t.after(() => stage.close())
  const first = await openHostSide(stage, flags)
  const task = await stage.publish('echo', [first.base])
  const terms = await stage.openChannel(CLIENT, first.base.signer.address, undefined, CLOSE_SECONDS)
  const target = {
    domain: first.base.chain.domain,
    peer: first.base.peer,
    side: first.side,
    hostAddress: first.base.signer.address,
  }
  const client = await RawClient.connect(target, stage.market.signer(CLIENT))
  await client.greet(terms)
  client.submit(terms, task, [client.job('one', task, 'x')], ['x'])
  await client.result('one')
  await client.close()
  const channelId = client.channelId(terms)
  const billed = sum(first.side.book.row(channelId, task.taskId)?.billed ?? assert.fail('nothing was billed'))
  assert.ok(billed > 0n)
  const startClose = () => stage.market.channels.startClose(stage.market.wallet(CLIENT), terms, stage.market.signal)
  const claimed = async () => (await stage.market.channels.state(channelId, stage.market.signal)).claimed
  return { stage, first, terms, channelId, billed, startClose, claimed, again: () => openHostSide(stage, flags) }
}

async function openHostSide(stage: Stage, flags: Record<string, unknown>, { engine } = new FakeEngine()) {
  const quiet = { 'host.claimThreshold': '1000ETH', 'chain.pollMs': 50 }
  const { base, closer } = await stage.open('host', HOST, { ...quiet, ...flags })
  const side: HostSide = await openHost(base, engine, closer, (error) => assert.fail(String(error)))
  const report = (of = base) => doctor(of, () => Promise.resolve(engine), side, stage.market.signal)
  return { base, closer, side, report, status: () => hostApi(base, side).status() }
}

const noEngine = () => Promise.resolve(new FakeEngine().engine)

export const TROUBLES: readonly Trouble[] = [
  {
    name: 'the base fee rises a hundredfold while a transaction waits: it is replaced, and arrives once',
    run: async (t) => {
      const { market, chain, wallet } = await funded(t)
      await market.rpc('evm_setAutomine', false)
      const sending = wallet({ bumpAfterMs: 100 }).send(pay(7n), 'pay', market.signal)
      await new Promise((resolve) => setTimeout(resolve, 60))
      const { baseFeePerGas = GWEI } = await chain.block(market.signal)
      const miner = setInterval(() => {
        void setBaseFee(market, 100n * baseFeePerGas).then(() => market.rpc('evm_mine'))
      }, 80)
      t.after(() => clearInterval(miner))
      const receipt = await sending
      assert.ok(receipt.feeWei >= 100n * baseFeePerGas * receipt.gasUsed)
      assert.equal(await chain.balance(TO, market.signal), 7n)
    },
  },
  {
    name: 'the base fee is over the cap: nothing is sent until it is under it again',
    run: async (t) => {
      const { market, chain, intents, wallet } = await funded(t)
      const careful = wallet({ maxFeePerGas: 50n * GWEI, maxWaitMs: 2000 })
      await setBaseFee(market, 100n * GWEI)
      await market.rpc('evm_mine')
      assert.equal(await codeOf(careful.send(pay(7n), 'pay', market.signal)), 'price_cap')
      assert.equal(intents.all.size, 0)
      await setBaseFee(market, GWEI)
      await market.rpc('evm_mine')
      await careful.send(pay(7n), 'pay', market.signal)
      assert.equal(await chain.balance(TO, market.signal), 7n)
    },
  },
  {
    name: 'the base fee rises over the cap while a transaction waits: it waits on, is not raised, and is taken up later',
    run: async (t) => {
      const { market, chain, intents, wallet } = await funded(t)
      await market.rpc('evm_setAutomine', false)
      const careful = wallet({ maxFeePerGas: 50n * GWEI, bumpAfterMs: 50, maxWaitMs: 1500 })
      const sending = careful.send(pay(7n), 'pay', market.signal)
      await new Promise((resolve) => setTimeout(resolve, 40))
      await setBaseFee(market, 200n * GWEI)
      await market.rpc('evm_mine')
      assert.equal(await codeOf(sending), 'timeout')
      assert.equal(intents.all.size, 1)
      await setBaseFee(market, GWEI)
      await market.rpc('evm_mine')
      await market.rpc('evm_setAutomine', true)
      await careful.send(pay(2n), 'next', market.signal)
      assert.equal(await chain.balance(TO, market.signal), 9n)
    },
  },
  {
    name: 'somebody with the same key takes the number of a waiting transaction: it is said, and what follows arrives',
    run: async (t) => {
      const { market, chain, signer, wallet } = await funded(t)
      await market.rpc('evm_setAutomine', false)
      const mine = wallet({ unseenMs: 200 })
      const sending = mine.send(pay(7n), 'mine', market.signal)
      await new Promise((resolve) => setTimeout(resolve, 60))
      const hurried = new Wallet(chain, signer, memoryIntents(), { bumpAfterMs: 20 })
      const other = hurried.send(pay(100n), 'theirs', market.signal)
      await new Promise((resolve) => setTimeout(resolve, 300))
      await market.rpc('evm_mine')
      await other
      assert.equal(await codeOf(sending), 'chain_refused')
      await market.rpc('evm_setAutomine', true)
      await mine.send(pay(1n), 'next', market.signal)
      assert.equal(await chain.balance(TO, market.signal), 101n, 'of the two with one number one arrived')
    },
  },
  {
    name: 'a waiting transaction is dropped by the endpoint: the next call brings it back, and it arrives once',
    run: async (t) => {
      const { market, chain, intents, wallet } = await funded(t)
      await market.rpc('evm_setAutomine', false)
      const hasty = wallet({ maxWaitMs: 150 })
      assert.equal(await codeOf(hasty.send(pay(7n), 'pay', market.signal)), 'timeout')
      await market.rpc('anvil_dropAllTransactions')
      assert.equal(intents.all.size, 1)
      await market.rpc('evm_setAutomine', true)
      await wallet().send(pay(2n), 'next', market.signal)
      assert.equal(await chain.balance(TO, market.signal), 9n)
    },
  },
  {
    name: 'a number that was too high is called off: its transaction is never mined later',
    run: async (t) => {
      const { market, chain, signer, wallet } = await funded(t)
      const { signal } = market
      const truth = chain.transactionCount.bind(chain)
      chain.transactionCount = async (...args) => (await truth(...args)) + 2
      assert.equal(await codeOf(wallet({ maxWaitMs: 100 }).send(pay(1000n), 'lost', signal)), 'timeout')
      chain.transactionCount = truth
      const healed = wallet({ gapMs: 100, unseenMs: 200 })
      for (const value of [1n, 2n, 4n, 8n]) await healed.send(pay(value), 'next', signal)
      assert.equal(await chain.balance(TO, signal), 15n, 'the one that was called off was never mined')
      assert.ok((await chain.transactionCount(signer.address, 'latest', signal)) >= 4)
    },
  },
  {
    name: 'a client closes while its host is down, which is back in time: it claims before the close can finish',
    run: async (t) => {
      const { stage, first, billed, startClose, claimed, again, channelId } = await owedHost(t)
      await first.closer.close()
      await startClose()
      await stage.market.later(CLOSE_SECONDS / 2)
      const down = await stage.open('host', HOST)
      const { findings } = await doctor(down.base, noEngine, undefined, stage.market.signal)
      const money = findings.filter(({ what }) => what === 'money')
      assert.match(money[0]?.detail ?? '', /is unclaimed by the host of this home, which does not run/)
      assert.match(money[1]?.detail ?? '', /whose client is closing and can finish it in [0-9] min/)
      await down.closer.close()
      const second = await again()
      await eventually('the claim', async () => (await claimed()) >= billed)
      await eventually('the book knows', () => second.side.settler.pendingOn(channelId) === 0n)
      await eventually('no alarm is left', () => second.base.alarms.list().length === 0)
    },
  },
  {
    name: 'a client closes while its host is down, which cannot pay the gas when it is back: an alarm while there is time',
    run: async (t) => {
      const { stage, first, billed, startClose, claimed, again } = await owedHost(t)
      const { address } = first.base.signer
      const { rpc, signal, chain } = stage.market
      const balance = await chain.balance(address, signal)
      await first.closer.close()
      await startClose()
      await rpc('anvil_setBalance', address, '0x1')
      const second = await again()
      await eventually('the alarms', () => second.base.alarms.list().some(({ name }) => name === 'claim'))
      const { ok, findings } = await second.report()
      assert.ok(!ok && findings.some(({ what, level }) => what === 'money' && level === 'error'))
      const status = await second.status()
      const atRisk = status.atRisk.find(({ token }) => token === NATIVE)
      assert.equal(atRisk?.closing, billed.toString())
      assert.ok((atRisk?.closesInSeconds ?? 0) > 0)
      assert.ok(status.alarms.some(({ detail }) => /are not claimed .* can finish it in 1[0-5] min/.test(detail)))
      await rpc('anvil_setBalance', address, `0x${balance.toString(16)}`)
      await eventually('the claim', async () => (await claimed()) >= billed)
    },
  },
  {
    name: 'a client closes and finishes while its host is down: the host says how much it lost',
    run: async (t) => {
      const { stage, first, terms, billed, startClose, again } = await owedHost(t)
      await first.closer.close()
      await startClose()
      await stage.market.later(CLOSE_SECONDS + 1)
      await stage.market.channels.finishClose(stage.market.wallet(CLIENT), terms, stage.market.signal)
      const second = await again()
      await eventually('the alarm', () => second.base.alarms.list().length === 1)
      assert.match(second.base.alarms.list()[0]?.detail ?? '', /^0\.00[0-9]+ ETH were lost: channel/)
      const { atRisk } = await second.status()
      assert.equal(atRisk.find(({ token }) => token === NATIVE)?.lost, billed.toString())
      assert.ok(!(await second.report()).ok)
    },
  },
  {
    name: 'a second endpoint that disagrees: the lower deposit counts, the host says so, and the doctor compares both',
    run: async (t) => {
      const stage = await openStage()
      t.after(() => stage.close())
      const liar = await startProxy(stage.market.url)
      t.after(() => liar.close())
      const { base, side, report, status } = await openHostSide(stage, { 'chain.witness': liar.url })
      const terms = await stage.openChannel(CLIENT, base.signer.address)
      const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
      const client = await RawClient.connect(target, stage.market.signer(CLIENT))
      t.after(() => client.close())
      await client.greet(terms)
      liar.behave = BEHAVIOURS.find(({ name }) => name === 'deposit hidden')?.make()
      await eventually('the alarm', () => base.alarms.list().some(({ name }) => name.startsWith('endpoints')))
      client.hello(terms)
      await client.refusal('busy')
      assert.ok((await status()).alarms.some(({ detail }) => /disagree on channel/.test(detail)))
      liar.behave = undefined
      await eventually('it is over', () => base.alarms.list().length === 0)
      const { findings } = await report()
      assert.equal(findings.find(({ what }) => what === 'chain witness')?.level, 'ok')
    },
  },
  {
    name: 'one endpoint alone that invents deposits: work for nothing ends at the cap, and the doctor says so before',
    run: async (t) => {
      const stage = await openStage()
      t.after(() => stage.close())
      const liar = await startProxy(stage.market.url)
      t.after(() => liar.close())
      // A job costs a quarter of it and a little more.
      const cap = 4_000_000_000_000_000n
      const fake = new FakeEngine()
      const flags = { 'chain.rpc': liar.url, 'host.exposureTotal': `${cap}` }
      const { base, side, report } = await openHostSide(stage, flags, fake)
      const far = { ...base, config: { ...base.config, chain: { ...base.config.chain, rpc: 'https://rpc.example' } } }
      const { findings } = await report(far)
      assert.equal(findings.find(({ what }) => what === 'chain witness')?.level, 'warning')
      liar.behave = BEHAVIOURS.find(({ name }) => name === 'deposit forged')?.make()
      const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
      const signer = stage.market.signer(CLIENT)
      const client = await RawClient.connect(target, signer)
      t.after(() => client.close())
      const who = { client: signer.address, signer: signer.address, host: base.signer.address, token: NATIVE }
      const terms = { ...who, closeDelaySeconds: CLOSE_SECONDS, salt: toHex(randomBytes(32)) }
      await client.greet(terms)
      const task = await stage.publish('echo', [base])
      const { channelId } = side.book.channels.values().next().value ?? assert.fail()
      for (let i = 0; side.settler.pendingOn(channelId) <= cap; i++) {
        client.submit(terms, task, [client.job(`job-${i}`, task, 'x')], ['x'])
        await client.result(`job-${i}`)
      }
      const served = fake.requests
      assert.ok(served > 1)
      for (let i = 0; i < 3; i++) {
        client.submit(terms, task, [client.job(`more-${i}`, task, 'x')], ['x'])
        await client.refusal('busy', `more-${i}`)
      }
      assert.equal(fake.requests, served, 'nothing more is done before it is paid')
    },
  },
  {
    name: 'the clock is an hour off, either way: a close is claimed from all the same',
    run: async (t) => {
      for (const hours of [-1, 1]) {
        const { first, billed, startClose, claimed, again, channelId } = await owedHost(t)
        await first.closer.close()
        const realNow = Date.now
        Date.now = () => realNow() + hours * 3_600_000
        try {
          await startClose()
          const second = await again()
          await eventually('the claim', async () => (await claimed()) >= billed)
          await eventually('the book knows', () => second.side.settler.pendingOn(channelId) === 0n)
          const clock = (await second.report()).findings.find(({ what }) => what === 'clock')
          if (hours < 0) assert.equal(clock?.level, 'error')
        } finally {
          Date.now = realNow
        }
      }
    },
  },
]
