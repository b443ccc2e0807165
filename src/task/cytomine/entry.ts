/**
 * Whether a file or folder is a well-formed value of its type: what a task left, and what a caller staged as files. Text
 * is trimmed before it is judged, as the reference does it, so that a last newline is no fault.
 */
import { HEAD_BYTES } from '../../core/bundle.ts'
import type { FileFacts } from '../../core/bundle.ts'
import { MecaError } from '../../core/errors.ts'
import type { Noted } from '../format.ts'
import { readYaml } from '../safe-text.ts'
import { seeImage } from './image.ts'
import type { Seen } from './image.ts'
import { filesOf, textOf } from './tree.ts'
import type { Entry } from './tree.ts'
import { isText } from './types.ts'
import type { ArrayType, FileType, ImageType, TextType, Type } from './types.ts'
import { valueFault } from './values.ts'

/** `at` is the parameter, or the item of it, as people write it: `sum`, `nuclei/3`. */
export type Judged = { faults: { at: string; what: string }[]; warnings: string[]; size?: number }

export const ARRAY_FILE = 'array.yml'
/** The size and nothing else. */
export const MAX_ARRAY_FILE_BYTES = 4096
/** Ten are told; a thousand wrong items are wrong in the same way. */
const MAX_FAULTS = 10
export const INDEX = /^(0|[1-9][0-9]{0,8})$/

type Notes = ReadonlyMap<string, Noted>

/** `notes` tell of files that were read whole, by the same places. */
export function judgeEntry(type: Type, entry: Entry, at: string, notes: Notes = new Map()): Judged {
  const judged: Judged = { faults: [], warnings: [] }
  const size = judge(type, entry, at, judged, notes)
  return size === undefined ? judged : { ...judged, size }
}

/** Resolves to the size of an array. */
function judge(type: Type, entry: Entry, at: string, judged: Judged, notes: Notes): number | undefined {
  if (type.id === 'array') return judgeArray(type, entry, at, judged, notes)
  const note = notes.get(at)
  const refuse = (what: string | undefined) => {
    if (what !== undefined && judged.faults.length < MAX_FAULTS) judged.faults.push({ at, what })
  }
  if (note?.warning !== undefined) judged.warnings.push(`${at} ${note.warning}`)
  if (note?.fault !== undefined) refuse(note.fault)
  else if (note !== undefined && isText(type)) return undefined
  else if (note === undefined && isUnseen(entry))
    judged.warnings.push(`${at} was not looked at: there are too many files`)
  else if (type.id === 'image') refuse(imageFault(type, entry))
  else if (entry.file === undefined) refuse('is a folder where a file is expected')
  else if (isText(type)) refuse(textFault(type, entry.file, at, judged))
  else refuse(fileFault(type, entry.file, note !== undefined))
  return undefined
}

/** Heads have a budget over all files of a job; beyond it only sizes are known. No magic number reaches further. */
function isUnseen({ file }: Entry): boolean {
  return file !== undefined && file.head.byteLength < Math.min(file.bytes, HEAD_BYTES) && file.head.byteLength < 256
}

function textFault(type: TextType, file: FileFacts, at: string, judged: Judged): string | undefined {
  const read = textOf(file)
  if (read === undefined) return 'is not UTF-8 text'
  const text = read.text.trim()
  if (text === '') return 'is blank'
  if (read.whole) return valueFault(type, text)
  if (type.id === 'string') return longStringFault(type.maxLength, text.length, at, judged)
  if (type.id !== 'geometry') return `is ${file.bytes} bytes long, which no ${type.id} is`
  if (!text.startsWith('{')) return 'must be one GeoJSON object'
  judged.warnings.push(`${at} has ${file.bytes} bytes; only that its beginning is an object was checked`)
  return undefined
}

/** The head's own length is the least that the text can have. */
function longStringFault(maxLength: number, least: number, at: string, judged: Judged): string | undefined {
  if (least > maxLength) return `must have at most ${maxLength} characters, has at least ${least}`
  judged.warnings.push(`${at} was checked in its first ${least} characters`)
  return undefined
}

export const NO_TEXT = 'must be text, it has bytes that no UTF-8 text has'

function fileFault({ maxBytes, formats }: FileType, file: FileFacts, isRead: boolean): string | undefined {
  if (file.bytes > maxBytes) return `must have at most ${maxBytes} bytes, has ${file.bytes}`
  return isRead || !isOnlyText(formats) || looksLikeText(file) ? undefined : NO_TEXT
}

export function isOnlyText(formats: readonly string[]): boolean {
  return formats.length === 1 && formats[0] === 'text'
}

function looksLikeText(file: FileFacts): boolean {
  return !file.head.includes(0) && textOf(file) !== undefined
}

