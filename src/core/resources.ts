/**
 * Hardware as a vector: what a task asks for, what a host has, what is still free.
 * CPUs are counted in thousandths so that sums stay whole numbers.
 */
import { z } from 'zod'

/** `cpuMillis` 1000 is one core; `memoryBytes` is the limit of the container. */
export type Resources = { cpuMillis: number; memoryBytes: number; gpus: number }

export const NOTHING: Resources = { cpuMillis: 0, memoryBytes: 0, gpus: 0 }

/** Ceilings far above any machine: a claim beyond them is a lie or a fault (4,096 cores, 64 TiB, 1,024 GPUs). */
export const zResources = z.strictObject({
  cpuMillis: z.number().int().min(0).max(4_096_000),
  memoryBytes: z
    .number()
    .int()
    .min(0)
    .max(2 ** 46),
  gpus: z.number().int().min(0).max(1024),
})

export function add(a: Resources, b: Resources): Resources {
  return { cpuMillis: a.cpuMillis + b.cpuMillis, memoryBytes: a.memoryBytes + b.memoryBytes, gpus: a.gpus + b.gpus }
}

/** `a - b`, never below nothing: what is free after a limit was lowered is nothing, not a debt. */
export function subtract(a: Resources, b: Resources): Resources {
  return {
    cpuMillis: Math.max(0, a.cpuMillis - b.cpuMillis),
    memoryBytes: Math.max(0, a.memoryBytes - b.memoryBytes),
    gpus: Math.max(0, a.gpus - b.gpus),
  }
}

export function greater(a: Resources, b: Resources): Resources {
  return {
    cpuMillis: Math.max(a.cpuMillis, b.cpuMillis),
    memoryBytes: Math.max(a.memoryBytes, b.memoryBytes),
    gpus: Math.max(a.gpus, b.gpus),
  }
}

/** How much of `whole` is used, by what is scarcest: 1 is all of it, and more is waiting. What nobody has is not counted. */
export function shareOf(used: Resources, whole: Resources): number {
  const share = (part: number, all: number) => (all === 0 ? 0 : part / all)
  return Math.max(
    share(used.cpuMillis, whole.cpuMillis),
    share(used.memoryBytes, whole.memoryBytes),
    share(used.gpus, whole.gpus),
  )
}

export function fits(want: Resources, free: Resources): boolean {
  return shortage(want, free) === undefined
}

const MIB = 2 ** 20

/**
 * The first thing that is missing, in words with both numbers (asked is rounded up and there down, so that they
 * differ); undefined where everything fits.
 */
export function shortage(want: Resources, free: Resources): string | undefined {
  if (want.cpuMillis > free.cpuMillis) return `${want.cpuMillis / 1000} CPUs asked, ${free.cpuMillis / 1000} there`
  if (want.memoryBytes > free.memoryBytes) {
    return `${Math.ceil(want.memoryBytes / MIB)} MiB of memory asked, ${Math.floor(free.memoryBytes / MIB)} there`
  }
  if (want.gpus > free.gpus) return `${want.gpus} GPUs asked, ${free.gpus} there`
  return undefined
}
