/**
 * What a client may promise: per day, and to one host in all, in each currency. A promise counts with its whole price
 * until the bill says less, so that a program that runs wild stops at the cap and not behind it.
 */
import { MecaError } from '../core/errors.ts'
import type { ClientJob } from '../core/records.ts'
import { total } from '../core/tariff.ts'
import type { Hex } from '../core/units.ts'
import { capIn } from './currencies.ts'
import type { Caps, Currencies } from './currencies.ts'

const DAY_MS = 86_400_000

export type BudgetCaps = { perDayCap: Caps | undefined; perHostCap: Caps | undefined }

export class Budget {
  readonly #caps: BudgetCaps
  readonly #currencies: Currencies
  readonly #byHost = new Sums()
  #day = 0
  #today = new Sums()

  constructor(caps: BudgetCaps, currencies: Currencies) {
    this.#caps = caps
    this.#currencies = currencies
  }

  /** At start: what was promised or billed before. */
  count(job: ClientJob, now: number): void {
    this.#roll(now)
    const { token } = job.price
    if (dayOf(job.createdAt) === this.#day) this.#today.add(token, spent(job))
    this.#byHost.add(`${job.host}/${token}`, spent(job))
  }

  /** Counts a promise; the result takes back what the bill left of it. Throws `price_cap`. */
  promise(host: Hex, token: Hex, amount: bigint, now: number): (billed: bigint) => void {
    this.#roll(now)
    const { perDayCap, perHostCap } = this.#caps
    const toHost = `${host}/${token}`
    this.#requireUnder('day', this.#today.of(token), amount, perDayCap, 'client.perDayCap', token)
    this.#requireUnder(`host, ${host}`, this.#byHost.of(toHost), amount, perHostCap, 'client.perHostCap', token)
    const today = this.#today
    today.add(token, amount)
    this.#byHost.add(toHost, amount)
    return (billed) => {
      today.add(token, billed - amount)
      this.#byHost.add(toHost, billed - amount)
    }
  }

  #requireUnder(what: string, before: bigint, amount: bigint, caps: Caps | undefined, setting: string, token: Hex) {
    const cap = capIn(caps, token, setting, this.#currencies)
    if (cap === undefined || before + amount <= cap) return
    const [most, promised, job] = [cap, before, amount].map((some) => this.#currencies.show(some, token))
    throw new MecaError(
      'price_cap',
      `The cap for one ${what} is ${most}: ${promised} is promised already, this job can cost ${job}`,
      { cure: `raise ${setting}` },
    )
  }

  #roll(now: number): void {
    if (dayOf(now) === this.#day) return
    this.#day = dayOf(now)
    this.#today = new Sums()
  }
}

class Sums {
  readonly #sums = new Map<string, bigint>()

  of(key: string): bigint {
    return this.#sums.get(key) ?? 0n
  }

  add(key: string, amount: bigint): void {
    this.#sums.set(key, this.of(key) + amount)
  }
}

function spent({ signed, price, state }: ClientJob): bigint {
  if (signed !== undefined) return signed.receipt.hostAmount + signed.receipt.developerAmount
  return state === 'refused' ? 0n : total(price)
}

/** Days of UTC. */
function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}
