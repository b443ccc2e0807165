/**
 * Jobs that a caller waits for, by id, so that each can be ended from outside, also while its host is still being chosen,
 * a channel opened, or a line made: before it was sent there is no record of it.
 */
import { MecaError } from '../core/errors.ts'

type Wait = { ending: AbortController; isUnwanted: boolean }

export class UnderWay {
  readonly #waits = new Map<string, Wait>()

  /** `work` is handed a signal that fires with the caller's, and when the job is ended. */
  async run<T>(id: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const before = this.#waits.get(id)
    const wait = before ?? { ending: new AbortController(), isUnwanted: false }
    if (before !== undefined) return work(AbortSignal.any([signal, wait.ending.signal]))
    this.#waits.set(id, wait)
    const stop = () => wait.ending.abort(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    try {
      return await work(wait.ending.signal)
    } finally {
      signal.removeEventListener('abort', stop)
      this.#waits.delete(id)
    }
  }

  /** False where nobody waits for it. What was sent has an end that comes from its host, and is waited for. */
  end(id: string, isSent: boolean): boolean {
    const wait = this.#waits.get(id)
    if (wait === undefined) return false
    wait.isUnwanted = true
    if (!isSent) wait.ending.abort(new MecaError('cancelled', `The job ${id} was cancelled before it was sent`))
    return true
  }

  /** No further host is tried. */
  isUnwanted(id: string): boolean {
    return this.#waits.get(id)?.isUnwanted === true
  }
}
