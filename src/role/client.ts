/**
 * The client's story: choose a host, make room for the price on a channel, send the job, check what comes back. A job is
 * known by its id: asked for again, it is answered from what is stored and costs nothing.
 */
import { MecaError } from '../core/errors.ts'
import type { Candidate, Refusal } from '../core/rank.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import type { Resources } from '../core/resources.ts'
import { total } from '../core/tariff.ts'
import type { Hex } from '../core/units.ts'
import type { OnProgress } from './api-common.ts'
import type { QuoteOptions, RunInput, RunOptions, RunResult } from './api-client.ts'
import { Budget } from './budget.ts'
import { ClientAnswers } from './client-answers.ts'
import { Choice, nobody } from './client-choice.ts'
import type { ChoiceParts } from './client-choice.ts'
import type { ClientComponents } from './client-components.ts'
import { neededBy } from './client-inputs.ts'
import { isChannelRefused } from './client-line.ts'
import { ClientLines } from './client-lines.ts'
import type { Delivered } from './client-pending.ts'
import type { KnownPhase } from './client-phases.ts'
import { lostJob, newJob, newJobId, openInput, requestFor, requireJobId, toResult } from './client-records.ts'
import type { OpenInput } from './client-records.ts'
import type { ClientSession } from './client-session.ts'
import { joined, requireSame } from './client-wait.ts'
import type { Running } from './client-wait.ts'
import { ClientWatch } from './client-watch.ts'
import type { WatchParts } from './client-watch.ts'
import type { Payer, Room } from './payer.ts'
import type { KnownTask, Tasks } from './tasks.ts'
import { UnderWay } from './under-way.ts'

export type ClientParts = ChoiceParts &
  WatchParts & {
    tasks: Tasks
    payer: Payer
    /** Where others can fetch a task's package. */
    providers(cid: string): string[]
  }

/** Hosts tried one after the other when they refuse before anything ran. */
const MAX_TRIES = 3
/** Failures that one proven lie weighs: enough to stand behind every host that was not caught. */
const CAUGHT = 100
/** Refusals after which another host may well say yes. */
const TRY_ANOTHER = new Set([
  'busy',
  'quote_expired',
  'refused',
  'peer_unreachable',
  'timeout',
  'not_allowed',
  'protocol',
  'disk_full',
])

/** Refusals that say more of the moment than of the host: four of them weigh as one failure. */
const PASSING = new Set(['busy', 'quote_expired'])

export class Client {
  readonly answers: ClientAnswers
  readonly #c: ClientComponents
  readonly #parts: ClientParts
  readonly #lines: ClientLines
  readonly #choice: Choice
  /** Jobs under way by the ids that callers chose: asked for twice at once, one is run once. */
  readonly #running = new Map<string, Running>()
  readonly #underWay = new UnderWay()
  readonly #budget: Budget
  readonly #watch: ClientWatch

  constructor(c: ClientComponents, parts: ClientParts) {
    this.#c = c
    this.#parts = parts
    this.#lines = new ClientLines(c, parts.market)
    this.#choice = new Choice(parts, c)
    this.#budget = new Budget(c.spending, c.currencies)
    this.#watch = new ClientWatch(c, parts)
    this.answers = new ClientAnswers(c)
  }

  /** At start: prices of jobs whose end is not known are still promised. */
  async recover(): Promise<void> {
    await this.#choice.memory.recover()
    await this.#watch.phases.recover()
    for await (const [, job] of this.#c.tables.clientJobs.entries()) {
      this.#budget.count(job, this.#c.wallNow())
      if (job.state === 'sent') this.#c.book.holdReservation(job.channelId, job.taskId, job.price)
    }
  }

  /** Who can do it, and why the others cannot. */
  choose(task: KnownTask, options: QuoteOptions & { inputBytes: number }, signal: AbortSignal) {
    return this.#choice.choose(task, options, signal)
  }

