/** One parameter, in whichever way it was given: a value, a file, a folder, several files, a link, or not at all. */
import type { Staged } from '../../core/plan.ts'
import type { Given } from '../format.ts'
import { bundlePath, kindOf } from '../given.ts'
import { layArrayText } from './array-text.ts'
import { ARRAY_FILE, judgeEntry } from './entry.ts'
import { seeImage } from './image.ts'
import { arrayFile, NOTHING } from './laid.ts'
import type { Laid, Refuse } from './laid.ts'
import type { Param } from './params.ts'
import { textOf } from './tree.ts'
import type { Entry } from './tree.ts'
import { constraintsOf, isText, kindOfType } from './types.ts'
import type { ArrayType, Type } from './types.ts'
import { inputFault } from './values.ts'

/** `path` is the parameter's place in the container. */
export function lay(param: Param, given: Given, tree: Entry, path: string, refuse: Refuse): Laid {
  const { name, type } = param
  const kind = kindOf(name, given)
  const from = bundlePath(name)
  if (kind === undefined) return layDefault(param, path, refuse)
  if (kind === 'value') return layValue(param, given.job.values[name] ?? '', path, refuse)
  const entry = tree.children.get(name)
  // A link whose content nobody has seen yet.
  if (entry === undefined) return { staged: [{ kind: type.id === 'array' ? 'folder' : 'file', path, from }] }
  if (kind === 'list' && type.id !== 'array')
    return refuse('takes one value, not several files', `give --in ${name}=@FILE once`)
  return entry.file === undefined
    ? layFolder(param, entry, path, from, refuse)
    : layFile(param, entry, path, from, refuse)
}

/** The default where there is one; nothing at all where the task can do without; else a fault. */
function layDefault({ name, type, optional, default: value }: Param, path: string, refuse: Refuse): Laid {
  if (value !== undefined) return { staged: [{ kind: 'text', path, text: value }] }
  return optional ? NOTHING : refuse('is missing', isText(type) ? `give --in ${name}=VALUE` : `give --in ${name}=@FILE`)
}

function layValue({ name, type, optional }: Param, text: string, path: string, refuse: Refuse): Laid {
  if (isNull(type, text))
    return optional ? NOTHING : refuse('is null, and the task needs it', `give --in ${name}=VALUE`)
  if (type.id === 'array') return layArrayText(type, text, name, path, refuse)
  if (isText(type)) {
    const fault = inputFault(type, text)
    return fault === undefined ? { staged: [{ kind: 'text', path, text }] } : refuse(fault, cureOf(type, name))
  }
  return refuse(`takes ${type.id === 'file' ? 'a file' : 'an image'}, not a value`, `give --in ${name}=@FILE`)
}

/** JSON's null says that nothing is given; as a string it is the four letters. */
function isNull(type: Type, text: string): boolean {
  if (text.trim() !== 'null' || type.id === 'string') return false
  return type.id !== 'enumeration' || !type.values.includes('null')
}

function layFolder({ name, type }: Param, entry: Entry, path: string, from: string, refuse: Refuse): Laid {
  const staged: Staged = { kind: 'folder', path, from }
  if (type.id !== 'array') return layJudged(type, entry, name, staged, refuse)
  const array = judgeArray(type, entry, name, path, refuse)
  return array === undefined ? NOTHING : { staged: [staged, ...array.own], size: array.size }
}

/** A file may hold what a value would say: a number, a whole array as JSON. It is also an array of one file. */
function layFile({ name, type }: Param, entry: Entry, path: string, from: string, refuse: Refuse): Laid {
  const { file } = entry
  const read = file === undefined ? undefined : textOf(file)
  if (type.id === 'array') {
    if (read?.whole === true && (isText(type.subtype) || type.subtype.id === 'array'))
      return layArrayText(type, read.text, name, path, refuse)
    const array = judgeArray(type, { children: new Map([['0', entry]]) }, name, path, refuse)
    if (array === undefined) return NOTHING
    return { staged: [{ kind: 'folder', path }, ...array.own, { kind: 'file', path: `${path}/0`, from }], size: 1 }
  }
  if (isText(type) && type.id !== 'string' && type.id !== 'geometry' && read?.whole === true) {
    const text = read.text.trim()
    const fault = inputFault(type, text)
    return fault === undefined ? { staged: [{ kind: 'text', path, text }] } : refuse(fault, cureOf(type, name))
  }
  if (type.id === 'image' && file !== undefined && seeImage(file).format === 'zip')
    return refuse('is a zip', `unpack it and give the folder of DICOM files: --in ${name}=@FOLDER`)
  return layJudged(type, entry, name, { kind: 'file', path, from }, refuse)
}

function layJudged(type: Type, entry: Entry, name: string, staged: Staged, refuse: Refuse): Laid {
  const { faults } = judgeEntry(type, entry, name)
  for (const { at, what } of faults) refuse(what, cureOf(type, name), at)
  return faults.length > 0 ? NOTHING : { staged: [staged] }
}

/** Files named 0, 1, 2, …; `array.yml` is ours where the caller gave none. Undefined where something is wrong. */
function judgeArray(
  type: ArrayType,
  entry: Entry,
  name: string,
  path: string,
  refuse: Refuse,
): { own: Staged[]; size: number } | undefined {
  const children = new Map(entry.children)
  const own: Staged[] = []
  if (!children.has(ARRAY_FILE)) {
    const text = arrayFile(children.size)
    const head = new TextEncoder().encode(text)
    own.push({ kind: 'text', path: `${path}/${ARRAY_FILE}`, text })
    children.set(ARRAY_FILE, { file: { bytes: head.byteLength, head }, children: new Map() })
  }
  const { faults, size } = judgeEntry(type, { children }, name)
  for (const { at, what } of faults) refuse(what, cureOf(type, name), at)
  return faults.length > 0 || size === undefined ? undefined : { own, size }
}

function cureOf(type: Type, name: string): string {
  const rules = constraintsOf(type)
  const wanted = `give ${name} as ${kindOfType(type)}${rules === '' ? '' : ` (${rules})`}`
  if (type.id !== 'array') return wanted
  return `${wanted}: JSON such as --in ${name}=[…], each item as --in ${name}=@FILE, or a folder of files 0, 1, 2, …`
}
