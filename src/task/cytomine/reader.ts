/** Reads one object of a descriptor field by field and notes every fault with its line, without stopping at the first. */
import type { Notes } from '../folder-facts.ts'
import type { Path } from '../safe-text.ts'

type Json = Readonly<Record<string, unknown>>
type TextRule = { required?: boolean; min?: number; max?: number; form?: RegExp; like?: string }
type NumberRule = { whole?: boolean; min?: number; max?: number }

export class Reader {
  readonly path: Path
  readonly notes: Notes
  readonly #value: Json

  constructor(value: Json, path: Path, notes: Notes) {
    this.path = path
    this.notes = notes
    this.#value = value
  }

  /** Faults are told at the field, or at this object where the field is missing. */
  error(key: string, what: string, cure: string): undefined {
    this.notes.error([...this.path, key], what, cure)
  }

  raw(key: string): unknown {
    return Object.hasOwn(this.#value, key) ? this.#value[key] : undefined
  }

  keys(): string[] {
    return Object.keys(this.#value)
  }

  text(
    key: string,
    { required = false, min = 0, max = 10_000, form, like = 'a text' }: TextRule = {},
  ): string | undefined {
    const value = this.raw(key)
    if (value === undefined) return required ? this.error(key, 'is missing', `write ${key} as ${like}`) : undefined
    if (typeof value !== 'string')
      return this.error(key, `is ${kind(value)}, not a text`, `write ${key} as ${like}, in quotes`)
    if (value.length < min || value.length > max)
      return this.error(key, `has ${value.length} characters`, `write between ${min} and ${max} characters`)
    if (form !== undefined && !form.test(value))
      return this.error(
        key,
        `is ${JSON.stringify(value.slice(0, 80))}, which is not ${like}`,
        `write ${key} as ${like}`,
      )
    return value
  }

  number(key: string, { whole = false, min = -Infinity, max = Infinity }: NumberRule = {}): number | undefined {
    const value = this.raw(key)
    if (value === undefined) return undefined
    const wanted = whole ? 'a whole number' : 'a number'
    if (typeof value !== 'number' || Number.isNaN(value) || (whole && !Number.isSafeInteger(value)))
      return this.error(key, `is ${shown(value)}, not ${wanted}`, `write ${key} as ${wanted}`)
    if (value < min || value > max)
      return this.error(key, `is ${value}`, `write ${key} as ${wanted} between ${min} and ${max}`)
    return value
  }

  flag(key: string): boolean {
    const value = this.raw(key)
    if (value === undefined || typeof value === 'boolean') return value ?? false
    this.error(key, `is ${shown(value)}, not true or false`, `write ${key}: true or ${key}: false`)
    return false
  }

  object(key: string, required = false): Reader | undefined {
    const value = this.raw(key)
    if (value === undefined && !required) return undefined
    if (!isObject(value))
      return this.error(
        key,
        value === undefined ? 'is missing' : `is ${kind(value)}, not a mapping`,
        `write ${key}: with its fields below it`,
      )
    return new Reader(value, [...this.path, key], this.notes)
  }

  /** Undefined where it is missing; faulty lists are noted. */
  list(key: string, required = false): readonly unknown[] | undefined {
    const value: unknown = this.raw(key)
    if (value === undefined && !required) return undefined
    if (!Array.isArray(value) || value.length === 0)
      return this.error(
        key,
        value === undefined ? 'is missing' : `is ${kind(value)}, not a list of at least one item`,
        `write ${key} as a list`,
      )
    return value as unknown[]
  }

  texts(key: string): readonly string[] | undefined {
    const list = this.list(key)
    if (list === undefined || list.every((item) => typeof item === 'string')) return list
    return this.error(key, 'has an item that is not a text', 'write each item as a text, in quotes')
  }
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function kind(value: unknown): string {
  if (value === null) return 'empty'
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list'
  return isObject(value) ? 'a mapping' : `the ${typeof value} ${JSON.stringify(value)?.slice(0, 80)}`
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : kind(value)
}