  async run(
    ref: string,
    input: RunInput,
    options: RunOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult> {
    const id = options.id ?? newJobId()
    requireJobId(id)
    return this.#underWay.run(id, signal, (ending) => this.#run(id, ref, input, options, onProgress, ending))
  }

  async #run(
    id: string,
    ref: string,
    input: RunInput,
    options: RunOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult> {
    const source = await openInput(input, signal)
    const cid = await this.#parts.tasks.resolve(ref, signal)
    const running = this.#running.get(id)
    if (running !== undefined) return joined(running, { id, cid, hash: source.hash }, signal)
    const result = this.#runOnce(id, cid, source, options, onProgress, signal)
    if (options.id === undefined) return result
    this.#running.set(id, { cid, hash: source.hash, result })
    return result.finally(() => this.#running.delete(id))
  }

  async #runOnce(
    id: string,
    cid: string,
    source: OpenInput,
    options: RunOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult> {
    const known = options.id === undefined ? undefined : await this.#known(id, cid, source, onProgress, signal)
    if (known !== undefined) return known
    const task = await this.#parts.tasks.get(cid, signal)
    const lost = options.id === undefined ? undefined : await this.#lost(id, task, source, onProgress, signal)
    if (lost !== undefined) return lost
    const resources = await neededBy(task, source, options.maxSeconds ?? this.#parts.defaultMaxSeconds)
    return this.#runNew({ id, task, source, options, resources, onProgress, signal })
  }

  /** Throws `job_ended` or `not_found`; `peer_unreachable` where its host cannot be told now, and will be. */
  async cancel(id: string): Promise<void> {
    const job = this.answers.find(id)
    const isSent = job?.state === 'sent'
    const isAwaited = this.#underWay.end(id, isSent)
    if (isSent) {
      const session = await this.#lines.awaited(this.#channel(job.channelId), this.#c.signal)
      return session.cancel(id)
    }
    if (isAwaited && job?.state !== 'done') return
    if (job === undefined) throw new MecaError('not_found', `There is no job ${id} here`, { cure: 'see meca job list' })
    const end = job.state === 'done' ? toResult(job, true).status : 'refused'
    throw new MecaError('job_ended', `The job ${id} has ended: it was ${end}`, { cure: `see meca job show ${id}` })
  }

  /** Says hello over a channel, which brings back what was signed on it. */
  async greet(channel: ChannelRecord, signal: AbortSignal): Promise<void> {
    await (await this.#lines.awaited(channel, signal)).greet()
  }

  session(channel: ChannelRecord): ClientSession {
    return this.#lines.session(channel)
  }

  async close(): Promise<void> {
    await this.#lines.close()
    await this.#choice.memory.close()
    await this.#watch.phases.close()
  }

  /** How far a job is whose end is not known. */
  phase({ id, createdAt }: ClientJob): KnownPhase {
    return this.#watch.phases.of(id) ?? { phase: 'queued', at: createdAt, isFollowed: false }
  }

  /** A job id that was used: its stored result, the result it will have, or undefined where nothing ran. */
  async #known(
    id: string,
    cid: string,
    source: OpenInput,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult | undefined> {
    const job = await this.answers.known(id)
    if (job === undefined || job.state === 'refused') return undefined
    requireSame({ id, cid, hash: source.hash }, { cid: job.cid, hash: job.inputHash })
    if (job.state === 'done') return this.answers.shown(job, true)
    const session = await this.#lines.awaited(this.#channel(job.channelId), signal)
    try {
      const delivered = await this.#watch.wait(
        session.attach(job, source.input, this.#watch.teller(id, onProgress)),
        session,
        job,
        signal,
      )
      return await this.#finished(delivered)
    } catch (error) {
      // Its voucher was written down, and the job never sent: it is a new one.
      if (error instanceof MecaError && error.code === 'not_found' && !(await this.answers.mayRun(id))) return undefined
      throw error
    }
  }

  /** A job id may have been used before this client lost its records: then its host has the result, and was promised its price. */
  async #lost(
    id: string,
    task: KnownTask,
    source: OpenInput,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult | undefined> {
    for (const channel of this.#c.book.channels.values()) {
      if (channel.recoveredAt === undefined || channel.state !== 'open') continue
      const job = lostJob(id, task, source, channel)
      const session = this.session(channel)
      try {
        const asked = session.attach(job, source.input, this.#watch.teller(id, onProgress), true)
        return await this.#finished(await this.#watch.wait(asked, session, job, signal))
      } catch (error) {
        if (!(error instanceof MecaError) || signal.aborted) throw error
        if (error.code === 'not_verified')
          throw new MecaError('job_conflict', `The job id ${id} was used for another input or task`, {
            cause: error,
            cure: 'choose another id',
          })
        this.#c.log.info({ err: error, host: job.host, id }, 'a host that was paid before does not know the job')
      }
    }
    return undefined
  }

  async #runNew(order: Order): Promise<RunResult> {
    const { task, source, options, resources, signal } = order
    const wanted = { ...options, resources, inputBytes: source.bytes }
    const tried = new Map<Hex, Refusal>()
    let refusals: Refusal[] = []
    while (tried.size < MAX_TRIES) {
      const { candidate, others, done } = await this.#choice.take(task, wanted, tried, signal)
      refusals = others
      if (candidate === undefined) break
      const { host } = candidate.offer
      try {
        return await this.#runOn(candidate, order, [...refusals, ...tried.values()])
      } catch (error) {
        if (!(error instanceof MecaError) || !TRY_ANOTHER.has(error.code) || signal.aborted) throw error
        if (this.#underWay.isUnwanted(order.id)) throw error
        if (await this.answers.mayRun(order.id)) throw error
        this.#choice.memory.count(host, false, PASSING.has(error.code) ? 0.25 : 1)
        tried.set(host, { host, code: error.code, reason: error.message })
      } finally {
        done()
      }
    }
    throw nobody([...refusals, ...tried.values()], options.host)
  }

  /** The caps are asked first: what they forbid must not open a channel. */
  async #runOn(candidate: Candidate, order: Order, refusals: readonly Refusal[]): Promise<RunResult> {
    const { offer, price } = candidate
    const counted = this.#budget.promise(offer.host, price.token, total(price), this.#c.wallNow())
    try {
      const result = await this.#runPaid(candidate, order, refusals)
      counted(BigInt(result.price.host) + BigInt(result.price.developer))
      return result
    } catch (error) {
      if (!(await this.answers.mayRun(order.id))) counted(this.answers.billed(order.id))
      // A result that does not verify is no accident, and whoever sends one has the price of a job already.
      if (error instanceof MecaError && error.code === 'not_verified')
        this.#choice.memory.count(offer.host, false, CAUGHT)
      throw error
    }
  }

  async #runPaid(candidate: Candidate, order: Order, refusals: readonly Refusal[]): Promise<RunResult> {
    const { offer, price } = candidate
    order.onProgress({ kind: 'step', step: 'host', detail: offer.host })
    const room = await this.#parts.payer.room(offer.host, price.token, total(price), order.signal)
    try {
      return await this.#runOver(room, candidate, order, refusals)
    } catch (error) {
      if (!(error instanceof MecaError) || error.code !== 'payment' || (await this.answers.mayRun(order.id)))
        throw error
      room.release()
      if (isChannelRefused(error)) await this.#parts.payer.retire(room.channel)
      else await this.#parts.payer.refresh(room.channel, order.signal)
    }
    const other = await this.#parts.payer.room(offer.host, price.token, total(price), order.signal)
    return this.#runOver(other, candidate, order, refusals)
  }

  async #runOver(room: Room, candidate: Candidate, order: Order, refusals: readonly Refusal[]): Promise<RunResult> {
    const { id, task, source, options, resources, onProgress, signal } = order
    try {
      const job = newJob(id, task, source, room.channel, candidate, refusals, this.#c.wallNow())
      const request = requestFor(job, candidate, this.#parts.providers(task.cid), resources, options.runtime)
      const session = this.session(room.channel)
      const sent = session.submit(job, request, source.input, this.#watch.teller(id, onProgress), () => room.release())
      return await this.#finished(await this.#watch.wait(sent, session, job, signal))
    } finally {
      room.release()
    }
  }

  async #finished(delivered: Delivered): Promise<RunResult> {
    const { job } = delivered
    const result = await this.answers.add(delivered)
    this.#choice.memory.count(job.host, result.status === 'answered' || result.status === 'cancelled')
    return result
  }

  #channel(channelId: Hex): ChannelRecord {
    const channel = this.#c.book.channels.get(channelId)
    if (channel === undefined) throw new MecaError('not_found', `No channel ${channelId} is known here`)
    return channel
  }
}

/** One wish to run something. */
type Order = {
  id: string
  task: KnownTask
  source: OpenInput
  options: RunOptions
  resources: Resources
  onProgress: OnProgress
  signal: AbortSignal
}
