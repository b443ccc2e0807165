/** Limits of a container as Kubernetes names them (`cpu`, `memory`, `nvidia.com/gpu`), brought to what our engine counts. */
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { bytesOfQuantity, millisOfQuantity } from '../core/quantity.ts'
import type { Resources } from '../core/resources.ts'
import { zResources } from '../core/resources.ts'

export const GPU = 'nvidia.com/gpu'
/** Docker refuses a container of less memory. */
export const MIN_MEMORY_BYTES = 6 * 2 ** 20
/** A hundredth of a core: less is no share that a scheduler can give. */
export const MIN_CPU_MILLIS = 10

/** Names of Kubernetes are free; those that we do not know are somebody else's. */
export const zLimits = z.record(z.string().max(200), z.union([z.string().max(100), z.number()]))
export type Limits = z.infer<typeof zLimits>

type Tell = (name: string, what: string, cure: string) => void

/** What is not named is taken from `base`; what is too small for an engine is raised to its least, as Docker's own users expect. */
export function readLimits(limits: Limits, base: Resources, tell: Tell): Resources {
  const read = (
    name: string,
    parse: (text: string | number, what: string) => number,
    fallback: number,
    max: number,
  ) => {
    const value = limits[name]
    if (value === undefined) return fallback
    try {
      const amount = parse(value, name)
      if (amount <= max) return amount
      tell(name, `is ${value}, more than any machine has`, 'ask for what the task needs')
    } catch (error) {
      if (!(error instanceof MecaError)) throw error
      tell(name, `is no quantity: ${error.message}`, error.cure ?? '')
    }
    return fallback
  }
  const { cpuMillis, memoryBytes, gpus } = zResources.shape
  return {
    cpuMillis: Math.max(MIN_CPU_MILLIS, read('cpu', millisOfQuantity, base.cpuMillis, cpuMillis.maxValue ?? 0)),
    memoryBytes: Math.max(
      MIN_MEMORY_BYTES,
      read('memory', bytesOfQuantity, base.memoryBytes, memoryBytes.maxValue ?? 0),
    ),
    gpus: read(GPU, bytesOfQuantity, base.gpus, gpus.maxValue ?? 0),
  }
}
