/** How much each stranger may ask of us: a token bucket per key, and a ceiling on how many keys are remembered. Pure. */
import { MAX_TRACKED_PEERS } from './limits.ts'

type Bucket = { tokens: number; atMs: number }

export class Budget {
  readonly #perSecond: number
  readonly #burst: number
  readonly #buckets = new Map<string, Bucket>()

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond
    this.#burst = burst
  }

  /** True when `key` may take `amount` now, which is then counted. */
  take(key: string, nowMs: number, amount = 1): boolean {
    const old = this.#buckets.get(key) ?? { tokens: this.#burst, atMs: nowMs }
    const refill = (Math.max(0, nowMs - old.atMs) * this.#perSecond) / 1_000
    const tokens = Math.min(this.#burst, old.tokens + refill)
    const granted = tokens >= amount
    // Deleted first, so that the map stays ordered by last use.
    this.#buckets.delete(key)
    this.#buckets.set(key, { tokens: granted ? tokens - amount : tokens, atMs: Math.max(old.atMs, nowMs) })
    this.#forgetOldest()
    return granted
  }

  #forgetOldest(): void {
    const oldest = this.#buckets.keys().next().value
    if (this.#buckets.size > MAX_TRACKED_PEERS && oldest !== undefined) this.#buckets.delete(oldest)
  }
}
