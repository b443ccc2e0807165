/** The container's templates, checked beyond their shape: places that can be mounted, rules that can be evaluated, names that a bundle takes. */
import { zInputName } from '../../core/bundle.ts'
import { MecaError } from '../../core/errors.ts'
import type { Resources } from '../../core/resources.ts'
import { noteIssues, openDescriptor, requireClean } from '../folder-facts.ts'
import type { Notes } from '../folder-facts.ts'
import type { Finding } from '../format.ts'
import { mountFault, placeOf } from '../places.ts'
import { readLimits } from '../quantities.ts'
import { readJson } from '../safe-text.ts'
import type { Path } from '../safe-text.ts'
import { DESCRIPTOR, zContainer } from './model.ts'
import type { RawChannel, RawEnv, RawTemplate, Rule } from './model.ts'
import { checkRule } from './scale.ts'

/** What a container of no declared limits gets: the reference gives it the whole machine, which nobody can price. */
export const DEFAULT_RESOURCES: Resources = { cpuMillis: 1000, memoryBytes: 2 ** 30, gpus: 0 }

export type Channel = { name: string; place: string; description: string; rule?: Rule }
/** `choices` absent: any text. */
export type EnvEntry = {
  name: string
  value: string
  choices?: readonly string[]
  adjustable: boolean
  description: string
}

export type Template = {
  identifier: string
  description: string
  inputs: readonly Channel[]
  outputs: readonly Channel[]
  env: readonly EnvEntry[]
  /** Absent: the image's own. */
  command?: readonly string[]
  resources: Resources
  /** The memory limit alone, where one is declared: scale rules are held against it. */
  memoryLimit?: number
}

export type Container = { name: string; description: string; templates: readonly Template[] }

/** Throws `invalid_task` with every finding. */
export function parseContainer(text: string, where: string = DESCRIPTOR): Container {
  const { container, findings } = readContainer(text, where)
  requireClean(findings, `${where} does not describe a processing container`)
  if (container === undefined)
    throw new MecaError('internal', `${where} was read without a finding and without a result`)
  return container
}

export function readContainer(
  text: string,
  where: string = DESCRIPTOR,
): { container?: Container; findings: Finding[] } {
  const opened = openDescriptor(text, where, readJson)
  if (Array.isArray(opened)) return { findings: opened }
  const { read, notes } = opened
  const parsed = zContainer.safeParse(read.value)
  if (!parsed.success) {
    noteIssues(notes, parsed.error, 'the schema of Kaapana processing containers is in docs/kaapana.md')
    return { findings: notes.findings }
  }
  const { name, description, templates } = parsed.data
  if (templates.length === 0) notes.error(['templates'], 'is empty, so that there is nothing to run', 'add a template')
  noteRepeated(templates, notes)
  const read_ = templates.map((raw, i) => readTemplate(raw, ['templates', i], notes))
  return { container: { name, description, templates: read_ }, findings: notes.findings }
}

function noteRepeated(templates: readonly RawTemplate[], notes: Notes): void {
  for (const [i, { identifier }] of templates.entries()) {
    if (templates.findIndex((other) => other.identifier === identifier) < i)
      notes.warn(
        ['templates', i, 'identifier'],
        'is used before; only the first is ever run',
        'give it a name of its own',
      )
  }
}

function readTemplate(raw: RawTemplate, at: Path, notes: Notes): Template {
  const limits = raw.resources?.limits ?? {}
  const tell = (kind: string) => (name: string, what: string, cure: string) =>
    notes.error([...at, 'resources', kind, name], what, cure)
  const least = readLimits(raw.resources?.requests ?? {}, DEFAULT_RESOURCES, tell('requests'))
  const resources = readLimits(limits, atLeastDefault(least), tell('limits'))
  noteSharedPlaces(raw, at, notes)
  return {
    identifier: raw.identifier,
    description: raw.description,
    inputs: readChannels(raw.inputs, [...at, 'inputs'], notes, true),
    outputs: readChannels(raw.outputs, [...at, 'outputs'], notes, false),
    env: raw.env.map((entry, i) => readEnv(entry, [...at, 'env', i], notes)),
    ...(raw.command == null || raw.command.length === 0 ? {} : { command: raw.command }),
    resources,
    ...(limits['memory'] === undefined ? {} : { memoryLimit: resources.memoryBytes }),
  }
}

/** A request is the least that is needed; without a limit it must not become the most that is given. */
function atLeastDefault(requested: Resources): Resources {
  return {
    cpuMillis: Math.max(requested.cpuMillis, DEFAULT_RESOURCES.cpuMillis),
    memoryBytes: Math.max(requested.memoryBytes, DEFAULT_RESOURCES.memoryBytes),
    gpus: requested.gpus,
  }
}

function noteSharedPlaces(raw: RawTemplate, at: Path, notes: Notes): void {
  const places = [...raw.inputs, ...raw.outputs].map((channel) => channel.mounted_path.replace(/\/+$/, ''))
  const repeated = places.find((place, i) => places.indexOf(place) < i)
  if (repeated !== undefined)
    notes.warn(at, `mounts two channels at ${repeated}; the first one given is used`, 'give each channel its own path')
}

function readChannels(raw: readonly RawChannel[], at: Path, notes: Notes, isInput: boolean): Channel[] {
  return raw.map((channel, i) => {
    const here = [...at, i]
    const read = placeOf(channel.mounted_path)
    const fault = 'fault' in read ? read.fault : mountFault(read.place)
    if (fault !== undefined) notes.error([...here, 'mounted_path'], fault, 'name a folder of its own for the channel')
    if (!zInputName.safeParse(channel.name).success)
      notes.error([...here, 'name'], 'cannot be the name of a channel here', 'use letters, digits, _, dot, dash, space')
    if (raw.findIndex((other) => other.name === channel.name) < i)
      notes.error([...here, 'name'], 'names two channels', 'give each channel a name of its own')
    const rule = channel.scale_rule ?? undefined
    if (rule !== undefined) noteRule(rule, [...here, 'scale_rule'], notes, isInput)
    const description = channel.description ?? ''
    return { name: channel.name, place: 'place' in read ? read.place : '/', description, ...(rule && { rule }) }
  })
}

/** Only what is ever evaluated has to be right. */
function noteRule(rule: Rule, at: Path, notes: Notes, isInput: boolean): void {
  if (!isInput || rule.type !== 'limit') return
  const fault = checkRule(rule)
  if (fault !== undefined) notes.error([...at, fault.field], fault.what, fault.cure)
}

function readEnv(raw: RawEnv, at: Path, notes: Notes): EnvEntry {
  const choices = raw.choices ?? []
  if (!/^[^=\0]+$/.test(raw.name) || raw.value.includes('\0'))
    notes.error([...at, 'name'], 'is no environment variable', 'use letters, digits and underscores')
  if (choices.length > 0 && !choices.includes(raw.value))
    notes.warn([...at, 'value'], 'is not among its choices', 'add it to them, or take another default')
  return {
    name: raw.name,
    value: raw.value,
    ...(choices.length === 0 ? {} : { choices }),
    adjustable: raw.adjustable ?? true,
    description: raw.description ?? '',
  }
}
