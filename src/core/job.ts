/** The life of a job: its phases, what they cost in time, and the reply at its end. */
import { z } from 'zod'
import { zCount } from './units.ts'

/** The longest run: 24 days, just under what a timer can hold (2^31 ms); Node lets a longer one fire at once. */
export const MAX_RUN_SECONDS = 24 * 86_400

/** In this order; a phase may be skipped (a warm job is neither fetched nor started), none comes back. */
export const PHASES = ['queued', 'fetching', 'starting', 'running', 'delivering'] as const
export type Phase = (typeof PHASES)[number]

/** How long each phase took. Only `runMs` is billed and only it counts against the run's time limit. */
export const zPhases = z.strictObject({
  queuedMs: z.number().min(0),
  fetchMs: z.number().min(0),
  startMs: z.number().min(0),
  runMs: z.number().min(0),
  deliverMs: z.number().min(0),
  totalMs: z.number().min(0),
})
export type Phases = z.infer<typeof zPhases>

/** What the task said, beside the bytes: for people and callers, not signed. */
export const zOutcome = z.strictObject({
  httpStatus: z.number().int().min(100).max(599).optional(),
  exitCode: z.number().int().min(-1).max(255).optional(),
  contentType: z.string().max(200).optional(),
  /** Why the job did not answer, with the numbers, and how to cure it. */
  problem: z
    .strictObject({
      code: z.string().max(40),
      message: z.string().max(4000),
      cure: z.string().max(1000).optional(),
      details: z.record(z.string().max(100), z.unknown()).optional(),
    })
    .optional(),
  logTail: z.string().max(8192).optional(),
  /** The task said that there was nothing for it to do. */
  skipped: z.boolean().optional(),
  warm: z.boolean(),
  phases: zPhases,
  outputBytes: zCount,
})
export type Outcome = z.infer<typeof zOutcome>

/** A clock for the phases of one job; `now` is milliseconds of a clock that never goes back. */
export class PhaseClock {
  #phase: Phase = 'queued'
  #since: number
  readonly #start: number
  readonly #spent = new Map<Phase, number>()

  constructor(now: number) {
    this.#start = now
    this.#since = now
  }

  get phase(): Phase {
    return this.#phase
  }

  enter(phase: Phase, now: number): void {
    this.#spent.set(this.#phase, (this.#spent.get(this.#phase) ?? 0) + Math.max(0, now - this.#since))
    this.#phase = phase
    this.#since = now
  }

  /** Everything until `now`, the phase under way included; tenths of a millisecond. */
  read(now: number): Phases {
    const of = (phase: Phase) =>
      round((this.#spent.get(phase) ?? 0) + (phase === this.#phase ? Math.max(0, now - this.#since) : 0))
    return {
      queuedMs: of('queued'),
      fetchMs: of('fetching'),
      startMs: of('starting'),
      runMs: of('running'),
      deliverMs: of('delivering'),
      totalMs: round(Math.max(0, now - this.#start)),
    }
  }
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10
}
