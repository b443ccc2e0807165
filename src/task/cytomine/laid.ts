/** What laying a parameter gives. */
import type { Staged } from '../../core/plan.ts'

/** `size` is that of an array. */
export type Laid = { staged: readonly Staged[]; size?: number }
/** Notes a fault of the parameter or, with `at`, of an item of it. */
export type Refuse = (what: string, cure: string, at?: string) => Laid

export const NOTHING: Laid = { staged: [] }

/** The text of an `array.yml`. */
export function arrayFile(size: number): string {
  return `size: ${size}\n`
}
