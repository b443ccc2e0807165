/**
 * YAML text as plain values with the offset of every key and item. The library's parser is asked token by token and
 * stopped at the depth and token caps, before its recursive and quadratic parts begin; the values are made here, so that
 * aliases, tags and keys are judged one by one.
 */
import { isAlias, isMap, isScalar, isSeq, Lexer, parseDocument, Parser } from 'yaml'
import type { Document, Node, Pair, Scalar } from 'yaml'
import type { Path } from './safe-text.ts'

type Spot = { offset: number; what: string }
type Composed = {
  value: unknown
  offsets: ReadonlyMap<string, number>
  /** Of numbers: `1.0` is not `1` to everybody. */
  spellings: ReadonlyMap<string, string>
  faults: Spot[]
}

/** A descriptor of 20 KB has about 3,000 tokens; the library needs a second for 500,000. */
const MAX_TOKENS = 50_000
/** Values after aliases are expanded. */
const MAX_NODES = 20_000
const MAX_ALIASES = 32
/** Faults that differ. */
const MAX_TOLD = 10
const CORE_TAG = /^tag:yaml\.org,2002:(str|int|float|bool|null|map|seq)$/

export function composeYaml(text: string, maxDepth: number): Composed {
  const refused = tooMuch(text, maxDepth)
  const nothing = { value: undefined, offsets: new Map(), spellings: new Map() }
  if (refused !== undefined) return { ...nothing, faults: [refused] }
  // Our own walk finds repeated keys in linear time; the library compares each key with each.
  const document = parseDocument(text, { schema: 'core', uniqueKeys: false, prettyErrors: false, logLevel: 'error' })
  const faults = [...document.errors, ...document.warnings].map((e) => ({ offset: e.pos[0], what: e.message }))
  if (faults.length > 0) return { ...nothing, faults }
  const walk = new Walk(document, maxDepth)
  const value = walk.value(document.contents, [], new Set())
  return { value, offsets: walk.offsets, spellings: walk.spellings, faults: walk.faults() }
}

function tooMuch(text: string, maxDepth: number): Spot | undefined {
  const parser = new Parser()
  let [tokens, offset] = [0, 0]
  for (const lexeme of new Lexer().lex(text)) {
    tokens += 1 + [...parser.next(lexeme)].length
    if (parser.stack.length > maxDepth * 2) return { offset, what: `nests deeper than ${maxDepth} levels` }
    if (tokens > MAX_TOKENS) return { offset, what: `has more than ${MAX_TOKENS} tokens` }
    offset += lexeme.length
  }
  return undefined
}

class Walk {
  readonly offsets = new Map<string, number>()
  readonly spellings = new Map<string, string>()
  /** By what they say: where first, and how often. */
  readonly #found = new Map<string, { offset: number; count: number }>()
  readonly #document: Document
  readonly #maxDepth: number
  #nodes = 0
  #aliases = 0

  constructor(document: Document, maxDepth: number) {
    this.#document = document
    this.#maxDepth = maxDepth
  }

  value(node: unknown, path: Path, above: ReadonlySet<unknown>): unknown {
    const offset = offsetOf(node)
    if (++this.#nodes > MAX_NODES) return this.#refuse(offset, `has a value beyond the ${MAX_NODES} that are read`)
    if (path.length > this.#maxDepth) return this.#refuse(offset, `nests deeper than ${this.#maxDepth} levels`)
    if (path.length > 0 && !this.offsets.has(JSON.stringify(path))) this.offsets.set(JSON.stringify(path), offset)
    if (isAlias(node)) return this.#alias(node, path, above)
    if (hasForeignTag(node)) return this.#refuse(offset, `has the tag ${String(node.tag).slice(0, 80)}`)
    if (isScalar(node)) return this.#scalar(node, path)
    if (isSeq(node)) return node.items.map((item, i) => this.value(item, [...path, i], new Set([...above, node])))
    if (isMap(node)) return this.#map(node.items, path, new Set([...above, node]))
    return null
  }

  #scalar(node: Scalar, path: Path): unknown {
    if (typeof node.value === 'number' && node.source !== undefined)
      this.spellings.set(JSON.stringify(path), node.source)
    return node.value
  }

  #map(pairs: readonly Pair[], path: Path, above: ReadonlySet<unknown>): Record<string, unknown> {
    const made: Record<string, unknown> = {}
    for (const { key, value } of pairs) {
      const name = isScalar(key) ? String(key.value) : undefined
      if (name === undefined) this.#refuse(offsetOf(key), 'has a key that is not a plain text')
      else if (name === '__proto__') this.#refuse(offsetOf(key), 'has the key __proto__')
      else if (Object.hasOwn(made, name))
        this.#refuse(offsetOf(key), `repeats the key ${JSON.stringify(name.slice(0, 80))}`)
      else {
        this.offsets.set(JSON.stringify([...path, name]), offsetOf(key))
        made[name] = this.value(value, [...path, name], above)
      }
    }
    return made
  }

  #alias(alias: { resolve(document: Document): Node | undefined }, path: Path, above: ReadonlySet<unknown>): unknown {
    if (++this.#aliases > MAX_ALIASES)
      return this.#refuse(offsetOf(alias), `has an alias beyond the ${MAX_ALIASES} that are followed`)
    const target = alias.resolve(this.#document)
    if (target === undefined || above.has(target))
      return this.#refuse(offsetOf(alias), 'has an alias to itself or to nothing')
    return this.value(target, path, above)
  }

  /** The same fault a thousand times is told once, where it begins, with its number. */
  faults(): Spot[] {
    return [...this.#found].slice(0, MAX_TOLD).map(([what, { offset, count }]) => ({
      offset,
      what: count === 1 ? what : `${what} (${count} times from here on)`,
    }))
  }

  #refuse(offset: number, what: string): undefined {
    const before = this.#found.get(what)
    if (before === undefined) this.#found.set(what, { offset, count: 1 })
    else before.count++
  }
}

function hasForeignTag(node: unknown): node is { tag: string } {
  const tag: unknown = typeof node === 'object' && node !== null && 'tag' in node ? node.tag : undefined
  return typeof tag === 'string' && !CORE_TAG.test(tag)
}

function offsetOf(node: unknown): number {
  const range: unknown = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : 0
}
