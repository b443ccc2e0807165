/** Reads the subset of Python's regular expressions that `pattern.ts` matches, into a tree. Nothing here recurses deeper than the groups it allows. */
import { MecaError } from '../../core/errors.ts'
import { quote } from '../../core/units.ts'
import { escapedSet, readClass } from './pattern-class.ts'
import type { CharSet } from './pattern-class.ts'

export type Node =
  | { kind: 'set'; set: CharSet }
  | { kind: 'start' }
  | { kind: 'end' }
  | { kind: 'row'; of: readonly Node[] }
  | { kind: 'either'; of: readonly Node[] }
  /** `max` absent: as often as there is text. */
  | { kind: 'repeat'; of: Node; min: number; max?: number }

const MAX_CHARS = 500
const MAX_GROUPS = 20
const MAX_REPEAT = 1000
const REPEAT = /\{([0-9]{0,6})(,?)([0-9]{0,6})\}/y

export type Reader = { readonly source: string; at: number; readonly ignoreCase: boolean; depth: number }

/** Throws `invalid_task` for what is beyond the subset. */
export function parsePattern(source: string): Node {
  if (source.length > MAX_CHARS) throw beyond(source, `is longer than ${MAX_CHARS} characters`)
  const ignoreCase = source.startsWith('(?i)')
  const reader: Reader = { source, at: ignoreCase ? 4 : 0, ignoreCase, depth: 0 }
  const node = parseEither(reader)
  if (reader.at < source.length) throw beyond(source, 'closes a group that is not open')
  return node
}

export function beyond(source: string, what: string): MecaError {
  return new MecaError('invalid_task', `The pattern ${quote(source)} ${what}`, {
    cure: 'use characters, classes, groups, alternatives and repetitions only; no look-around and no back-references',
  })
}

function parseEither(reader: Reader): Node {
  const rows = [parseRow(reader)]
  while (reader.source[reader.at] === '|') {
    reader.at++
    rows.push(parseRow(reader))
  }
  const [only] = rows
  return only !== undefined && rows.length === 1 ? only : { kind: 'either', of: rows }
}

function parseRow(reader: Reader): Node {
  const of: Node[] = []
  while (reader.at < reader.source.length && !'|)'.includes(reader.source[reader.at] ?? '')) {
    of.push(parseRepeated(reader))
  }
  return { kind: 'row', of }
}

function parseRepeated(reader: Reader): Node {
  const of = parseOne(reader)
  const times = parseTimes(reader)
  if (times === undefined) return of
  if (of.kind === 'start' || of.kind === 'end') throw beyond(reader.source, 'repeats an anchor')
  // A lazy repetition matches the same whole texts as a greedy one.
  if (reader.source[reader.at] === '?') reader.at++
  else if (parseTimes({ ...reader }) !== undefined) throw beyond(reader.source, 'repeats a repetition')
  return { kind: 'repeat', of, ...times }
}

function parseTimes(reader: Reader): { min: number; max?: number } | undefined {
  const char = reader.source[reader.at]
  if (char === '{') return parseBraces(reader)
  if (char !== '*' && char !== '+' && char !== '?') return undefined
  reader.at++
  return { min: char === '+' ? 1 : 0, ...(char === '?' ? { max: 1 } : {}) }
}

/** Braces that are no repetition are characters, as Python reads them. */
function parseBraces(reader: Reader): { min: number; max?: number } | undefined {
  REPEAT.lastIndex = reader.at
  const match = REPEAT.exec(reader.source)
  if (match === null || match[0] === '{}') return undefined
  const [text, low = '', comma, high = ''] = match
  const min = Number(low)
  const max = comma === '' ? min : high === '' ? undefined : Number(high)
  if (Math.max(min, max ?? 0) > MAX_REPEAT || (max ?? min) < min)
    throw beyond(reader.source, `repeats more than ${MAX_REPEAT} times, or fewer at most than at least`)
  reader.at += text.length
  return { min, ...(max === undefined ? {} : { max }) }
}

function parseOne(reader: Reader): Node {
  const char = reader.source[reader.at] ?? ''
  if (char === '(') return parseGroup(reader)
  if (char === '[') return { kind: 'set', set: readClass(reader) }
  if (char === '*' || char === '+' || char === '?') throw beyond(reader.source, 'repeats nothing')
  if (char === '\\') return parseEscape(reader)
  const point = reader.source.codePointAt(reader.at) ?? 0
  reader.at += point > 0xffff ? 2 : 1
  if (char === '^') return { kind: 'start' }
  if (char === '$') return { kind: 'end' }
  if (char === '.') return { kind: 'set', set: { negated: true, ranges: [[10, 10]], kinds: [], ignoreCase: false } }
  return {
    kind: 'set',
    set: { negated: false, ranges: [[point, point]], kinds: [], ignoreCase: reader.ignoreCase },
  }
}

function parseEscape(reader: Reader): Node {
  const next = reader.source[reader.at + 1]
  if (next === 'A') reader.at += 2
  if (next === 'A') return { kind: 'start' }
  if (next === 'Z') reader.at += 2
  if (next === 'Z') return { kind: 'end' }
  return { kind: 'set', set: escapedSet(reader) }
}

const GROUP = /\((?:\?:|\?P<[A-Za-z_][A-Za-z0-9_]{0,50}>|(?!\?))/y

function parseGroup(reader: Reader): Node {
  GROUP.lastIndex = reader.at
  const open = GROUP.exec(reader.source)
  if (open === null) throw beyond(reader.source, 'uses a group with a question mark other than (?:…)')
  if (++reader.depth > MAX_GROUPS) throw beyond(reader.source, `nests more than ${MAX_GROUPS} groups`)
  reader.at += open[0].length
  const node = parseEither(reader)
  if (reader.source[reader.at] !== ')') throw beyond(reader.source, 'has a group that is not closed')
  reader.at++
  reader.depth--
  return node
}
