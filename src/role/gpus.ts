/** Which GPU belongs to which container: whole ones, by number, never two containers on one. */
import { MecaError } from '../core/errors.ts'
import type { Instance } from '../engine/engine.ts'

export class GpuShelf {
  readonly #free: string[]

  constructor(count: number) {
    this.#free = Array.from({ length: count }, (_, i) => String(i))
  }

  /** Takes `count` ids until the returned function is called, once. Throws `busy`. */
  take(count: number): { ids: readonly string[]; giveBack: () => void } {
    if (count > this.#free.length) throw new MecaError('busy', `${count} GPUs asked, ${this.#free.length} are free`)
    const ids = this.#free.splice(0, count)
    const lent = [...ids]
    return { ids, giveBack: () => void this.#free.push(...lent.splice(0)) }
  }

  /** Takes `count` ids for the container that `start` makes; they come back when it has ended. Throws `busy`. */
  async lend(count: number, start: (gpuIds: readonly string[]) => Promise<Instance>): Promise<Instance> {
    const { ids, giveBack } = this.take(count)
    try {
      const instance = await start(ids)
      void instance.ended.then(giveBack)
      return instance
    } catch (error) {
      giveBack()
      throw error
    }
  }
}
