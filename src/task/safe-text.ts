/**
 * Reads a stranger's YAML and JSON into plain values, with ceilings that are checked before anything recurses: a
 * descriptor nested a million deep, one that repeats a key or one that swells through aliases is a typed error with its
 * line, and takes milliseconds.
 */
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { scanJson } from './json-scan.ts'
import { composeYaml } from './yaml-tree.ts'

export type Place = { line: number; column: number }
export type Path = readonly (string | number)[]

/** `placeOf` answers for the deepest part of the path that is there; `spellingOf` a YAML number as its author wrote it. */
export type ReadText = {
  readonly value: unknown
  placeOf(path: Path): Place
  spellingOf(path: Path): string | undefined
}

/** A fault of the text itself. */
export type Fault = Place & { what: string }

/** `what` names the text in messages; `code` is the caller's view of whose fault a bad text is. */
export type Reading = { what: string; code?: 'invalid_task' | 'bad_input'; maxChars?: number }

/** Published descriptors have up to 20 KB; more than this is not written by people. */
export const MAX_TEXT_CHARS = 512 * 1024
/** The deepest published descriptor has 9 levels. */
const MAX_TEXT_DEPTH = 64

/** Custom tags, repeated keys, several documents and many aliases are refused. Throws with every fault in `details.faults`. */
export function readYaml(text: string, reading: Reading): ReadText {
  requireSize(text, reading)
  const { value, offsets, spellings, faults } = composeYaml(text, MAX_TEXT_DEPTH)
  if (faults.length > 0) {
    throw unreadable(
      'YAML',
      faults.map(({ offset, what }) => ({ ...placeAt(text, offset), what })),
      reading,
    )
  }
  return {
    value,
    placeOf: (path) => placeAt(text, nearest(offsets, path)),
    spellingOf: (path) => spellings.get(JSON.stringify(path)),
  }
}

/** Repeated keys are refused. Throws with the fault in `details.faults`. */
export function readJson(text: string, reading: Reading): ReadText {
  requireSize(text, reading)
  const fault = scanJson(text, MAX_TEXT_DEPTH)
  if (fault !== undefined) throw unreadable('JSON', [{ ...placeAt(text, fault.offset), what: fault.what }], reading)
  return {
    value: parse(text, reading),
    placeOf: (path) => placeAt(text, nearest(jsonOffsets(text), path)),
    spellingOf: () => undefined,
  }
}

function parse(text: string, reading: Reading): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause)
    const offset = Number(/at position ([0-9]{1,9})/.exec(said)?.[1] ?? text.length)
    throw unreadable('JSON', [{ ...placeAt(text, offset), what: printable(said).slice(0, 200) }], reading)
  }
}

/** Only asked for when something is wrong, so it costs nothing where nothing is. */
function jsonOffsets(text: string): Map<string, number> {
  const offsets = new Map<string, number>()
  scanJson(text, MAX_TEXT_DEPTH, (path, offset) => offsets.set(JSON.stringify(path), offset))
  return offsets
}

function nearest(offsets: ReadonlyMap<string, number>, path: Path): number {
  for (let length = path.length; length > 0; length--) {
    const offset = offsets.get(JSON.stringify(path.slice(0, length)))
    if (offset !== undefined) return offset
  }
  return 0
}

function placeAt(text: string, offset: number): Place {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf('\n') + 1
  let line = 1
  for (let at = before.indexOf('\n'); at !== -1; at = before.indexOf('\n', at + 1)) line++
  return { line, column: before.length - start + 1 }
}

function requireSize(text: string, { what, code, maxChars = MAX_TEXT_CHARS }: Reading): void {
  if (text.length <= maxChars) return
  throw new MecaError(code ?? 'invalid_task', `${what} has ${text.length} characters, the most is ${maxChars}`, {
    cure: `shorten ${what}; data belongs into files`,
  })
}

function unreadable(language: string, faults: Fault[], { what, code }: Reading): MecaError {
  const told = faults.slice(0, 10).map((f) => `line ${f.line}, column ${f.column}: ${f.what}`)
  return new MecaError(code ?? 'invalid_task', `${what} is not usable ${language}: ${told.join('; ')}`, {
    cure: `mend ${what} at the named lines`,
    details: { faults },
  })
}
