/** The hash that receipts carry, for every story that needs it. */
import { createHash } from 'node:crypto'
import { toHex } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'

/** sha-256, which the processor computes at a gigabyte a second. */
export function sha256(bytes: Uint8Array): Hex {
  return toHex(createHash('sha256').update(bytes).digest())
}
