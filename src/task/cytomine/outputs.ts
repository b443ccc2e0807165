/**
 * Whether a run counts: exit code 0 and every declared output there and valid. The reference looks at the outputs alone; its
 * documentation asks for both.
 */
import { MecaError } from '../../core/errors.ts'
import type { ContainerEnd } from '../../core/plan.ts'
import type { FilesJob, Ran, Verdict } from '../format.ts'
import { matchingFault, matchingGroups } from './dependencies.ts'
import type { Task } from './descriptor.ts'
import { judgeEntry } from './entry.ts'
import { layInputs } from './inputs.ts'
import { treeOf } from './tree.ts'

type Problem = NonNullable<Verdict['problem']>
type Found = { faults: string[]; warnings: string[]; outputs: string[]; sizes: Map<string, number> }

export function judgeRun(task: Task, job: FilesJob, ran: Ran): Verdict {
  const ended = endProblem(task.name, ran.end)
  if (ended !== undefined) return failed(ended, [])
  const found = findOutputs(task, ran)
  const faults = [...found.faults, ...matchFaults(task, job, found.sizes)]
  if (faults.length === 0) return { status: 'answered', warnings: found.warnings, outputs: found.outputs, texts: [] }
  return failed(
    {
      message: `${task.name} ended well, but not with its outputs: ${faults.slice(0, 10).join('; ')}`,
      cure: `write each output to ${task.outputFolder}/NAME as the descriptor says; what the task printed is in the job's logs`,
    },
    found.warnings,
  )
}

export function failed(problem: Problem, warnings: readonly string[]): Verdict {
  return { status: 'task_failed', problem, warnings, outputs: [], texts: [] }
}

function endProblem(name: string, { exitCode, outOfMemory, killedFor }: ContainerEnd): Problem | undefined {
  if (killedFor === 'time limit')
    return { code: 'run_timeout', message: `${name} did not end in its time`, cure: 'allow more with --max-seconds' }
  if (killedFor === 'log budget')
    return {
      message: `${name} was ended because it printed too much`,
      cure: 'write results to files, not to the console',
    }
  if (killedFor === 'disk budget')
    return {
      message: `${name} was ended because it wrote too much beside its outputs`,
      cure: 'write results into the output folder, and keep caches small',
    }
  if (outOfMemory)
    return {
      message: `${name} ran out of memory (exit code ${exitCode})`,
      cure: 'raise configuration.resources.ram, or ask for more with --memory',
    }
  if (killedFor !== undefined) return { message: `${name} was stopped` }
  if (exitCode === 0) return undefined
  return { message: `${name} ended with exit code ${exitCode}`, cure: "what it printed is in the job's logs" }
}

function findOutputs(task: Task, ran: Ran): Found {
  const tree = treeOf(ran.files, ran.folders)
  const found: Found = { faults: [], warnings: [], outputs: [], sizes: new Map() }
  for (const { name, type, optional } of task.outputs) {
    const left = leftOut(ran, name)
    const entry = tree.children.get(name)
    if (entry === undefined) {
      if (!optional || left !== '') found.faults.push(`output ${name} is missing${left}`)
      continue
    }
    const judged = judgeEntry(type, entry, name, ran.noted)
    found.faults.push(...judged.faults.map(({ at, what }) => `output ${at} ${what}${left}`))
    found.warnings.push(...judged.warnings.map((warning) => `output ${warning}`))
    if (judged.faults.length === 0 && left !== '') found.warnings.push(`output ${name} is not whole${left}`)
    found.outputs.push(name)
    if (judged.size !== undefined) found.sizes.set(name, judged.size)
  }
  return found
}

/** A link or a device where an output should be. */
function leftOut({ leftOut }: Ran, name: string): string {
  const left = leftOut.find(({ path }) => path === name || path.startsWith(`${name}/`))
  return left === undefined ? '' : ` (${left.path} was left out: ${left.why})`
}

function matchFaults(task: Task, job: FilesJob, outputs: ReadonlyMap<string, number>): string[] {
  const groups = matchingGroups([...task.inputs, ...task.outputs]).filter((g) =>
    g.some(({ side }) => side === 'outputs'),
  )
  if (groups.length === 0) return []
  const inputs = inputSizes(task, job)
  return groups.flatMap((group) => {
    const fault = matchingFault(group, ({ side, name }) => (side === 'inputs' ? inputs : outputs).get(name))
    const first = group.find(({ side }) => side === 'outputs')
    return fault === undefined || first === undefined ? [] : [`output ${first.name} ${fault}`]
  })
}

function inputSizes(task: Task, job: FilesJob): ReadonlyMap<string, number> {
  try {
    return layInputs(task, job).sizes
  } catch (error) {
    if (error instanceof MecaError) return new Map() // the plan said so already, and nothing ran
    throw error
  }
}
