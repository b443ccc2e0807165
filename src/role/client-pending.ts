/** A job that somebody waits for at a client's line, and what it is told meanwhile. */
import type { Phase } from '../core/job.ts'
import type { LogLine } from '../core/plan.ts'
import type { ClientJob } from '../core/records.ts'
import type { JobRequest } from '../core/wire.ts'

/** Bytes of a large input or output that went over. */
export type Moved = { step: 'send' | 'receive'; doneBytes: number; totalBytes: number }

export type Event =
  { phase: Phase; at: number; progress?: { doneBytes: number; totalBytes: number }; logs?: LogLine[] } | Moved

/** Where an input's bytes come from; `read` may be called again. */
export type Input = { bytes: Uint8Array } | { lengthBytes: number; read(offset: number): AsyncIterable<Uint8Array> }

/** A checked result; `written` settles when it is on disk, until when the host keeps it too. */
export type Delivered = { job: ClientJob; output: Uint8Array | undefined; written: Promise<void> }

export type Pending = {
  job: ClientJob
  /** Absent for a job that a former process or connection sent. */
  request?: JobRequest
  input?: Input
  /** Its input is on its way. */
  uploading?: boolean
  /** Called once the job's price is in a voucher, so that the room it was promised is not counted twice. */
  onVouched?: () => void
  /** It was sent once more, to a host that said that it never came. */
  resent?: boolean
  /** Its result has come and is being fetched or checked: nothing more is asked of its host, and no second copy is taken. */
  isTaken?: true
  /** Settles when its caller's wish to end it is on disk. */
  wish?: Promise<void>
  /** Its price was freed already: the host had refused it. */
  freed?: boolean
  /** From before this client lost its records, when it was vouched for; `ended` until the host says that it still runs. */
  lost?: 'ended' | 'running'
  onEvent: (event: Event) => void
  resolve(delivered: Delivered): void
  reject(error: unknown): void
}

/** A further one who waits for the same job, told all that the first one is told from now on. */
export function joinPending(
  first: Pending,
  second: Required<Pick<Pending, 'input'>> & Pick<Pending, 'onEvent' | 'resolve' | 'reject'>,
): void {
  const { onEvent, resolve, reject } = first
  first.input ??= second.input
  first.onEvent = (event) => {
    onEvent(event)
    second.onEvent(event)
  }
  first.resolve = (delivered) => {
    resolve(delivered)
    second.resolve(delivered)
  }
  first.reject = (error) => {
    reject(error)
    second.reject(error)
  }
}
