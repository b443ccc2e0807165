/** The end of every wait for a job: its result, its time, or a caller who gives up. */
import { MecaError } from '../core/errors.ts'
import type { ClientJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { RunResult } from './api-client.ts'
import type { Delivered } from './client-pending.ts'
import type { ClientSession } from './client-session.ts'

/** A host that was told to stop answers within this, or is not there. */
const CANCEL_GRACE_MS = 10_000
/** An input may take its time, at the rate of a slow line (1 Mbit/s): hosts wait as long. */
const INPUT_BYTES_PER_MS = 128

/** Who gives up waiting tells the host so: what runs meanwhile would be billed. No wait is without an end. */
export async function waitFor(
  work: Promise<Delivered>,
  session: ClientSession,
  job: ClientJob,
  overheadMs: number,
  signal: AbortSignal,
): Promise<Delivered> {
  const { promise: givenUp, reject } = Promise.withResolvers<never>()
  const cancel = () => {
    session.cancel(job.id).catch(() => undefined) // The line is down: the host's own limits end the job.
    const error = new MecaError('cancelled', `The job ${job.id} was cancelled; its host has not confirmed it`)
    setTimeout(() => reject(error), CANCEL_GRACE_MS).unref()
  }
  const patienceMs = job.price.maxSeconds * 1000 + overheadMs + job.inputBytes / INPUT_BYTES_PER_MS
  const timer = setTimeout(() => {
    const late = new MecaError('timeout', `Nothing was heard of job ${job.id} for ${Math.round(patienceMs / 1000)} s`, {
      cure: 'ask for it later with meca job result; it is paid once',
    })
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

/** What a job id stands for. */
export type Identity = { cid: string; hash: Hex }
export type Running = Identity & { result: Promise<RunResult> }

/** Throws `job_conflict` where the id stands for something else. */
export function requireSame(asked: Identity & { id: string }, used: Identity): void {
  if (asked.cid === used.cid && asked.hash === used.hash) return
  const what = asked.cid === used.cid ? 'another input' : 'another task'
  throw new MecaError('job_conflict', `The job id ${asked.id} was used for ${what}`, { cure: 'choose another id' })
}

/** The result that another caller already waits for. Giving up here leaves the job to that caller. */
export async function joined(
  running: Running,
  asked: Identity & { id: string },
  signal: AbortSignal,
): Promise<RunResult> {
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
