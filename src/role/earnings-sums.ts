/** What the sums of earnings are made with: by key, and each held against what the chain says. */
import type { Hex } from '../core/units.ts'
import type { EarningsCheck } from './api-money.ts'

export class Sums {
  readonly #sums = new Map<string, bigint>()

  add(key: string, amount: bigint): void {
    this.#sums.set(key, this.of(key) + amount)
  }

  of(key: string): bigint {
    return this.#sums.get(key) ?? 0n
  }

  keys(): Iterable<string> {
    return this.#sums.keys()
  }
}

/** By default both must be the same. */
export function check(
  role: EarningsCheck['role'],
  token: Hex,
  what: string,
  ledger: bigint,
  chain: bigint,
  ok = ledger === chain,
): EarningsCheck {
  const difference = ledger - chain
  return {
    role,
    token,
    what,
    ledger: ledger.toString(),
    chain: chain.toString(),
    difference: difference.toString(),
    ok,
  }
}

export function keyOf(channelId: Hex, taskId: Hex): string {
  return `${channelId}/${taskId}`
}
