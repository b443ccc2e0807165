/**
 * An array given as one JSON text: a folder with `array.yml` and a file for each item, in the caller's own spelling, so that
 * `5.0` stays `5.0` for a task that reads integers.
 */
import { MAX_VALUE_CHARS } from '../../core/bundle.ts'
import { MecaError } from '../../core/errors.ts'
import type { Staged } from '../../core/plan.ts'
import { quote } from '../../core/units.ts'
import { jsonItems } from '../json-scan.ts'
import { readJson } from '../safe-text.ts'
import { ARRAY_FILE } from './entry.ts'
import { arrayFile, NOTHING } from './laid.ts'
import type { Laid, Refuse } from './laid.ts'
import { isText, kindOfType } from './types.ts'
import type { ArrayType, TextType } from './types.ts'
import { inputFault } from './values.ts'

/** Each item becomes a file in the container. */
const MAX_ITEMS = 100_000

export function layArrayText(type: ArrayType, text: string, name: string, path: string, refuse: Refuse): Laid {
  const cure = `write a JSON array: --in ${name}=[…]`
  try {
    const { value } = readJson(text, { what: name, code: 'bad_input', maxChars: MAX_VALUE_CHARS })
    if (!Array.isArray(value))
      return refuse(`must be an array of ${kindOfType(type.subtype)}, got ${quote(text)}`, cure)
  } catch (error) {
    if (error instanceof MecaError) return refuse(`must be a JSON array: ${error.message}`, cure)
    throw error
  }
  const laying = new Laying(refuse)
  const size = laying.array(type, text, name, path)
  return laying.faults > 0 ? NOTHING : { staged: laying.staged, size }
}

class Laying {
  readonly staged: Staged[] = []
  faults = 0
  readonly #refuse: Refuse

  constructor(refuse: Refuse) {
    this.#refuse = refuse
  }

  /** `text` is known to be JSON. */
  array(type: ArrayType, text: string, at: string, path: string): number {
    const items = text.startsWith('[') || text.trimStart().startsWith('[') ? jsonItems(text) : undefined
    if (items === undefined) return this.#fault(at, `must be an array, got ${quote(text)}`)
    if (items.length < type.min) this.#fault(at, `must have at least ${type.min} items, has ${items.length}`)
    if (items.length > type.max) this.#fault(at, `must have at most ${type.max} items, has ${items.length}`)
    this.staged.push(
      { kind: 'folder', path },
      { kind: 'text', path: `${path}/${ARRAY_FILE}`, text: arrayFile(items.length) },
    )
    if (this.staged.length + items.length > MAX_ITEMS) return this.#fault(at, `has more than ${MAX_ITEMS} items in all`)
    for (const [i, item] of items.entries()) {
      // A thousand wrong items are wrong in the same way.
      if (this.faults < 10) this.#item(type, item, `${at}/${i}`, `${path}/${i}`)
    }
    return items.length
  }

  #item({ subtype }: ArrayType, raw: string, at: string, path: string): void {
    if (subtype.id === 'array') this.array(subtype, raw, at, path)
    else if (!isText(subtype)) this.#fault(at, `takes ${subtype.id === 'file' ? 'a file' : 'an image'}, not a value`)
    else {
      const text = textOf(subtype, raw)
      const fault = text === undefined ? `must be a ${subtype.id}, got ${quote(raw)}` : inputFault(subtype, text)
      if (fault !== undefined) this.#fault(at, fault)
      else this.staged.push({ kind: 'text', path, text: text ?? '' })
    }
  }

  #fault(at: string, what: string): number {
    this.faults++
    this.#refuse(what, `give a valid ${at.split('/')[0]}`, at)
    return 0
  }
}

/** A JSON string says its text; anything else is taken as it is written, where the type allows that. */
function textOf(type: TextType, raw: string): string | undefined {
  if (raw.startsWith('"')) return String(JSON.parse(raw))
  if (raw === 'null' || type.id === 'string' || type.id === 'enumeration' || type.id === 'datetime') return undefined
  return raw
}
