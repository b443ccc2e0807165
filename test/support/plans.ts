/** Plans for tests: a MECA plan with small limits, and one line to change any of it. */
import type { FilesExchange, HttpExchange, Plan, PlanLimits } from '../../src/core/plan.ts'
import type { Resources } from '../../src/core/resources.ts'

type Changes = Partial<Omit<Plan, 'resources' | 'limits' | 'exchange'>> & {
  resources?: Partial<Resources>
  limits?: Partial<PlanLimits>
  exchange?: Partial<HttpExchange>
}

export function mecaPlan(changes: Changes = {}): Plan & { exchange: HttpExchange } {
  return {
    env: {},
    user: 'image',
    writableRoot: false,
    ...changes,
    resources: { cpuMillis: 1000, memoryBytes: 128 * 2 ** 20, gpus: 0, ...changes.resources },
    limits: {
      startTimeoutMs: 15_000,
      runTimeoutMs: 15_000,
      outputBytes: 2 ** 20,
      logBytes: 2 ** 20,
      scratchBytes: 4 * 2 ** 20,
      pids: 64,
      ...changes.limits,
    },
    exchange: {
      kind: 'http',
      port: 8080,
      readyText: 'meca-init-done',
      method: 'POST',
      path: '/',
      contentType: 'application/json',
      ...changes.exchange,
    },
  }
}

/** The application of test/support/apps with a MODE. */
export function appPlan(mode: string, changes: Changes = {}, program = 'meca'): Plan & { exchange: HttpExchange } {
  return mecaPlan({ ...changes, command: ['node', `/app/${program}.mjs`], env: { MODE: mode, ...changes.env } })
}

type FilesChanges = Partial<Omit<Plan, 'resources' | 'limits' | 'exchange'>> & {
  resources?: Partial<Resources>
  limits?: Partial<PlanLimits>
  exchange?: Partial<FilesExchange>
}

/** A shell script over /inputs (read-only, staged from the bundle) and /outputs. */
export function filesPlan(script: string, changes: FilesChanges = {}): Plan & { exchange: FilesExchange } {
  const { exchange, resources, limits, ...rest } = changes
  return {
    ...mecaPlan({ resources: resources ?? {}, limits: limits ?? {} }),
    command: ['sh', '-c', script],
    ...rest,
    exchange: {
      kind: 'files',
      mounts: [
        { path: '/inputs', writable: false, sizeBytes: 0 },
        { path: '/outputs', writable: true, sizeBytes: 8 * 2 ** 20 },
      ],
      stage: [{ kind: 'folder', path: '/inputs', from: 'inputs' }],
      collect: [{ name: 'out', path: '/outputs', folder: true }],
      ...exchange,
    },
  }
}
