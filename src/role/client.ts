/**
 * The client's story: choose a host, make room for the price on a channel, send the job, check what comes back. A job is
 * known by its id: asked for again, it is answered from what is stored and costs nothing.
 */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { knownCode, MecaError, toProblem } from '../core/errors.ts'
import { rank } from '../core/offer.ts'
import type { Candidate, Experience, Refusal, Wanted } from '../core/offer.ts'
import { MAX_RUN_SECONDS } from '../core/job.ts'
import type { LogLine } from '../core/plan.ts'
import { STATUS } from '../core/receipt.ts'
import type { JobStatus } from '../core/receipt.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import { total } from '../core/tariff.ts'
import { toHex } from '../core/typed.ts'
import { zJobId } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { JobRequest } from '../core/wire.ts'
import type { OnProgress, QuoteOptions, RunInput, RunOptions, RunResult } from './api.ts'
import { Budget } from './budget.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'
import { isChannelRefused } from './client-line.ts'
import type { Delivered, Event, Input } from './client-pending.ts'
import { ClientSession } from './client-session.ts'
import { addressOf } from './market.ts'
import type { Market } from './market.ts'
import { RecentResults } from './recent.ts'
import type { Payer, Room } from './payer.ts'
import { sha256 } from './sums.ts'
import type { KnownTask, Tasks } from './tasks.ts'

export type ClientParts = {
  market: Market
  tasks: Tasks
  payer: Payer
  /** Undefined where the chain does not know this host. */
  registered(host: Hex, signal: AbortSignal): Promise<boolean>
  /** Where others can fetch a task's package. */
  providers(cid: string): string[]
  defaultMaxSeconds: number
  /** What fetching, starting and waiting for room may take beside the run itself. */
  overheadMs: number
  /** The owner's cap on one job where the caller names none. */
  defaultMaxPrice: bigint | undefined
  onLog(id: string, line: LogLine): void
  /** How long to listen for offers before saying that there are none. */
  offersWaitMs: number
}

/** Hosts tried one after the other when they refuse before anything ran. */
const MAX_TRIES = 3
/** A host that was told to stop answers within this, or is not there. */
const CANCEL_GRACE_MS = 10_000
/** Younger than this, a channel was opened for the job that is sent over it. */
const NEW_CHANNEL_MS = 5_000
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
])

export class Client {
  readonly #c: ClientComponents
  readonly #parts: ClientParts
  readonly #sessions = new Map<Hex, ClientSession>()
  readonly #experience = new Map<Hex, Experience>()
  readonly #recent = new RecentResults()
  /** Jobs under way by the ids that callers chose: asked for twice at once, one is run once. */
  readonly #running = new Map<string, Running>()
  readonly #budget: Budget

  constructor(c: ClientComponents, parts: ClientParts) {
    this.#c = c
    this.#parts = parts
    this.#budget = new Budget(c.spending)
  }

  /** At start: prices of jobs whose end is not known are still promised. */
  async recover(): Promise<void> {
    for await (const [, job] of this.#c.tables.clientJobs.entries()) {
      this.#budget.count(job, this.#c.wallNow())
      if (job.state === 'sent') this.#c.book.holdReservation(job.channelId, job.taskId, job.price)
    }
  }

