/**
 * Lies told to whole nodes: a host and a client over libp2p with paid jobs between them, each with a liar of its own between
 * it and the chain. While one of them lies, jobs and money either come right or fail in our own words, and where the liar only
 * says nothing of use a job over a known channel is answered all the same, since no chain is asked for it. When it is over
 * every job comes to its end, and in the end each channel is judged to the unit.
 */
import assert from 'node:assert/strict'
import { MecaError } from '../../src/core/errors.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { eventually, openStage } from '../role/stage.ts'
import type { Published } from '../role/stage.ts'
import { settle } from './account.ts'
import { BEHAVIOURS } from './behaviours.ts'
import type { Named } from './behaviours.ts'
import { CLOSE_SECONDS, openPlay } from './play.ts'
import type { Play } from './play.ts'
import { startProxy } from './proxy.ts'
import type { LyingProxy } from './proxy.ts'

export const SIDES = ['host', 'client'] as const
export type Side = (typeof SIDES)[number]

/** The worst of each kind, told to either side. */
export const WORST: readonly Named[] = [
  'hang',
  '429 with Retry-After 1',
  'HTML page with 200',
  'partial batch',
  'null results',
  'other chain id',
  'head stands still far behind',
  'deposit forged',
  'deposit hidden',
  'channel said to be finished',
  'lane said to be claimed',
  'forged logs',
  'forged receipt: block hash',
  'forged receipt: done, though never sent',
  'transaction swallowed',
  'balance of nothing',
].map((wanted) => BEHAVIOURS.find(({ name }) => name === wanted) ?? assert.fail(wanted))

/** Longer than a chain on the same machine takes, and fractions of what nodes wait by themselves. */
const HASTE = { bumpAfterMs: 300, maxWaitMs: 1_500, unseenMs: 300, gapMs: 600 }
const REQUEST_MS = 2_000
/** One after the other they leave a deposit that has room for a job more, and not for three at once: those need the chain. */
const [BEFORE, AT_ONCE] = [3, 3]
const RIGHT_WITHIN_MS = 60_000

export type Lied = { play: Play; liars: Record<Side, LyingProxy>; task: Published; rounds: number }

export async function openLied(): Promise<Lied> {
  const stage = await openStage()
  const liars = { host: await startProxy(stage.market.url), client: await startProxy(stage.market.url) }
  for (const { close } of Object.values(liars)) stage.closer.add(close)
  try {
    const urls = { host: liars.host.url, client: liars.client.url }
    const play = await openPlay({ urls, haste: HASTE, requestTimeoutMs: REQUEST_MS }, stage)
    return { play, liars, task: await stage.publish('echo', [play.host.base, play.client.base]), rounds: 0 }
  } catch (error) {
    await stage.close()
    throw error
  }
}

/** One lie from a channel's opening to its end. Throws where something does not come right, or a sum is not what it must be. */
export async function lieTo(lied: Lied, side: Side, lie: Named): Promise<Set<string>> {
  const { host, client, stage } = lied.play
  const { signal } = stage.market
  const round = new Round(lied)
  for (let i = 0; i < BEFORE; i++) await round.surely()
  lied.liars[side].behave = lie.make()
  const codes = new Set<string>()
  const known = round.order()
  // What an endpoint says of a channel may end its jobs; an endpoint that says nothing of use may not.
  await (lie.kind === 'lie' ? heard(codes, known) : known)
  await Promise.all(Array.from({ length: AT_ONCE }, () => heard(codes, round.order())))
  await heard(codes, host.money.claim({}, signal))
  await heard(codes, client.money.channels(signal))
  lied.liars[side].behave = undefined

  await round.finish()
  return codes
}

class Round {
  readonly #lied: Lied
  readonly #before: ReadonlySet<Hex>
  readonly #name: string
  readonly #jobs = new Set<string>()
  readonly #open = new Set<string>()

