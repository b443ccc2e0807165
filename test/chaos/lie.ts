/**
 * One lie, told to a node's money: a host with an unclaimed voucher and a client that opens a channel, over real records,
 * wallets and contracts, with the liar between them and the chain. While it lasts nothing may be believed that is not
 * paid for, and nothing may fail but in our own words; when it is over everything comes right to the wei, once.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import pino from 'pino'
import { Chain, connect } from '../../src/chain/chain.ts'
import { Channels } from '../../src/chain/channels.ts'
import { openChannel, topUpChannel } from '../../src/chain/deposit.ts'
import { Wallet } from '../../src/chain/wallet.ts'
import type { WalletOptions } from '../../src/chain/wallet.ts'
import { MecaError } from '../../src/core/errors.ts'
import { sum, ZERO } from '../../src/core/ledger.ts'
import type { ChannelRecord } from '../../src/core/records.ts'
import { makeSigner } from '../../src/core/signature.ts'
import type { Signer } from '../../src/core/signature.ts'
import { toHex, voucherDigest } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Alarms } from '../../src/role/alarms.ts'
import { Currencies } from '../../src/role/currencies.ts'
import { Lending } from '../../src/role/lending.ts'
import { Payer } from '../../src/role/payer.ts'
import { claimedOn } from '../../src/role/risk.ts'
import { Settler } from '../../src/role/settle.ts'
import { chainChannel } from '../../src/wiring/base.ts'
import { Deposits, lookout } from '../../src/wiring/deposits.ts'
import { memoryIntents } from '../chain/market.ts'
import type { Market } from '../chain/market.ts'
import { openBook, word } from '../role/home.ts'
import type { Ending } from '../role/home.ts'
import type { Named } from './behaviours.ts'
import { startProxy } from './proxy.ts'

const FEE = 1_000_000n
const PRICE = { jobs: 3, hostAmount: 7_000_000n, developerAmount: 3n * FEE }
const NEED = 10n ** 13n
const DEPOSIT = 10n * NEED
const FUNDS = 10n ** 18n
/** Far above what the chain asks, far below what a liar does. */
const GWEI = 10n ** 9n
const FEE_CAP = 20n * GWEI
/** Of all transactions here together, each at the cap and far larger than it is. */
const MAX_GAS_WEI = 10n * 300_000n * FEE_CAP
/** Everything that waits does so for fractions of seconds here, and longer than the chain takes. */
const HASTE: WalletOptions = { maxFeePerGas: FEE_CAP, bumpAfterMs: 150, maxWaitMs: 600, unseenMs: 200, gapMs: 300 }
const REQUEST_MS = 400
const TRIES = 40

export type Task = { taskId: Hex; cid: string }

/** What was heard while the lie lasted: codes of errors, names of alarms. */
export type Outcome = { errors: Set<string>; alarms: Set<string> }

