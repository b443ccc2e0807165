/**
 * Runs a workflow: every step as soon as what it reads is there, at most so many at once, each on whatever host the market
 * gives it. A step's job is named by what goes into it, so that the same run started again pays for nothing twice; a step
 * whose inputs were not produced never starts.
 */
import { MecaError, toProblem } from '../core/errors.ts'
import type { Problem } from '../core/errors.ts'
import type { RunResult } from '../role/api-client.ts'
import { dependenciesOf } from './flow.ts'
import type { Flow, Step } from './flow.ts'

export type StepState = 'waiting' | 'running' | 'done' | 'failed' | 'skipped'
export type StepReport = {
  step: string
  state: StepState
  task: string
  /** Where its outputs were written. */
  folder?: string
  result?: RunResult
  problem?: Problem
}

export type FlowParts = {
  /** Runs one step; `results` are those of the steps that it reads from. Rejects where it did not answer. */
  runStep(step: Step, results: ReadonlyMap<string, StepReport>, signal: AbortSignal): Promise<Partial<StepReport>>
  /** Steps under way at most. */
  atOnce: number
  onState(report: StepReport): void
}

/** Never rejects for a step that fails: the reports say what became of each, in the order of the flow. */
export async function runFlow(flow: Flow, parts: FlowParts, signal: AbortSignal): Promise<StepReport[]> {
  const reports = new Map<string, StepReport>(
    flow.steps.map(({ name, task }) => [name, { step: name, state: 'waiting', task }]),
  )
  const tell = (name: string, more: Partial<StepReport>) => {
    const report = { ...(reports.get(name) ?? { step: name, task: '', state: 'waiting' as const }), ...more }
    reports.set(name, report)
    parts.onState(report)
  }
  const running = new Set<Promise<void>>()
  for (;;) {
    skipHopeless(flow, reports, tell, signal)
    for (const step of ready(flow, reports).slice(0, parts.atOnce - running.size)) {
      tell(step.name, { state: 'running' })
      const work = runOne(step, parts, reports, tell, signal).finally(() => running.delete(work))
      running.add(work)
    }
    if (running.size === 0) return [...reports.values()]
    await Promise.race(running)
  }
}

async function runOne(
  step: Step,
  parts: FlowParts,
  reports: ReadonlyMap<string, StepReport>,
  tell: (name: string, more: Partial<StepReport>) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    tell(step.name, { state: 'done', ...(await parts.runStep(step, reports, signal)) })
  } catch (error) {
    const result = error instanceof StepFailed ? { result: error.result } : {}
    tell(step.name, {
      state: 'failed',
      problem: toProblem(error instanceof StepFailed ? error.cause : error),
      ...result,
    })
  }
}

/** A job that ended, and not well. */
export class StepFailed extends Error {
  readonly result: RunResult

  constructor(result: RunResult, cause: MecaError) {
    super(cause.message, { cause })
    this.result = result
  }
}

function ready(flow: Flow, reports: ReadonlyMap<string, StepReport>): Step[] {
  return flow.steps.filter(
    (step) =>
      reports.get(step.name)?.state === 'waiting' &&
      dependenciesOf(step).every((other) => reports.get(other)?.state === 'done'),
  )
}

/** In the flow's order, so that what waits for a skipped step is skipped in the same turn. */
function skipHopeless(
  flow: Flow,
  reports: ReadonlyMap<string, StepReport>,
  tell: (name: string, more: Partial<StepReport>) => void,
  signal: AbortSignal,
): void {
  for (const step of flow.steps) {
    if (reports.get(step.name)?.state !== 'waiting') continue
    const lost = dependenciesOf(step).find((other) => ['failed', 'skipped'].includes(reports.get(other)?.state ?? ''))
    if (lost === undefined && !signal.aborted) continue
    const why = signal.aborted ? 'The workflow was ended' : `The step ${lost} did not produce what it reads`
    tell(step.name, { state: 'skipped', problem: toProblem(new MecaError('cancelled', why)) })
  }
}
