/** A signature of 65 bytes in the three parts that the contracts take. */
import type { Hex } from '../core/units.ts'

export type SplitSignature = { r: Hex; s: Hex; v: number }

export function splitSignature(signature: Hex): SplitSignature {
  return {
    r: `0x${signature.slice(2, 66)}`,
    s: `0x${signature.slice(66, 130)}`,
    v: Number.parseInt(signature.slice(130, 132), 16),
  }
}
