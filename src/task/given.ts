/** What the caller gave against what a task takes: unknown names, wrong kinds and missing inputs, each told by its name. */
import { INPUTS } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { Resources } from '../core/resources.ts'
import { quote } from '../core/units.ts'
import type { Given } from './format.ts'
import { MIN_CPU_MILLIS, MIN_MEMORY_BYTES } from './quantities.ts'

type GivenKind = 'value' | 'file' | 'folder' | 'list' | 'link' | undefined

/** How this input was given; a link is what it turned out to be, where its files are known already. */
export function kindOf(name: string, { job, files }: Given): GivenKind {
  if (Object.hasOwn(job.values, name)) return 'value'
  const kind = Object.hasOwn(job.files, name) ? job.files[name] : undefined
  if (kind !== undefined) return kind
  if (!Object.hasOwn(job.links, name)) return undefined
  if (files.has(name)) return 'file'
  return [...files.keys()].some((path) => path.startsWith(`${name}/`)) ? 'folder' : 'link'
}

/** Where an input lies in the bundle, for staging. */
export function bundlePath(name: string): string {
  return `${INPUTS}/${name}`
}

/** Throws `bad_input` for a name that the task does not take, and for a name that was given in two ways. */
export function requireKnown({ job }: Given, known: readonly string[], task: string): void {
  const given = [job.values, job.files, job.links].flatMap((names) => Object.keys(names))
  const unknown = given.find((name) => !known.includes(name))
  const takes = known.length === 0 ? 'it takes no inputs' : `it takes ${known.slice(0, 20).join(', ')}`
  if (unknown !== undefined)
    throw new MecaError('bad_input', `${task} has no input ${quote(unknown)}`, { cure: takes, details: { known } })
  const twice = given.find((name, i) => given.indexOf(name) !== i)
  if (twice !== undefined)
    throw new MecaError('bad_input', `The input ${quote(twice)} is given twice`, { cure: 'give it once' })
}

/** What the caller asked for in place of the task's own, never under the engine's least. */
export function overlaid(task: Resources, asked: Given['job']['resources']): Resources {
  return {
    cpuMillis: Math.max(MIN_CPU_MILLIS, asked?.cpuMillis ?? task.cpuMillis),
    memoryBytes: Math.max(MIN_MEMORY_BYTES, asked?.memoryBytes ?? task.memoryBytes),
    gpus: asked?.gpus ?? task.gpus,
  }
}
