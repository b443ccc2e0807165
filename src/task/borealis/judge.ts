/**
 * How a DockerTask's run counts: exit code 0 within its time. A time-out is told before anything else, because the kill that
 * follows it looks like a task that ran out of memory.
 */
import type { ContainerEnd } from '../../core/plan.ts'
import type { FilesJob, Ran, Verdict } from '../format.ts'
import { logOf, timestamp } from './log.ts'
import type { TaskPath } from './paths.ts'
import { nameOf, uniqueName } from './paths.ts'
import { timeoutMs } from './plan.ts'
import type { DockerTask } from './record.ts'

const KILLED = 137

export function judgeRun(task: DockerTask, job: FilesJob, ran: Ran): Verdict {
  const errors = errorsOf(ran.end)
  const failed = errors.length > 0
  const files = task.outputs.filter(({ capture }) => capture === undefined)
  return {
    status: failed ? 'task_failed' : 'answered',
    ...(failed ? { problem: problemOf(task, job, ran.end) } : {}),
    warnings: failed ? [] : files.flatMap((path) => warningOf(path, ran)),
    outputs: failed ? [] : files.filter((path) => path.folder || ran.files.has(path.name)).map(({ name }) => name),
    texts: capturesOf(task, ran, errors),
  }
}

/** In the reference's words, for the log and for scripts that look for them. */
function errorsOf({ exitCode, outOfMemory, killedFor }: ContainerEnd): string[] {
  const timedOut = killedFor === 'time limit'
  const killed = exitCode === KILLED ? ' (SIGKILL or OUT-OF-MEMORY)' : ''
  return [
    ...(timedOut ? ['Docker process timeout'] : []),
    ...(killedFor === 'log budget' ? ['Docker process printed more than the log budget'] : []),
    ...(killedFor === 'disk budget' ? ['Docker process wrote more than the disk budget'] : []),
    ...(killedFor === 'stopped' ? ['Docker process stopped by the host'] : []),
    ...(exitCode === 0 ? [] : [`Docker process exit code ${exitCode}${killed}`]),
    ...(killedFor === undefined && (exitCode === KILLED || outOfMemory) && exitCode !== 0
      ? ['To fix OUT-OF-MEMORY, run the task with more memory']
      : []),
  ]
}

function problemOf(task: DockerTask, job: FilesJob, end: ContainerEnd): NonNullable<Verdict['problem']> {
  if (end.killedFor === 'time limit') return timedOut(task, job)
  if (end.killedFor === 'log budget')
    return { message: `${task.name} printed more than its log budget`, cure: 'print less, or write it into an output' }
  if (end.killedFor === 'disk budget')
    return { message: `${task.name} wrote more beside its outputs than it may`, cure: 'write below a listed output' }
  if (end.killedFor === 'stopped') return { message: `${task.name} was stopped before its end` }
  const log = 'read what it printed'
  if (end.outOfMemory || end.exitCode === KILLED)
    return {
      message: `${task.name} ran out of memory${end.outOfMemory ? '' : ' or was killed'} (exit code ${end.exitCode})`,
      cure: `give it more than ${Math.floor(job.resources.memoryBytes / 2 ** 20)} MiB; ${log}`,
    }
  return { message: `${task.name} ended with exit code ${end.exitCode}`, cure: log }
}

function timedOut(task: DockerTask, job: FilesJob): NonNullable<Verdict['problem']> {
  const whose = job.maxSeconds < task.timeoutSeconds ? "the job's limit" : 'the timeout of its record'
  return {
    code: 'run_timeout',
    message: `${task.name} did not end within ${timeoutMs(task, job) / 1000} s, ${whose}`,
    cure: 'give it more time with --max-seconds and in its record, or less to do',
  }
}

/** Nothing of this changes the verdict: the reference stores an empty file and calls it a success. */
function warningOf({ name, listed, folder }: TaskPath, ran: Ran): string[] {
  const facts = ran.files.get(name)
  const within = [...ran.files.keys()].some((path) => path.startsWith(`${name}/`))
  if (folder && facts !== undefined) return [`The output ${name} (${listed}) is a file, and was to be a folder`]
  if (folder) return within ? [] : [`The output ${name} (${listed}) is an empty folder`]
  if (within || ran.folders.has(name)) return [`The output ${name} (${listed}) is a folder, and was to be a file`]
  if (facts === undefined) return [`The output ${name} (${listed}) is missing`]
  return facts.bytes === 0 ? [`The output ${name} (${listed}) is empty`] : []
}

/** The console as bytes, whatever they are: text that is not UTF-8 spoils no run. */
function capturesOf(task: DockerTask, ran: Ran, errors: readonly string[]): Verdict['texts'] {
  const taken = new Set(task.outputs.map(({ name }) => name))
  return task.outputs.flatMap((path) => {
    if (path.capture === '>') return errors.length > 0 ? [] : [{ path: path.name, content: ran.console }]
    if (path.capture !== '>>') return []
    const content = logOf({ ...task, ...ran, errors }, ran.console)
    return [{ path: uniqueName(logName(path, ran.startedAt), taken), content }]
  })
}

/** Each run's log has a name of its own, by its start. */
function logName({ rel }: TaskPath, startedAt: number): string {
  const slash = rel.lastIndexOf('/') + 1
  return nameOf(`${rel.slice(0, slash)}${timestamp(startedAt)}_${rel.slice(slash)}`)
}
