/**
 * A market whose chain goes back: a host, a client and a developer as real nodes over one chain, with an engine that is
 * a function. A play takes a channel from its opening to the last withdrawal; after one of its steps the chain forgets
 * its newest blocks. The nodes then go on as their owners would, with the same commands, until everything is at its end.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Wallet } from '../../src/chain/wallet.ts'
import type { WalletOptions } from '../../src/chain/wallet.ts'
import { MecaError } from '../../src/core/errors.ts'
import { sum } from '../../src/core/ledger.ts'
import type { ChannelRecord } from '../../src/core/records.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import type { MoneyApi } from '../../src/role/api-money.ts'
import { claimedOn } from '../../src/role/risk.ts'
import type { Base } from '../../src/wiring/base.ts'
import { openClient } from '../../src/wiring/client-side.ts'
import type { ClientSide } from '../../src/wiring/client-side.ts'
import { hostApi } from '../../src/wiring/host-api.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { moneyApi } from '../../src/wiring/money-side.ts'
import { intentStore } from '../../src/wiring/tables.ts'
import { eventually, FakeEngine, FEE, openStage } from '../role/stage.ts'
import type { Published, Stage } from '../role/stage.ts'
import { settle } from './account.ts'

export const STEPS = [
  'publish',
  'open',
  'top-up',
  'claim',
  'release',
  'start of a close',
  'claim on a closing channel',
  'end of a close',
  'withdrawal of the host',
  'withdrawal of the developer',
] as const
export type Step = (typeof STEPS)[number]

/**
 * `blanks` empty blocks lie over the step's own when the chain goes back by `depth`, which is more of them. Where the client
 * `orders` a job at once, whatever is there then, its channel may be gone, back, or closing already: then it opens another.
 */
export type Reorg = { step: Step; depth: number; blanks: number; comesBack: boolean; orders: boolean }

export const CLOSE_SECONDS = 900
export const MAX_DEPTH = 12
/** Blocks between the plays, so that none undoes what was before it. */
const BEDROCK = MAX_DEPTH + 2
/** anvil forgets the state under old blocks, and a chain that goes back there is empty: a new one after so many plays. */
export const MAX_PLAYS = 12
const DEVELOPER = 8
/** After so many goes at one step it will not come right. */
const TRIES = 25

type Node = { base: Base; money: MoneyApi }
export type Play = {
  stage: Stage
  host: Node & { side: HostSide }
  client: Node & { side: ClientSide }
  developer: Node
  /** Where the earnings go: nobody pays gas from there, so what is there is what was paid. */
  purses: { host: Hex; developer: Hex }
  /** What was billed on all channels so far. */
  billed: { host: bigint; developer: bigint }
  plays: number
}

/** By which addresses host and client ask the chain, and how long their wallets wait; the usual ones where absent. */
export type PlayOptions = {
  urls?: { host: string; client: string }
  haste?: WalletOptions
  requestTimeoutMs?: number
  engine?: FakeEngine
}

export async function openPlay(options: PlayOptions = {}, stage?: Stage): Promise<Play> {
  const { urls, haste, requestTimeoutMs = 10_000, engine = new FakeEngine() } = options
  stage ??= await openStage()
  const purses = { host: makeSigner(randomBytes(32)).address, developer: makeSigner(randomBytes(32)).address }
  const flags = { 'chain.pollMs': 50, 'chain.requestTimeoutMs': requestTimeoutMs, 'client.depositJobs': 1 }
  const rpc = (url: string | undefined) => (url === undefined ? {} : { 'chain.rpc': url })
  const quiet = { 'host.payout': purses.host, 'host.claimThreshold': '1000ETH', 'host.offerTtlMs': 300_000 }
  const host = await stage.open('host', 3, { ...flags, ...quiet, ...rpc(urls?.host) })
  hurry(host.base, haste)
  const side = await openHost(host.base, engine.engine, host.closer, (error) => assert.fail(String(error)))
  const client = await stage.open('client', 4, { ...flags, ...rpc(urls?.client) })
  hurry(client.base, haste)
  const clientSide = await openClient(client.base, client.closer)
  const developer = await stage.open('developer', DEVELOPER, flags)
  const developerSide = await openClient(developer.base, developer.closer)
  await stage.market.rpc('anvil_mine', `0x${BEDROCK.toString(16)}`)
  return {
    stage,
    host: { base: host.base, side, money: moneyApi(host.base, clientSide, side) },
    client: { base: client.base, side: clientSide, money: moneyApi(client.base, clientSide, undefined) },
    developer: { base: developer.base, money: moneyApi(developer.base, developerSide, undefined) },
    purses,
    billed: { host: 0n, developer: 0n },
    plays: 0,
  }
}