  /** Who can do it, and why the others cannot. */
  async choose(
    task: KnownTask,
    options: QuoteOptions & { inputBytes: number },
    signal: AbortSignal,
  ): Promise<{ candidates: Candidate[]; refusals: Refusal[] }> {
    const wanted = this.#wanted(task, options)
    const heard = await this.#offers(options.host, signal)
    const unregistered: Refusal[] = []
    const offers = []
    for (const { offer } of heard) {
      if (await this.#parts.registered(offer.host, signal)) offers.push(offer)
      else unregistered.push({ host: offer.host, code: 'unregistered', reason: 'is not registered on chain' })
    }
    const { candidates, refusals } = rank(
      offers,
      wanted,
      (host) => this.#experience.get(host) ?? { answered: 0, failed: 0 },
    )
    return { candidates, refusals: [...refusals, ...unregistered] }
  }

  async run(
    ref: string,
    input: RunInput,
    options: RunOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult> {
    const id = options.id ?? newJobId()
    if (!zJobId.safeParse(id).success)
      throw new MecaError('bad_input', `The job id ${JSON.stringify(id)} is not usable`, {
        cure: 'use 1 to 64 letters, digits, dots, dashes and underscores',
      })
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
    const known = options.id === undefined ? undefined : await this.#known(id, cid, source.hash, onProgress, signal)
    if (known !== undefined) return known
    const task = await this.#parts.tasks.get(cid, signal)
    return this.#runNew({ id, task, source, options, onProgress, signal })
  }

  /** The output of a job that ended, from this node's store. */
  async output(id: string): Promise<AsyncIterable<Uint8Array>> {
    const recent = this.#recent.get(id)
    if (recent?.output !== undefined) return one(recent.output)
    const job = await this.record(id)
    if (job.signed === undefined || job.outcome === undefined)
      throw new MecaError('not_found', `The job ${id} has no result`, { cure: 'see meca job show' })
    if (job.outcome.outputBytes === 0) return one(new Uint8Array(0))
    const small = await this.#c.tables.clientOutputs.get(id)
    if (small !== undefined) return one(Buffer.from(small, 'base64'))
    return this.#c.blobs.read(job.signed.receipt.outputHash, { signal: this.#c.signal })
  }

  async cancel(id: string): Promise<void> {
    const job = await this.#c.tables.clientJobs.get(id)
    if (job === undefined) throw new MecaError('not_found', `There is no job ${id} here`, { cure: 'see meca job list' })
    if (job.state === 'sent') await this.session(this.#channel(job.channelId)).cancel(id)
  }

  /** The line over a channel, made when it is first needed. The host may move meanwhile: its newest offer says where to. */
  session(channel: ChannelRecord): ClientSession {
    const old = this.#sessions.get(channel.channelId)
    if (old !== undefined) return old
    const { host } = channel.terms
    const session = new ClientSession(this.#c, channel, () => this.#addressOf(host))
    this.#sessions.set(channel.channelId, session)
    return session
  }

  #addressOf(host: Hex): HostAddress {
    const heard = this.#parts.market.find(host)
    if (heard !== undefined) return addressOf(heard.offer)
    throw new MecaError('peer_unreachable', `Nothing was heard of the host ${host}`, {
      cure: 'is it running, and are you connected to its market? see meca doctor',
    })
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.close()))
  }

  /** A record of a job, also of one whose result is still on its way to disk. */
  async record(id: string): Promise<ClientJob> {
    const job = this.#recent.get(id)?.job ?? (await this.#c.tables.clientJobs.get(id))
    if (job !== undefined) return job
    throw new MecaError('not_found', `There is no job ${id} here`, { cure: 'see meca job list' })
  }

  #wanted(task: KnownTask, options: QuoteOptions & { inputBytes: number }): Wanted {
    const { manifest } = task
    const maxPrice = options.maxPrice ?? this.#parts.defaultMaxPrice
    const maxSeconds = options.maxSeconds ?? this.#parts.defaultMaxSeconds
    requireSeconds(maxSeconds)
    return {
      task: task.cid,
      format: manifest.format,
      token: manifest.token,
      fee: manifest.fee,
      resources: manifest.resources,
      platform: manifest.image.platform,
      maxSeconds,
      inputBytes: options.inputBytes,
      needsNetwork: manifest.needsNetwork,
      closeDelaySeconds: this.#c.spending.closeDelaySeconds,
      ...(options.runtime === undefined ? {} : { runtime: options.runtime }),
      ...(maxPrice === undefined ? {} : { maxPrice }),
    }
  }

  /** A node that has just started hears of the market within a moment, so an empty one is given that moment. */
  async #offers(host: Hex | undefined, signal: AbortSignal) {
    const heard = () => this.#parts.market.heard().filter(({ offer }) => host === undefined || offer.host === host)
    const until = performance.now() + this.#parts.offersWaitMs
    while (heard().length === 0 && performance.now() < until) {
      signal.throwIfAborted()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return heard()
  }

