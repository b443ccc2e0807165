import { asMecaError } from '../core/errors.ts'
import { WRITES_BEHIND } from './limits.ts'

/** Lets a few writes go on while the next blocks come; the first that fails is thrown at the next call. */
export class Behind {
  readonly #under = new Set<Promise<void>>()
  #failure: { cause: unknown } | undefined

  async begin(write: () => Promise<void>): Promise<void> {
    while (this.#under.size >= WRITES_BEHIND) await Promise.race(this.#under)
    this.#check()
    const done = write()
      .catch((cause: unknown) => void (this.#failure ??= { cause }))
      .finally(() => this.#under.delete(done))
    this.#under.add(done)
  }

  async finish(): Promise<void> {
    await Promise.all(this.#under)
    this.#check()
  }

  #check(): void {
    if (this.#failure !== undefined) throw asMecaError(this.#failure.cause)
  }
}