export async function publishTask(market: Market): Promise<Task> {
  const task = { taskId: toHex(randomBytes(32)), cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi' }
  const payee = market.signer(8).address
  const entry = { taskId: task.taskId, fee: FEE, token: NATIVE, payee, name: task.taskId.slice(2, 20), version: '1' }
  await market.tasks.publish(market.wallet(8), entry, market.signal)
  return task
}

export async function underLie(t: Ending, market: Market, task: Task, lie: Named): Promise<Outcome> {
  const proxy = await startProxy(market.url)
  t.after(() => proxy.close())
  const ending = new AbortController()
  t.after(() => ending.abort())
  const outcome: Outcome = { errors: new Set(), alarms: new Set() }
  const host = await openHostSide(t, market, proxy.url, lie.needsWitness === true, ending.signal)
  const client = await openClientSide(t, market, proxy.url, ending.signal)
  const elsewhere = makeSigner(randomBytes(32)).address
  const channel = await client.payer.open(host.address, NATIVE, DEPOSIT, NEED, ending.signal)
  owe(host, client.signer, channel, task)

  proxy.behave = lie.make()
  await heard(outcome, connect(proxy.url, market.deployment, { signal: ending.signal, requestTimeoutMs: REQUEST_MS }))
  await heard(outcome, host.chain.verify(ending.signal))
  await heard(outcome, neverFunded(host, ending.signal))
  await heard(outcome, host.settler.claim(undefined))
  for (let i = 0; i < 2; i++)
    await heard(outcome, client.payer.room(elsewhere, NATIVE, NEED, AbortSignal.any([ending.signal])))
  for (const { name } of host.alarms.list()) outcome.alarms.add(name.split(' ')[0] ?? name)
  proxy.behave = undefined

  await untilRight('the claim', async () => {
    await host.settler.claim(undefined)
    return host.settler.pendingOn(channel.channelId) === 0n
  })
  await untilRight('the channel', async () => {
    await client.payer.room(elsewhere, NATIVE, NEED, ending.signal)
    return true
  })
  await paidOnce(market, host, channel, task)
  await lockedOnce(market, client, elsewhere)
  assert.deepEqual(host.alarms.list(), [], 'every alarm is over')
  return outcome
}

type HostSide = Awaited<ReturnType<typeof openHostSide>>
type ClientSide = Awaited<ReturnType<typeof openClientSide>>

async function openHostSide(t: Ending, market: Market, url: string, witnessed: boolean, signal: AbortSignal) {
  const { book } = await openBook(t, 'host')
  const { chain, channels, wallet, address } = await funded(market, url, signal)
  const log = pino({ level: 'silent' })
  const alarms = new Alarms(log, () => Date.now())
  const witness = witnessed ? new Chain(market.url, market.deployment) : undefined
  const lending = new Lending(new Map(), book)
  const isKnown = (id: Hex) => book.channels.has(id)
  const deposits = new Deposits({ chain, channels, witness, confirmations: 1, lending, alarms, isKnown })
  const look = lookout(chain)
  const settler = new Settler({
    book,
    look,
    state: (id, token, s) => deposits.state(id, token, s),
    lane: (id, taskId, s) => channels.lane(id, taskId, s),
    claim: async (groups, s) => {
      const { receipt } = await channels.claim(wallet, groups, s)
      return { tx: receipt?.hash ?? null, gasUsed: receipt?.gasUsed ?? 0n }
    },
    claimThreshold: new Map([[NATIVE, 1n]]),
    claimEveryMs: 1e9,
    watchEveryMs: 1e9,
    alarms,
    tell: (amount) => `${amount} wei`,
    log,
    signal,
    wallNow: () => Date.now(),
    now: () => performance.now(),
  })
  return { book, chain, channels, wallet, address, alarms, deposits, look, settler }
}

async function openClientSide(t: Ending, market: Market, url: string, signal: AbortSignal) {
  const { book, store, tables, blobs } = await openBook(t, 'client')
  const side = await funded(market, url, signal)
  const { chain, channels, wallet, signer, address } = side
  const unused = () => Promise.reject(new Error('nobody is spoken to'))
  const payer = new Payer({
    domain: chain.domain,
    signer,
    peerId: 'none',
    store,
    book,
    tables,
    blobs,
    link: { openJobs: unused, put: unused, get: unused },
    chain: {
      state: (id, s) => chainChannel(channels, id, s),
      settle: async (s) => void (await wallet.recover(s)),
      open: (terms, amount, s) => openChannel(side, terms, amount, s),
      topUp: (terms, amount, s) => topUpChannel(side, terms, amount, s),
      balance: (_, s) => chain.balance(address, s),
    },
    spending: {
      depositJobs: 10,
      depositCap: new Map([[NATIVE, DEPOSIT]]),
      closeDelaySeconds: 900,
      perDayCap: undefined,
      perHostCap: undefined,
    },
    currencies: new Currencies([{ address: NATIVE, symbol: 'ETH', decimals: 18 }]),
    randomSalt: () => toHex(randomBytes(32)),
    maxOutputBytes: 1,
    log: pino({ level: 'silent' }),
    signal,
    onLateLog: () => undefined,
    wallNow: () => Date.now(),
  })
  return { ...side, book, payer }
}

/** A key with money, and its wallet over the liar's address. */
async function funded(market: Market, url: string, signal: AbortSignal) {
  const signer = makeSigner(randomBytes(32))
  await market.rpc('anvil_setBalance', signer.address, `0x${FUNDS.toString(16)}`)
  const chain = await connect(url, market.deployment, { signal, pollMs: 10, requestTimeoutMs: REQUEST_MS })
  const wallet = new Wallet(chain, signer, memoryIntents(), HASTE)
  return { signer, address: signer.address, chain, wallet, channels: new Channels(chain) }
}

/** Puts jobs that were done and vouched for, and not collected, into the host's book. */
function owe({ book, chain }: HostSide, signer: Signer, channel: ChannelRecord, { taskId, cid }: Task): void {
  const { channelId } = channel
  const signature = signer.sign(voucherDigest(chain.domain, { channelId, taskId, ...PRICE }))
  book.stageChannel({ ...channel, side: 'host', claimed: 0n })
  const vouched = { vouched: PRICE, vouchedSignature: signature, exact: { totals: PRICE, signature } }
  book.stageRow({ channelId, taskId, cid, ...vouched, billed: PRICE, claimed: ZERO, reserved: ZERO })
}

/** A host must count on no deposit that is not there. */
async function neverFunded({ deposits }: HostSide, signal: AbortSignal): Promise<void> {
  const { deposit, closed } = await deposits.state(word(7), NATIVE, signal)
  assert.ok(deposit === 0n || closed, `a channel that nobody opened counts as having ${deposit}`)
}

/** Failures must be in our own words; an assertion that failed is none of them. */
async function heard(outcome: Outcome, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof MecaError) || error.code === 'internal') throw error
    outcome.errors.add(error.code)
  }
}

/** A passing fault may cost a few tries more. */
async function untilRight(what: string, attempt: () => Promise<boolean>): Promise<void> {
  let last: unknown
  for (let i = 0; i < TRIES; i++) {
    try {
      if (await attempt()) return
    } catch (error) {
      if (!(error instanceof MecaError)) throw error
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`${what} did not come right after the lie`, { cause: last })
}

async function paidOnce(market: Market, host: HostSide, { channelId }: ChannelRecord, { taskId }: Task): Promise<void> {
  const { signal, channels } = market
  assert.deepEqual(await channels.lane(channelId, taskId, signal), PRICE)
  assert.equal(await channels.credit(NATIVE, host.address, signal), PRICE.hostAmount)
  const { deposit, claimed } = await channels.state(channelId, signal)
  assert.deepEqual({ deposit, claimed }, { deposit: DEPOSIT, claimed: sum(PRICE) })
  assert.equal(claimedOn(host.book, channelId), sum(PRICE), 'the book says what the chain says')
}

async function lockedOnce(market: Market, client: ClientSide, elsewhere: Hex): Promise<void> {
  const { signal, channels, chain } = market
  const opened = [...client.book.channels.values()].filter(({ terms }) => terms.host === elsewhere)
  const locked = await Promise.all(opened.map(async (c) => (await channels.state(c.channelId, signal)).deposit))
  assert.deepEqual(
    locked.filter((deposit) => deposit > 0n),
    [DEPOSIT],
    'one channel, one deposit',
  )
  const gasWei = FUNDS - 2n * DEPOSIT - (await chain.balance(client.address, signal))
  assert.ok(gasWei > 0n && gasWei < MAX_GAS_WEI, `${gasWei} wei went for gas`)
}
