/** A parameter's `type` out of the descriptor, with the constraints that the published schema names and those that it misses. */
import { instantOf } from './instant.ts'
import { memoryBytes } from './memory.ts'
import { isObject, Reader } from './reader.ts'
import { FILE_FORMATS, IMAGE_FORMATS, TYPE_IDS } from './types.ts'
import type { Bounds, Type } from './types.ts'

/** Each level of an array is a level of folders. */
const MAX_NESTING = 8
const NO_LINE_BREAK = /^[^\r\n]+$/

/** `owner` has the type under `key`. Undefined where it is faulty, which is then noted. */
export function readType(owner: Reader, key: string, nesting = 0): Type | undefined {
  const raw = owner.raw(key)
  const known = TYPE_IDS.join(', ')
  if (raw === undefined) return owner.error(key, 'is missing', `name one of ${known}`)
  const id = isObject(raw) ? raw['id'] : raw
  const found = TYPE_IDS.find((type) => type === id)
  if (found === undefined)
    return owner.error(key, `is ${JSON.stringify(id)?.slice(0, 80) ?? 'empty'}, no type`, `name one of ${known}`)
  if (!isObject(raw) && (found === 'enumeration' || found === 'array'))
    return owner.error(
      key,
      `is the short form of ${found}, which has none`,
      `write ${key}: with id: ${found} and its fields below it`,
    )
  const fields = new Reader(isObject(raw) ? raw : {}, [...owner.path, key], owner.notes)
  return found === 'array' ? arrayOf(fields, nesting) : plainOf(found, fields)
}

function arrayOf(fields: Reader, nesting: number): Type | undefined {
  if (nesting >= MAX_NESTING)
    return fields.error('subtype', `nests deeper than ${MAX_NESTING} arrays`, 'use fewer levels')
  const subtype = readType(fields, 'subtype', nesting + 1)
  const [min, max] = sizes(fields, 'min_size', 'max_size')
  return subtype === undefined ? undefined : { id: 'array', min, max, subtype }
}

function plainOf(id: Exclude<Type['id'], 'array'>, fields: Reader): Type | undefined {
  switch (id) {
    case 'boolean':
    case 'geometry':
      return { id }
    case 'integer':
      return { id, bounds: boundsOf(fields, true) }
    case 'number':
      return {
        id,
        bounds: boundsOf(fields, false),
        infinity: fields.flag('infinity_allowed'),
        nan: fields.flag('nan_allowed'),
      }
    case 'string': {
      const [minLength, maxLength] = sizes(fields, 'min_length', 'max_length')
      return { id, minLength, maxLength }
    }
    case 'enumeration':
      return enumerationOf(fields)
    case 'datetime':
      return datetimeOf(fields)
    case 'file':
      return { id, maxBytes: maxBytesOf(fields), formats: formatsOf(fields, FILE_FORMATS) }
    case 'image':
      return {
        id,
        maxBytes: maxBytesOf(fields),
        formats: formatsOf(fields, IMAGE_FORMATS),
        maxWidth: fields.number('max_width', { whole: true, min: 1 }) ?? Infinity,
        maxHeight: fields.number('max_height', { whole: true, min: 1 }) ?? Infinity,
      }
  }
}

function boundsOf(fields: Reader, whole: boolean): Bounds {
  const bounds: Bounds = {}
  for (const key of ['gt', 'geq', 'lt', 'leq'] as const) {
    const limit = fields.number(key, { whole })
    if (limit !== undefined) bounds[key] = limit
  }
  const [low, high] = [
    Math.max(bounds.gt ?? -Infinity, bounds.geq ?? -Infinity),
    Math.min(bounds.lt ?? Infinity, bounds.leq ?? Infinity),
  ]
  const strict = bounds.gt === low || bounds.lt === high
  if (low > high || (low === high && strict && Number.isFinite(low)))
    fields.error(
      'id',
      `has limits that no ${whole ? 'integer' : 'number'} keeps: from ${low} to ${high}`,
      'mend gt, geq, lt or leq',
    )
  return bounds
}

function sizes(fields: Reader, least: string, most: string): [number, number] {
  const min = fields.number(least, { whole: true, min: 0 }) ?? 0
  const max = fields.number(most, { whole: true, min: 0 }) ?? Infinity
  if (min > max) fields.error(least, `is ${min}, over ${most} ${max}`, `mend ${least} or ${most}`)
  return [min, max]
}

function enumerationOf(fields: Reader): Type | undefined {
  if (fields.list('values', true) === undefined) return undefined
  const values = fields.texts('values')
  if (values === undefined) return undefined
  const odd = values.find((value) => value.length > 256 || !NO_LINE_BREAK.test(value))
  if (odd !== undefined)
    return fields.error(
      'values',
      `has ${JSON.stringify(odd.slice(0, 80))}`,
      'write 1 to 256 characters without line breaks',
    )
  // What a task writes is trimmed before it is compared, so such a value could never come back.
  const spaced = values.find((value) => value.trim() !== value)
  if (spaced !== undefined)
    fields.notes.warn(
      [...fields.path, 'values'],
      `has ${JSON.stringify(spaced.slice(0, 80))}, which as an output never matches`,
      'write it without spaces around it',
    )
  return { id: 'enumeration', values }
}

function datetimeOf(fields: Reader): Type {
  const limit = (key: 'before' | 'after') => {
    const text = fields.text(key, { like: 'an instant such as 2024-01-31T12:00:00Z' })
    const at = text === undefined ? undefined : instantOf(text)
    if (text !== undefined && at === undefined)
      fields.error(key, `is ${JSON.stringify(text.slice(0, 80))}, no instant`, 'write it like 2024-01-31T12:00:00Z')
    return at === undefined ? {} : { [key]: at }
  }
  return { id: 'datetime', ...limit('before'), ...limit('after') }
}

function maxBytesOf(fields: Reader): number {
  const like = 'an amount such as 100 MiB'
  const text = fields.text('max_file_size', { like })
  const bytes = text === undefined ? Infinity : memoryBytes(text)
  if (bytes === undefined)
    fields.error('max_file_size', `is ${JSON.stringify(text?.slice(0, 80))}, no amount of memory`, `write ${like}`)
  return bytes ?? Infinity
}

function formatsOf<T extends string>(fields: Reader, known: readonly T[]): T[] {
  const formats = fields.texts('formats') ?? []
  const unknown = formats.find((format) => !known.some((name) => name === format))
  if (unknown !== undefined)
    fields.error('formats', `has ${JSON.stringify(unknown.slice(0, 80))}`, `use ${known.join(', ')}`)
  return known.filter((format) => formats.includes(format))
}
