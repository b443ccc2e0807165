/**
 * A large transfer over connections that break: tried again a little later, from where it stopped. The tries are counted
 * only while nothing moves, so that a long transfer over a bad line ends, and one with a host that is gone does, too.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { MecaError } from '../core/errors.ts'

/** After each fruitless try; a host restarts, and an address is heard anew, within their sum. */
const WAITS_MS = [200, 1_000, 3_000, 5_000, 10_000] as const
/** Less is no progress: a host could else break the line after every byte, for ever. */
const PROGRESS_BYTES = 1024 ** 2

/**
 * What a broken line says, and a host that does not know this connection, or the job, yet. Anything else is an answer, and
 * stays what it is.
 */
const PASSING: ReadonlySet<string> = new Set(['peer_unreachable', 'timeout', 'unauthorized', 'not_found'])

export type Transfer = {
  /** One try. */
  step(): Promise<void>
  /** How many bytes are safe on the other side of it. */
  done(): number
  /** Whether anybody still waits for it. */
  isWanted(): boolean
}

/** Throws what the last try threw. */
export async function persist({ step, done, isWanted }: Transfer, signal: AbortSignal): Promise<void> {
  let safe = done()
  for (let fruitless = 0; ;) {
    try {
      return await step()
    } catch (error) {
      if (done() - safe >= PROGRESS_BYTES) {
        fruitless = 0
        safe = done()
      }
      const waitMs = WAITS_MS[fruitless++]
      if (waitMs === undefined || signal.aborted || !isPassing(error)) throw error
      await sleep(waitMs, undefined, { signal }).catch(() => undefined) // told by the check below
      if (signal.aborted || !isWanted()) throw error
    }
  }
}

function isPassing(error: unknown): boolean {
  return error instanceof MecaError && PASSING.has(error.code)
}
