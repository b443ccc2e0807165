/** How a run counts: its exit code alone. 126 says that there was nothing to do; an empty output channel is a result. */
import type { FilesJob, Ran, Verdict } from '../format.ts'
import type { Instance } from './merge.ts'

const SKIPPED = 126
const KILLED = 137

export function judgeRun(instance: Instance, job: FilesJob, ran: Ran): Verdict {
  const { exitCode, killedFor } = ran.end
  const skipped = exitCode === SKIPPED && killedFor === undefined
  const answered = skipped || (exitCode === 0 && killedFor === undefined)
  return {
    status: answered ? 'answered' : 'task_failed',
    ...(skipped ? { skipped } : {}),
    ...(answered ? {} : { problem: problemOf(instance, job, ran.end) }),
    warnings: instance.ignored.map((name) => `The template has no channel ${name}, so it was left out`),
    outputs: answered ? instance.outputs.map(({ name }) => name) : [],
    texts: [],
  }
}

function problemOf({ template }: Instance, job: FilesJob, end: Ran['end']): NonNullable<Verdict['problem']> {
  const what = `The template ${template.identifier}`
  if (end.killedFor === 'time limit')
    return {
      code: 'run_timeout',
      message: `${what} did not end within ${job.maxSeconds} s`,
      cure: 'give it more time with --max-seconds, or less to do',
    }
  if (end.killedFor === 'log budget')
    return { message: `${what} printed more than its log budget`, cure: 'print less, or write it into an output' }
  if (end.killedFor === 'disk budget')
    return {
      message: `${what} wrote more beside its channels than it may`,
      cure: 'write results and large caches into an output channel or /tmp',
    }
  if (end.killedFor === 'stopped') return { message: `${what} was stopped before its end` }
  if (end.outOfMemory || end.exitCode === KILLED)
    return {
      message: `${what} ran out of memory${end.outOfMemory ? '' : ' or was killed'} (exit code ${end.exitCode})`,
      cure: `give it more than ${Math.floor(job.resources.memoryBytes / 2 ** 20)} MiB with --memory`,
    }
  return { message: `${what} ended with exit code ${end.exitCode}`, cure: 'read what it printed' }
}
