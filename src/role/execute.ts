/**
 * One admitted job: fetch → start → run → collect. It moves a clock through the honest phases and turns every way to
 * end into one of the four statuses of a receipt; it knows nothing of vouchers or peers.
 */
import { asMecaError, MecaError, toProblem } from '../core/errors.ts'
import type { Outcome, Phase, PhaseClock } from '../core/job.ts'
import type { LogLine, Plan } from '../core/plan.ts'
import type { JobStatus } from '../core/receipt.ts'
import type { Resources } from '../core/resources.ts'
import type { Hex } from '../core/units.ts'
import type { ImageId, Instance, PullProgress } from '../engine/engine.ts'
import { formatOf, requireHttp } from '../task/format.ts'
import { executeFiles } from './execute-files.ts'
import type { FilesComponents } from './execute-files.ts'
import type { Fleet, Lease } from './fleet.ts'
import type { KnownTask } from './tasks.ts'

export type Execution = {
  status: JobStatus
  outcome: Omit<Outcome, 'phases' | 'outputBytes'>
  output: Uint8Array
  /** Where the output is a blob already, too large to be held; `output` is empty then. */
  stored?: { hash: Hex; bytes: number }
  /** The output's root on this host's IPFS, which is kept as long as the output itself. */
  keptCid?: string
  /** When the task itself began and ended, ms since the epoch; equal where it never ran. */
  startedAt: number
  endedAt: number
  runMs: number
}

export type ExecuteHooks = {
  clock: PhaseClock
  onPhase(phase: Phase, progress?: { doneBytes: number; totalBytes: number }): void
  onLog?: (line: LogLine) => void
}

export type Work = {
  /** Shared by jobs that may use the same warm container. */
  poolKey: string
  name: string
  task: KnownTask
  resources: Resources
  maxSeconds: number
  runtime: string | undefined
  /** Resolves when the caller's input is here; it may still be on its way when the job is queued. */
  input(signal: AbortSignal): Promise<Uint8Array>
  /** The same for an input that is read where it lies, as often as needed. */
  source(signal: AbortSignal): Promise<() => AsyncIterable<Uint8Array>>
  providers: readonly string[]
}

export type ExecuteComponents = {
  fleet: Fleet
  files: FilesComponents
  /** Makes sure the engine has the image, fetching what is missing. */
  image(
    task: KnownTask,
    providers: readonly string[],
    signal: AbortSignal,
    onProgress: (p: PullProgress) => void,
  ): Promise<ImageId>
  start(image: ImageId, plan: Plan, options: { name: string; runtime?: string }, signal: AbortSignal): Promise<Instance>
  limits: { startTimeoutMs: number; fetchTimeoutMs: number; outputBytes: number }
  wallNow(): number
  now(): number
}

const NOTHING = new Uint8Array(0)

/** Never throws: whatever happens is told in the execution. */
export async function execute(
  c: ExecuteComponents,
  work: Work,
  hooks: ExecuteHooks,
  signal: AbortSignal,
): Promise<Execution> {
  if (formatOf(work.task.manifest.format).kind === 'files') return executeFiles(c, work, hooks, signal)
  const enter = (phase: Phase) => {
    hooks.clock.enter(phase, c.now())
    hooks.onPhase(phase)
  }
  let lease: Lease | undefined
  try {
    const input = await work.input(signal)
    const begin = startOf(c, work, hooks, enter)
    lease = await c.fleet.acquire({ key: work.poolKey, resources: work.resources, start: begin }, signal)
    hooks.clock.enter('running', c.now())
    if (!lease.warm) hooks.onPhase('running')
    return await run(c, work, lease, input, hooks, signal)
  } catch (error) {
    return failed(endedBy(signal) ?? 'host_failed', reasonOf(signal, error), c.wallNow(), lease?.warm)
  } finally {
    lease?.release()
  }
}

/** What a cold job does before it runs; a warm one skips it. */
function startOf(c: ExecuteComponents, work: Work, hooks: ExecuteHooks, enter: (phase: Phase) => void) {
  return async (signal: AbortSignal): Promise<Instance> => {
    enter('fetching')
    const image = await fetchImage(c, work, hooks, signal)
    enter('starting')
    const plan = planOf(c, work)
    return c.start(
      image,
      plan,
      { name: work.name, ...(work.runtime === undefined ? {} : { runtime: work.runtime }) },
      signal,
    )
  }
}