  /** A job id that was used: its stored result, the result it will have, or undefined where nothing ran. */
  async #known(
    id: string,
    cid: string,
    inputHash: Hex,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult | undefined> {
    const job = this.#recent.get(id)?.job ?? (await this.#c.tables.clientJobs.get(id))
    if (job === undefined || job.state === 'refused') return undefined
    requireSame({ id, cid, hash: inputHash }, { cid: job.cid, hash: job.inputHash })
    if (job.state === 'done') return toResult(job, true)
    const session = this.session(this.#channel(job.channelId))
    try {
      const delivered = await this.#waiting(session.attach(job, this.#teller(id, onProgress)), session, job, signal)
      return this.#finished(delivered)
    } catch (error) {
      // Its voucher was written down, and the job never sent: it is a new one.
      if (error instanceof MecaError && error.code === 'not_found' && !(await this.#mayRun(id))) return undefined
      throw error
    }
  }

  async #runNew(order: Order): Promise<RunResult> {
    const { task, source, options, signal } = order
    const { candidates, refusals } = await this.choose(task, { ...options, inputBytes: source.bytes }, signal)
    for (const candidate of candidates.slice(0, MAX_TRIES)) {
      try {
        return await this.#runOn(candidate, order, refusals)
      } catch (error) {
        if (!(error instanceof MecaError) || !TRY_ANOTHER.has(error.code) || signal.aborted) throw error
        if (await this.#mayRun(order.id)) throw error
        this.#count(candidate.offer.host, false)
        refusals.push({ host: candidate.offer.host, code: error.code, reason: error.message })
      }
    }
    throw nobody(refusals, options)
  }

  /** A job whose end is not known may be running: it must not be sent to another host as well. */
  async #mayRun(id: string): Promise<boolean> {
    return (await this.#c.tables.clientJobs.get(id))?.state === 'sent'
  }

  /** The caps are asked first: what they forbid must not open a channel. */
  async #runOn(candidate: Candidate, order: Order, refusals: readonly Refusal[]): Promise<RunResult> {
    const { offer, price } = candidate
    const counted = this.#budget.promise(offer.host, total(price), this.#c.wallNow())
    try {
      const result = await this.#runPaid(candidate, order, refusals)
      counted(BigInt(result.price.host) + BigInt(result.price.developer))
      return result
    } catch (error) {
      if (!(await this.#mayRun(order.id))) counted(0n)
      // A result that does not verify is no accident, and whoever sends one has the price of a job already.
      if (error instanceof MecaError && error.code === 'not_verified') this.#count(offer.host, false, CAUGHT)
      throw error
    }
  }

  /** A channel that its host does not take any more is left alone from then on, and another one is opened, once. */
  async #runPaid(candidate: Candidate, order: Order, refusals: readonly Refusal[]): Promise<RunResult> {
    const { offer, price } = candidate
    order.onProgress({ kind: 'step', step: 'host', detail: offer.host })
    const room = await this.#parts.payer.room(offer.host, price.token, total(price), order.signal)
    try {
      return await this.#runOver(room, candidate, order, refusals)
    } catch (error) {
      if (!(error instanceof MecaError) || !isChannelRefused(error)) throw error
      room.release()
      await this.#parts.payer.retire(room.channel)
    }
    const other = await this.#parts.payer.room(offer.host, price.token, total(price), order.signal)
    return this.#runOver(other, candidate, order, refusals)
  }

  async #runOver(room: Room, candidate: Candidate, order: Order, refusals: readonly Refusal[]): Promise<RunResult> {
    const { id, task, source, options, onProgress, signal } = order
    try {
      const job = newJob(id, task, source, room.channel, candidate, refusals, this.#c.wallNow())
      const request = requestFor(job, candidate, task, this.#parts.providers(task.cid), options.runtime)
      const session = this.session(room.channel)
      const sent = session.submit(job, request, source.input, this.#teller(id, onProgress), () => room.release())
      return this.#finished(await this.#waiting(sent, session, job, signal))
    } finally {
      room.release()
    }
  }

  /** Who gives up waiting tells the host so: what runs meanwhile would be billed. No wait is without an end. */
  async #waiting(
    work: Promise<Delivered>,
    session: ClientSession,
    job: ClientJob,
    signal: AbortSignal,
  ): Promise<Delivered> {
    const { promise: givenUp, reject } = Promise.withResolvers<never>()
    const cancel = () => {
      session.cancel(job.id).catch(() => undefined) // The line is down: the host's own limits end the job.
      const error = new MecaError('cancelled', `The job ${job.id} was cancelled; its host has not confirmed it`)
      setTimeout(() => reject(error), CANCEL_GRACE_MS).unref()
    }
    const patienceMs = job.price.maxSeconds * 1000 + this.#parts.overheadMs
    const timer = setTimeout(() => {
      const late = new MecaError(
        'timeout',
        `Nothing was heard of job ${job.id} for ${Math.round(patienceMs / 1000)} s`,
        { cure: 'ask for it later with meca job result; it is paid once' },
      )
      session.withdraw(job.id, late)
      reject(late)
    }, patienceMs)
    if (signal.aborted) cancel()
    signal.addEventListener('abort', cancel, { once: true })
    work.catch(() => undefined) // Who has given up is not told a second time.
    try {
      return await Promise.race([work, givenUp])
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', cancel)
    }
  }

  #teller(id: string, onProgress: OnProgress): (event: Event) => void {
    return ({ phase, at, progress, logs }) => {
      if (logs === undefined) onProgress({ kind: 'phase', phase, at, ...progress })
      for (const line of logs ?? []) {
        this.#parts.onLog(id, line)
        onProgress({ kind: 'log', line })
      }
    }
  }

  #finished(delivered: Delivered): RunResult {
    const { job } = delivered
    this.#recent.add(delivered)
    const result = toResult(job, false)
    this.#count(job.host, result.status === 'answered' || result.status === 'cancelled')
    return result
  }

  #count(host: Hex, good: boolean, times = 1): void {
    const past = this.#experience.get(host) ?? { answered: 0, failed: 0 }
    const next = good ? { answered: past.answered + times } : { failed: past.failed + times }
    this.#experience.set(host, { ...past, ...next })
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
  onProgress: OnProgress
  signal: AbortSignal
}

/** What a job id stands for. */
type Identity = { cid: string; hash: Hex }
type Running = Identity & { result: Promise<RunResult> }

/** Throws `job_conflict` where the id stands for something else. */
function requireSame(asked: Identity & { id: string }, used: Identity): void {
  if (asked.cid === used.cid && asked.hash === used.hash) return
  const what = asked.cid === used.cid ? 'another input' : 'another task'
  throw new MecaError('job_conflict', `The job id ${asked.id} was used for ${what}`, { cure: 'choose another id' })
}

/** The result that another caller already waits for. Giving up here leaves the job to that caller. */
async function joined(running: Running, asked: Identity & { id: string }, signal: AbortSignal): Promise<RunResult> {
  requireSame(asked, running)
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(new MecaError('cancelled', `The wait for job ${asked.id} was cancelled`))
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    return { ...(await Promise.race([running.result, promise])), replayed: true }
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

type OpenInput = { hash: Hex; bytes: number; input: Input }

async function openInput(input: RunInput, signal: AbortSignal): Promise<OpenInput> {
  if (input instanceof Uint8Array) return { hash: sha256(input), bytes: input.length, input: { bytes: input } }
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(input.file, { signal }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  const read = (offset: number): AsyncIterable<Uint8Array> => createReadStream(input.file, { start: offset })
  return { hash: toHex(hash.digest()), bytes, input: { lengthBytes: bytes, read } }
}

function newJob(
  id: string,
  task: KnownTask,
  source: OpenInput,
  channel: ChannelRecord,
  { offer, price, imageAtHand }: Candidate,
  refusals: readonly Refusal[],
  now: number,
): ClientJob {
  return {
    id,
    cid: task.cid,
    taskId: task.taskId,
    name: `${task.manifest.name}@${task.manifest.version}`,
    inputHash: source.hash,
    inputBytes: source.bytes,
    host: channel.terms.host,
    channelId: channel.channelId,
    price,
    state: 'sent',
    createdAt: now,
    refusals: [...refusals],
    chosen: {
      imageAtHand,
      // A channel that has carried nothing yet was opened for this job.
      channelOpen: channel.claimed > 0n || now - channel.createdAt > NEW_CHANNEL_MS,
      free: offer.free,
      queueFree: offer.queueFree,
      runtimes: offer.runtimes,
    },
  }
}

function requestFor(
  job: ClientJob,
  { offer, price }: Candidate,
  task: KnownTask,
  providers: string[],
  runtime: string | undefined,
): JobRequest {
  return {
    id: job.id,
    task: job.cid,
    inputHash: job.inputHash,
    inputBytes: job.inputBytes,
    price,
    basis: { offer: offer.sequence },
    resources: task.manifest.resources,
    ...(runtime === undefined ? {} : { runtime }),
    providers: providers.slice(0, 8),
  }
}

/** A job that ended, as people see it. */
export function toResult(job: ClientJob, replayed: boolean): RunResult {
  const { signed, outcome } = job
  if (signed === undefined || outcome === undefined) throw new MecaError('internal', `job ${job.id} has no receipt`)
  const { receipt } = signed
  const { problem, httpStatus, exitCode, logTail } = outcome
  return {
    job: job.id,
    task: job.cid,
    host: job.host,
    status: statusName(receipt.status),
    ...(httpStatus === undefined ? {} : { httpStatus }),
    ...(exitCode === undefined ? {} : { exitCode }),
    contentType: outcome.contentType ?? 'application/octet-stream',
    inputHash: receipt.inputHash,
    outputHash: receipt.outputHash,
    outputBytes: outcome.outputBytes,
    price: {
      quoted: total(job.price).toString(),
      host: receipt.hostAmount.toString(),
      developer: receipt.developerAmount.toString(),
      token: job.price.token,
    },
    receipt: signed.signature,
    phases: outcome.phases,
    warm: outcome.warm,
    replayed,
    ...(problem === undefined
      ? {}
      : {
          problem: toProblem(
            new MecaError(
              knownCode(problem.code),
              problem.message,
              problem.cure === undefined ? {} : { cure: problem.cure },
            ),
          ),
        }),
    ...(logTail === undefined ? {} : { logTail }),
  }
}

function statusName(status: number): JobStatus {
  const found = Object.entries(STATUS).find(([, number]) => number === status)
  if (found === undefined) throw new MecaError('protocol', `A receipt has status ${status}`)
  return found[0] as JobStatus
}

function nobody(refusals: readonly Refusal[], options: RunOptions): MecaError {
  const reasons = refusals.map(({ host, reason }) => `${host} ${reason}`).join('; ')
  const onlyPrice = refusals.length > 0 && refusals.every(({ code }) => code === 'price')
  if (onlyPrice)
    return new MecaError('price_cap', `Every host costs more than the cap ${options.maxPrice}: ${reasons}`, {
      cure: 'raise --max-price',
      details: { refusals },
    })
  if (refusals.length === 0) {
    return new MecaError(
      'no_host',
      options.host === undefined
        ? 'No host offers anything on this market just now'
        : `The host ${options.host} offers nothing just now`,
      { cure: 'see meca doctor: are you connected to the market?' },
    )
  }
  return new MecaError('no_host', `No host can run this: ${reasons}`.slice(0, 3000), {
    cure: 'see meca quote',
    details: { refusals },
  })
}

/** Checked before anything is written: what no host takes must not become a record that nobody can read. */
function requireSeconds(seconds: number): void {
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_RUN_SECONDS) return
  throw new MecaError('bad_input', `A job cannot be given ${seconds} s`, {
    cure: `give --max-seconds a whole number between 1 and ${MAX_RUN_SECONDS}`,
  })
}

function newJobId(): string {
  return `j-${randomBytes(10).toString('hex')}`
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
