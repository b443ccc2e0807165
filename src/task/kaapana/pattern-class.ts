/** One character of a pattern: which ones it stands for. */
import type { Reader } from './pattern-parser.ts'
import { beyond } from './pattern-parser.ts'

export type CharSet = {
  negated: boolean
  ranges: readonly (readonly [number, number])[]
  kinds: readonly Kind[]
  ignoreCase: boolean
}

type Kind = 'd' | 'D' | 'w' | 'W' | 's' | 'S'

/** Each is asked about one character at a time. */
const KINDS: Readonly<Record<string, RegExp>> = { d: /^\p{Nd}$/u, w: /^[\p{L}\p{N}_]$/u, s: /^\s$/u }
const CONTROLS: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, f: 12, v: 11, a: 7 }

export function isIn(set: CharSet, point: number): boolean {
  const within = (p: number) => set.ranges.some(([low, high]) => p >= low && p <= high)
  const cased = set.ignoreCase && otherCases(point).some(within)
  return (within(point) || cased || set.kinds.some((kind) => isKind(kind, point))) !== set.negated
}

function otherCases(point: number): number[] {
  const char = String.fromCodePoint(point)
  return [char.toLowerCase(), char.toUpperCase()].map((other) => other.codePointAt(0) ?? point)
}

function isKind(kind: Kind, point: number): boolean {
  const lower = kind.toLowerCase()
  const is = KINDS[lower]?.test(String.fromCodePoint(point)) ?? false
  return is === (kind === lower)
}

/** `\d`, `\.` and the like, outside or inside of a class. */
export function escapedSet(reader: Reader): CharSet {
  const item = readEscape(reader)
  const set = { negated: false, ignoreCase: reader.ignoreCase }
  if (typeof item === 'number') return { ...set, ranges: [[item, item]], kinds: [] }
  return { ...set, ranges: [], kinds: [item] }
}

function readEscape(reader: Reader): number | Kind {
  const { source } = reader
  const point = source.codePointAt(reader.at + 1)
  if (point === undefined) throw beyond(source, 'ends with a backslash')
  const char = String.fromCodePoint(point)
  reader.at += 1 + char.length
  if (isKindName(char)) return char
  const control = CONTROLS[char]
  if (control !== undefined) return control
  if (/[A-Za-z0-9]/.test(char)) throw beyond(source, `uses \\${char}`)
  return point
}

function isKindName(char: string): char is Kind {
  return Object.hasOwn(KINDS, char.toLowerCase())
}

/** `[…]`; a bracket that stands first is a character. */
export function readClass(reader: Reader): CharSet {
  const { source } = reader
  reader.at++
  const negated = source[reader.at] === '^'
  if (negated) reader.at++
  const ranges: [number, number][] = []
  const kinds: Kind[] = []
  for (let first = true; first || source[reader.at] !== ']'; first = false) {
    const low = readItem(reader)
    if (typeof low !== 'number') kinds.push(low)
    else ranges.push([low, readHigh(reader, low)])
  }
  reader.at++
  return { negated, ranges, kinds, ignoreCase: reader.ignoreCase }
}

function readItem(reader: Reader): number | Kind {
  if (reader.source[reader.at] === '\\') return readEscape(reader)
  const point = reader.source.codePointAt(reader.at)
  if (point === undefined) throw beyond(reader.source, 'has a class that is not closed')
  reader.at += point > 0xffff ? 2 : 1
  return point
}

function readHigh(reader: Reader, low: number): number {
  const { source } = reader
  if (source[reader.at] !== '-' || source[reader.at + 1] === ']') return low
  reader.at++
  const high = readItem(reader)
  if (typeof high !== 'number' || high < low) throw beyond(source, 'has a class with a range that is none')
  return high
}
