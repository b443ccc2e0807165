/**
 * Workflows of other systems as ours: a list of DockerTasks (Borealis), whose paths tie them together, and a list of Kaapana
 * `task.json` files, whose folders do. What nothing produces is an input of the whole.
 */
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { findingsOf } from '../core/text.ts'
import { parseRecord } from '../task/borealis/record.ts'
import type { DockerTask } from '../task/borealis/record.ts'
import { readTaskJson } from '../task/kaapana/task-json.ts'
import { readJson } from '../task/safe-text.ts'

/** A workflow as it is written to a file. */
export type WrittenFlow = { name: string; steps: Record<string, WrittenStep> }
export type WrittenStep = {
  task: string
  template?: string
  in?: Record<string, string | { from: string }>
  env?: Record<string, string>
  needs?: string[]
}
/** `folders` are tasks that have to be published first: the text of a `docker-task.json` by folder. */
export type Converted = { flow: WrittenFlow; folders: Record<string, string> }

/** `refs` says under which name a task is published, by its own name or its image. */
export type Refs = ReadonlyMap<string, string>

const zRecords = z.union([
  z.array(z.record(z.string(), z.unknown())),
  z.object({ tasks: z.array(z.record(z.string(), z.unknown())) }).transform(({ tasks }) => tasks),
])

export function fromBorealis(text: string, what: string, refs: Refs): Converted {
  const records = recordsOf(text, what)
  const tasks = records.map((record) => parseRecord(JSON.stringify(record)))
  const steps: Record<string, WrittenStep> = {}
  const folders: Record<string, string> = {}
  for (const [i, task] of tasks.entries()) {
    const step = stepName(task.name, steps)
    steps[step] = { task: refOf(refs, task.name, textOf(records[i]?.['image'])), ...inputsOf(task, i, tasks) }
    folders[step] = `${JSON.stringify(records[i], null, 2)}\n`
  }
  return { flow: { name: 'borealis', steps }, folders }
}

/** A path that another task writes is that task's output; a capture counts as the file that it is. */
function inputsOf(task: DockerTask, at: number, tasks: readonly DockerTask[]): Pick<WrittenStep, 'in'> {
  const inputs = task.inputs.map(({ name, place }): [string, string | { from: string }] => {
    const producer = tasks.find((other, i) => i !== at && other.outputs.some((output) => output.place === place))
    const output = producer?.outputs.find((candidate) => candidate.place === place)
    if (producer === undefined || output === undefined) return [name, `@inputs/${name}`]
    return [name, { from: `${plain(producer.name)}.${output.name}` }]
  })
  return inputs.length === 0 ? {} : { in: Object.fromEntries(inputs) }
}

/** `env` holds the variables that the files may use. */
export function fromKaapana(texts: readonly string[], refs: Refs, env: Readonly<Record<string, string>>): Converted {
  const tasks = texts.map((text) => readTaskJson(text, { env }))
  const steps: Record<string, WrittenStep> = {}
  const producers = new Map(
    tasks.flatMap(({ name, outputs }) =>
      Object.entries(outputs).map(([channel, folder]) => [normal(folder), `${plain(name)}.${channel}`] as const),
    ),
  )
  for (const task of tasks) {
    const channels = Object.entries(task.inputs).map(([channel, folder]): [string, string | { from: string }] => {
      const from = producers.get(normal(folder))
      return [channel, from === undefined ? `@${folder}` : { from }]
    })
    const { env: variables } = task.job
    steps[stepName(task.name, steps)] = {
      task: refOf(refs, task.name, task.image),
      template: task.template,
      ...(channels.length === 0 ? {} : { in: Object.fromEntries(channels) }),
      ...(Object.keys(variables).length === 0 ? {} : { env: variables }),
    }
  }
  return { flow: { name: 'kaapana', steps }, folders: {} }
}

function recordsOf(text: string, what: string): Record<string, unknown>[] {
  const parsed = zRecords.safeParse(readJson(text, { what, code: 'bad_input' }).value)
  if (parsed.success) return parsed.data
  throw new MecaError('bad_input', `${what} is no list of DockerTasks: ${findingsOf(parsed.error)}`, {
    cure: 'write [{"name": …, "image": …, "inputs": […], "outputs": […], …}, …]',
  })
}

/** Steps are named like their tasks; two of one name could not be told apart in a reference. */
function stepName(name: string, taken: Readonly<Record<string, unknown>>): string {
  const step = plain(name)
  if (!Object.hasOwn(taken, step)) return step
  throw new MecaError('bad_input', `Two tasks are named ${name}`, { cure: 'give each a name of its own' })
}

function plain(name: string): string {
  return (
    name
      .replace(/[^A-Za-z0-9_-]+/g, '-')
      .replace(/^[-_]+/, '')
      .slice(0, 40) || 'step'
  )
}

function refOf(refs: Refs, name: string, image: string): string {
  return refs.get(name) ?? refs.get(image) ?? name
}

/** Folders are compared as they are written, but for a slash at the end and a dot at the start. */
function normal(folder: string): string {
  return folder.replace(/\/+$/, '').replace(/^\.\//, '')
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