/** A file, or a folder of DICOM files. */
function imageFault(type: ImageType, entry: Entry): string | undefined {
  if (entry.file !== undefined) return pictureFault(type, entry.file)
  const files = filesOf(entry)
  if (files.length === 0) return 'is an empty folder'
  if (type.formats.length > 0 && !type.formats.includes('wsidicom'))
    return `is a folder where ${type.formats.join(' or ')} is expected`
  const other = files.find(({ file }) => !isUnseen({ file, children: new Map() }) && seeImage(file).format !== 'dicom')
  if (other !== undefined) return `must hold DICOM files only, ${other.path} is none`
  const bytes = files.reduce((sum, { file }) => sum + file.bytes, 0)
  return bytes > type.maxBytes ? `must have at most ${type.maxBytes} bytes, has ${bytes}` : undefined
}

function pictureFault(type: ImageType, file: FileFacts): string | undefined {
  if (file.bytes > type.maxBytes) return `must have at most ${type.maxBytes} bytes, has ${file.bytes}`
  const image = seeImage(file)
  return formatFault(type, image) ?? sizeFault(type, image)
}

function formatFault({ formats }: ImageType, { format, plain }: Seen): string | undefined {
  if (formats.length === 0) return undefined
  if (!formats.some((wanted) => wanted === format))
    return `must be ${formats.join(' or ')}, its first bytes are those of ${format ?? 'no image known here'}`
  return format === 'tiff' && !plain ? 'must be a TIFF of three samples a pixel that is not tiled' : undefined
}

function sizeFault({ maxWidth, maxHeight }: ImageType, { format, size }: Seen): string | undefined {
  if (!Number.isFinite(maxWidth) && !Number.isFinite(maxHeight)) return undefined
  if (format === undefined) return 'must be an image whose width and height can be told, its first bytes are of none'
  if (size === undefined) return undefined
  if (size.width > maxWidth) return `must be at most ${maxWidth} pixels wide, is ${size.width}`
  return size.height > maxHeight ? `must be at most ${maxHeight} pixels high, is ${size.height}` : undefined
}

function judgeArray(type: ArrayType, entry: Entry, at: string, judged: Judged, notes: Notes): number | undefined {
  const size = sizeOf(entry, at, judged, notes.get(`${at}/${ARRAY_FILE}`)?.text)
  if (size === undefined) return undefined
  judgeSize(type, entry, size, at, judged)
  for (const [name, item] of entry.children) {
    if (INDEX.test(name) && judged.faults.length < MAX_FAULTS) judge(type.subtype, item, `${at}/${name}`, judged, notes)
  }
  return size
}

/** What `array.yml` says. Published tasks write it by a YAML library or by hand. */
function sizeOf(entry: Entry, at: string, judged: Judged, whole: string | undefined): number | undefined {
  const refuse = (what: string) => {
    judged.faults.push({ at, what })
    return undefined
  }
  const file = entry.children.get(ARRAY_FILE)?.file
  if (file === undefined)
    return refuse(entry.file === undefined ? `has no ${ARRAY_FILE}` : 'is a file, not an array folder')
  const text = whole ?? (file.bytes > MAX_ARRAY_FILE_BYTES ? undefined : textOf(file)?.text)
  if (text === undefined) return refuse(`has an ${ARRAY_FILE} that is no short text`)
  try {
    const { value } = readYaml(text, { what: ARRAY_FILE })
    const size = typeof value === 'object' && value !== null && 'size' in value ? value.size : undefined
    if (typeof size === 'number' && Number.isSafeInteger(size) && size >= 0) return size
    return refuse(`has an ${ARRAY_FILE} without a size that is a whole number`)
  } catch (error) {
    if (error instanceof MecaError) return refuse(`has an ${ARRAY_FILE} that cannot be read: ${error.message}`)
    throw error
  }
}

function judgeSize({ min, max }: ArrayType, entry: Entry, size: number, at: string, judged: Judged): void {
  const refuse = (what: string) => judged.faults.push({ at, what })
  if (size < min) refuse(`must have at least ${min} items, has ${size}`)
  if (size > max) refuse(`must have at most ${max} items, has ${size}`)
  const indexes = new Set([...entry.children.keys()].filter((name) => INDEX.test(name)).map(Number))
  const beyond = [...indexes].find((index) => index >= size)
  if (beyond !== undefined) refuse(`has an item ${beyond}, but its ${ARRAY_FILE} says size ${size}`)
  // At most one more than there are items, however large the size is.
  let gap = 0
  while (indexes.has(gap)) gap++
  if (gap < size) refuse(`lacks item ${gap} of ${size}`)
}
