/**
 * The time that one job's scale rules may take, over all of its files and channels: both sides evaluate them in the middle of their
 * other work, and patterns, rules and file names are strangers'.
 */
import { MecaError } from '../../core/errors.ts'

/** Steps of a few dozen nanoseconds: about a second of a slow machine. */
const MAX_STEPS = 30_000_000

export class Budget {
  #left = MAX_STEPS

  /** Throws `bad_input` where there is none left. */
  spend(steps: number): void {
    this.#left -= steps
    if (this.#left >= 0) return
    throw new MecaError('bad_input', "The scale rules of this task take too long over this job's file names", {
      cure: 'give fewer files, or ask the developer for simpler patterns in its scale rules',
    })
  }
}
