/**
 * A client's line to one host over one channel. Jobs of one turn share a voucher per task and one frame; each voucher is
 * on disk before it is sent. Results are believed only after the receipt's signature, hashes and bill were checked, and
 * are on disk before they are acknowledged. When the line breaks, the jobs under way are asked for again by their ids.
 */
import { cidOf } from '../core/cid.ts'
import { fromProblem, knownCode, MecaError } from '../core/errors.ts'
import {
  emptyRow,
  equal,
  nextVoucher,
  plus,
  asTotals,
  reserve,
  settle,
  sum,
  totalsToWire,
  ZERO,
} from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { Phase } from '../core/job.ts'
import type { LogLine } from '../core/plan.ts'
import { billOf, receiptChecker, STATUS } from '../core/receipt.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import { recover } from '../core/signature.ts'
import { keccakText, sessionDigest, voucherDigest } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { decode, FRAME, HOST_MESSAGES, INLINE_BYTES, MAX_BATCH, toWire } from '../core/wire.ts'
import type { HostMessage, JobRequest } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { Frame, FrameStream } from '../p2p/frames.ts'
import type { LiveRow } from './book.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'
import { sha256 } from './sums.ts'

export type Event = { phase: Phase; at: number; progress?: { doneBytes: number; totalBytes: number }; logs?: LogLine[] }

/** Where an input's bytes come from; `read` may be called again. */
export type Input = { bytes: Uint8Array } | { lengthBytes: number; read(offset: number): AsyncIterable<Uint8Array> }

/** A checked result; `written` settles when it is on disk, until when the host keeps it too. */
export type Delivered = { job: ClientJob; output: Uint8Array | undefined; written: Promise<void> }
type Accepted = Omit<Delivered, 'written'>

type Pending = {
  job: ClientJob
  /** Absent for a job that a former process or connection sent. */
  request?: JobRequest
  input?: Input
  /** Called once the job's price is in a voucher, so that the room it was promised is not counted twice. */
  onVouched?: () => void
  /** It was sent once more, to a host that said that it never came. */
  resent?: boolean
  /** Its price was freed already: the host had refused it. */
  freed?: boolean
  onEvent: (event: Event) => void
  resolve(delivered: Delivered): void
  reject(error: unknown): void
}

/** A host that breaks the protocol more often than this is not asked again. */
const MAX_FAULTS = 3
/** Attempts to get a broken line back, each a little later; a host restarts within this. */
const RECONNECTS = [100, 500, 2_000, 5_000, 10_000] as const
/** A host asks its chain for the channel before it welcomes; one that takes longer than this is not there. */
const HELLO_WAIT_MS = 20_000
/** A host that is asked for its word collects first, which is a transaction. */
const RELEASE_WAIT_MS = 120_000
/** So soon after a result the client acknowledges it and says exactly what it owes, once for all that end meanwhile. */
const SETTLE_AFTER_MS = 50

export class ClientSession {
  readonly channelId: Hex
  readonly #host: Hex
  readonly #locate: () => HostAddress
  readonly #c: ClientComponents
  readonly #check: ReturnType<typeof receiptChecker>
  readonly #pending = new Map<string, Pending>()
  /** Jobs that this client wished to end; only they may be billed as cancelled. */
  readonly #cancelled = new Set<string>()
  /** Checked and under way to disk: who asks for one again must not have it booked twice. */
  readonly #unwritten = new Map<string, Delivered>()
  /** Tasks whose voucher, and whose exact sums, went out on this stream: what went out before may never have come. */
  readonly #vouchersSent = new Set<Hex>()
  readonly #exactSent = new Map<Hex, Totals>()
  /** On disk, and not told to the host yet. */
  #written: string[] = []
  #queue: Pending[] = []
  /** Jobs that no voucher was signed for yet; who gives one of them up owes nothing for it. */
  readonly #unsent = new Map<string, Pending>()
  #stream: FrameStream | undefined
  #connecting: Promise<FrameStream> | undefined
  #flushing = false
  #settleTimer: NodeJS.Timeout | undefined
  #released: PromiseWithResolvers<{ claimed: bigint; signature: Hex }> | undefined
  #closed = false
  /** Times that the host broke the protocol. */
  #faults = 0

