/**
 * A Cytomine descriptor: the rules of the published schema and those that it means but misses, every fault with its line.
 * Unknown fields are tolerated, as the schema does; published descriptors carry several.
 */
import { MAX_INPUTS } from '../../core/bundle.ts'
import { MecaError } from '../../core/errors.ts'
import type { Finding } from '../format.ts'
import { openDescriptor, requireClean } from '../folder-facts.ts'
import { readYaml } from '../safe-text.ts'
import { configuration } from './configuration.ts'
import type { Configuration } from './configuration.ts'
import { checkDependencies } from './dependencies.ts'
import { readParams } from './params.ts'
import type { Param } from './params.ts'
import { isObject, Reader } from './reader.ts'

export type Task = Configuration & {
  name: string
  namespace: string
  version: string
  description: string
  inputs: readonly Param[]
  outputs: readonly Param[]
}

/** Only called with the market's own name for the descriptor where its place in a folder is not known. */
export const DESCRIPTOR = 'descriptor.yml'

const NAME = /^[a-zA-Z0-9_\s-]+$/
const NAMESPACE = /^[a-zA-Z0-9_]+(\.[a-zA-Z0-9_-]+)+$/
const SEMVER = /^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/
const URI = /^[a-zA-Z][a-zA-Z0-9+.-]*:\S+$/
const EMAIL = /^[^\s@]+@[^\s@]+$/

/** What was read, as far as it could be, and what is wrong with it. A task with errors must not be used. */
export function readTask(text: string, file: string): { task: Task | undefined; findings: Finding[] } {
  const opened = openDescriptor(text, file, readYaml)
  if (Array.isArray(opened)) return { task: undefined, findings: opened }
  const { read, notes } = opened
  if (!isObject(read.value)) {
    notes.error([], 'is not a mapping', 'write name:, namespace:, version: and so on')
    return { task: undefined, findings: notes.findings }
  }
  const top = new Reader(read.value, [], notes)
  const task = { ...general(top), ...configuration(top), ...parameters(top, read.spellingOf) }
  return { task, findings: notes.findings }
}

/** Throws `invalid_task` with every error. */
export function requireTask(text: string, file = DESCRIPTOR): Task {
  const { task, findings } = readTask(text, file)
  requireClean(findings, 'The Cytomine descriptor is not usable')
  if (task !== undefined) return task
  throw new MecaError('internal', 'A descriptor without findings was not read')
}

function general(top: Reader): Pick<Task, 'name' | 'namespace' | 'version' | 'description'> {
  top.text('$schema', { required: true, form: URI, like: 'the URI of the task schema' })
  const name = top.text('name', {
    required: true,
    min: 3,
    max: 200,
    form: NAME,
    like: 'letters, digits, spaces, _ and -',
  })
  if (name !== undefined && name.length > 30)
    top.notes.warn(
      ['name'],
      `has ${name.length} characters, the schema has room for 30`,
      'shorten it for a Cytomine installation',
    )
  const namespace = top.text('namespace', {
    required: true,
    max: 200,
    form: NAMESPACE,
    like: 'a dotted name such as com.my.task',
  })
  // The registry carries 32 characters of a version.
  const version = top.text('version', {
    required: true,
    max: 32,
    form: SEMVER,
    like: 'a semantic version such as 1.0.0',
  })
  const prerelease = version === undefined ? [] : (/-([^+]*)/.exec(version.split('+')[0] ?? '')?.[1]?.split('.') ?? [])
  if (prerelease.some((part) => part === '' || /^0[0-9]+$/.test(part)))
    top.error(
      'version',
      `is ${JSON.stringify(version)}, no semantic version`,
      'write numbers without zeros before them',
    )
  const description = top.text('description', { max: 2048 })
  authors(top)
  external(top)
  return { name: name ?? '', namespace: namespace ?? '', version: version ?? '', description: description ?? '' }
}

function authors(top: Reader): void {
  for (const [i, author] of (top.list('authors', true) ?? []).entries()) {
    const path = [...top.path, 'authors', i]
    if (!isObject(author)) {
      top.notes.error(path, 'is not a mapping', 'write first_name, last_name, organization and email')
      continue
    }
    const fields = new Reader(author, path, top.notes)
    for (const key of ['first_name', 'last_name', 'organization']) fields.text(key, { required: true })
    fields.text('email', { required: true, max: 320, form: EMAIL, like: 'an e-mail address' })
    fields.flag('is_contact')
  }
}

function external(top: Reader): void {
  const fields = top.object('external')
  fields?.text('source_code', { form: URI, like: 'a URI' })
  if (fields?.raw('doi') !== undefined && !(fields.texts('doi') ?? []).every((doi) => URI.test(doi)))
    fields.error('doi', 'has an item that is no URI', 'write each like https://doi.org/10.1000/1')
}

function parameters(
  top: Reader,
  spellingOf: (path: (string | number)[]) => string | undefined,
): Pick<Task, 'inputs' | 'outputs'> {
  const inputs = readParams(top, 'inputs', spellingOf)
  const outputs = readParams(top, 'outputs', spellingOf)
  if (inputs.length > MAX_INPUTS || outputs.length > MAX_INPUTS)
    top.error('inputs', `and outputs are more than ${MAX_INPUTS} parameters`, 'use arrays')
  checkDependencies(top, [...inputs, ...outputs])
  return { inputs, outputs }
}
