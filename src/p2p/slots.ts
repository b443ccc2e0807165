/** At most so many at a time per key; the rest wait in order. Keeps us below the ceilings of the peers we ask. */
import { MecaError } from '../core/errors.ts'

export class Slots {
  readonly #max: number
  readonly #taken = new Map<string, number>()
  readonly #waiting = new Map<string, (() => void)[]>()

  constructor(max: number) {
    this.#max = max
  }

  /** Runs `work` when a slot of `key` is free; gives up waiting when the signal fires. */
  async run<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#take(key, signal)
    try {
      return await work()
    } finally {
      this.#release(key)
    }
  }

  async #take(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const taken = this.#taken.get(key) ?? 0
    if (taken < this.#max) {
      this.#taken.set(key, taken + 1)
      return
    }
    await new Promise<void>((resolve, reject) => {
      const queue = this.#waiting.get(key) ?? []
      this.#waiting.set(key, queue)
      const go = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        queue.splice(queue.indexOf(go), 1)
        reject(new MecaError('cancelled', 'Waiting for a turn was cancelled', { cause: signal.reason }))
      }
      queue.push(go)
      signal.addEventListener('abort', leave, { once: true })
    })
  }

  /** The slot goes straight to whoever waits longest, so that the count never dips and nobody jumps the queue. */
  #release(key: string): void {
    const next = this.#waiting.get(key)?.shift()
    if (next !== undefined) return next()
    const left = (this.#taken.get(key) ?? 1) - 1
    this.#waiting.delete(key)
    if (left === 0) this.#taken.delete(key)
    else this.#taken.set(key, left)
  }
}
