/**
 * A template and what the caller gives for it, brought together by the reference's rules: command and resources are
 * replaced whole, a channel without a volume is left out, a variable of the same name wins and a new one comes last. What the
 * reference only hints at is held here: a value must be among its choices, and what is not adjustable stays.
 */
import { MecaError } from '../../core/errors.ts'
import type { Resources } from '../../core/resources.ts'
import { findingsOf } from '../../core/text.ts'
import { quote } from '../../core/units.ts'
import type { Given } from '../format.ts'
import { kindOf } from '../given.ts'
import { MIN_CPU_MILLIS, MIN_MEMORY_BYTES } from '../quantities.ts'
import { readJson } from '../safe-text.ts'
import { Budget } from './budget.ts'
import type { Channel, Container, EnvEntry, Template } from './container.ts'
import { DEFAULT_RESOURCES } from './container.ts'
import { zRule } from './model.ts'
import type { Rule } from './model.ts'
import { checkRule, memoryOf } from './scale.ts'

/** A value of this name replaces the rule of a channel, as a volume's own rule does. */
export const RULE_SUFFIX = '.scale_rule'

export type Instance = {
  template: Template
  /** Bound channels only. */
  inputs: readonly Channel[]
  outputs: readonly Channel[]
  env: Readonly<Record<string, string>>
  command?: readonly string[]
  /** Given under names that the template has not, and left out like there. */
  ignored: readonly string[]
}

/** Throws `bad_input` where the job does not fit the template. */
export function mergeJob(container: Container, given: Given): Instance {
  const template = templateOf(container, given.job.template)
  const { files, links, values, outputs, command } = given.job
  const channels = [...Object.keys(files), ...Object.keys(links)]
  requireValues(template, Object.keys(values))
  const inputs = template.inputs.filter(({ name }) => channels.includes(name))
  for (const { name } of inputs) requireFolder(name, given)
  const merged = command ?? template.command
  return {
    template,
    inputs: firstOfPlace(inputs),
    outputs: template.outputs.filter(({ name }) => outputs === undefined || outputs.includes(name)),
    env: mergeEnv(template.env, given.job.env),
    ...(merged === undefined || merged.length === 0 ? {} : { command: merged }),
    ignored: [...channels, ...(outputs ?? [])].filter(
      (name) => ![...template.inputs, ...template.outputs].some((channel) => channel.name === name),
    ),
  }
}

export function templateOf({ name, templates }: Container, identifier: string | undefined): Template {
  const known = [...new Set(templates.map((template) => template.identifier))]
  const [only] = templates
  if (identifier === undefined && only !== undefined && known.length === 1) return only
  const found = templates.find((template) => template.identifier === identifier)
  if (found !== undefined) return found
  const asked = identifier === undefined ? 'no template was named' : `it has no template ${quote(identifier)}`
  throw new MecaError('bad_input', `${name} has ${known.length} templates, and ${asked}`, {
    cure: `name one with --template: ${known.slice(0, 20).join(', ')}`,
    details: { templates: known },
  })
}

function requireValues(template: Template, names: readonly string[]): void {
  const rules = template.inputs.map(({ name }) => `${name}${RULE_SUFFIX}`)
  const wrong = names.find((name) => !rules.includes(name))
  if (wrong === undefined) return
  const channels = template.inputs.map(({ name }) => name).join(', ')
  throw new MecaError('bad_input', `The template ${template.identifier} takes no value ${quote(wrong)}`, {
    cure: `give folders for its channels (${channels || 'it has none'}) with --in NAME=@FOLDER, variables with --env`,
  })
}

function requireFolder(name: string, given: Given): void {
  const kind = kindOf(name, given)
  if (kind === 'folder' || kind === 'link') return
  throw new MecaError('bad_input', `The channel ${name} is a folder and was given as a ${kind ?? 'nothing'}`, {
    cure: `use --in ${name}=@FOLDER`,
  })
}

function firstOfPlace(channels: readonly Channel[]): Channel[] {
  return channels.filter(({ place }, i) => channels.findIndex((other) => other.place === place) === i)
}

function mergeEnv(entries: readonly EnvEntry[], given: Readonly<Record<string, string>>): Record<string, string> {
  const merged = new Map(entries.map((entry) => [entry.name, entry.value]))
  for (const [name, value] of Object.entries(given)) {
    const entry = entries.find((known) => known.name === name)
    if (entry !== undefined) requireAllowed(entry, value)
    merged.set(name, value)
  }
  return Object.fromEntries(merged)
}

function requireAllowed({ name, value, choices, adjustable }: EnvEntry, given: string): void {
  if (choices !== undefined && !choices.includes(given))
    throw new MecaError('bad_input', `The variable ${name} cannot be ${quote(given)}`, {
      cure: `take one of ${choices.slice(0, 20).join(', ')}`,
    })
  if (!adjustable && given !== value)
    throw new MecaError('bad_input', `The variable ${name} is not adjustable: it stays ${quote(value)}`, {
      cure: `leave --env ${name} away`,
    })
}

/** What this very job needs. A caller who names resources replaces the template's, all of them. */
export function resourcesOf(instance: Instance, given: Given): Resources {
  const asked = given.job.resources
  const { template, inputs } = instance
  const base = asked === undefined ? template.resources : DEFAULT_RESOURCES
  const limit = asked === undefined ? template.memoryLimit : asked.memoryBytes
  const budget = new Budget()
  const scaled = inputs.map((channel) => scaledBy(channel, given, budget))
  return {
    cpuMillis: Math.max(MIN_CPU_MILLIS, asked?.cpuMillis ?? base.cpuMillis),
    memoryBytes: Math.max(MIN_MEMORY_BYTES, limit ?? base.memoryBytes, ...scaled),
    gpus: asked?.gpus ?? base.gpus,
  }
}

function scaledBy(channel: Channel, given: Given, budget: Budget): number {
  const text = given.job.values[`${channel.name}${RULE_SUFFIX}`]
  const rule = text === undefined ? channel.rule : ruleOf(channel.name, text)
  return rule?.type === 'limit' ? memoryOf(rule, channel.name, given.files, budget) : 0
}

function ruleOf(channel: string, text: string): Rule {
  const what = `The scale rule of ${channel}`
  const parsed = zRule.safeParse(readJson(text, { what, code: 'bad_input' }).value)
  const fault = parsed.success ? checkRule(parsed.data)?.what : findingsOf(parsed.error)
  if (parsed.success && fault === undefined) return parsed.data
  throw new MecaError('bad_input', `${what} cannot be used: ${fault}`, {
    cure: 'give it as in a template: {"scale_factor": 2, "type": "limit", "mode": "sum"}',
  })
}
