/**
 * Walks over JSON text without building anything: how deep it nests, whether an object repeats a key, where each value
 * begins. It does not decide whether the text is JSON; the platform's parser does that afterwards, safely.
 */
import type { Path } from './safe-text.ts'

type Level = { keys: Set<string> | undefined; key: string | number; expectsKey: boolean }
type Visit = (path: Path, offset: number) => void

const LITERAL = /[^\s,:[\]{}"]+/y

/** The first fault, or undefined. `visit` is told each key and each item. */
export function scanJson(text: string, maxDepth: number, visit?: Visit): { offset: number; what: string } | undefined {
  const levels: Level[] = []
  for (let at = 0; at < text.length;) {
    const top = levels.at(-1)
    const c = text.charAt(at)
    if (top !== undefined && top.keys === undefined && startsValue(c)) visit?.(pathOf(levels), at)
    if (c === '{' || c === '[') {
      if (levels.length === maxDepth) return { offset: at, what: `nests deeper than ${maxDepth} levels` }
      levels.push({ keys: c === '{' ? new Set() : undefined, key: 0, expectsKey: c === '{' })
    } else if (c === '}' || c === ']') levels.pop()
    else if (c === ',') next(top)
    const end = endOfToken(text, at)
    if (c === '"' && top?.expectsKey === true) {
      const fault = enterKey(top, text.slice(at, end))
      if (fault !== undefined) return { offset: at, what: fault }
      visit?.(pathOf(levels), at)
    }
    at = end
  }
  return undefined
}

/** The source text of each item of a JSON array, so that `5.0` stays `5.0`. The text must be JSON. */
export function jsonItems(text: string): string[] {
  const items: string[] = []
  let depth = 0
  let start = text.indexOf('[') + 1
  for (let at = start - 1; at < text.length; at = endOfToken(text, at)) {
    const c = text.charAt(at)
    if (c === '[' || c === '{') depth++
    if (c === ']' || c === '}') depth--
    if ((c === ',' && depth === 1) || depth === 0) {
      items.push(text.slice(start, at).trim())
      start = at + 1
      if (depth === 0) break
    }
  }
  return items.length === 1 && items[0] === '' ? [] : items
}

function startsValue(c: string): boolean {
  return c === '"' || c === '{' || c === '[' || /[-0-9a-z]/.test(c)
}

function pathOf(levels: readonly Level[]): Path {
  return levels.map(({ key }) => key)
}

function next(level: Level | undefined): void {
  if (level === undefined) return
  if (level.keys === undefined) level.key = Number(level.key) + 1
  else level.expectsKey = true
}

function enterKey(level: Level, token: string): string | undefined {
  let key: string
  try {
    key = String(JSON.parse(token))
  } catch {
    return undefined // not JSON at all, which the parser says better
  }
  level.expectsKey = false
  if (key === '__proto__') return 'has the key __proto__'
  if (level.keys?.has(key) === true) return `repeats the key ${JSON.stringify(key.slice(0, 80))}`
  level.keys?.add(key)
  level.key = key
  return undefined
}

/** A string or a literal in one step, anything else one character. */
function endOfToken(text: string, at: number): number {
  if (text.charAt(at) !== '"') {
    LITERAL.lastIndex = at
    return LITERAL.test(text) ? LITERAL.lastIndex : at + 1
  }
  for (let end = at + 1; end < text.length; end++) {
    const c = text.charAt(end)
    if (c === '\\') end++
    else if (c === '"') return end + 1
  }
  return text.length
}