  /** `locate` says where the host is now. */
  constructor(c: ClientComponents, channel: ChannelRecord, locate: () => HostAddress) {
    this.#c = c
    this.#locate = locate
    this.#host = channel.terms.host
    this.channelId = channel.channelId
    this.#check = receiptChecker(c.domain, this.#host)
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

  /** Asks for a job that was sent before. */
  async attach(job: ClientJob, onEvent: (event: Event) => void): Promise<Delivered> {
    const stream = await this.#connected()
    const done = this.#done(job.id)
    if (done !== undefined) return done
    return new Promise((resolve, reject) => {
      this.#pending.set(job.id, { job, onEvent, resolve, reject })
      this.#send(stream, FRAME.attach, { channelId: this.channelId, ids: [job.id] })
    })
  }

  /** The job may have ended since its record was read. */
  #done(id: string): Delivered | undefined {
    const unwritten = this.#unwritten.get(id)
    if (unwritten !== undefined) return unwritten
    const job = this.#c.tables.clientJobs.getSync(id)
    return job?.state === 'done' ? { job, output: undefined, written: Promise.resolve() } : undefined
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
    this.#cancelled.add(id)
    this.#send(await this.#connected(), FRAME.cancel, { channelId: this.channelId, id })
  }

  /** The host's signature that ends the channel at once. */
  async release(signal: AbortSignal): Promise<{ claimed: bigint; signature: Hex }> {
    const stream = await this.#connected()
    this.#sendExact(stream)
    this.#released = Promise.withResolvers()
    const late = Promise.withResolvers<never>()
    const any = AbortSignal.any([signal, AbortSignal.timeout(RELEASE_WAIT_MS)])
    const silent = new MecaError('peer_unreachable', 'The host did not answer the wish to close')
    any.addEventListener('abort', () => late.reject(silent), { once: true })
    this.#send(stream, FRAME.release, { channelId: this.channelId })
    return Promise.race([this.#released.promise, late.promise])
  }

  /** Ends the line; jobs under way go on at the host and can be asked for later. */
  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#settleTimer)
    if (this.#stream !== undefined && !this.#stream.isClosed) this.#sendExact(this.#stream)
    await this.#stream?.close()
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
      stream = await this.#connected()
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
      const { rows, fresh } = this.#vouch(batch)
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
    } catch (error) {
      for (const pending of batch) pending.reject(error)
    }
  }

  /** Stages rows that cover the batch; `fresh` are the vouchers that the host may not have. */
  #vouch(batch: readonly Pending[]): { rows: LiveRow[]; fresh: LiveRow[] } {
    const rows: LiveRow[] = []
    const fresh: LiveRow[] = []
    for (const jobs of groupByTask(batch)) {
      const [first] = jobs
      if (first === undefined) continue
      const before = this.#row(first.job)
      const prices = jobs.map(({ job }) => job.price)
      const vouched = nextVoucher(before, prices)
      const reserved = prices.map(asTotals).reduce(plus, before.reserved)
      const isFresh = !equal(vouched, before.vouched)
      this.#requireDeposit(before, vouched)
      const row = {
        ...before,
        vouched,
        reserved,
        vouchedSignature: isFresh ? this.#sign(before.taskId, vouched) : before.vouchedSignature,
      }
      this.#c.book.stageRow(row)
      rows.push(row)
      if (isFresh || !this.#vouchersSent.has(row.taskId)) fresh.push(row)
    }
    return { rows, fresh }
  }

  #row(job: ClientJob): LiveRow {
    const { taskId, cid } = job
    return (
      this.#c.book.row(this.channelId, taskId) ?? {
        channelId: this.channelId,
        taskId,
        cid,
        ...emptyRow(),
        vouchedSignature: `0x${'00'.repeat(65)}`,
        claimed: ZERO,
      }
    )
  }

  /** The contract would pay in proportion where vouchers exceed the deposit; an honest client never signs that. */
  #requireDeposit(before: LiveRow, vouched: Totals): void {
    const deposit = this.#c.book.channels.get(this.channelId)?.deposit ?? 0n
    const after = this.#c.book.vouchedOn(this.channelId) - sum(before.vouched) + sum(vouched)
    if (after > deposit) {
      throw new MecaError('insufficient_funds', `The channel holds ${deposit}, the vouchers would reach ${after}`, {
        cure: 'try again: the channel is topped up first',
      })
    }
  }

  #sign(taskId: Hex, totals: Totals): Hex {
    return this.#c.signer.sign(voucherDigest(this.#c.domain, { channelId: this.channelId, taskId, ...totals }))
  }

  #submit(stream: FrameStream, batch: readonly Pending[], fresh: readonly LiveRow[]): void {
    const attachments: Uint8Array[] = []
    const jobs = batch.flatMap(({ request, input }) => {
      if (request === undefined) return []
      if (input === undefined || !('bytes' in input) || input.bytes.length > INLINE_BYTES) return [request]
      attachments.push(input.bytes)
      return [{ ...request, inline: attachments.length - 1 }]
    })
    for (const { taskId } of fresh) this.#vouchersSent.add(taskId)
    const vouchers = fresh.map((row) => ({
      taskId: row.taskId,
      ...totalsToWire(row.vouched),
      signature: row.vouchedSignature,
    }))
    this.#send(stream, FRAME.submit, { channelId: this.channelId, vouchers, jobs }, attachments)
    for (const pending of batch) void this.#upload(pending)
  }

  async #upload({ job, input, reject }: Pending): Promise<void> {
    if (input === undefined || job.inputBytes <= INLINE_BYTES) return
    const header = { op: 'put', channelId: this.channelId, id: job.id, offset: 0 } as const
    const upload =
      'bytes' in input
        ? { lengthBytes: input.bytes.length, read: (offset: number) => once(input.bytes.subarray(offset)) }
        : input
    try {
      await this.#c.link.put(this.#locate(), header, upload, this.#c.signal)
    } catch (error) {
      // A refusal of the job itself has been told already, and says more.
      if (!this.#pending.has(job.id)) return
      // Without its input the job would wait at the host, and hold its price.
      await this.cancel(job.id).catch(() => undefined)
      reject(error)
    }
  }

  async #connected(): Promise<FrameStream> {
    if (this.#stream !== undefined && !this.#stream.isClosed) return this.#stream
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined))
    return this.#connecting
  }

  async #connect(): Promise<FrameStream> {
    const { domain, signer, peerId, signal, wallNow } = this.#c
    const channel = this.#c.book.channels.get(this.channelId)
    if (channel === undefined) throw new MecaError('internal', `channel ${this.channelId} is not in the book`)
    const host = this.#locate()
    const stream = await this.#c.link.openJobs(host, signal)
    const issuedAt = wallNow()
    const signature = signer.sign(
      sessionDigest(domain, { channelId: this.channelId, clientPeer: peerId, hostPeer: host.peerId, issuedAt }),
    )
    this.#send(stream, FRAME.hello, { terms: channel.terms, issuedAt, signature })
    const late = new MecaError('timeout', `The host did not answer the hello within ${HELLO_WAIT_MS / 1000} s`)
    const timer = setTimeout(() => stream.abort(late), HELLO_WAIT_MS)
    const first = await stream.next().finally(() => clearTimeout(timer))
    if (first?.type === FRAME.refused) {
      await stream.close()
      throw toError(decode(HOST_MESSAGES.refused, first.header, 'refused').problem, { session: 'refused' })
    }
    if (first?.type !== FRAME.welcome) throw new MecaError('protocol', 'The host did not answer the hello')
    await this.#reconcile(decode(HOST_MESSAGES.welcome, first.header, 'welcome'))
    this.#stream = stream
    this.#vouchersSent.clear()
    this.#exactSent.clear()
    this.#settleSoon()
    void this.#read(stream)
    return stream
  }

  /** A client that lost its records takes from the host what it signed itself, and nothing else. */
  async #reconcile({ rows }: HostMessage<'welcome'>): Promise<void> {
    const restored: LiveRow[] = []
    for (const row of rows) {
      if (this.#c.book.row(this.channelId, row.taskId) !== undefined) continue
      const digest = voucherDigest(this.#c.domain, { channelId: this.channelId, taskId: row.taskId, ...row.vouched })
      if (recover(digest, row.signature) !== this.#c.signer.address) continue
      restored.push({
        channelId: this.channelId,
        taskId: row.taskId,
        cid: cidOf(row.taskId),
        vouched: row.vouched,
        vouchedSignature: row.signature,
        billed: row.billed,
        reserved: ZERO,
        claimed: ZERO,
      })
    }
    for (const row of restored) this.#c.book.stageRow(row)
    if (restored.length > 0) await this.#c.book.commit('restored', { rows: restored })
  }

  async #read(stream: FrameStream): Promise<void> {
    let problem: unknown
    try {
      for await (const frame of stream) await this.#handle(frame)
    } catch (error) {
      problem = error
    }
    await stream.close()
    if (this.#closed || this.idle) return
    // Asking again brings the same message again where the host itself is at fault.
    if (problem instanceof MecaError && problem.code === 'protocol' && ++this.#faults > MAX_FAULTS) {
      this.#failAll(problem)
      return
    }
    this.#c.log.info({ host: this.#host, err: problem }, 'line to the host broke, asking again for its jobs')
    await this.#reattach()
  }

  async #reattach(): Promise<void> {
    let last: unknown
    for (const waitMs of RECONNECTS) {
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref())
      if (this.#closed) return
      try {
        const stream = await this.#connected()
        const ids = [...this.#pending.keys()]
        for (let i = 0; i < ids.length; i += MAX_BATCH)
          this.#send(stream, FRAME.attach, { channelId: this.channelId, ids: ids.slice(i, i + MAX_BATCH) })
        return
      } catch (error) {
        last = error
      }
    }
    this.#failAll(
      new MecaError('peer_unreachable', `The host ${this.#host} cannot be reached any more`, {
        cause: last,
        cure: 'ask again later with meca job result; the job is paid once',
      }),
    )
  }

  async #handle(frame: Frame): Promise<void> {
    if (frame.type === FRAME.results)
      return this.#results(decode(HOST_MESSAGES.results, frame.header, 'results'), frame.attachments)
    if (frame.type === FRAME.welcome) return this.#reconcile(decode(HOST_MESSAGES.welcome, frame.header, 'welcome'))
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
      this.#submit(await this.#connected(), [pending], [this.#row(pending.job)])
      return
    }
    this.#pending.delete(id)
    const job: ClientJob = { ...pending.job, state: 'refused', endedAt: this.#c.wallNow(), problem }
    const row = this.#row(job)
    const freed = { ...row, ...settle(row, job.price, ZERO) }
    this.#c.book.stageRow(freed)
    await this.#c.book.commit('refused', { rows: [freed], also: [this.#c.tables.clientJobs.put(id, job)] })
    pending.reject(error)
    this.#settleSoon()
  }

  async #results({ results }: HostMessage<'results'>, attachments: readonly Uint8Array[]): Promise<void> {
    const rows = new Map<Hex, LiveRow>()
    const done: { pending: Pending; accepted: Accepted }[] = []
    const seen = new Set<string>()
    for (const result of results) {
      if (seen.has(result.id)) continue
      seen.add(result.id)
      const pending = this.#pending.get(result.id) ?? (await this.#unexpected(result.id))
      if (pending === undefined) continue
      this.#pending.delete(result.id)
      try {
        const output =
          result.inline === undefined ? await this.#fetch(pending.job, result) : inlineOutput(result, attachments)
        done.push({ pending, accepted: this.#accept(pending, result, output, rows) })
      } catch (error) {
        pending.reject(error)
      }
    }
    if (done.length === 0) return
    const written = this.#writeDone(
      rows,
      done.map(({ accepted }) => accepted),
    )
    for (const { pending, accepted } of done) {
      const delivered = { ...accepted, written }
      this.#unwritten.set(accepted.job.id, delivered)
      pending.resolve(delivered)
    }
  }

  /**
   * A result of a job that was taken for refused: another copy of it was under way and ran. It is booked like any other,
   * so that both ledgers count the same; nobody waits for it any more.
   */
  async #unexpected(id: string): Promise<Pending | undefined> {
    if (this.#unwritten.has(id)) return undefined
    const job = await this.#c.tables.clientJobs.get(id)
    if (job?.state !== 'refused' || job.channelId !== this.channelId) return undefined
    const { problem: _, ...rest } = job
    return { job: rest, freed: true, onEvent: () => undefined, resolve: () => undefined, reject: () => undefined }
  }

  /** Throws `not_verified`. The row is staged with the bill. */
  #accept(
    { job, freed }: Pending,
    result: HostMessage<'results'>['results'][number],
    output: Uint8Array | undefined,
    rows: Map<Hex, LiveRow>,
  ): Accepted {
    const { receipt } = result.signed
    const same =
      receipt.channelId === this.channelId &&
      receipt.jobHash === keccakText(job.id) &&
      receipt.taskId === job.taskId &&
      receipt.inputHash === job.inputHash
    if (!same) throw new MecaError('not_verified', `The receipt for job ${job.id} is for another job`)
    if (!this.#check(result.signed))
      throw new MecaError('not_verified', `The receipt for job ${job.id} is not signed by the host ${this.#host}`)
    if (output !== undefined && sha256(output) !== receipt.outputHash)
      throw new MecaError('not_verified', `The output of job ${job.id} is not the one in its receipt`)
    if (receipt.status === STATUS.cancelled && receipt.hostAmount > 0n && !this.#cancelled.delete(job.id)) {
      throw new MecaError('not_verified', `The host billed job ${job.id} as cancelled, which nobody asked for`)
    }
    const bill = billOf(receipt, job.price)
    const row = this.#row(job)
    const held = freed === true ? { ...row, ...reserve(row, job.price) } : row
    const settled: LiveRow = { ...held, ...settle(held, job.price, bill) }
    this.#c.book.stageRow(settled)
    rows.set(row.taskId, settled)
    return {
      job: { ...job, state: 'done', endedAt: this.#c.wallNow(), signed: result.signed, outcome: result.outcome },
      output,
    }
  }

  /** A large output goes to disk as it comes; the store refuses bytes that are not the receipt's. */
  async #fetch(
    job: ClientJob,
    { signed, outcome }: HostMessage<'results'>['results'][number],
  ): Promise<Uint8Array | undefined> {
    if (outcome.outputBytes === 0) return new Uint8Array(0)
    const { maxOutputBytes, signal, blobs, link } = this.#c
    if (outcome.outputBytes > maxOutputBytes) {
      throw new MecaError('too_large', `The output has ${outcome.outputBytes} bytes, taken are ${maxOutputBytes}`, {
        cure: 'raise limits.outputBytes',
      })
    }
    const body = await link.get(
      this.#locate(),
      { op: 'get', channelId: this.channelId, id: job.id, offset: 0 },
      outcome.outputBytes,
      signal,
    )
    const { outputHash } = signed.receipt
    await blobs.write(body, { signal, maxBytes: outcome.outputBytes, expect: outputHash })
    requireLength(job.id, outcome.outputBytes, await blobs.size(outputHash))
    return undefined
  }

  /** Nothing waits for this but the acknowledgement. */
  #writeDone(rows: Map<Hex, LiveRow>, done: readonly Accepted[]): Promise<void> {
    const ids = done.map(({ job }) => job.id)
    const written = this.#write(rows, done).then(() => {
      for (const id of ids) this.#unwritten.delete(id)
      this.#written.push(...ids)
      this.#settleSoon()
    })
    written.catch((error: unknown) =>
      this.#c.log.error({ err: error, jobs: ids.length }, 'results were not written down; their host keeps them'),
    )
    return written
  }

  async #write(rows: Map<Hex, LiveRow>, done: readonly Accepted[]): Promise<void> {
    const { clientJobs, clientOutputs } = this.#c.tables
    failpoint('client.before-result')
    await this.#c.book.commit('end', {
      rows: rows.values(),
      also: done.flatMap(({ job, output }) => [
        clientJobs.put(job.id, job),
        ...(output !== undefined && output.length > 0
          ? [clientOutputs.put(job.id, Buffer.from(output).toString('base64'))]
          : []),
      ]),
    })
    failpoint('client.result-written')
  }

  #settleSoon(): void {
    if (this.#closed) return
    this.#settleTimer ??= setTimeout(() => {
      this.#settleTimer = undefined
      if (this.#stream !== undefined && !this.#stream.isClosed) this.#sendExact(this.#stream)
    }, SETTLE_AFTER_MS).unref()
  }

  /**
   * Acknowledges what is on disk, so that the host need not keep it, and tells what is owed to the last unit, so that it
   * need not claim the slack of the last voucher.
   */
  #sendExact(stream: FrameStream): void {
    const vouchers = this.#c.book.rowsOf(this.channelId).flatMap((row) => {
      const sent = this.#exactSent.get(row.taskId)
      if ((sent !== undefined && equal(sent, row.billed)) || sum(row.billed) === 0n) return []
      const signature = this.#sign(row.taskId, row.billed)
      this.#exactSent.set(row.taskId, row.billed)
      return [{ taskId: row.taskId, ...totalsToWire(row.billed), signature }]
    })
    const ids = this.#written
    this.#written = []
    for (let i = 0; i < Math.max(vouchers.length, ids.length); i += MAX_BATCH) {
      const part = { ids: ids.slice(i, i + MAX_BATCH), vouchers: vouchers.slice(i, i + MAX_BATCH) }
      this.#send(stream, FRAME.ack, { channelId: this.channelId, ...part })
    }
  }

  #send(
    stream: FrameStream,
    type: number,
    message: Record<string, unknown>,
    attachments: readonly Uint8Array[] = [],
  ): void {
    const header: unknown = toWire(message)
    // A broken stream is noticed by its reader, which asks again for what is under way.
    stream.send(type, header as Record<string, unknown>, attachments).catch(() => undefined)
  }

  #failAll(error: MecaError): void {
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}

/** The output beside the message. Throws `protocol` where it is named and not there, which would else pass unchecked. */
function inlineOutput(
  { id, inline = 0, outcome }: HostMessage<'results'>['results'][number],
  attachments: readonly Uint8Array[],
): Uint8Array {
  const output = attachments[inline]
  if (output === undefined) throw new MecaError('protocol', `The output of job ${id} was named and not sent`)
  requireLength(id, outcome.outputBytes, output.length)
  return output
}

function requireLength(id: string, named: number, there: number | undefined): void {
  if (named === there) return
  throw new MecaError('not_verified', `The output of job ${id} has ${there} bytes, its host said ${named}`)
}

function groupByTask(batch: readonly Pending[]): Pending[][] {
  return [...Map.groupBy(batch, ({ job }) => job.taskId).values()]
}

/** The host's words as one of our errors. */
function toError(
  { code, message, cure }: { code: string; message: string; cure?: string | undefined },
  details = {},
): MecaError {
  return fromProblem({ code: knownCode(code), message, details, ...(cure === undefined ? {} : { cure }) })
}

/** The host does not take this channel; nothing was sent over it. */
export function isChannelRefused(error: MecaError): boolean {
  return error.code === 'payment' && error.details?.['session'] === 'refused'
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
