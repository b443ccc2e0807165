/**
 * The paths of a DockerTask: which folder of the container they lie in, what they are called in our market, and which
 * volumes hold them. The reference rebases each path to a bucket; here the part below the prefix becomes a name.
 */
import { MAX_INPUTS } from '../../core/bundle.ts'
import { isWithin, mountFault, outermost, placeOf } from '../places.ts'

/** `>` is the console alone, `>>` the console with a report around it, kept also of a failed run. */
type Capture = '>' | '>>'

/** `rel` is the part below the prefix, without a slash at its end and empty for the prefix itself. */
export type TaskPath = {
  listed: string
  place: string
  rel: string
  folder: boolean
  capture?: Capture
  /** Among the inputs or among the outputs, no other path has it. */
  name: string
}

/** Volumes cost a mount each: with more of them than this, one at the prefix holds everything. */
const MAX_MOUNTS = 8
/** A name has at most 100 characters; a log's file gets a time of 16 and perhaps a number. */
const MAX_NAME = 80

type Side = 'inputs' | 'outputs'

/** The paths of one list in its order, with what is wrong with each. */
export function readPaths(
  listed: readonly string[],
  prefix: string,
  side: Side,
): { paths: TaskPath[]; faults: { at: number; what: string }[] } {
  const paths: TaskPath[] = []
  const faults: { at: number; what: string }[] = []
  const places = new Set<string>()
  const names = new Set<string>()
  for (const [at, text] of listed.entries()) {
    const read = readPath(text, prefix, side, names)
    const fault = typeof read === 'string' ? read : repeated(read, places)
    if (fault !== undefined) faults.push({ at, what: fault })
    else if (typeof read !== 'string') paths.push(read)
  }
  return { paths, faults }
}

export const MAX_PATHS = Math.min(200, MAX_INPUTS)

function repeated(path: TaskPath, seen: Set<string>): string | undefined {
  const key = `${path.capture === '>>' ? '>>' : ''}${path.place}`
  if (seen.has(key)) return 'names a path that is already in the list'
  seen.add(key)
  return undefined
}

function readPath(listed: string, prefix: string, side: Side, names: Set<string>): TaskPath | string {
  const marks = /^>*/.exec(listed)?.[0] ?? ''
  const capture = marks.length >= 2 ? '>>' : marks.length === 1 ? '>' : undefined
  const bare = listed.slice(marks.length)
  const read = placeOf(bare)
  if ('fault' in read) return read.fault
  const folder = bare.endsWith('/')
  if (capture !== undefined && side === 'inputs') return 'is a capture, and only outputs can be captures'
  if (capture !== undefined && folder) return 'is a capture, which must name a file and not a folder'
  if (!isWithin(read.place, prefix)) return `lies outside the internal_prefix ${prefix}`
  if (!folder && read.place === prefix) return 'is the internal_prefix itself, which is a folder: end it with a slash'
  const rel = read.place === prefix ? '' : read.place.slice(prefix === '/' ? 1 : prefix.length + 1)
  const fault = capture === undefined ? mountFault(mountOf({ place: read.place, folder })) : undefined
  if (fault !== undefined) return fault
  const name = uniqueName(nameOf(rel === '' ? (prefix.split('/').at(-1) ?? '') : rel), names)
  return { listed, place: read.place, rel, folder, ...(capture === undefined ? {} : { capture }), name }
}

/** `kb/data.cPickle` → `kb--data.cPickle`: what a slash was stays visible, and the name is one that every side takes. */
export function nameOf(rel: string): string {
  const plain = rel.replaceAll('/', '--').replace(/[^A-Za-z0-9_. -]/gu, '_')
  const cut = plain.slice(-MAX_NAME)
  return /^[A-Za-z0-9_]/.test(cut) ? cut : `_${cut}`
}

/** The name, or with a number behind it where another has it. */
export function uniqueName(name: string, taken: Set<string>): string {
  let unique = name
  for (let n = 2; taken.has(unique); n++) unique = `${name}_${n}`
  taken.add(unique)
  return unique
}

/** As little of the image as can be is hidden: a folder has a volume of its own, a file one at the folder it lies in. */
export function mountsOf(paths: readonly TaskPath[], prefix: string): string[] {
  const mounts = outermost(paths.filter(({ capture }) => capture === undefined).map(mountOf))
  return mounts.length > MAX_MOUNTS && mountFault(prefix) === undefined ? [prefix] : mounts
}

function mountOf({ place, folder }: { place: string; folder: boolean }): string {
  if (folder) return place
  return place.slice(0, place.lastIndexOf('/')) || '/'
}
