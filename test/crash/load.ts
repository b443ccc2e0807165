/**
 * Callers that keep a client busy whatever dies: each asks for a job by an id of its own, again and again until it has an
 * end, as an honest program would. What they asked and were told is the callers' part of the history.
 */
import { createHash } from 'node:crypto'
import { asMecaError } from '../../src/core/errors.ts'
import { taskIdOf } from '../../src/core/cid.ts'
import type { Hex } from '../../src/core/units.ts'
import type { NodeApi } from '../../src/role/api.ts'
import type { RunResult } from '../../src/role/api-client.ts'
import type { ChannelRow } from '../../src/role/api-money.ts'
import { receiptDigest } from '../history/books.ts'
import type { Asked, History, Line, Refused, Told } from '../history/history.ts'
import { copierInput } from './files.ts'
import type { CrashMarket, Seat } from './market.ts'

/** Jobs in flight at any moment. */
const CALLERS = 8
/**
 * What a caller tries again after: nobody is there, or nobody has the time. `not_found` is said of a job that a host lost
 * twice because it was killed twice before it was written down; nothing ran.
 */
const AGAIN = new Set([
  'not_found',
  'peer_unreachable',
  'no_host',
  'timeout',
  'busy',
  'cancelled',
  'store_failed',
  'unauthorized',
  'disk_full',
])
const PAUSE_MS = 250
/** A caller thinks better of it within this, which is before, while or after its job runs. */
const CANCEL_WITHIN_MS = 1_500
/** A job that has no end after this has none. */
const PATIENCE_MS = 120_000

/** `files` sends and brings back some megabytes; `kept` leaves them at its host; `cancel` is ended by its caller somewhere on its way. */
export type Kind = 'plain' | 'slow' | 'wait' | 'large' | 'upload' | 'fail' | 'files' | 'kept' | 'cancel'

export class Load {
  readonly asked: Asked[] = []
  readonly told: Told[] = []
  readonly refused: Refused[] = []
  readonly shown: Line[] = []
  readonly statuses = new Map<string, number>()
  readonly #market: CrashMarket
  readonly #random: () => number
  readonly #inputs = new Map<string, { task: string; input: Uint8Array }>()
  #stopping = new AbortController()
  #workers: Promise<void>[] = []
  #next = 0

  constructor(market: CrashMarket, random: () => number) {
    this.#market = market
    this.#random = random
  }

  /** Keeps so many jobs in flight until `drain`. */
  begin(callers = CALLERS): void {
    this.#stopping = new AbortController()
    this.#workers = Array.from({ length: callers }, () => this.#work())
    this.#workers.push(this.#watch())
  }

  /** Lets what is in flight end. */
  async drain(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#workers)
  }