/** The node's own wallet, with less patience. */
function hurry(base: Base, haste: WalletOptions | undefined): void {
  if (haste !== undefined)
    base.wallet = new Wallet(base.chain, base.signer, intentStore(base.store, base.tables.intents), haste)
}

type Go = { step: Step; act(): Promise<unknown>; isDone(): Promise<boolean> }

/** Throws where something does not come right, or a sum is not what it has to be. */
export async function playOnce(play: Play, reorg: Reorg): Promise<void> {
  const { side } = play.host
  play.client.base.market.validate(side.advertiser.current ?? assert.fail(), { via: play.host.base.peer.peerId })
  // So that no reorganisation reaches the play before.
  await play.stage.market.rpc('anvil_mine', `0x${BEDROCK.toString(16)}`)
  const name = `echo-${++play.plays}`
  const scene = new Scene(play, { ...(await play.stage.publish(name, [play.host.base, play.client.base])), name })
  const goes = scene.goes(reorg.step)
  let struck = false
  for (let i = 0; i < goes.length; i++) {
    const { step, act, isDone } = goes[i] ?? assert.fail()
    await until(step, async () => {
      if ((struck || step !== reorg.step) && (await isDone())) return true
      await act()
      if (step !== reorg.step || struck) return isDone()
      struck = true
      // A deep one undid steps before it too.
      i = -1
      await goBack(play, reorg)
      // Refused where its task is gone: it is asked for again when that is back, and nothing may be closed before.
      if (reorg.orders) await scene.job().catch(mustBeOurs)
      return true
    })
  }
  assert.ok(struck, `the step ${reorg.step} was not reached`)
  await scene.addsUp()
}

class Scene {
  readonly #play: Play
  readonly #task: Published & { name: string }
  readonly #known: ReadonlySet<Hex>
  /** The ids of its jobs; one that was not answered is asked for again before there is another. */
  readonly #jobs: string[] = []
  #answered = 0

  constructor(play: Play, task: Published & { name: string }) {
    this.#play = play
    this.#task = task
    this.#known = new Set(play.client.side.book.channels.keys())
  }