/** Throws `timeout` where it does not come within the host's limit. */
export async function fetchImage(
  c: Pick<ExecuteComponents, 'image' | 'limits'>,
  { task, providers }: Work,
  hooks: ExecuteHooks,
  signal: AbortSignal,
): Promise<ImageId> {
  const timer = AbortSignal.timeout(c.limits.fetchTimeoutMs)
  try {
    return await c.image(task, providers, AbortSignal.any([signal, timer]), ({ doneBytes, totalBytes }) =>
      hooks.onPhase('fetching', { doneBytes, totalBytes }),
    )
  } catch (cause) {
    if (!timer.aborted || signal.aborted) throw cause
    const limit = `${c.limits.fetchTimeoutMs / 1000} s`
    throw new MecaError('timeout', `The image of ${task.cid} did not arrive within ${limit}`, {
      cause,
      cure: 'run it again: what has arrived is kept; or choose a host that has the image',
    })
  }
}

function planOf(c: ExecuteComponents, work: Work) {
  return requireHttp(formatOf(work.task.manifest.format)).plan(work.task.descriptor, {
    resources: work.resources,
    maxSeconds: work.maxSeconds,
    startTimeoutMs: c.limits.startTimeoutMs,
    outputBytes: c.limits.outputBytes,
  })
}

async function run(
  c: ExecuteComponents,
  work: Work,
  lease: Lease,
  input: Uint8Array,
  hooks: ExecuteHooks,
  signal: AbortSignal,
): Promise<Execution> {
  const startedAt = c.wallNow()
  const began = c.now()
  const stopLogs = hooks.onLog === undefined ? undefined : lease.listen(hooks.onLog)
  const ended = () => ({ startedAt, endedAt: c.wallNow(), runMs: c.now() - began })
  try {
    const limits = { timeoutMs: work.maxSeconds * 1000, outputBytes: c.limits.outputBytes }
    const reply = await lease.instance.request(input, limits, signal)
    const times = ended()
    hooks.clock.enter('delivering', c.now())
    return {
      status: 'answered',
      outcome: { httpStatus: reply.status, contentType: reply.contentType, warm: lease.warm },
      output: reply.body,
      ...times,
    }
  } catch (error) {
    return await afterRun(reasonOf(signal, error), lease, signal, ended())
  } finally {
    stopLogs?.()
  }
}

/** Ends that are no fault of the task: a lost engine, and a container that this host stopped under it. */
const HOSTS_FAULT = new Set(['engine_unavailable', 'cancelled'])

/** Out of memory, a crash, a time-out, too large a reply are the task's. */
async function afterRun(
  error: MecaError,
  lease: Lease,
  signal: AbortSignal,
  times: { startedAt: number; endedAt: number; runMs: number },
): Promise<Execution> {
  lease.discard()
  const status = endedBy(signal) ?? (HOSTS_FAULT.has(error.code) ? 'host_failed' : 'task_failed')
  const end = await Promise.race([lease.instance.ended, soon()])
  const result = failed(status, error, times.endedAt, lease.warm)
  const exit = end === undefined ? {} : { exitCode: end.exitCode, logTail: end.logTail.slice(-8000) }
  return { ...result, ...times, outcome: { ...result.outcome, ...exit } }
}

/** Who ended a job from outside: its client, or this host because it is closing. */
export function endedBy(signal: AbortSignal): JobStatus | undefined {
  if (!signal.aborted) return undefined
  return signal.reason instanceof MecaError ? 'host_failed' : 'cancelled'
}

export function reasonOf(signal: AbortSignal, error: unknown): MecaError {
  if (!signal.aborted) return asMecaError(error)
  return signal.reason instanceof MecaError
    ? signal.reason
    : new MecaError('cancelled', 'The job was cancelled by its client')
}

/** The engine reports an end a moment after the connection broke. */
function soon(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), 500).unref())
}

export function failed(status: JobStatus, error: MecaError, at: number, warm = false): Execution {
  const { details: _, ...problem } = toProblem(error)
  const logTail =
    typeof error.details?.['logTail'] === 'string' ? { logTail: error.details['logTail'].slice(-8000) } : {}
  return {
    status,
    outcome: {
      problem: { ...problem, message: problem.message.slice(0, 4000) },
      warm,
      ...logTail,
    },
    output: NOTHING,
    startedAt: at,
    endedAt: at,
    runMs: 0,
  }
}
