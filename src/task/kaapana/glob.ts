/** Python's recursive file patterns (`*`, `?`, `[a-z]`, `**` for folders), each part matched in time that grows with its length alone. */
import type { Budget } from './budget.ts'
import { isIn } from './pattern-class.ts'
import type { CharSet } from './pattern-class.ts'
import { readClass } from './pattern-class.ts'

/** A step here costs about as much as this many remembered steps of a pattern (measured). */
const GLOB_STEPS = 4

type Part = 'any' | { kind: 'one' } | { kind: 'set'; set: CharSet }
type Segment = 'folders' | readonly Part[]

/** A file matches wherever below the base it lies, as `rglob` finds it. */
export function globOf(glob: string, budget: Budget): (path: string) => boolean {
  if (glob === '*') return () => true
  const segments: Segment[] = [
    'folders',
    ...glob
      .split('/')
      .filter((s) => s !== '' && s !== '.')
      .map(segmentOf),
  ]
  return (path) => matchesFrom(segments, path.split('/'), budget)
}

/** Which beginnings of the path the segments so far can match: one row of a table, and no going back. */
function matchesFrom(segments: readonly Segment[], names: readonly string[], budget: Budget): boolean {
  budget.spend(GLOB_STEPS * segments.length * (names.length + 1))
  let row = names.map(() => false)
  row.unshift(true)
  for (const segment of segments) {
    const next = row.map(() => false)
    for (let i = 0; i < row.length; i++) {
      if (segment === 'folders') next[i] = row[i] === true || (i > 0 && next[i - 1] === true)
      else if (i > 0) next[i] = row[i - 1] === true && matchesName(segment, names[i - 1] ?? '', budget)
    }
    row = next
  }
  return row.at(-1) === true
}

function segmentOf(text: string): Segment {
  if (text === '**') return 'folders'
  const parts: Part[] = []
  for (let at = 0; at < text.length;) {
    const char = text[at] ?? ''
    const close = char === '[' ? text.indexOf(']', at + (text[at + 1] === '!' ? 3 : 2)) : -1
    if (close > at) parts.push(classOf(text.slice(at, close + 1)))
    else if (char === '*') parts.push('any')
    else parts.push(char === '?' ? { kind: 'one' } : literal(text.codePointAt(at) ?? 0))
    at =
      close > at
        ? close + 1
        : at + (char === '*' || char === '?' ? 1 : String.fromCodePoint(text.codePointAt(at) ?? 0).length)
  }
  return parts
}

function literal(point: number): Part {
  return { kind: 'set', set: { negated: false, ranges: [[point, point]], kinds: [], ignoreCase: false } }
}

/** `[!a]` here is `[^a]` there, and a backslash or a circumflex is a character. */
function classOf(text: string): Part {
  const inner = text.slice(1, -1).replaceAll('\\', '\\\\')
  const source = inner.startsWith('!') ? `[^${inner.slice(1)}]` : `[${inner.startsWith('^') ? '\\' : ''}${inner}]`
  return { kind: 'set', set: readClass({ source, at: 0, ignoreCase: false, depth: 0 }) }
}

/** Goes back to the last star only, which is enough because a star takes anything. */
function matchesName(parts: readonly Part[], name: string, budget: Budget): boolean {
  const chars = [...name]
  let [part, char, star, from] = [0, 0, -1, 0]
  while (char < chars.length) {
    budget.spend(GLOB_STEPS)
    const here = parts[part]
    if (here === 'any') [star, from, part] = [part, char, part + 1]
    else if (here !== undefined && takes(here, chars[char] ?? '')) [part, char] = [part + 1, char + 1]
    else if (star >= 0) [part, char, from] = [star + 1, from + 1, from + 1]
    else return false
  }
  return parts.slice(part).every((rest) => rest === 'any')
}

function takes(part: Exclude<Part, 'any'>, char: string): boolean {
  return part.kind === 'one' || isIn(part.set, char.codePointAt(0) ?? 0)
}
