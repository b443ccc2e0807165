/**
 * Whether a text is a value of its type. Inputs are held to it before the start, outputs after the end, by the same
 * rules: the documented spellings, and where the reference takes more that cannot be misread, those too.
 */
import { quote } from '../../core/units.ts'
import { geometryFault } from './geometry.ts'
import { instantOf, shownInstant } from './instant.ts'
import type { Bounds, TextType, Type } from './types.ts'

/** What is wrong with `text`, to be read after the parameter's name; undefined where nothing is. */
export function valueFault(type: TextType, text: string): string | undefined {
  switch (type.id) {
    case 'boolean':
      return /^(true|false)$/i.test(text) ? undefined : `must be true or false, got ${quote(text)}`
    case 'integer':
      return integerFault(type.bounds, text)
    case 'number':
      return numberFault(type, text)
    case 'string':
      return lengthFault(type.minLength, type.maxLength, text.length)
    case 'enumeration':
      return type.values.includes(text) ? undefined : `must be one of ${type.values.join(', ')}, got ${quote(text)}`
    case 'datetime':
      return datetimeFault(type, text)
    case 'geometry':
      return geometryFault(text)
  }
}

/** Inputs have nothing around them, and `true` and `false` are written the one way that every task reads. */
export function inputFault(type: TextType, text: string): string | undefined {
  if (type.id === 'boolean' && text !== 'true' && text !== 'false') return `must be true or false, got ${quote(text)}`
  return valueFault(type, text)
}

/** No integer of any use has more digits, and conversion takes quadratic time. */
const MAX_DIGITS = 1000
const INTEGER_FORMS: readonly (readonly [RegExp, string])[] = [
  [/^([-+]?)0b([01_]*[01][01_]*)$/i, '0b'],
  [/^([-+]?)0x([0-9a-f_]*[0-9a-f][0-9a-f_]*)$/i, '0x'],
  [/^([-+]?)0_*([0-7][0-7_]*)$/, '0o'],
  [/^([-+]?)([0-9][0-9_]*)$/, ''],
]

/** Bases as documented: `0b`, a leading `0` for octal, `0x`; underscores between digits. */
function integerOf(text: string): bigint | undefined {
  if (text.length > MAX_DIGITS) return undefined
  for (const [form, prefix] of INTEGER_FORMS) {
    const match = form.exec(text)
    if (match === null) continue
    const value = BigInt(prefix + (match[2] ?? '').replaceAll('_', ''))
    return match[1] === '-' ? -value : value
  }
  return undefined
}

function integerFault(bounds: Bounds, text: string): string | undefined {
  const value = integerOf(text)
  return value === undefined ? `must be a whole number, got ${quote(text)}` : boundsFault(bounds, value, text)
}

const NUMBER = /^[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,6})?$/
const INFINITY = /^([-+]?)inf(?:inity)?$/i
const NAN = /^[-+]?nan$/i

function numberFault(type: Extract<Type, { id: 'number' }>, text: string): string | undefined {
  if (NAN.test(text)) return type.nan ? undefined : 'must be a number, nan is not allowed here'
  const value = numberOf(text)
  if (value === undefined) return `must be a number, got ${quote(text)}`
  if (!Number.isFinite(value) && !type.infinity) return `must be finite, got ${quote(text)}`
  return boundsFault(type.bounds, value, text)
}

function numberOf(text: string): number | undefined {
  if (text.length > MAX_DIGITS) return undefined
  const infinite = INFINITY.exec(text)
  if (infinite !== null) return infinite[1] === '-' ? -Infinity : Infinity
  return NUMBER.test(text) ? Number(text) : undefined
}

function boundsFault({ gt, geq, lt, leq }: Bounds, value: number | bigint, text: string): string | undefined {
  if (gt !== undefined && !(value > gt)) return `must be greater than ${gt}, got ${quote(text)}`
  if (geq !== undefined && !(value >= geq)) return `must be at least ${geq}, got ${quote(text)}`
  if (lt !== undefined && !(value < lt)) return `must be less than ${lt}, got ${quote(text)}`
  if (leq !== undefined && !(value <= leq)) return `must be at most ${leq}, got ${quote(text)}`
  return undefined
}

/** Characters are UTF-16 units, as the reference counts them. */
export function lengthFault(min: number, max: number, chars: number): string | undefined {
  if (chars < min) return `must have at least ${min} characters, has ${chars}`
  return chars > max ? `must have at most ${max} characters, has ${chars}` : undefined
}

/** `before` and `after` mean what they say; the reference has them the wrong way round. */
function datetimeFault(type: Extract<Type, { id: 'datetime' }>, text: string): string | undefined {
  const at = instantOf(text)
  if (at === undefined) return `must be an instant such as 2024-01-31T12:00:00Z, got ${quote(text)}`
  if (type.before !== undefined && at >= type.before)
    return `must lie before ${shownInstant(type.before)}, got ${quote(text)}`
  if (type.after !== undefined && at <= type.after)
    return `must lie after ${shownInstant(type.after)}, got ${quote(text)}`
  return undefined
}
