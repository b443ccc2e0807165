/** Small helpers that several stories share: sums of a channel, hashes of bytes, times that end. */
import { createHash } from 'node:crypto'
import { MecaError } from '../core/errors.ts'
import { toHex } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'

/** sha-256, which the processor computes at a gigabyte a second. */
export function sha256(bytes: Uint8Array): Hex {
  return toHex(createHash('sha256').update(bytes).digest())
}

/** `signal` or `ms`, whichever comes first; the error says what took too long. */
export async function within<T>(
  ms: number,
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const timer = AbortSignal.timeout(ms)
  try {
    return await work(AbortSignal.any([signal, timer]))
  } catch (error) {
    if (timer.aborted && !signal.aborted) {
      throw new MecaError('timeout', `${what} took longer than ${ms / 1000} s`, { cause: error })
    }
    throw error
  }
}
