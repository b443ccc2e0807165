/**
 * A client's line to one host over one channel. Jobs of one turn share a voucher per task and one frame; each voucher is
 * on disk before it is sent. Results are believed only after the receipt's signature, hashes and bill were checked, and
 * are on disk before they are acknowledged. When the line breaks, the jobs under way are asked for again by their ids.
 */
import { MecaError, toProblem } from '../core/errors.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import { decode, FRAME, HOST_MESSAGES, INLINE_BYTES, MAX_BATCH } from '../core/wire.ts'
import type { HostMessage, JobRequest } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { Frame, FrameStream } from '../p2p/frames.ts'
import type { LiveRow } from './book.ts'
import { ClientArrivals } from './client-arrivals.ts'
import { ClientBytes } from './client-bytes.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'
import { ClientLine, toError } from './client-line.ts'
import { joinPending } from './client-pending.ts'
import type { Delivered, Event, Input, Pending } from './client-pending.ts'
import { ClientResults } from './client-results.ts'
import { ClientRows } from './client-rows.ts'

/** A host that is asked for its word collects first, which is a transaction. */
const RELEASE_WAIT_MS = 120_000
/** So soon after a result the client acknowledges it and says exactly what it owes, once for all that end meanwhile. */
const SETTLE_AFTER_MS = 50

export class ClientSession {
  readonly channelId: Hex
  readonly #c: ClientComponents
  readonly #line: ClientLine
  readonly #rows: ClientRows
  readonly #results: ClientResults
  readonly #bytes: ClientBytes
  readonly #arrivals: ClientArrivals
  readonly #pending = new Map<string, Pending>()
  #queue: Pending[] = []
  /** Jobs that no voucher was signed for yet; who gives one of them up owes nothing for it. */
  readonly #unsent = new Map<string, Pending>()
  /** Vouchers that are being written down, by the jobs that they are for. */
  readonly #sending = new Map<string, Promise<void>>()
  #flushing = false
  #settleTimer: NodeJS.Timeout | undefined
  #released: PromiseWithResolvers<{ claimed: bigint; signature: Hex }> | undefined