  /** One job to its end; rejects where it has none. */
  async one(kind: Kind, ofTask?: string): Promise<RunResult | undefined> {
    const id = `job-${++this.#next}`
    const { steady, brittle, files } = this.#market.tasks
    const isFiles = kind === 'files' || kind === 'kept'
    const task = ofTask ?? (isFiles ? files : kind === 'fail' || this.#next % 4 === 0 ? brittle : steady)
    const input = isFiles
      ? await copierInput(id, kind === 'kept')
      : Buffer.from(`${kind === 'cancel' ? 'slow' : kind} ${id} ${kind === 'upload' ? 'y'.repeat(100_000) : ''}`)
    this.#inputs.set(id, { task, input })
    const { address: client } = this.#market.client.member
    this.asked.push({ client, job: id, task: taskIdOf(task), inputHash: hashOf(input) })
    if (kind === 'cancel') void this.#cancelSoon(id)
    return this.#untilEnded(id, true)
  }

  /** Whatever comes of it, the job has an end: it is ended, was over before, or its client is down just now. */
  async #cancelSoon(id: string): Promise<void> {
    await pause(this.#random() * CANCEL_WITHIN_MS)
    const api = await this.#market.api(this.#market.client).catch(() => undefined)
    await api?.client.cancel(id).catch(() => undefined)
  }

  /** Asks for every job that was ever answered once more: the same receipt must come, at no cost. */
  async repeat(): Promise<void> {
    for (const id of new Set(this.told.map(({ job }) => job))) await this.#untilEnded(id, false)
  }

  /** What every node says of its books now. */
  async look(): Promise<void> {
    const { client, hosts } = this.#market
    for (const seat of [client, ...hosts]) await this.#lookAt(seat).catch(() => undefined) // it is down just now
  }

  get history(): Pick<History, 'asked' | 'told' | 'refused' | 'shown'> {
    const { asked, told, refused, shown } = this
    return { asked, told, refused, shown }
  }

  async #work(): Promise<void> {
    while (!this.#stopping.signal.aborted) await this.one(this.#kind())
  }

  #kind(): Kind {
    const at = this.#random()
    if (at < 0.55) return 'plain'
    if (at < 0.7) return 'slow'
    if (at < 0.77) return 'cancel'
    if (at < 0.84) return 'large'
    if (at < 0.9) return 'upload'
    if (at < 0.95) return 'files'
    return at < 0.97 ? 'kept' : 'fail'
  }

  async #watch(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.look()
      await pause(2 * PAUSE_MS)
    }
  }

  async #untilEnded(id: string, withBytes: boolean): Promise<RunResult | undefined> {
    const job = this.#inputs.get(id)
    if (job === undefined) throw new Error(`no job ${id} was asked for`)
    const { address: client } = this.#market.client.member
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      try {
        const api = await this.#market.api(this.#market.client)
        const result = await this.#run(api, id, job)
        const bytesHash = withBytes ? await hashOutput(api, id) : undefined
        const digest = digestOf(result)
        this.told.push({ client, job: id, digest, outputHash: result.outputHash, bytesHash })
        if (withBytes) this.statuses.set(result.status, (this.statuses.get(result.status) ?? 0) + 1)
        return result
      } catch (error) {
        const { code, message } = asMecaError(error)
        if (!AGAIN.has(code) || performance.now() > until) {
          this.refused.push({ client, job: id, code: `${code}: ${message}` })
          return undefined
        }
        await pause(PAUSE_MS)
      }
    }
  }

  async #run(api: NodeApi, id: string, { task, input }: { task: string; input: Uint8Array }): Promise<RunResult> {
    const signal = AbortSignal.timeout(PATIENCE_MS)
    return api.client.run(task, input, { id, maxSeconds: 30 }, () => undefined, signal)
  }

  async #lookAt(seat: Seat): Promise<void> {
    const { money } = await this.#market.api(seat)
    const channels = await money.channels(AbortSignal.timeout(PATIENCE_MS))
    for (const { channel, side, rows } of channels)
      for (const row of rows) this.shown.push(lineOf(channel, { side, who: seat.member.address }, row))
  }
}

function lineOf(channel: Hex, by: Line['by'], row: ChannelRow): Line {
  const totals = ({ jobs, host, developer }: ChannelRow['vouched']) => ({
    jobs,
    hostAmount: BigInt(host),
    developerAmount: BigInt(developer),
  })
  const { vouched, billed, claimed } = row
  return { by, channel, task: row.task, vouched: totals(vouched), billed: totals(billed), claimed: totals(claimed) }
}

function digestOf({ receipt, status, price, outputHash }: RunResult): string {
  return receiptDigest({ receipt, status, host: BigInt(price.host), developer: BigInt(price.developer), outputHash })
}

async function hashOutput(api: NodeApi, id: string): Promise<Hex> {
  const hash = createHash('sha256')
  for await (const chunk of await api.client.output(id)) hash.update(chunk)
  return `0x${hash.digest('hex')}`
}

function hashOf(bytes: Uint8Array): Hex {
  return `0x${createHash('sha256').update(bytes).digest('hex')}`
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
