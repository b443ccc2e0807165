/**
 * The jobs under way at a host, and how each becomes a receipt. A job lives here from the moment it is admitted until
 * its receipt is on disk; after that it is only a record. What ends in the same turn is signed and written together.
 */
import { LRUCache } from 'lru-cache'
import { asMecaError, MecaError } from '../core/errors.ts'
import { PhaseClock } from '../core/job.ts'
import type { Phase } from '../core/job.ts'
import { settle } from '../core/ledger.ts'
import type { LogLine } from '../core/plan.ts'
import { billOf, STATUS } from '../core/receipt.ts'
import type { JobStatus, SignedReceipt } from '../core/receipt.ts'
import { hostJobKey } from '../core/records.ts'
import type { HostJob } from '../core/records.ts'
import { billUp } from '../core/tariff.ts'
import type { Tariff } from '../core/tariff.ts'
import { keccakText } from '../core/typed.ts'
import type { Receipt } from '../core/typed.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import { INLINE_BYTES } from '../core/wire.ts'
import type { JobRequest } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { LiveRow } from './book.ts'
import { execute, failed } from './execute.ts'
import type { Execution } from './execute.ts'
import type { HostComponents } from './host-components.ts'
import { InputGate } from './host-inputs.ts'
import type { Deliverable, HostSession } from './host-session.ts'
import { Outbox } from './outbox.ts'
import { sha256 } from './sums.ts'
import type { KnownTask } from './tasks.ts'

export type JobPlan = {
  key: string
  poolKey: string
  record: HostJob
  task: KnownTask
  tariff: Tariff
  request: JobRequest
  inline: Uint8Array | undefined
  /** Undefined where the client went away meanwhile. */
  session: HostSession | undefined
  clock: PhaseClock
}

/** What is needed to end a job, also one that a former process of this host began. */
type Ending = { key: string; record: HostJob; tariff: Tariff; clock: PhaseClock; session: HostSession | undefined }

export type LiveJob = Ending &
  JobPlan & {
    abort: AbortController
    logs: LogLine[]
    receiving: InputGate
    /** The fleet need not keep a place for it any more. */
    arrived(): void
  }

type EndedJob = {
  live: Ending
  receipt: Receipt
  output: Uint8Array
  /** Also of an output that is a blob already. */
  outputBytes: number
  /** Its root on our IPFS, where it stays on a client's wish. */
  keptCid: string | undefined
  row?: LiveRow
  stage(signed: SignedReceipt): void
}

/** Counts for `meca host why`. */
export type Counts = {
  requests: number
  accepted: number
  answered: number
  refused: Map<string, { count: number; last: string }>
}

export class HostJobs {
  readonly live = new Map<string, LiveJob>()
  readonly counts: Counts = { requests: 0, accepted: 0, answered: 0, refused: new Map() }
  readonly #c: HostComponents
  readonly #outbox: Outbox<EndedJob>
  readonly #running = new Set<Promise<void>>()
  #isClosing = false
  readonly #endedLately = new LRUCache<string, true>({ max: ENDED_LATELY })

