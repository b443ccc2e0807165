/**
 * What a client may promise: per day, and to one host in all. A promise counts with its whole price until the bill says
 * less, so that a program that runs wild stops at the cap and not behind it.
 */
import { MecaError } from '../core/errors.ts'
import type { ClientJob } from '../core/records.ts'
import { total } from '../core/tariff.ts'
import type { Hex } from '../core/units.ts'

const DAY_MS = 86_400_000

export type Caps = { perDayCap: bigint | undefined; perHostCap: bigint | undefined }

export class Budget {
  readonly #caps: Caps
  readonly #byHost = new Map<Hex, bigint>()
  #day = 0
  #today = 0n

  constructor(caps: Caps) {
    this.#caps = caps
  }

  /** At start: what was promised or billed before. */
  count(job: ClientJob, now: number): void {
    this.#roll(now)
    if (dayOf(job.createdAt) === this.#day) this.#today += spent(job)
    this.#byHost.set(job.host, this.#to(job.host) + spent(job))
  }

  /** Counts a promise; the result takes back what the bill left of it. Throws `price_cap`. */
  promise(host: Hex, amount: bigint, now: number): (billed: bigint) => void {
    this.#roll(now)
    const { perDayCap, perHostCap } = this.#caps
    requireUnder('day', this.#today, amount, perDayCap, 'client.perDayCap')
    requireUnder(`host, ${host}`, this.#to(host), amount, perHostCap, 'client.perHostCap')
    const day = this.#day
    this.#today += amount
    this.#byHost.set(host, this.#to(host) + amount)
    return (billed) => {
      if (day === this.#day) this.#today -= amount - billed
      this.#byHost.set(host, this.#to(host) - (amount - billed))
    }
  }

  #to(host: Hex): bigint {
    return this.#byHost.get(host) ?? 0n
  }

  #roll(now: number): void {
    if (dayOf(now) === this.#day) return
    this.#day = dayOf(now)
    this.#today = 0n
  }
}

function requireUnder(what: string, before: bigint, amount: bigint, cap: bigint | undefined, setting: string): void {
  if (cap === undefined || before + amount <= cap) return
  throw new MecaError(
    'price_cap',
    `The cap for one ${what} is ${cap}: ${before} is promised already, this job can cost ${amount}`,
    { cure: `raise ${setting}` },
  )
}

function spent({ signed, price, state }: ClientJob): bigint {
  if (signed !== undefined) return signed.receipt.hostAmount + signed.receipt.developerAmount
  return state === 'refused' ? 0n : total(price)
}

/** Days of UTC. */
function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS)
}
