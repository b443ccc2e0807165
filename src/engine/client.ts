/**
 * How this room speaks to the Docker daemon: one client, every call with an end, and one place that tells a daemon
 * that is gone (the host's fault, nothing is billed) from a daemon that refused.
 */
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import Docker from 'dockerode'
import { MecaError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'

/** A daemon under full load answers a plain call in seconds; one that takes a minute is not usable. */
const CALL_TIMEOUT_MS = 60_000

/** What the network says when the daemon is not there, restarts or dies in the middle of a call. */
const GONE = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EACCES', 'EPIPE', 'ENOTSOCK', 'EPERM', 'ETIMEDOUT'])

/** The host is set to nothing so that DOCKER_HOST cannot send our calls elsewhere: settings are read in config.ts. */
export function connect(socketPath: string): Docker {
  return new Docker({ socketPath, host: undefined, port: undefined, protocol: 'http' })
}

/** Runs one engine call; ends it when the caller's signal fires or the daemon has been silent for too long. */
export async function call<T>(
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const left = () => signal?.aborted === true
  if (left()) throw cancelled(what, signal?.reason)
  const deadline = AbortSignal.timeout(CALL_TIMEOUT_MS)
  const either = signal === undefined ? deadline : AbortSignal.any([signal, deadline])
  try {
    return await Promise.race([work(either), aborted(either)])
  } catch (error) {
    if (left()) throw cancelled(what, error)
    if (deadline.aborted) throw engineGone(`did not answer within ${CALL_TIMEOUT_MS / 1000} s`, what, error)
    throw translate(error, what)
  }
}

/**
 * Resolves to the exit code when the container has ended; rejects when the connection breaks before. The client's own
 * `wait` does not notice a daemon that dies after it sent the headers, and would wait for ever.
 */
export async function exitCodeOf(docker: Docker, containerId: string): Promise<number> {
  const modem = docker.modem as { dial(request: object, answer: (error: Error | null, body: Readable) => void): void }
  const path = `/containers/${containerId}/wait?condition=not-running`
  const statusCodes = { 200: true, 404: 'no such container', 500: 'server error' }
  const body = await new Promise<Readable>((resolve, reject) => {
    modem.dial({ path, method: 'POST', isStream: true, statusCodes }, (error, stream) => {
      if (error === null) resolve(stream)
      else reject(error)
    })
  })
  const answer = JSON.parse(await text(body)) as { StatusCode: number }
  return answer.StatusCode
}

/** Rejects when the signal fires: for work that takes no signal of its own. */
export function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

export function translate(error: unknown, what: string, code: ErrorCode = 'engine_unavailable'): MecaError {
  if (error instanceof MecaError) return error
  if (isGone(error)) return engineGone('cannot be reached', what, error)
  return new MecaError(code, `The container engine could not ${what}: ${reasonOf(error)}`, { cause: error })
}

export function engineGone(how: string, what: string, cause?: unknown): MecaError {
  return new MecaError('engine_unavailable', `The Docker engine ${how} (while trying to ${what})`, {
    cause,
    cure: 'Start it (`systemctl start docker`), and let this user open its socket (group `docker`); `meca doctor` tests both.',
  })
}

export function cancelled(what: string, cause?: unknown): MecaError {
  return new MecaError('cancelled', `It was cancelled (while trying to ${what})`, { cause })
}

export function isGone(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return (typeof code === 'string' && GONE.has(code)) || message === 'socket hang up' || message === 'aborted'
}

/** The daemon's HTTP status, where it answered with one. */
export function statusOf(error: unknown): number | undefined {
  const { statusCode } = (error ?? {}) as { statusCode?: unknown }
  return typeof statusCode === 'number' ? statusCode : undefined
}

/** The daemon's own words, without the client's wrapping. */
export function reasonOf(error: unknown): string {
  const { json, message } = error as { json?: { message?: unknown }; message?: unknown }
  if (typeof json?.message === 'string') return json.message
  return typeof message === 'string' ? message : String(error)
}