  constructor(c: HostComponents) {
    this.#c = c
    this.#outbox = new Outbox(
      c.domain,
      c.signer,
      (batch) => this.#write(batch),
      (batch) => this.#send(batch),
    )
  }

  /** At start: what ran when the process ended was lost by the host, and is not charged. */
  async recover(): Promise<number> {
    let lost = 0
    for await (const [key, record] of this.#c.tables.hostJobs.entries()) {
      if (record.signed !== undefined) continue
      this.#c.book.holdReservation(record.channelId, record.taskId, record.price)
      this.#end(
        { key, record, tariff: NO_TARIFF, clock: new PhaseClock(this.#c.now()), session: undefined },
        lostExecution(this.#c.wallNow()),
      )
      lost++
    }
    await this.#outbox.idle()
    return lost
  }

  /** The record of a job under way or ended. */
  find(key: string): HostJob | undefined {
    return this.live.get(key)?.record ?? this.#c.tables.hostJobs.getSync(key)
  }

  /** Whether a job has ended: most are acknowledged within moments, so that no record has to be read for it. */
  hasEnded(key: string): boolean {
    return this.#endedLately.has(key) || this.find(key)?.signed !== undefined
  }

  make(plan: JobPlan): LiveJob {
    const live: LiveJob = {
      ...plan,
      abort: new AbortController(),
      logs: [],
      receiving: new InputGate(plan.record, plan.inline, this.#c.blobs),
      arrived: this.#c.fleet.expect(plan.poolKey),
    }
    this.live.set(live.key, live)
    this.counts.requests++
    this.counts.accepted++
    return live
  }

  /**
   * The job that an input is for. Its bytes come on a stream of their own and may overtake the message that announces
   * it; waited for is only as long as a message may take. Throws `not_found`.
   */
  async awaited(key: string, signal: AbortSignal): Promise<LiveJob> {
    const end = AbortSignal.any([signal, AbortSignal.timeout(ANNOUNCED_MS)])
    while (!end.aborted) {
      const live = this.live.get(key)
      if (live !== undefined) return live
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    throw new MecaError('not_found', 'No job waits for this input')
  }

  countRefusal(error: unknown): void {
    const { code, message } = asMecaError(error)
    const before = this.counts.refused.get(code)
    this.counts.requests++
    this.counts.refused.set(code, { count: (before?.count ?? 0) + 1, last: message })
  }

  /** The job is on disk; from here it ends with a receipt, whatever happens. */
  start(live: LiveJob): void {
    failpoint('host.accepted')
    const run = this.#run(live).catch((error: unknown) => this.#c.onFatal(error))
    this.#running.add(run)
    void run.finally(() => this.#running.delete(run))
  }

  /** Sends what is known of a job to the session that asks for it again. */
  replay(session: HostSession, record: HostJob): void {
    const live = this.live.get(hostJobKey(record.client, record.id))
    if (live !== undefined) {
      live.session = session
      session.event(record.channelId, record.id, live.clock.phase, this.#c.wallNow(), { logs: live.logs })
    } else session.results(record.channelId, [{ job: record, output: this.#storedOutput(record) }])
  }

  cancel(key: string): void {
    this.live.get(key)?.abort.abort()
  }

  forget(session: HostSession): void {
    for (const live of this.live.values()) if (live.session === session) live.session = undefined
  }

  runningOn(channelId: Hex): number {
    return [...this.live.values()].filter((live) => live.record.channelId === channelId).length
  }

  /** Cancels what runs and waits until every receipt is on disk. */
  async close(): Promise<void> {
    this.#isClosing = true
    for (const live of this.live.values())
      live.abort.abort(new MecaError('engine_unavailable', 'The host is shutting down'))
    await Promise.allSettled(this.#running)
    await this.#outbox.idle()
  }

  async #run(live: LiveJob): Promise<void> {
    const { record } = live
    const work = {
      poolKey: live.poolKey,
      name: record.id,
      task: live.task,
      resources: record.resources,
      maxSeconds: record.price.maxSeconds,
      runtime: live.request.runtime,
      input: (signal: AbortSignal) => live.receiving.take(signal).finally(() => live.arrived()),
      source: (signal: AbortSignal) => live.receiving.source(signal).finally(() => live.arrived()),
      providers: live.request.providers,
    }
    const hooks = { clock: live.clock, onPhase: this.#teller(live), onLog: (line: LogLine) => this.#log(live, line) }
    const execution = await execute(this.#c.execute, work, hooks, live.abort.signal)
    await live.receiving.end(this.#isClosing).catch((error: unknown) => {
      this.#c.log.warn({ err: error }, 'half an input could not be removed; the janitor does')
    })
    this.#end(live, await this.#kept(execution))
  }

  /** A disk without room for a large output costs its job, and not the host: records have room of their own. */
  async #kept(execution: Execution): Promise<Execution> {
    const { output } = execution
    if (output.length <= INLINE_BYTES) return execution
    try {
      await this.#c.blobs.write([output], { signal: AbortSignal.timeout(WRITE_OUTPUT_MS), maxBytes: output.length })
      return execution
    } catch (error) {
      this.#c.log.error({ err: error, bytes: output.length }, 'an output could not be written; its job is not charged')
      return failed('host_failed', asMecaError(error), this.#c.wallNow(), execution.outcome.warm)
    }
  }

  /** Phases at once, bytes of a fetch now and then: an engine reports every few kilobytes. */
  #teller(live: LiveJob) {
    let toldAt = -Infinity
    return (phase: Phase, progress?: { doneBytes: number; totalBytes: number }) => {
      const now = this.#c.now()
      if (progress !== undefined && now - toldAt < PROGRESS_MS) return
      if (progress !== undefined) toldAt = now
      const { channelId, id } = live.record
      live.session?.event(channelId, id, phase, this.#c.wallNow(), progress === undefined ? {} : { progress })
    }
  }

  #log(live: LiveJob, line: LogLine): void {
    live.logs.push(line)
    if (live.logs.length > KEPT_LOG_LINES) live.logs.shift()
    live.session?.event(live.record.channelId, live.record.id, live.clock.phase, this.#c.wallNow(), { logs: [line] })
  }

  #end(live: Ending, execution: Execution): void {
    const { record } = live
    const { status } = execution
    const receipt: Receipt = {
      channelId: record.channelId,
      jobHash: keccakText(record.id),
      taskId: record.taskId,
      inputHash: record.inputHash,
      outputHash: execution.stored?.hash ?? sha256(execution.output),
      status: STATUS[status],
      ...this.#bill(live, status, execution.runMs),
      startedAt: Math.floor(execution.startedAt),
      endedAt: Math.floor(execution.endedAt),
    }
    const ended: EndedJob = {
      live,
      receipt,
      output: execution.output,
      outputBytes: execution.stored?.bytes ?? execution.output.length,
      keptCid: execution.keptCid,
      stage: (signed) => this.#stage(ended, execution, signed),
    }
    if (status === 'answered') this.counts.answered++
    this.#outbox.add(ended)
  }

  #bill(live: Ending, status: JobStatus, runMs: number): { hostAmount: bigint; developerAmount: bigint } {
    const ran = status === 'answered' || status === 'task_failed' || (status === 'cancelled' && runMs > 0)
    return {
      hostAmount: ran ? billUp(live.tariff, live.record.resources, runMs, live.record.price) : 0n,
      developerAmount: status === 'answered' ? live.record.price.developerAmount : 0n,
    }
  }

  #stage(ended: EndedJob, execution: Execution, signed: SignedReceipt): void {
    const { live } = ended
    const outcome = { ...execution.outcome, phases: live.clock.read(this.#c.now()), outputBytes: ended.outputBytes }
    live.record = { ...live.record, signed, outcome }
    const row = this.#c.book.row(live.record.channelId, live.record.taskId)
    if (row === undefined) throw new MecaError('internal', `No row for job ${live.key}`)
    ended.row = { ...row, ...settle(row, live.record.price, billOf(signed.receipt, live.record.price)) }
    this.#c.book.stageRow(ended.row)
  }

  async #write(batch: readonly EndedJob[]): Promise<void> {
    const { hostJobs, outputs, keptOutputs } = this.#c.tables
    const rows = new Map(
      batch.flatMap(({ row }) => (row === undefined ? [] : [[`${row.channelId}/${row.taskId}`, row] as const])),
    )
    failpoint('host.before-result')
    await this.#c.book.commit('end', {
      rows: rows.values(),
      also: batch.flatMap(({ live, output, keptCid }) => [
        hostJobs.put(live.key, live.record),
        ...(output.length > 0 && output.length <= INLINE_BYTES ? [outputs.put(live.key, toBase64(output))] : []),
        ...(keptCid === undefined ? [] : [keptOutputs.put(live.key, keptCid)]),
      ]),
    })
    failpoint('host.result-written')
  }

  #send(batch: readonly EndedJob[]): void {
    const groups = new Map<HostSession, Map<Hex, Deliverable[]>>()
    for (const { live, output, outputBytes } of batch) {
      this.live.delete(live.key)
      this.#endedLately.set(live.key, true)
      if (live.session === undefined) continue
      const channels = groups.get(live.session) ?? new Map<Hex, Deliverable[]>()
      groups.set(live.session, channels)
      const list = channels.get(live.record.channelId) ?? []
      channels.set(live.record.channelId, list)
      list.push({
        job: live.record,
        output: output.length === outputBytes && outputBytes <= INLINE_BYTES ? output : undefined,
      })
    }
    for (const [session, channels] of groups) for (const [channelId, list] of channels) session.results(channelId, list)
    failpoint('host.results-sent')
  }

  #storedOutput(record: HostJob): Uint8Array | undefined {
    if ((record.outcome?.outputBytes ?? 0) === 0) return new Uint8Array(0)
    const text = this.#c.tables.outputs.getSync(hostJobKey(record.client, record.id))
    return text === undefined ? undefined : Buffer.from(text, 'base64')
  }
}

/** How often a client is told of a fetch's progress. */
const PROGRESS_MS = 200
/** A job whose task has to be looked up first is announced within this. */
const ANNOUNCED_MS = 10_000
/** Keys of ended jobs in memory: some seconds of a busy host, and less than a MiB. */
const ENDED_LATELY = 4096
/** The time that a large output may take to reach the disk. */
const WRITE_OUTPUT_MS = 300_000
/** Lines kept for a client that attaches later; all of them travel in one event. */
const KEPT_LOG_LINES = 200

const NO_TARIFF: Tariff = { token: NATIVE, perJob: 0n, perCpuSecond: 0n, perGibSecond: 0n, perGpuSecond: 0n }

function lostExecution(at: number): Execution {
  const problem = {
    code: 'engine_unavailable',
    message: 'The host was stopped while the job was under way',
    cure: 'run it again; nothing was charged',
  }
  return {
    status: 'host_failed',
    outcome: { problem, warm: false },
    output: new Uint8Array(0),
    startedAt: at,
    endedAt: at,
    runMs: 0,
  }
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}
