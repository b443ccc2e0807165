/**
 * The Kaapana format: a processing container whose `/processing-container.json` names templates, each with channels (folders
 * that are mounted), variables, a command and resources. One job runs one template over one folder per channel.
 */
import type { Resources } from '../core/resources.ts'
import { exampleOf, imageFindings, imageOf, packageFiles, requireClean } from './folder-facts.ts'
import type { FilesFormat, Finding, Folder, Given, Parameter } from './format.ts'
import { parseContainer, readContainer } from './kaapana/container.ts'
import type { Channel, EnvEntry, Template } from './kaapana/container.ts'
import { judgeRun } from './kaapana/judge.ts'
import { mergeJob, resourcesOf } from './kaapana/merge.ts'
import type { Instance } from './kaapana/merge.ts'
import { DESCRIPTOR } from './kaapana/model.ts'
import { planOf } from './kaapana/plan.ts'

/** Where folders of that community keep it: beside the Dockerfile, or with the files that it copies. */
const PLACES = [DESCRIPTOR, `files/${DESCRIPTOR}`] as const

export const kaapana: FilesFormat = {
  name: 'kaapana',
  kind: 'files',
  reads: PLACES,
  marks: [PLACES],
  descriptorInImage: `/${DESCRIPTOR}`,

  check: (folder) => checkFolder(folder),

  describe(folder) {
    requireClean(checkFolder(folder), 'The folder is not a Kaapana processing container')
    const descriptor = placeIn(folder) ?? DESCRIPTOR
    const container = parseContainer(folder.texts.get(descriptor) ?? '', descriptor)
    const example = exampleOf(folder)
    return {
      title: container.name,
      description: container.description,
      resources: least(container.templates),
      needsNetwork: false,
      descriptor,
      ...(example === undefined ? {} : { example }),
      files: packageFiles(folder, descriptor),
      image: imageOf(folder) ?? { kind: 'build', context: [] },
    }
  },

  parameters(descriptor) {
    const { templates } = parseContainer(descriptor)
    const [only] = templates
    if (only !== undefined && templates.length === 1) return parametersOf(only, '')
    return templates.flatMap((template) => [
      templateParameter(template),
      ...parametersOf(template, `${template.identifier}: `),
    ])
  },

  resources: (descriptor, _task, given) => resourcesOf(merge(descriptor, given), given),

  plan: (descriptor, job) => planOf(merge(descriptor, job), job),

  judge: (descriptor, job, ran) => judgeRun(merge(descriptor, job), job, ran),
}

function merge(descriptor: string, given: Given): Instance {
  return mergeJob(parseContainer(descriptor), given)
}

function placeIn(folder: Folder): string | undefined {
  return PLACES.find((path) => folder.texts.has(path))
}

function checkFolder(folder: Folder): Finding[] {
  const place = placeIn(folder)
  const findings = imageFindings(folder)
  if (place !== undefined) return [...readContainer(folder.texts.get(place) ?? '', place).findings, ...findings]
  const cure = `copy it to the root of the image, and keep it in the folder as ${PLACES.join(' or ')}`
  return [{ level: 'error', where: DESCRIPTOR, what: 'is missing or too large', cure }, ...findings]
}

/** What every job needs at least; each is sold by its own template. */
function least(templates: readonly Template[]): Resources {
  const of = (pick: (resources: Resources) => number) => Math.min(...templates.map((t) => pick(t.resources)))
  return { cpuMillis: of((r) => r.cpuMillis), memoryBytes: of((r) => r.memoryBytes), gpus: of((r) => r.gpus) }
}

function templateParameter({ identifier, description }: Template): Parameter {
  return { name: identifier, side: 'template', kind: 'template', required: false, description }
}

function parametersOf({ inputs, outputs, env }: Template, prefix: string): Parameter[] {
  return [
    ...inputs.map((channel) => channelParameter('input', channel, prefix)),
    ...outputs.map((channel) => channelParameter('output', channel, prefix)),
    ...env.map((entry) => envParameter(entry, prefix)),
  ]
}

/** Channels may all be left out; what a template cannot do without, its program says. */
function channelParameter(side: 'input' | 'output', channel: Channel, prefix: string): Parameter {
  const { name, place, description } = channel
  return { name, side, kind: 'channel', required: false, description: `${prefix}${description || place}` }
}

function envParameter({ name, value, choices, adjustable, description }: EnvEntry, prefix: string): Parameter {
  const fixed = adjustable ? '' : 'not adjustable. '
  return {
    name,
    side: 'env',
    kind: 'text',
    required: false,
    default: value,
    ...(choices === undefined ? {} : { choices }),
    description: `${prefix}${fixed}${description}`,
  }
}
