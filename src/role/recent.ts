/**
 * Results that a client has just checked. A caller is handed its result while it is on its way to disk; until it is
 * there, this is the only place that knows it, and a while longer the quickest. Nothing can be lost by that: the host
 * keeps every result until the client acknowledges it, which it does when the result is on disk.
 */
import { LRUCache } from 'lru-cache'
import type { Delivered } from './client-pending.ts'

/** Outputs kept in memory after they were written: callers read theirs within moments. */
const KEPT_BYTES = 4 * 2 ** 20
/** What a result takes beside its output. */
const RESULT_BYTES = 2_000

export class RecentResults {
  readonly #unwritten = new Map<string, Delivered>()
  readonly #written = new LRUCache<string, Delivered>({
    maxSize: KEPT_BYTES,
    sizeCalculation: ({ output }) => RESULT_BYTES + (output?.length ?? 0),
  })

  add(delivered: Delivered): void {
    const { id } = delivered.job
    this.#unwritten.set(id, delivered)
    const settle = () => {
      this.#unwritten.delete(id)
      // A copy: what came over the network is a part of a larger buffer.
      const output = delivered.output === undefined ? undefined : Buffer.from(delivered.output)
      this.#written.set(id, { ...delivered, output })
    }
    // A store that fails refuses all later work with its reason; what was checked stays readable here.
    delivered.written.then(settle, () => undefined)
  }

  get(id: string): Delivered | undefined {
    return this.#unwritten.get(id) ?? this.#written.get(id)
  }
}
