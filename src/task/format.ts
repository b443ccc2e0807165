/**
 * What a task format is: a small pure module that reads a developer's folder and turns a package and a job into a
 * plan. Engines, payment and peers know no format.
 */
import { MecaError } from '../core/errors.ts'
import type { Plan } from '../core/plan.ts'
import type { Resources } from '../core/resources.ts'
import { meca } from './meca.ts'
import type { FormatName } from './package.ts'

/** A folder as a format sees it: every file with its size, and the text of the small ones it may want to read. */
export type Folder = {
  readonly files: ReadonlyMap<string, { bytes: number }>
  readonly texts: ReadonlyMap<string, string>
}

/** One thing that is wrong (or odd) in a folder; all of them are told at once. */
export type Finding = { level: 'error' | 'warning'; where: string; what: string; cure: string }

/** What a folder says of its task. `files` go into the package beside the image, untouched. */
export type Described = {
  title: string
  description: string
  resources: Resources
  needsNetwork: boolean
  descriptor: string
  example?: { input: string; output: string }
  files: readonly string[]
  /** The folder's paths that the image is built from; the rest is not sent to the engine. */
  buildContext: readonly string[]
}

export type JobSpec = { resources: Resources; maxSeconds: number; startTimeoutMs: number; outputBytes: number }

export type TaskFormat = {
  readonly name: FormatName
  /** Files whose text `check` and `describe` want. */
  readonly reads: readonly string[]
  /** Files that a folder of this format has, whatever else is wrong with it. */
  readonly marks: readonly string[]
  check(folder: Folder): Finding[]
  /** Throws `invalid_task` where `check` finds an error. */
  describe(folder: Folder): Described
  /** `descriptor` is the text of the package's descriptor. Throws `invalid_task` or `bad_input`. */
  plan(descriptor: string, job: JobSpec): Plan
  /** Whether an output is what the example promises. */
  sameOutput(expected: Uint8Array, actual: Uint8Array): boolean
}

const ALL: readonly TaskFormat[] = [meca]

export function formatOf(name: string): TaskFormat {
  const format = ALL.find((f) => f.name === name)
  if (format === undefined) {
    throw new MecaError('bad_input', `Task format ${name} is not known here`, {
      cure: `use one of ${ALL.map((f) => f.name).join(', ')}`,
    })
  }
  return format
}

/** The format whose marks are in the folder. Throws `invalid_task` where none or several fit. */
export function detectFormat(folder: Folder): TaskFormat {
  const lacks = ({ marks }: TaskFormat) => marks.filter((file) => !folder.files.has(file))
  const fitting = ALL.filter((f) => lacks(f).length === 0)
  const only = fitting[0]
  if (only !== undefined && fitting.length === 1) return only
  if (only !== undefined) {
    throw new MecaError('invalid_task', `The folder has the marks of ${fitting.map((f) => f.name).join(' and ')}`, {
      cure: 'name the format with --format',
    })
  }
  const [nearest] = ALL.toSorted((a, b) => lacks(a).length - lacks(b).length)
  const missing = nearest === undefined ? '' : lacks(nearest).join(', ')
  throw new MecaError(
    'invalid_task',
    `The folder has the marks of no task format; nearest is ${nearest?.name}, for which it lacks ${missing}`,
    {
      cure: `add ${missing}, or name the format with --format to see every finding; meca task init DIR shows a whole one`,
    },
  )
}

export const FORMAT_NAMES: readonly FormatName[] = ALL.map((f) => f.name)
