/**
 * `task.json` of the Kaapana Task API as a job: which template, which folders of this machine for which channels, which
 * variables. The caller resolves the folders. The reference renders the file with a template engine that sees the whole
 * environment of its process; here `{{ env.NAME }}` is replaced inside of strings, from a list that the caller wrote.
 */
import { z } from 'zod'
import type { JobFile } from '../../core/bundle.ts'
import { MecaError } from '../../core/errors.ts'
import { findingsOf } from '../../core/text.ts'
import { quote } from '../../core/units.ts'
import { GPU, readLimits } from '../quantities.ts'
import type { Limits } from '../quantities.ts'
import { readJson } from '../safe-text.ts'
import { DEFAULT_RESOURCES, parseContainer } from './container.ts'
import type { Template } from './container.ts'
import { substitute, WHAT } from './fill.ts'
import { zApiVersion, zResourcesOf, zTemplate } from './model.ts'
import { RULE_SUFFIX, templateOf } from './merge.ts'

const MAX_VOLUMES = 200

const zHostPath = z.object({ host_path: z.string().min(1).max(4096) })
/** The current name, and the two that came before it. */
const zVolume = z
  .object({
    name: z.string().max(200),
    volume_source: zHostPath.optional(),
    input: z.union([zHostPath, z.object({ local_path: z.string().min(1).max(4096) })]).optional(),
    scale_rule: z.record(z.string(), z.unknown()).nullish(),
  })
  .transform(({ name, volume_source, input, scale_rule }, context) => {
    const old = input === undefined ? undefined : 'host_path' in input ? input.host_path : input.local_path
    const place = volume_source?.host_path ?? old
    if (place === undefined)
      context.addIssue({ code: 'custom', path: ['volume_source'], message: 'must be given, with its host_path' })
    return { name, place: place ?? '', rule: scale_rule ?? undefined }
  })
const zVolumes = z.array(zVolume).max(MAX_VOLUMES).nullish()

const zTask = z.object({
  name: z.string().min(1).max(200),
  api_version: zApiVersion,
  image: z.string().min(1).max(1000),
  taskTemplate: z.union([z.string().min(1).max(200), zTemplate]),
  inputs: zVolumes,
  outputs: zVolumes,
  env: z
    .array(z.object({ name: z.string().max(200), value: z.string().max(65_536) }))
    .max(1000)
    .nullish(),
  command: z.array(z.string().max(65_536)).max(1000).nullish(),
  resources: zResourcesOf.nullish(),
})
/** An inline template as it was written. */
const zWritten = z.looseObject({ taskTemplate: z.unknown() })
type RawTask = z.infer<typeof zTask>

/** `inputs` and `outputs` are paths of this machine by channel, as they were written. */
type TaskJson = {
  name: string
  /** What the file names; the published task's own image is what runs. */
  image: string
  template: string
  /** The whole template where the file has it inline, as the text of a `processing-container.json`. */
  inline?: string
  job: Pick<JobFile, 'values' | 'env' | 'template' | 'command' | 'resources' | 'outputs'>
  inputs: Readonly<Record<string, string>>
  outputs: Readonly<Record<string, string>>
}

/** `env` holds the only variables that the file may use. Throws `bad_input`. */
export function readTaskJson(text: string, { env }: { env: Readonly<Record<string, string>> }): TaskJson {
  const raw = substitute(readJson(text, { what: WHAT, code: 'bad_input' }).value, env)
  const parsed = zTask.safeParse(raw)
  if (!parsed.success)
    throw new MecaError('bad_input', `${WHAT} is malformed: ${findingsOf(parsed.error)}`, {
      cure: 'name, image and taskTemplate are required; each volume has a name and a volume_source with a host_path',
    })
  return taskOf(parsed.data, zWritten.parse(raw).taskTemplate)
}

function taskOf(task: RawTask, written: unknown): TaskJson {
  const { taskTemplate, inputs, outputs } = task
  const isInline = typeof taskTemplate !== 'string'
  const template = isInline ? taskTemplate.identifier : taskTemplate
  return {
    name: task.name,
    image: task.image,
    template,
    ...(isInline ? { inline: descriptorOf(task.name, written) } : {}),
    job: jobOf(task, template),
    inputs: volumesOf(inputs),
    outputs: volumesOf(outputs),
  }
}

/** A container of this one template, for an image that has no descriptor of its own. */
function descriptorOf(name: string, template: unknown): string {
  return `${JSON.stringify({ name, description: `The template of ${name}`, templates: [template] }, null, 2)}\n`
}

function jobOf({ inputs, outputs, env, command, resources }: RawTask, template: string): TaskJson['job'] {
  const rules = (inputs ?? []).flatMap(({ name, rule }) =>
    rule === undefined ? [] : [[`${name}${RULE_SUFFIX}`, JSON.stringify(rule)] as const],
  )
  return {
    values: Object.fromEntries(rules),
    env: Object.fromEntries((env ?? []).map(({ name, value }) => [name, value])),
    template,
    outputs: Object.keys(volumesOf(outputs)),
    ...(command == null ? {} : { command }),
    ...(resources == null ? {} : { resources: askedOf(resources.limits ?? {}) }),
  }
}

/** Only what is named: the rest falls back to what nobody named, because resources are replaced whole. */
function askedOf(limits: Limits): NonNullable<JobFile['resources']> {
  const read = readLimits(limits, DEFAULT_RESOURCES, (name, what, cure) => {
    throw new MecaError('bad_input', `${WHAT}'s resources.limits.${name} ${what}`, { cure })
  })
  return {
    ...(limits['cpu'] === undefined ? {} : { cpuMillis: read.cpuMillis }),
    ...(limits['memory'] === undefined ? {} : { memoryBytes: read.memoryBytes }),
    ...(limits[GPU] === undefined ? {} : { gpus: read.gpus }),
  }
}

/** The first of a name counts, as in the reference. */
function volumesOf(volumes: RawTask['inputs']): Record<string, string> {
  return Object.fromEntries((volumes ?? []).toReversed().map(({ name, place }) => [name, place]))
}

/**
 * Throws `bad_input` unless the published container has this very template, descriptions aside: what runs for money is what
 * its developer published, and a caller's own mounts and command over somebody's image are another task.
 */
export function requirePublished(descriptor: string, inline: string): void {
  const container = parseContainer(descriptor)
  for (const template of parseContainer(inline).templates) {
    const published = templateOf(container, template.identifier)
    const fields = (['inputs', 'outputs', 'env', 'command', 'resources'] as const).filter(
      (field) => meaningOf(published, field) !== meaningOf(template, field),
    )
    if (fields.length === 0) continue
    throw new MecaError(
      'bad_input',
      `The inline template ${quote(template.identifier)} differs from the published one in ${fields.join(', ')}`,
      { cure: 'name the template instead, and give command, env and resources beside it; or publish the image anew' },
    )
  }
}

function meaningOf(template: Template, field: keyof Template): string {
  return JSON.stringify(template[field] ?? null, (key: string, value: unknown) => (key === 'description' ? '' : value))
}
