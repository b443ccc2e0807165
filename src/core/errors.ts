/**
 * The one error class of the program and the one table that says what each code means at the edges:
 * the exit code of the command line, the HTTP status of the API and whether trying again can help.
 * A new way to fail is a new row here, so that the command line, the API and the wire cannot disagree.
 */
import { printable } from './text.ts'

/** What a code means at the edges. `exit` and `http` are the codes of design.md section 8 and RFC 9457. */
type Meaning = { exit: number; http: number; title: string }

export const ERRORS = {
  bad_input: { exit: 2, http: 400, title: 'The input is not usable' },
  bad_config: { exit: 2, http: 500, title: 'A setting is not usable' },
  invalid_task: { exit: 2, http: 422, title: 'The task package is not valid' },
  too_large: { exit: 2, http: 413, title: 'Something is larger than its cap' },
  unauthorized: { exit: 2, http: 401, title: 'The caller is not allowed to do this' },
  home_in_use: { exit: 2, http: 409, title: 'Another process owns this home folder' },
  home_unreadable: { exit: 2, http: 500, title: 'The home folder cannot be used' },
  disk_full: { exit: 2, http: 507, title: 'The disk is too full' },
  store_failed: { exit: 70, http: 503, title: 'The store can no longer write' },
  store_damaged: { exit: 70, http: 500, title: 'The records on disk are damaged' },
  job_ended: { exit: 2, http: 409, title: 'The job has ended' },
  job_conflict: { exit: 2, http: 409, title: 'The job id was used with another input' },
  not_found: { exit: 3, http: 404, title: 'There is no such thing' },
  no_host: { exit: 4, http: 503, title: 'No host fits' },
  refused: { exit: 4, http: 503, title: 'The host refused' },
  busy: { exit: 4, http: 503, title: 'No capacity is free' },
  not_allowed: { exit: 4, http: 403, title: "The host's owner does not allow this" },
  payment: { exit: 5, http: 402, title: 'The payment was not accepted' },
  price_cap: { exit: 5, http: 402, title: 'The price is over the cap' },
  insufficient_funds: { exit: 5, http: 402, title: 'The balance is too small' },
  quote_expired: { exit: 5, http: 402, title: 'The quote has expired' },
  chain_unreachable: { exit: 6, http: 502, title: 'The chain cannot be reached' },
  chain_refused: { exit: 6, http: 502, title: 'The chain refused' },
  wrong_chain: { exit: 6, http: 502, title: 'The chain is not the expected one' },
  ipfs_unreachable: { exit: 6, http: 502, title: 'The content cannot be fetched' },
  peer_unreachable: { exit: 6, http: 502, title: 'The peer cannot be reached' },
  protocol: { exit: 6, http: 502, title: 'The peer broke the protocol' },
  engine_unavailable: { exit: 7, http: 503, title: 'The container engine is not usable' },
  task_failed: { exit: 1, http: 502, title: 'The task failed' },
  start_failed: { exit: 1, http: 502, title: 'The container did not start' },
  start_timeout: { exit: 8, http: 504, title: 'The container was not ready in time' },
  run_timeout: { exit: 8, http: 504, title: 'The task did not answer in time' },
  timeout: { exit: 8, http: 504, title: 'It took too long' },
  not_verified: { exit: 9, http: 502, title: 'The result could not be verified' },
  would_ask: { exit: 10, http: 409, title: 'A confirmation is needed' },
  cancelled: { exit: 130, http: 499, title: 'It was cancelled' },
  internal: { exit: 70, http: 500, title: 'A fault of the program' },
} as const satisfies Record<string, Meaning>

export type ErrorCode = keyof typeof ERRORS

type Extra = { cause?: unknown; cure?: string; details?: Readonly<Record<string, unknown>> }

/** What failed (`message`, with the real values), why (`cause`) and what to do about it (`cure`). */
export class MecaError extends Error {
  override readonly name = 'MecaError'
  readonly code: ErrorCode
  readonly cure: string | undefined
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: ErrorCode, message: string, extra: Extra = {}) {
    super(message, extra.cause === undefined ? undefined : { cause: extra.cause })
    this.code = code
    this.cure = extra.cure
    this.details = extra.details
  }

  get exitCode(): number {
    return ERRORS[this.code].exit
  }
}

/** An error as it crosses a process boundary. */
export type Problem = { code: ErrorCode; message: string; cure?: string; details?: Readonly<Record<string, unknown>> }

export function toProblem(error: unknown): Problem {
  const e = asMecaError(error)
  return {
    code: e.code,
    message: e.message,
    ...(e.cure === undefined ? {} : { cure: e.cure }),
    ...(e.details === undefined ? {} : { details: e.details }),
  }
}

/** A problem told by another process, which may be a stranger's. */
/** A code that a peer named, as one of ours. */
export function knownCode(code: string): ErrorCode {
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'internal'
}

export function fromProblem(problem: Problem): MecaError {
  const code = knownCode(problem.code)
  return new MecaError(code, printable(problem.message), {
    ...(problem.cure === undefined ? {} : { cure: printable(problem.cure) }),
    ...(problem.details === undefined ? {} : { details: problem.details }),
  })
}

/** Any thrown value as a MecaError; what is not one of ours becomes `internal` with the cause kept. */
export function asMecaError(error: unknown): MecaError {
  if (error instanceof MecaError) return error
  if (error instanceof Error && error.name === 'AbortError') {
    return new MecaError('cancelled', 'The operation was cancelled', { cause: error })
  }
  const message = error instanceof Error ? error.message : String(error)
  return new MecaError('internal', message, { cause: error })
}
