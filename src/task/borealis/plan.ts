/**
 * A DockerTask as a plan: its paths become volumes that the task may write, its inputs are staged where it reads them, and its
 * outputs are made empty beforehand, as the reference does, so that a program may append to one or open it for reading.
 */
import { MecaError } from '../../core/errors.ts'
import type { Plan, Staged } from '../../core/plan.ts'
import type { FilesJob } from '../format.ts'
import { bundlePath, kindOf, requireKnown } from '../given.ts'
import { isWithin } from '../places.ts'
import type { TaskPath } from './paths.ts'
import { mountsOf } from './paths.ts'
import type { DockerTask } from './record.ts'

const MIB = 2 ** 20

export function planOf(task: DockerTask, job: FilesJob): Plan {
  requireJob(task, job)
  const files = task.outputs.filter(({ capture }) => capture === undefined)
  const mounts = mountsOf([...task.inputs, ...files], task.prefix)
  const command = job.job.command ?? task.command
  return {
    ...(command === undefined || command.length === 0 ? {} : { command }),
    env: {},
    user: userOf(job.worker),
    writableRoot: true,
    resources: job.resources,
    limits: limitsOf(task, job),
    exchange: {
      kind: 'files',
      mounts: mounts.map((path) => ({ path, writable: true, sizeBytes: job.outputBytes })),
      stage: [...stageInputs(task, job), ...stageOutputs(files, task.inputs)].filter(
        (staged) => !(isEmptyFolder(staged) && mounts.includes(staged.path)),
      ),
      collect: files.map(({ name, place, folder }) => ({ name, path: place, folder })),
    },
  }
}

/** A volume is one already. */
function isEmptyFolder(staged: Staged): boolean {
  return staged.kind === 'folder' && staged.from === undefined
}

function limitsOf(task: DockerTask, job: FilesJob): Plan['limits'] {
  return {
    startTimeoutMs: job.startTimeoutMs,
    runTimeoutMs: timeoutMs(task, job),
    outputBytes: job.outputBytes,
    logBytes: 10 * MIB,
    // /tmp of these images is a disk's; here it is memory, of which the task's own limit is the real bound.
    scratchBytes: Math.floor(job.resources.memoryBytes / 2),
    pids: 512,
  }
}

/** The record's own, unless the job was sold for less. */
export function timeoutMs(task: DockerTask, job: { maxSeconds: number }): number {
  return Math.ceil(Math.min(task.timeoutSeconds, job.maxSeconds) * 1000)
}

/**
 * The worker's numbers, as the contract says. A worker that is root gives nobody's instead: the numbers are there so that the
 * worker can delete the files, which here come and go through the engine, and a stranger's program gains nothing else.
 */
function userOf({ uid, gid }: FilesJob['worker']): Plan['user'] {
  return uid === 0 ? 'nobody' : `${uid}:${gid}`
}

function requireJob(task: DockerTask, job: FilesJob): void {
  const what = `The task ${task.name}`
  requireKnown(
    job,
    task.inputs.map(({ name }) => name),
    what,
  )
  if (Object.keys(job.job.env).length > 0)
    throw new MecaError('bad_input', `${what} takes no environment: a DockerTask has no parameter for it`, {
      cure: 'leave --env away; give another command, or the value in a file',
    })
  if (job.job.template !== undefined)
    throw new MecaError('bad_input', `${what} has no templates`, { cure: 'leave --template away' })
}

function stageInputs(task: DockerTask, job: FilesJob): Staged[] {
  return task.inputs.toSorted((a, b) => a.place.length - b.place.length).map((path) => stageInput(path, job))
}

/** A folder that was not given is empty, like a prefix of a bucket without objects; a file must be given. */
function stageInput(path: TaskPath, job: FilesJob): Staged {
  const { name, place, folder } = path
  const kind = kindOf(name, job)
  if (folder) {
    if (kind === undefined) return { kind: 'folder', path: place }
    if (kind === 'folder' || kind === 'link') return { kind: 'folder', path: place, from: bundlePath(name) }
    throw wrongKind(path, kind, 'is a folder', `--in ${name}=@FOLDER`)
  }
  if (kind === 'value') return { kind: 'text', path: place, text: job.job.values[name] ?? '' }
  if (kind === 'file' || kind === 'link') return { kind: 'file', path: place, from: bundlePath(name) }
  throw wrongKind(path, kind, 'is one file', `--in ${name}=@FILE`)
}

function wrongKind(path: TaskPath, kind: string | undefined, what: string, cure: string): MecaError {
  const given = kind === undefined ? 'and was not given' : `and was given as a ${kind}`
  return new MecaError('bad_input', `The input ${path.name} (${path.listed}) ${what} ${given}`, { cure: `use ${cure}` })
}

/** What an input has put there stays: such an output is the input, changed. */
function stageOutputs(outputs: readonly TaskPath[], inputs: readonly TaskPath[]): Staged[] {
  return outputs
    .filter(
      ({ place }) => !inputs.some((input) => input.place === place || (input.folder && isWithin(place, input.place))),
    )
    .map(({ place, folder }) => (folder ? { kind: 'folder', path: place } : { kind: 'text', path: place, text: '' }))
}
