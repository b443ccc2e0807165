/**
 * A client's line to one host over one channel. Jobs of one turn share a voucher per task and one frame; each voucher is
 * on disk before it is sent. Results are believed only after the receipt's signature, hashes and bill were checked, and
 * are on disk before they are acknowledged. When the line breaks, the jobs under way are asked for again by their ids.
 */
import { MecaError } from '../core/errors.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import { decode, FRAME, HOST_MESSAGES, INLINE_BYTES, MAX_BATCH } from '../core/wire.ts'
import type { HostMessage, JobRequest } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { Frame, FrameStream } from '../p2p/frames.ts'
import type { LiveRow } from './book.ts'
import { ClientBytes, inlineOutput } from './client-bytes.ts'
import type { JobResult } from './client-bytes.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'
import { ClientLine, toError } from './client-line.ts'
import type { Delivered, Event, Input, Pending } from './client-pending.ts'
import { ClientResults } from './client-results.ts'
import type { Accepted } from './client-results.ts'
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
  readonly #pending = new Map<string, Pending>()
  #queue: Pending[] = []
  /** Jobs that no voucher was signed for yet; who gives one of them up owes nothing for it. */
  readonly #unsent = new Map<string, Pending>()
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
    this.#line = new ClientLine(c, channel, locate, {
      welcomed: (message) => this.#rows.welcomed(message),
      opened: () => this.#opened(),
      heard: (frame) => this.#heard(frame),
      isIdle: () => this.idle,
      underWay: () => [...this.#pending.keys()],
      lost: (error) => this.#failAll(error),
    })
  }

  get idle(): boolean {
    return this.#pending.size === 0 && this.#queue.length === 0
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

  /** Asks for a job that was sent before; `isLost`: perhaps, and before this client lost its records. */
  async attach(job: ClientJob, onEvent: (event: Event) => void, isLost = false): Promise<Delivered> {
    const stream = await this.#line.connected()
    const done = this.#results.done(job.id)
    if (done !== undefined) return done
    return new Promise((resolve, reject) => {
      this.#pending.set(job.id, { job, onEvent, resolve, reject, ...(isLost ? { lost: 'ended' } : {}) })
      this.#line.send(stream, FRAME.attach, { channelId: this.channelId, ids: [job.id] })
    })
  }

  /** Gives a job up that was not sent yet; false where it was, and may run. */
  withdraw(id: string, reason: MecaError): boolean {
    const unsent = this.#unsent.get(id)
    this.#unsent.delete(id)
    unsent?.reject(reason)
    return unsent !== undefined
  }

  async cancel(id: string): Promise<void> {
    if (this.withdraw(id, new MecaError('cancelled', `The job ${id} was cancelled before it was sent`))) return
    this.#results.allowCancelled(id)
    this.#line.send(await this.#line.connected(), FRAME.cancel, { channelId: this.channelId, id })
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
    if (batch.length > 0) await this.#sendBatch(stream, batch)
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
    const { job, input, onEvent, reject } = pending
    if (input === undefined || job.inputBytes <= INLINE_BYTES || pending.uploading === true) return
    pending.uploading = true
    try {
      await this.#bytes.upload(job.id, input, { isWanted: () => this.#pending.has(job.id), onEvent })
    } catch (error) {
      // A refusal of the job itself has been told already, and says more; a job that ended first has its result.
      if (!this.#pending.has(job.id) || (error instanceof MecaError && error.code === 'cancelled')) return
      // Without its input the job would wait at the host, and hold its price.
      await this.cancel(job.id).catch(() => undefined)
      reject(error)
    } finally {
      pending.uploading = false
    }
  }

  #opened(): void {
    this.#rows.forgetSent()
    this.#bringBack(this.#rows.lostByHost())
    this.#settleSoon()
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
      return this.#take(decode(HOST_MESSAGES.results, frame.header, 'results'), frame.attachments)
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
    if (pending === undefined) return
    // The line broke before the host had it: it is sent once more, with the voucher, which may not have come either.
    if (problem.code === 'not_found' && pending.request !== undefined && pending.resent !== true) {
      pending.resent = true
      this.#submit(await this.#line.connected(), [pending], [this.#rows.of(pending.job)])
      return
    }
    this.#pending.delete(id)
    if (pending.lost !== undefined) return pending.reject(error)
    const job: ClientJob = { ...pending.job, state: 'refused', endedAt: this.#c.wallNow(), problem }
    const freed = this.#rows.free(job)
    await this.#c.book.commit('refused', { rows: [freed], also: [this.#c.tables.clientJobs.put(id, job)] })
    pending.reject(error)
    this.#settleSoon()
  }

  async #take({ results }: HostMessage<'results'>, attachments: readonly Uint8Array[]): Promise<void> {
    const come: { pending: Pending; result: JobResult; output: Uint8Array | undefined }[] = []
    const seen = new Set<string>()
    for (const result of results) {
      if (seen.has(result.id)) continue
      seen.add(result.id)
      const pending = this.#pending.get(result.id) ?? (await this.#results.unexpected(result.id))
      if (pending === undefined) continue
      this.#pending.delete(result.id)
      try {
        const output =
          result.inline === undefined
            ? await this.#bytes.fetch(pending.job, result, pending.onEvent)
            : inlineOutput(result, attachments)
        come.push({ pending, result, output })
      } catch (error) {
        pending.reject(error)
      }
    }
    this.#book(come)
  }

  /** In one turn: a bill that waited in memory could reach the disk with another change, and its job not. */
  #book(come: readonly { pending: Pending; result: JobResult; output: Uint8Array | undefined }[]): void {
    const rows = new Map<Hex, LiveRow>()
    const done: { pending: Pending; accepted: Accepted }[] = []
    for (const { pending, result, output } of come) {
      try {
        done.push({ pending, accepted: this.#results.accept(pending, result, output, rows) })
      } catch (error) {
        pending.reject(error)
      }
    }
    this.#results.deliver(rows, done, () => this.#settleSoon())
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

  #failAll(error: MecaError): void {
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}
