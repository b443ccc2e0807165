/**
 * What the caller gave → what lies in the task's input folder: each parameter one file or folder of exactly its name. Every
 * constraint is checked here, before anything is paid or started, and all faults are told at once.
 */
import { MecaError } from '../../core/errors.ts'
import type { Staged } from '../../core/plan.ts'
import type { Given } from '../format.ts'
import { requireKnown } from '../given.ts'
import { matchingFault, matchingGroups } from './dependencies.ts'
import type { Task } from './descriptor.ts'
import { NOTHING } from './laid.ts'
import { lay } from './lay.ts'
import { treeOf } from './tree.ts'

export type Inputs = { staged: readonly Staged[]; sizes: ReadonlyMap<string, number> }

type Fault = { at: string; what: string; cure: string }

/** Throws `bad_input` naming every parameter that is wrong. */
export function layInputs(task: Task, given: Given): Inputs {
  requireKnown(
    given,
    task.inputs.map(({ name }) => name),
    task.name,
  )
  requirePlain(given, task.name)
  const tree = treeOf(given.files)
  const faults: Fault[] = []
  const staged: Staged[] = []
  const sizes = new Map<string, number>()
  for (const param of task.inputs) {
    const laid = lay(param, given, tree, `${task.inputFolder}/${param.name}`, (what, cure, at = param.name) => {
      faults.push({ at, what, cure })
      return NOTHING
    })
    for (const item of laid.staged) staged.push(item)
    if (laid.size !== undefined) sizes.set(param.name, laid.size)
  }
  faults.push(...matchFaults(task, sizes))
  requireFaultless(task.name, faults)
  return { staged, sizes }
}

/** A Cytomine task takes parameters and nothing else. */
function requirePlain({ job }: Given, task: string): void {
  const extra =
    job.template !== undefined ? 'template' : job.command !== undefined ? 'command' : Object.keys(job.env)[0]
  if (extra === undefined) return
  throw new MecaError(
    'bad_input',
    `${task} is a Cytomine task, which takes no ${job.env[extra] === undefined ? extra : `variable ${extra}`}`,
    {
      cure: 'give its inputs with --in NAME=VALUE and nothing else',
    },
  )
}

function matchFaults(task: Task, sizes: ReadonlyMap<string, number>): Fault[] {
  return matchingGroups([...task.inputs, ...task.outputs]).flatMap((group) => {
    const inputs = group.filter(({ side }) => side === 'inputs')
    const what = matchingFault(inputs, ({ name }) => sizes.get(name))
    return what === undefined ? [] : [{ at: inputs[0]?.name ?? '', what, cure: 'give as many items to each' }]
  })
}

function requireFaultless(task: string, faults: readonly Fault[]): void {
  if (faults.length === 0) return
  const told = faults.slice(0, 10).map(({ at, what }) => `${at} ${what}`)
  throw new MecaError('bad_input', `${task} does not take these inputs: ${told.join('; ')}`, {
    cure: [...new Set(faults.slice(0, 10).map(({ cure }) => cure))].join('; '),
    details: { parameters: Object.fromEntries(faults.slice(0, 100).map(({ at, what }) => [at, what])) },
  })
}
