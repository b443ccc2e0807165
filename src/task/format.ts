/**
 * What a task format is: a small pure module that reads a developer's folder and turns a package and a job into a
 * plan. Engines, payment and peers know no format.
 */
import type { FileTree, JobFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { ContainerEnd, Plan } from '../core/plan.ts'
import type { Resources } from '../core/resources.ts'
import { quote } from '../core/units.ts'
import { borealis } from './borealis.ts'
import { cytomine } from './cytomine.ts'
import { kaapana } from './kaapana.ts'
import { meca } from './meca.ts'
import type { FormatName } from './package.ts'

/** A folder as a format sees it: every file with its size, and the text of the small ones it may want to read. */
export type Folder = {
  readonly files: ReadonlyMap<string, { bytes: number }>
  readonly texts: ReadonlyMap<string, string>
  /** The image is there already, so that nothing to build one from is missing. */
  readonly imageGiven?: true
}

/** One thing that is wrong (or odd) in a folder; all of them are told at once. */
export type Finding = { level: 'error' | 'warning'; where: string; what: string; cure: string }

/** What a folder says of its task. `files` go into the package beside the image, untouched. */
export type Described = {
  title: string
  description: string
  /** The descriptor's own version, where the format has one. */
  version?: string
  resources: Resources
  needsNetwork: boolean
  descriptor: string
  /** Files for an http task; for a files task the folders `example/inputs` and `example/outputs`. */
  example?: { input: string; output: string }
  files: readonly string[]
  image: ImageOrigin
}

/** Where the image comes from: built from these paths of the folder (the rest is not sent to the engine), or an archive in it. */
export type ImageOrigin = { kind: 'build'; context: readonly string[] } | { kind: 'archive'; path: string }

export type JobSpec = { resources: Resources; maxSeconds: number; startTimeoutMs: number; outputBytes: number }

type CommonFormat = {
  readonly name: FormatName
  /** Files whose text `check` and `describe` want. */
  readonly reads: readonly string[]
  /** Files that a folder of this format has, whatever else is wrong with it; of an inner list any one will do. */
  readonly marks: readonly (string | readonly string[])[]
  check(folder: Folder): Finding[]
  /** Throws `invalid_task` where `check` finds an error. */
  describe(folder: Folder): Described
}

/** A server that is asked: one request's bytes in, one reply's bytes out. */
export type HttpFormat = CommonFormat & {
  readonly kind: 'http'
  /** `descriptor` is the text of the package's descriptor. Throws `invalid_task` or `bad_input`. */
  plan(descriptor: string, job: JobSpec): Plan
  /** Whether an output is what the example promises. */
  sameOutput(expected: Uint8Array, actual: Uint8Array): boolean
}

/** A program that runs to its end over files. */
export type FilesFormat = CommonFormat & {
  readonly kind: 'files'
  /** Where the descriptor lies in the image itself, which is then the truth; absent where the folder has it. */
  readonly descriptorInImage?: string
  /** What a caller may give and will get, for help and for `meca task show`. Throws `invalid_task`. */
  parameters(descriptor: string): Parameter[]
  /** What this very job needs, at least `task`: some formats let memory grow with the input. Throws `bad_input`. */
  resources(descriptor: string, task: Resources, given: Given): Resources
  /** Both sides call it: the client before it pays, the host before it starts. Throws `invalid_task` or `bad_input` naming the parameter. */
  plan(descriptor: string, job: FilesJob): Plan
  /** Files that must be read whole before `judge` can tell; absent where first bytes suffice. Never throws. */
  looks?(descriptor: string, left: Pick<Ran, 'files' | 'folders'>): ReadonlyMap<string, Look>
  /** Whether a run counts, and what of it is output. Never throws: whatever a task left is judged. */
  judge(descriptor: string, job: FilesJob, ran: Ran): Verdict
}

export type TaskFormat = HttpFormat | FilesFormat

/** `kind` is in the format's own words (`integer`, `image`, `channel`, `env`, …). */
export type Parameter = {
  name: string
  side: 'input' | 'output' | 'env' | 'template'
  kind: string
  required: boolean
  default?: string
  choices?: readonly string[]
  description?: string
}

/** What the caller gave: `job` says it, `files` are those of the bundle and of links, without `inputs/`. */
export type Given = { job: JobFile; files: FileTree }

export type FilesJob = JobSpec & Given & { worker: { uid: number; gid: number } }

/** What is left after a run. `files` are by collected name, as in `NAME` or `NAME/a/b.txt`. */
export type Ran = {
  end: ContainerEnd
  startedAt: number
  endedAt: number
  image: string
  files: FileTree
  /** Folders by the same paths, also the empty ones. */
  folders: ReadonlySet<string>
  /** stdout and stderr as they came. */
  console: Uint8Array
  /** What was not collected and why, by the same paths. */
  leftOut: readonly { path: string; why: string }[]
  /** What `looks` asked for, by the same paths. */
  noted: ReadonlyMap<string, Noted>
}

/** Reads a file from its first byte on, in pieces. `take` says whether it wants more; `end` is called once. */
export type Look = { take(chunk: Uint8Array): boolean; end(): Noted }
/** What a look found: a fault, to be read after the file's name, a warning in the same way, or a short text. */
export type Noted = { fault?: string; warning?: string; text?: string }

/** A failed run may keep outputs too (logs). `outputs` are names of what was collected, `texts` are made by the format. */
export type Verdict = {
  status: 'answered' | 'task_failed'
  skipped?: boolean
  problem?: { message: string; cure?: string; code?: 'task_failed' | 'run_timeout' }
  warnings: readonly string[]
  outputs: readonly string[]
  texts: readonly { path: string; content: Uint8Array }[]
}

const ALL: readonly TaskFormat[] = [meca, cytomine, borealis, kaapana]

export function formatOf(name: string): TaskFormat {
  const format = ALL.find((f) => f.name === name)
  if (format === undefined) {
    throw new MecaError('bad_input', `Task format ${name} is not known here`, {
      cure: `use one of ${ALL.map((f) => f.name).join(', ')}`,
    })
  }
  return format
}

/** Throws `invalid_task` for a format whose tasks are not asked over HTTP. */
export function requireHttp(format: TaskFormat): HttpFormat {
  if (format.kind === 'http') return format
  throw new MecaError('invalid_task', `A ${format.name} task takes files, not a request`, {
    cure: 'give its inputs with --in NAME=VALUE or --in NAME=@FILE',
  })
}

/** Throws `bad_input` for a format whose tasks are asked over HTTP. */
export function requireFiles(name: string): FilesFormat {
  const format = formatOf(name)
  if (format.kind === 'files') return format
  throw new MecaError('bad_input', `A ${name} task takes a request, not files`, {
    cure: 'give its input with --data TEXT or --input FILE',
  })
}

/** The format whose marks are in the folder. Throws `invalid_task` where none or several fit. */
export function detectFormat(folder: Folder): TaskFormat {
  const has = (mark: string | readonly string[]) => [mark].flat().some((file) => folder.files.has(file))
  const lacks = ({ marks }: TaskFormat) => marks.filter((mark) => !has(mark))
  const fitting = ALL.filter((f) => lacks(f).length === 0)
  const only = fitting[0]
  if (only !== undefined && fitting.length === 1) return only
  if (only !== undefined) {
    throw new MecaError('invalid_task', `The folder has the marks of ${fitting.map((f) => f.name).join(' and ')}`, {
      cure: 'name the format with --format',
    })
  }
  const share = (f: TaskFormat) => lacks(f).length / f.marks.length
  const [nearest] = ALL.toSorted((a, b) => share(a) - share(b))
  if (nearest === undefined || share(nearest) === 1) throw unmarked(folder)
  const missing = told(lacks(nearest))
  throw new MecaError('invalid_task', `${UNMARKED}; nearest is ${nearest.name}, for which it lacks ${missing}`, {
    cure: `add ${missing}, ${OTHERWISE}`,
  })
}

const UNMARKED = 'It has the marks of no task format'
const OTHERWISE = 'or name the format with --format to see every finding; meca task init DIR shows a whole one'

function unmarked({ files, imageGiven }: Folder): MecaError {
  const marks = ALL.flatMap((f) => f.marks.flat())
  const deeper = [...files.keys()].find((path) => marks.some((mark) => path.endsWith(`/${mark}`)))
  if (deeper !== undefined) {
    const inner = deeper.slice(0, deeper.indexOf('/'))
    return new MecaError('invalid_task', `${UNMARKED}, but there is ${quote(deeper)}`, {
      cure: `give the folder ${quote(inner)} itself, or zip what is in it and not the folder`,
    })
  }
  if (imageGiven === true && files.size === 0) {
    return new MecaError('invalid_task', `${UNMARKED}: it is an image alone, and holds no /processing-container.json`, {
      cure: 'give the folder with the descriptor, and the image with --image IMAGE; only a Kaapana image needs no folder',
    })
  }
  return new MecaError('invalid_task', UNMARKED, { cure: `add ${ALL.map(marksOf).join(' or ')}, ${OTHERWISE}` })
}

/** Where a name may be written in several cases, its first way stands for all. */
function told(marks: TaskFormat['marks']): string {
  const oneOf = (names: readonly string[]) =>
    names.filter((name, at) => names.findIndex((other) => other.toLowerCase() === name.toLowerCase()) === at)
  return marks.map((mark) => oneOf([mark].flat()).join(' or ')).join(', ')
}

function marksOf({ name, marks }: TaskFormat): string {
  return `${told(marks)} (${name})`
}

export const FORMAT_NAMES: readonly FormatName[] = ALL.map((f) => f.name)
