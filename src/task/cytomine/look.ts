/**
 * Outputs whose first bytes do not decide: read through to their end, chunk by chunk, so that a long text is judged whole
 * and never held. Only a geometry is kept while it is read, up to a ceiling of its own.
 */
import type { Look, Noted } from '../format.ts'
import { ARRAY_FILE, INDEX, isOnlyText, MAX_ARRAY_FILE_BYTES, NO_TEXT } from './entry.ts'
import { geometryFault } from './geometry.ts'
import type { Param } from './params.ts'
import type { Entry } from './tree.ts'
import { isText } from './types.ts'
import type { TextType, Type } from './types.ts'
import { lengthFault, valueFault } from './values.ts'

/** By path, for every output that needs one. */
export function looksAt(outputs: readonly Pick<Param, 'name' | 'type'>[], tree: Entry): Map<string, Look> {
  const looks = new Map<string, Look>()
  for (const { name, type } of outputs) {
    const entry = tree.children.get(name)
    if (entry !== undefined) walk(type, entry, name, looks)
  }
  return looks
}

function walk(type: Type, { file, children }: Entry, at: string, looks: Map<string, Look>): void {
  if (type.id === 'array') {
    const size = children.get(ARRAY_FILE)?.file
    if (size !== undefined && size.bytes <= MAX_ARRAY_FILE_BYTES && size.head.byteLength < size.bytes)
      looks.set(
        `${at}/${ARRAY_FILE}`,
        reading(MAX_ARRAY_FILE_BYTES, ({ text }) => ({ text })),
      )
    for (const [name, child] of children) if (INDEX.test(name)) walk(type.subtype, child, `${at}/${name}`, looks)
  } else if (file !== undefined && file.head.byteLength < file.bytes) {
    if (isText(type)) looks.set(at, textLook(type))
    else if (type.id === 'file' && isOnlyText(type.formats)) looks.set(at, plainTextLook())
  }
}

/** No value of these types is longer; an item of an enumeration has at most 256 characters. */
const MAX_SHORT_CHARS = 4096
/** Reading and comparing so much takes about a second; a polygon of it has some 400,000 points. */
const MAX_GEOMETRY_CHARS = 16 * 2 ** 20

function textLook(type: TextType): Look {
  if (type.id === 'string')
    return reading(0, ({ chars }) => noted(chars === 0 ? BLANK : lengthFault(type.minLength, type.maxLength, chars)))
  if (type.id === 'geometry') return reading(MAX_GEOMETRY_CHARS, judgeGeometry)
  return reading(MAX_SHORT_CHARS, ({ text, chars }) => {
    if (chars === 0) return noted(BLANK)
    return noted(chars > text.length ? `is ${chars} characters long, which no ${type.id} is` : valueFault(type, text))
  })
}

const BLANK = 'is blank'

/** A file that must be text may be blank, and has no zero in it. */
function plainTextLook(): Look {
  const { take, end } = reading(0, () => ({}), NO_TEXT)
  let isText = true
  return {
    take: (chunk) => {
      isText &&= !chunk.includes(0)
      return isText && take(chunk)
    },
    end: () => (isText ? end() : { fault: NO_TEXT }),
  }
}

function judgeGeometry({ text, chars }: Trimmed): Noted {
  if (chars === 0) return noted(BLANK)
  if (chars === text.length) return noted(geometryFault(text, MAX_GEOMETRY_CHARS))
  if (!text.startsWith('{')) return noted('must be one GeoJSON object')
  return { warning: `has ${chars} characters; only that it is text and begins as an object was checked` }
}

function noted(fault: string | undefined): Noted {
  return fault === undefined ? {} : { fault }
}

/** What is between the blanks around a text: its length, and its beginning. */
type Trimmed = { text: string; chars: number }

/** Trims a text that comes in pieces. Blanks count once something follows them. */
class Trimmer {
  #text = ''
  #chars = 0
  #blanks = ''
  #blankChars = 0
  readonly #keepChars: number

  constructor(keepChars: number) {
    this.#keepChars = keepChars
  }

  get trimmed(): Trimmed {
    return { text: this.#text, chars: this.#chars }
  }

  take(piece: string): void {
    const rest = this.#chars === 0 ? piece.trimStart() : piece
    const body = rest.trimEnd()
    if (body !== '') {
      this.#text += (this.#blanks + body).slice(0, this.#keepChars - this.#text.length)
      this.#chars += this.#blankChars + body.length
      this.#blanks = ''
      this.#blankChars = 0
    }
    if (this.#chars === 0) return
    const blanks = rest.slice(body.length)
    this.#blanks += blanks.slice(0, Math.max(0, this.#keepChars - this.#text.length - this.#blanks.length))
    this.#blankChars += blanks.length
  }
}

/** `end` is asked only where all of it was text. */
function reading(keepChars: number, end: (read: Trimmed) => Noted, notText = 'is not UTF-8 text'): Look {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  const trimmer = new Trimmer(keepChars)
  let isText = true
  const decode = (chunk?: Uint8Array) => {
    try {
      trimmer.take(chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true }))
    } catch {
      isText = false // the only error there is: not UTF-8
    }
  }
  return {
    take: (chunk) => {
      if (isText) decode(chunk)
      return isText
    },
    end: () => {
      if (isText) decode()
      return isText ? end(trimmer.trimmed) : { fault: notText }
    },
  }
}
