/**
 * What a host charges, what a job can cost at most (quote) and what it did cost (bill). One formula serves both, so
 * that a bill within the agreed time is within the quote by construction.
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import type { Resources } from './resources.ts'
import { MAX_AMOUNT, zAddress, zAmount } from './units.ts'
import type { Hex } from './units.ts'

/** Prices in the token's smallest unit: per job, per core and second, per GiB of memory and second, per GPU and second. */
export type Tariff = { token: Hex; perJob: bigint; perCpuSecond: bigint; perGibSecond: bigint; perGpuSecond: bigint }

export const zTariff = z.strictObject({
  token: zAddress,
  perJob: zAmount,
  perCpuSecond: zAmount,
  perGibSecond: zAmount,
  perGpuSecond: zAmount,
})

/** The price of one job: `hostAmount` and `developerAmount` are the most that may be billed, `maxSeconds` the run limit. */
export type Price = { token: Hex; hostAmount: bigint; developerAmount: bigint; maxSeconds: number }

/** The most a job of `maxSeconds` can cost. Throws `bad_input` where the sum leaves the contracts' range. */
export function priceFor(tariff: Tariff, resources: Resources, maxSeconds: number, fee: bigint): Price {
  const hostAmount = costUp(tariff, resources, maxSeconds * 1000)
  if (hostAmount > MAX_AMOUNT)
    throw new MecaError(
      'bad_input',
      `The price, ${hostAmount} of the smallest unit, is over the largest amount ${MAX_AMOUNT}`,
    )
  return { token: tariff.token, hostAmount, developerAmount: fee, maxSeconds }
}

/** What the host's part of a job that ran `runMs` is worth: rounded up, never above the price agreed. */
export function billUp(tariff: Tariff, resources: Resources, runMs: number, price: Price): bigint {
  const cost = costUp(tariff, resources, Math.max(0, Math.ceil(runMs)))
  return cost < price.hostAmount ? cost : price.hostAmount
}

export function total(price: { hostAmount: bigint; developerAmount: bigint }): bigint {
  return price.hostAmount + price.developerAmount
}

const GIB = 2n ** 30n

/** perJob + seconds × (cpus × perCpuSecond + GiB × perGibSecond + gpus × perGpuSecond), rounded up once at the end. */
export function costUp(tariff: Tariff, resources: Resources, runMs: number): bigint {
  const perSecond =
    BigInt(resources.cpuMillis) * tariff.perCpuSecond * GIB +
    BigInt(resources.memoryBytes) * tariff.perGibSecond * 1000n +
    BigInt(resources.gpus) * tariff.perGpuSecond * 1000n * GIB
  const scale = 1000n * GIB * 1000n
  return tariff.perJob + (BigInt(runMs) * perSecond + scale - 1n) / scale
}