  /** `locate` says where the host is now. */
  constructor(c: ClientComponents, channel: ChannelRecord, locate: () => HostAddress) {
    this.#c = c
    this.channelId = channel.channelId
    this.#rows = new ClientRows(c, channel.channelId)
    this.#results = new ClientResults(c, channel, this.#rows)
    this.#bytes = new ClientBytes(c, channel.channelId, { locate, greeted: () => this.#greeted() })
    this.#arrivals = new ClientArrivals(this.#pending, this.#results, this.#bytes, () => this.#settleSoon())
    this.#line = new ClientLine(c, channel, locate, {
      welcomed: (message) => this.#rows.welcomed(message),
      opened: () => this.#opened(),
      heard: (frame) => this.#heard(frame),
      isIdle: () => this.idle,
      underWay: () => [...this.#pending].flatMap(([id, { isTaken }]) => (isTaken === true ? [] : [id])),
      lost: (error) => this.#failAll(error),
    })
  }

  get idle(): boolean {
    return this.#pending.size === 0 && this.#queue.length === 0
  }

  get isOpen(): boolean {
    return this.#line.open !== undefined
  }

  /** Sends a job and waits for its checked result. Throws the host's refusal, `not_verified` or `peer_unreachable`. */
  submit(
    job: ClientJob,
    request: JobRequest,
    input: Input,
    onEvent: (event: Event) => void,
    onVouched: () => void,
  ): Promise<Delivered> {
    return new Promise((resolve, reject) => {
      const pending = { job, request, input, onVouched, onEvent, resolve, reject }
      this.#queue.push(pending)
      this.#unsent.set(job.id, pending)
      if (!this.#flushing) void this.#flush()
    })
  }

  /** Resolves when the host has welcomed this client and said what was signed for it. */
  async greet(): Promise<void> {
    await this.#line.connected()
  }

  /**
   * Asks for a job that was sent before; `isLost`: perhaps, and before this client lost its records. Its input may not have
   * come whole to the host, which waits for the rest of it.
   */
  async attach(job: ClientJob, input: Input, onEvent: (event: Event) => void, isLost = false): Promise<Delivered> {
    const stream = await this.#line.connected()
    const done = this.#results.done(job.id)
    if (done !== undefined) return done
    return new Promise((resolve, reject) => {
      const asked: Pending & { input: Input } = {
        job,
        input,
        onEvent,
        resolve,
        reject,
        ...(isLost ? { lost: 'ended' } : {}),
      }
      const pending = this.#pending.get(job.id) ?? asked
      if (pending !== asked) joinPending(pending, asked)
      this.#pending.set(job.id, pending)
      if (pending.isTaken !== true) this.#ask(stream, pending)
    })
  }

  #ask(stream: FrameStream, pending: Pending): void {
    const { id, cancelledAt } = pending.job
    this.#line.send(stream, FRAME.attach, { channelId: this.channelId, ids: [id] })
    if (cancelledAt !== undefined) this.#line.send(stream, FRAME.cancel, { channelId: this.channelId, id })
    else void this.#upload(pending)
  }

  /** Gives a job up that was not sent yet; false where it was, and may run. */
  withdraw(id: string, reason: MecaError): boolean {
    const unsent = this.#unsent.get(id)
    this.#unsent.delete(id)
    unsent?.reject(reason)
    return unsent !== undefined
  }

  /**
   * The wish is written down before the host hears of it, and told again on every new line. Throws `peer_unreachable`
   * where the host cannot be told now; nothing happens where the job has ended.
   */
  async cancel(id: string): Promise<void> {
    if (this.withdraw(id, new MecaError('cancelled', `The job ${id} was cancelled before it was sent`))) return
    await this.#sending.get(id)
    const pending = this.#pending.get(id) ?? this.#unattended(id)
    if (pending === undefined || pending.isTaken === true) return
    await this.#results.allowCancelled(pending)
    const stream = await this.#line.connected()
    if (this.#isWaiting(pending)) this.#line.send(stream, FRAME.cancel, { channelId: this.channelId, id })
    else if (!this.#pending.has(id) && this.#results.done(id) === undefined) {
      this.#pending.set(id, pending)
      this.#ask(stream, pending)
    }
  }

  /** Has the result of a job of a former process come here, for whoever asks for it by its id. */
  async takeUp(id: string): Promise<void> {
    const stream = await this.#line.connected()
    const pending = this.#unattended(id)
    if (pending === undefined || this.#pending.has(id)) return
    this.#pending.set(id, pending)
    this.#ask(stream, pending)
  }

  /** A job that nobody waits for, as after a restart. */
  #unattended(id: string): Pending | undefined {
    const job = this.#c.tables.clientJobs.getSync(id)
    if (job?.state !== 'sent' || this.#results.done(id) !== undefined) return undefined
    return { job, onEvent: () => undefined, resolve: () => undefined, reject: () => undefined }
  }

  /** Its end has not come. */
  #isWaiting(pending: Pending): boolean {
    return this.#pending.get(pending.job.id) === pending && pending.isTaken !== true
  }

  /** The host's signature that ends the channel at once. */
  async release(signal: AbortSignal): Promise<{ claimed: bigint; signature: Hex }> {
    const stream = await this.#line.connected()
    this.#sendExact(stream)
    this.#released = Promise.withResolvers()
    const late = Promise.withResolvers<never>()
    const any = AbortSignal.any([signal, AbortSignal.timeout(RELEASE_WAIT_MS)])
    const silent = new MecaError('peer_unreachable', 'The host did not answer the wish to close')
    any.addEventListener('abort', () => late.reject(silent), { once: true })
    if (any.aborted) late.reject(silent)
    this.#line.send(stream, FRAME.release, { channelId: this.channelId })
    return Promise.race([this.#released.promise, late.promise])
  }

  /** Ends the line; jobs under way go on at the host and can be asked for later. */
  async close(): Promise<void> {
    this.#line.stop()
    clearTimeout(this.#settleTimer)
    this.#sendExact(this.#line.open)
    await this.#line.close()
    this.#failAll(
      new MecaError('cancelled', 'The node is closing; the job goes on at the host', {
        cure: 'ask for it with meca job result',
      }),
    )
  }

  async #flush(): Promise<void> {
    this.#flushing = true
    try {
      await new Promise((resolve) => setImmediate(resolve))
      while (this.#queue.length > 0) await this.#sendQueued(this.#queue.splice(0, MAX_BATCH))
    } finally {
      this.#flushing = false
    }
  }

  async #sendQueued(queued: readonly Pending[]): Promise<void> {
    let stream: FrameStream
    try {
      stream = await this.#line.connected()
    } catch (error) {
      for (const { job } of queued) this.#unsent.delete(job.id)
      for (const pending of queued) pending.reject(error)
      return
    }
    const batch = queued.filter(({ job }) => this.#unsent.delete(job.id))
    if (batch.length === 0) return
    const sent = this.#sendBatch(stream, batch)
    for (const { job } of batch) this.#sending.set(job.id, sent)
    try {
      await sent
    } finally {
      for (const { job } of batch) this.#sending.delete(job.id)
    }
  }

  async #sendBatch(stream: FrameStream, batch: readonly Pending[]): Promise<void> {
    try {
      const { rows, fresh } = this.#rows.vouch(batch.map(({ job }) => job))
      await this.#c.book.commit('send', {
        rows,
        also: batch.map(({ job }) => this.#c.tables.clientJobs.put(job.id, job)),
      })
      failpoint('client.voucher-written')
      for (const pending of batch) {
        this.#pending.set(pending.job.id, pending)
        pending.onVouched?.()
      }
      this.#submit(stream, batch, fresh)
      failpoint('client.job-sent')
    } catch (error) {
      for (const pending of batch) pending.reject(error)
    }
  }

  #submit(stream: FrameStream, batch: readonly Pending[], fresh: readonly LiveRow[]): void {
    const attachments: Uint8Array[] = []
    const jobs = batch.flatMap(({ request, input }) => {
      if (request === undefined) return []
      if (input === undefined || !('bytes' in input) || input.bytes.length > INLINE_BYTES) return [request]
      attachments.push(input.bytes)
      return [{ ...request, inline: attachments.length - 1 }]
    })
    const vouchers = this.#rows.sending(fresh)
    this.#line.send(stream, FRAME.submit, { channelId: this.channelId, vouchers, jobs }, attachments)
    for (const pending of batch) void this.#upload(pending)
  }

  /** A transfer that goes on after a break must not open a line that was closed. */
  #greeted(): Promise<unknown> {
    const closed = new MecaError('cancelled', 'The line to the host is closed')
    return this.#line.isClosed ? Promise.reject(closed) : this.#line.connected()
  }

  /** One at a time for a job: it may be sent once more while its upload is still being tried. */
  async #upload(pending: Pending): Promise<void> {
    const { job, input } = pending
    if (input === undefined || job.inputBytes <= INLINE_BYTES || pending.uploading === true) return
    pending.uploading = true
    try {
      const onEvent = (event: Event) => pending.onEvent(event)
      await this.#bytes.upload(job.id, input, { isWanted: () => this.#isWaiting(pending), onEvent })
    } catch (error) {
      // A refusal of the job itself has been told already, and says more; a job that ended first has its result.
      if (!this.#isWaiting(pending) || (error instanceof MecaError && error.code === 'cancelled')) return
      // Without its input the job would wait at the host, and hold its price.
      await this.cancel(job.id).catch(() => undefined)
      pending.reject(error)
    } finally {
      pending.uploading = false
    }
  }

  #opened(): void {
    this.#rows.forgetSent()
    this.#bringBack(this.#rows.lostByHost())
    this.#cancelAgain()
    this.#settleSoon()
  }

  /** What was said on a line that broke may not have come. */
  #cancelAgain(): void {
    const stream = this.#line.open
    if (stream === undefined) return
    for (const [id, { job, isTaken }] of this.#pending)
      if (job.cancelledAt !== undefined && isTaken !== true)
        this.#line.send(stream, FRAME.cancel, { channelId: this.channelId, id })
  }

  /** A host that lost its records gets back what was signed for it, before anything else is sent. */
  #bringBack(rows: readonly LiveRow[]): void {
    const stream = this.#line.open
    if (stream === undefined || rows.length === 0) return
    for (let i = 0; i < rows.length; i += MAX_BATCH) {
      const vouchers = this.#rows.sending(rows.slice(i, i + MAX_BATCH))
      this.#line.send(stream, FRAME.submit, { channelId: this.channelId, vouchers, jobs: [] })
    }
    this.#sendExact(stream)
  }

  async #heard(frame: Frame): Promise<void> {
    if (frame.type === FRAME.results)
      return this.#arrivals.take(decode(HOST_MESSAGES.results, frame.header, 'results'), frame.attachments)
    if (frame.type === FRAME.welcome) return this.#rows.restore(decode(HOST_MESSAGES.welcome, frame.header, 'welcome'))
    if (frame.type === FRAME.event) return this.#event(decode(HOST_MESSAGES.event, frame.header, 'event'))
    if (frame.type === FRAME.refused) return this.#refused(decode(HOST_MESSAGES.refused, frame.header, 'refused'))
    if (frame.type === FRAME.released)
      return this.#released?.resolve(decode(HOST_MESSAGES.released, frame.header, 'released'))
    throw new MecaError('protocol', `The host sent message type ${frame.type}`)
  }

  #event(event: HostMessage<'event'>): void {
    const { id, phase, at, progress, logs } = event
    const told = { phase, at, ...(progress === undefined ? {} : { progress }), ...(logs === undefined ? {} : { logs }) }
    const pending = this.#pending.get(id)
    if (pending?.lost !== undefined) pending.lost = 'running'
    if (pending !== undefined) pending.onEvent(told)
    else for (const line of logs ?? []) this.#c.onLateLog(this.channelId, id, line)
  }

  /** Nothing ran: the price is free again. */
  async #refused({ id, problem }: HostMessage<'refused'>): Promise<void> {
    const error = toError(problem)
    if (id === undefined) {
      this.#released?.reject(error)
      return
    }
    const pending = this.#pending.get(id)
    if (pending === undefined || pending.isTaken === true) return
    // The line broke before the host had it: it is sent once more, with the voucher, which may not have come either.
    const isWanted = pending.job.cancelledAt === undefined
    if (problem.code === 'not_found' && pending.request !== undefined && pending.resent !== true && isWanted) {
      pending.resent = true
      this.#submit(await this.#line.connected(), [pending], [this.#rows.of(pending.job)])
      return
    }
    this.#pending.delete(id)
    if (pending.lost !== undefined) return pending.reject(error)
    const told = isWanted
      ? problem
      : toProblem(new MecaError('cancelled', `The job ${id} was cancelled, and never ran`))
    const job: ClientJob = { ...pending.job, state: 'refused', endedAt: this.#c.wallNow(), problem: told }
    const freed = this.#rows.free(job)
    await this.#c.book.commit('refused', { rows: [freed], also: [this.#c.tables.clientJobs.put(id, job)] })
    pending.reject(isWanted ? error : toError(told))
    this.#settleSoon()
  }

  #settleSoon(): void {
    if (this.#line.isClosed) return
    this.#settleTimer ??= setTimeout(() => {
      this.#settleTimer = undefined
      this.#sendExact(this.#line.open)
    }, SETTLE_AFTER_MS).unref()
  }

  /**
   * Acknowledges what is on disk, so that the host need not keep it, and tells what is owed to the last unit, so that it
   * need not claim the slack of the last voucher.
   */
  #sendExact(stream: FrameStream | undefined): void {
    if (stream === undefined) return
    const vouchers = this.#rows.sendingExact()
    const ids = this.#results.takeWritten()
    for (let i = 0; i < Math.max(vouchers.length, ids.length); i += MAX_BATCH) {
      const part = { ids: ids.slice(i, i + MAX_BATCH), vouchers: vouchers.slice(i, i + MAX_BATCH) }
      this.#line.send(stream, FRAME.ack, { channelId: this.channelId, ...part })
    }
    failpoint('client.acknowledged')
  }

  /** What is being fetched ends by itself. */
  #failAll(error: MecaError): void {
    for (const [id, pending] of this.#pending) {
      if (pending.isTaken === true) continue
      this.#pending.delete(id)
      pending.reject(error)
    }
  }
}
