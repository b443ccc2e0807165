/**
 * A case of task-contracts.md (1.8, 2.9, 3.11, 4.8): one small function over a stage with a real engine. The same list is run by
 * the tests and by `npm run conformance`, which prints it.
 */
import assert from 'node:assert/strict'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { Stage } from './stage.ts'

export type Case = {
  /** As in the reference, like `C-07`. */
  id: string
  title: string
  /** Where we differ from the system that the format comes from, on purpose: what, and why. */
  differs?: string
  /** What is played in place of the reference's own image, where that cannot be made here, and why. */
  standIn?: string
  run: (stage: Stage) => Promise<void>
}

/** Refused, with this code, and with these words in what is said or advised. */
export async function refused(code: ErrorCode, words: RegExp, work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    assert.ok(error instanceof MecaError, String(error))
    assert.equal(error.code, code, error.message)
    assert.match(`${error.message} ${error.cure}`, words)
    return
  }
  assert.fail(`it was not refused (${code}, ${String(words)})`)
}
