/** Who waits for a job: told what its host says meanwhile, and let go at the job's end, or when it takes too long. */
import type { LogLine } from '../core/plan.ts'
import type { ClientJob } from '../core/records.ts'
import type { OnProgress } from './api-common.ts'
import type { ClientComponents } from './client-components.ts'
import type { Delivered, Event } from './client-pending.ts'
import { ClientPhases } from './client-phases.ts'
import type { ClientSession } from './client-session.ts'
import { waitFor } from './client-wait.ts'

export type WatchParts = {
  /** What fetching, starting and waiting for room may take beside the run itself. */
  overheadMs: number
  onLog(id: string, line: LogLine): void
}

export class ClientWatch {
  readonly phases: ClientPhases
  readonly #c: ClientComponents
  readonly #parts: WatchParts

  constructor(c: ClientComponents, parts: WatchParts) {
    this.#c = c
    this.#parts = parts
    this.phases = new ClientPhases(c)
  }

  /** For a job that is about to be sent, or to be asked for again. */
  teller(id: string, onProgress: OnProgress): (event: Event) => void {
    this.phases.follow(id)
    return (event) => {
      if ('step' in event) return onProgress({ kind: 'bytes', ...event })
      const { phase, at, progress, logs } = event
      this.phases.tell(id, phase)
      if (logs === undefined) onProgress({ kind: 'phase', phase, at, ...progress })
      for (const line of logs ?? []) {
        this.#parts.onLog(id, line)
        onProgress({ kind: 'log', line })
      }
    }
  }

  async wait(
    work: Promise<Delivered>,
    session: ClientSession,
    job: ClientJob,
    signal: AbortSignal,
  ): Promise<Delivered> {
    try {
      const delivered = await waitFor(work, session, job, this.#parts.overheadMs, signal)
      this.phases.end(job.id)
      return delivered
    } catch (error) {
      this.#letGo(work, job)
      throw error
    }
  }

  /** What may go on at its host keeps the phase that was heard last, until its result comes after all. */
  #letGo(work: Promise<Delivered>, { id }: ClientJob): void {
    if (this.#c.tables.clientJobs.getSync(id)?.state !== 'sent') return this.phases.end(id)
    this.phases.leave(id)
    work.then(
      () => this.phases.end(id),
      () => undefined, // Its caller was told.
    )
  }
}