  goes(struck: Step): Go[] {
    const { host, developer, stage } = this.#play
    const { market } = stage
    const { signal } = market
    const are = (...states: string[]) => this.#every(async (id) => states.includes((await this.#state(id)).state))
    const isClaimed = () => this.#every(async (id) => (await this.#owed(id)) === 0n && this.#vouchersAreExact(id))
    const claim = () => host.money.claim({}, signal)
    const ending: Go[] =
      struck === 'release'
        ? [{ step: 'release', act: () => this.#close(), isDone: () => are('finished') }]
        : [
            {
              step: 'start of a close',
              act: () => this.#startClose(),
              isDone: () => are('closing', 'finished'),
            },
            { step: 'claim on a closing channel', act: claim, isDone: isClaimed },
            {
              step: 'end of a close',
              // The host's own timer is far faster than any close.
              act: () => claim().then(() => this.#close()),
              isDone: () => are('finished'),
            },
          ]
    return [
      { step: 'publish', act: () => this.#publish(), isDone: () => this.#isPublished() },
      { step: 'open', act: () => this.job(), isDone: () => this.#isBacked(1) },
      { step: 'top-up', act: () => this.job(), isDone: () => this.#isBacked(2) },
      // Else there would be nothing left to claim when the channel closes.
      ...(struck === 'claim on a closing channel' ? [] : [{ step: 'claim', act: claim, isDone: isClaimed } as const]),
      ...ending,
      {
        step: 'withdrawal of the host',
        act: () => host.money.withdraw({ token: NATIVE }, signal),
        isDone: async () => (await market.channels.credit(NATIVE, host.base.signer.address, signal)) === 0n,
      },
      {
        step: 'withdrawal of the developer',
        act: () => developer.money.withdraw({ token: NATIVE }, signal),
        isDone: async () => (await market.channels.taskCredit(NATIVE, this.#task.taskId, signal)) === 0n,
      },
    ]
  }

  /** To the wei: book against book, book against chain, what was answered against what is in the purses. */
  async addsUp(): Promise<void> {
    const { host, client, billed, purses, stage } = this.#play
    const { chain, deployment, signal } = stage.market
    const channels = this.#channels().map(({ channelId }) => channelId)
    const books = { client: client.side.book, host: host.side.book }
    const jobs = await Promise.all(
      this.#jobs.map(async (id) => (await client.base.tables.clientJobs.get(id)) ?? assert.fail(`${id} is not there`)),
    )
    const paid = await settle({ market: stage.market, books, channels, taskId: this.#task.taskId, jobs })
    billed.host += paid.hostAmount
    billed.developer += paid.developerAmount
    assert.equal(paid.jobs, this.#answered, 'every answer was charged once')
    for (const id of channels)
      assert.equal(claimedOn(host.side.book, id), (await this.#state(id)).claimed, 'the book says what the chain says')
    const [paidHost, paidDeveloper] = [purses.host, purses.developer].map((purse) => chain.balance(purse, signal))
    assert.equal(await paidHost, billed.host, 'the host was paid what it billed, once')
    assert.equal(await paidDeveloper, billed.developer, 'the developer was paid what was billed, once')
    assert.equal(await chain.balance(deployment.contracts.channels, signal), 0n, 'nothing is left in the contract')
    const { earned, atRisk } = await hostApi(host.base, host.side).status()
    assert.equal(earned.find(({ token }) => token === NATIVE)?.withdrawn, billed.host.toString())
    assert.equal(atRisk.find(({ token }) => token === NATIVE)?.lost, '0')
  }

  /** The newest channel of this play: where one was refused or is closing, a client opens another. */
  #channel(): ChannelRecord {
    return this.#channels().at(-1) ?? assert.fail('no channel was opened')
  }

  #channels(): ChannelRecord[] {
    return [...this.#play.client.side.book.channels.values()].filter((c) => !this.#known.has(c.channelId))
  }

  async #every(check: (channelId: Hex) => Promise<boolean>): Promise<boolean> {
    for (const { channelId } of this.#channels()) if (!(await check(channelId))) return false
    return true
  }

  #state(channelId: Hex) {
    const { channels, signal } = this.#play.stage.market
    return channels.state(channelId, signal)
  }

  async #isPublished(): Promise<boolean> {
    const { tasks, signal } = this.#play.stage.market
    return (await tasks.get(this.#task.taskId, signal))?.payee === this.#play.purses.developer
  }

  async #publish(): Promise<void> {
    const { stage, purses } = this.#play
    const { tasks, signal, wallet } = stage.market
    const entry = await tasks.get(this.#task.taskId, signal)
    if (entry === undefined) {
      const entry = { fee: FEE, token: NATIVE, payee: purses.developer, name: this.#task.name, version: '1.0.0' }
      await tasks.publish(wallet(DEVELOPER), { ...entry, taskId: this.#task.taskId }, signal)
    }
    await tasks.setPayee(wallet(DEVELOPER), this.#task.taskId, purses.developer, signal)
  }

  /** Paid for by a deposit that is there, as far as anything was promised. */
  async #isBacked(jobs: number): Promise<boolean> {
    const { book } = this.#play.host.side
    if (this.#channels().length === 0) return false
    const done = book.row(this.#channel().channelId, this.#task.taskId)?.billed.jobs ?? 0
    return done >= jobs && this.#every(async (id) => (await this.#state(id)).deposit >= book.vouchedOn(id))
  }

  async job(): Promise<void> {
    const { client, stage } = this.#play
    if (this.#jobs.length === this.#answered) this.#jobs.push(`${this.#task.name}-${this.#jobs.length}`)
    const id = this.#jobs.at(-1) ?? assert.fail()
    const { signal } = stage.market
    const result = await client.side.api.run(this.#task.cid, Buffer.from('x'), { id }, () => undefined, signal)
    assert.equal(result.status, 'answered')
    this.#answered++
    await eventually('the exact voucher', () => this.#vouchersAreExact(this.#channel().channelId))
  }

  /** Also where nothing was billed. */
  #vouchersAreExact(channelId: Hex): boolean {
    const row = this.#play.host.side.book.row(channelId, this.#task.taskId)
    const billed = row === undefined ? 0n : sum(row.billed)
    return billed === 0n || (row?.exact !== undefined && sum(row.exact.totals) === billed)
  }

  /** By the chain itself, not by the host's book. */
  async #owed(channelId: Hex): Promise<bigint> {
    const { stage, host } = this.#play
    const lane = await stage.market.channels.lane(channelId, this.#task.taskId, stage.market.signal)
    const billed = host.side.book.row(channelId, this.#task.taskId)?.billed
    return billed === undefined ? 0n : sum(billed) - sum(lane)
  }

  async #startClose(): Promise<void> {
    const { base } = this.#play.client
    for (const { channelId, terms } of this.#channels()) {
      if ((await this.#state(channelId)).state !== 'open') continue
      await base.channels.startClose(base.wallet, terms, this.#play.stage.market.signal)
    }
  }

  async #close(): Promise<void> {
    const { client, stage } = this.#play
    for (const { channelId } of this.#channels()) {
      const { state } = await this.#state(channelId)
      if (state === 'closing') await stage.market.later(CLOSE_SECONDS + 1)
      if (state !== 'finished') await client.money.close(channelId, stage.market.signal)
    }
  }
}

/** The chain forgets its newest blocks; their transactions are lost, or come back as they do where others kept them. */
async function goBack({ stage }: Play, { depth, blanks, comesBack }: Reorg): Promise<void> {
  const { rpc, chain, signal } = stage.market
  if (blanks > 0) await rpc('anvil_mine', `0x${blanks.toString(16)}`)
  const { number } = await chain.block(signal)
  const raws: unknown[] = []
  for (let height = number - depth + 1; comesBack && height <= number; height++) {
    const block = (await rpc('eth_getBlockByNumber', `0x${height.toString(16)}`, false)) as { transactions: Hex[] }
    for (const hash of block.transactions) raws.push(await rpc('eth_getRawTransactionByHash', hash))
  }
  await rpc('anvil_reorg', depth, [])
  for (const raw of raws) await rpc('eth_sendRawTransaction', raw).catch(wasQuicker)
  await eventually('all that came back is in a block', async () => {
    const { pending } = (await rpc('txpool_status')) as { pending: Hex }
    return Number(pending) === 0
  })
}

/** A node that looked in between may have sent its own anew, with the same number. */
function wasQuicker(error: unknown): void {
  const said = error instanceof MecaError ? String(error.details?.['rpcMessage']) : ''
  if (!/nonce too low|already (known|imported)|replacement/.test(said)) throw error
}

/** What fails in our own words may come right at the next go; an assertion does not. */
async function until(what: string, attempt: () => Promise<boolean>): Promise<void> {
  let last: unknown
  for (let i = 0; i < TRIES; i++) {
    try {
      if (await attempt()) return
    } catch (error) {
      mustBeOurs(error)
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`it did not come right: ${what}`, { cause: last })
}

function mustBeOurs(error: unknown): void {
  if (!(error instanceof MecaError) || error.code === 'internal') throw error
}
