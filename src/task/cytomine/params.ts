/** The inputs and outputs of a descriptor. */
import { readType } from './read-type.ts'
import type { Reader } from './reader.ts'
import { takesDefault } from './types.ts'
import type { Type } from './types.ts'
import { valueFault } from './values.ts'

export type Side = 'inputs' | 'outputs'

export type Param = {
  name: string
  side: Side
  type: Type
  displayName?: string
  description: string
  optional: boolean
  /** As a text, in the author's own spelling. */
  default?: string
  /** References such as `outputs/probs`. */
  matching: readonly string[]
}

/** A name becomes a file name, here and in the bundle, which carries 100 characters. */
const NAME = /^[a-zA-Z0-9_]{1,100}$/
const DECIMAL = /^-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?$/

export function readParams(
  top: Reader,
  side: Side,
  spellingOf: (path: (string | number)[]) => string | undefined,
): Param[] {
  const all = top.object(side, true)
  if (all?.keys().length === 0)
    top.notes.warn(
      [side],
      'is empty',
      side === 'inputs' ? 'a Cytomine installation runs no task without inputs' : 'nothing will be collected',
    )
  return (all?.keys() ?? []).flatMap((name) => {
    if (!NAME.test(name)) {
      all?.error(name, 'is no name for a parameter', 'use 1 to 100 letters, digits and underscores')
      return []
    }
    const fields = all?.object(name, true)
    return (fields && readParam(fields, name, side, spellingOf)) ?? []
  })
}

function readParam(
  fields: Reader,
  name: string,
  side: Side,
  spellingOf: (path: (string | number)[]) => string | undefined,
): Param | undefined {
  const description = fields.text('description', { required: true })
  const displayName = fields.text('display_name', { min: 1 })
  const optional = fields.flag('optional')
  const matching = fields.object('dependencies')?.texts('matching') ?? []
  const type = readType(fields, 'type')
  if (type === undefined) return undefined
  const value = side === 'inputs' ? defaultOf(fields, type, spellingOf) : undefined
  return {
    name,
    side,
    type,
    description: description ?? '',
    optional,
    matching,
    ...(displayName === undefined ? {} : { displayName }),
    ...(value === undefined ? {} : { default: value }),
  }
}

/** A default that breaks the type's own rules would be refused at every start. */
function defaultOf(
  fields: Reader,
  type: Type,
  spellingOf: (path: (string | number)[]) => string | undefined,
): string | undefined {
  const raw = fields.raw('default')
  if (raw === undefined || raw === null) return undefined
  const told = JSON.stringify(raw).slice(0, 80)
  if (!takesDefault(type) || type.id === 'array' || type.id === 'file' || type.id === 'image') {
    fields.notes.warn(
      [...fields.path, 'default'],
      `is not used: ${type.id} has no defaults`,
      'remove it, or make the parameter optional',
    )
    return undefined
  }
  const wanted = WANTED[type.id]
  if (!isPlain(raw) || typeof raw !== wanted)
    return fields.error('default', `is ${told}, not a ${wanted}`, `write it as a ${wanted}`)
  const text = typeof raw === 'number' ? spelled(raw, spellingOf([...fields.path, 'default'])) : String(raw)
  const fault = valueFault(type, text)
  return fault === undefined
    ? text
    : fields.error('default', `breaks its own type: it ${fault}`, 'mend the default or the type')
}

const WANTED: Readonly<Record<string, 'string' | 'number' | 'boolean'>> = {
  boolean: 'boolean',
  integer: 'number',
  number: 'number',
  string: 'string',
  enumeration: 'string',
  datetime: 'string',
}

function isPlain(value: unknown): value is string | number | boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
}

/** `1.0` stays `1.0`; YAML's own spellings of numbers (0o17, .inf) become the contract's. */
function spelled(value: number, source: string | undefined): string {
  if (source !== undefined && DECIMAL.test(source)) return source
  return Number.isFinite(value) ? String(value) : String(value).toLowerCase().replace('infinity', 'inf')
}