  constructor(lied: Lied) {
    this.#lied = lied
    this.#before = new Set(lied.play.client.side.book.channels.keys())
    this.#name = `round-${++lied.rounds}`
    const { host, client } = lied.play
    client.base.market.validate(host.side.advertiser.current ?? assert.fail(), { via: host.base.peer.peerId })
  }

  order(): Promise<void> {
    return this.#ask(this.#next())
  }

  /** Nobody lies, but a machine that is busy may take longer than a wallet in haste waits. */
  async surely(): Promise<void> {
    const id = this.#next()
    await comesRight(`job ${id}`, () => this.#ask(id))
  }

  #next(): string {
    const id = `${this.#name}-${this.#jobs.size}`
    this.#jobs.add(id)
    this.#open.add(id)
    return id
  }

  async #ask(id: string): Promise<void> {
    const { play, task } = this.#lied
    const { signal } = play.stage.market
    const { status } = await play.client.side.api.run(task.cid, Buffer.from('x'), { id }, () => undefined, signal)
    assert.equal(status, 'answered')
    this.#open.delete(id)
  }

  /** Every job to its end and one more, every channel to its end, and what it comes to. */
  async finish(): Promise<void> {
    const { play, task } = this.#lied
    const { host, client, stage } = play
    for (const id of this.#open) await comesRight(`job ${id}`, () => this.#ask(id))
    await this.surely()
    const channels = [...client.side.book.channels.keys()].filter((id) => !this.#before.has(id))
    await comesRight('the end', async () => {
      await host.money.claim({}, stage.market.signal)
      for (const id of channels) await this.#end(id)
    })
    await eventually('every alarm is over', () => host.base.alarms.list().length === 0)
    const { clientJobs } = client.base.tables
    const jobs = await Promise.all([...this.#jobs].map(async (id) => (await clientJobs.get(id)) ?? assert.fail(id)))
    const books = { client: client.side.book, host: host.side.book }
    const paid = await settle({ market: stage.market, books, channels, taskId: task.taskId, jobs })
    assert.equal(paid.jobs, this.#jobs.size, 'every job was answered and charged once')
    await this.#paidOut(paid)
  }

  async #end(channelId: Hex): Promise<void> {
    const { stage, client } = this.#lied.play
    const { market } = stage
    const now = () => market.channels.state(channelId, market.signal)
    const { state } = await now()
    if (state === 'closing') await market.later(CLOSE_SECONDS + 1)
    if (state !== 'finished') await client.money.close(channelId, market.signal)
    if ((await now()).state !== 'finished') throw new MecaError('busy', `The channel ${channelId} is not finished`)
  }

  /** The host's part is in its purse; the developer's is all that is left in the contract. */
  async #paidOut(paid: Totals): Promise<void> {
    const { billed, host, purses, stage } = this.#lied.play
    const { chain, deployment, signal } = stage.market
    billed.host += paid.hostAmount
    billed.developer += paid.developerAmount
    await comesRight('the withdrawal', () => host.money.withdraw({ token: NATIVE }, signal))
    assert.equal(await chain.balance(purses.host, signal), billed.host, 'the host was paid what it billed, once')
    assert.equal(await chain.balance(deployment.contracts.channels, signal), billed.developer, 'what is left')
  }
}

/** Failures must be in our own words. */
async function heard(codes: Set<string>, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof MecaError) || error.code === 'internal') throw error
    codes.add(error.code)
  }
}

/** A passing fault may cost some tries more. */
async function comesRight(what: string, attempt: () => Promise<unknown>): Promise<void> {
  let last: unknown
  const isDone = () =>
    attempt().then(
      () => true,
      (error: unknown) => {
        if (!(error instanceof MecaError) || error.code === 'internal') throw error
        last = error
        return false
      },
    )
  await eventually(what, isDone, RIGHT_WITHIN_MS).catch((error: unknown) => {
    throw new Error(`${what} did not come right`, { cause: last ?? error })
  })
}
