/**
 * What a parameter may be: the ten types of Cytomine's App Engine with their constraints, as plain data. The descriptor
 * is read into these once; values, staged folders and outputs are all judged against them.
 */
import { shownInstant } from './instant.ts'

export type Bounds = { gt?: number; lt?: number; geq?: number; leq?: number }

export const IMAGE_FORMATS = ['dicom', 'jpeg', 'png', 'tiff', 'wsidicom'] as const
export type ImageFormat = (typeof IMAGE_FORMATS)[number]
export const FILE_FORMATS = ['binary', 'text'] as const
type FileFormat = (typeof FILE_FORMATS)[number]

/** Instants are nanoseconds since 1970, since the contract's texts carry that many digits. */
export type Type =
  | { id: 'boolean' }
  | { id: 'integer'; bounds: Bounds }
  | { id: 'number'; bounds: Bounds; infinity: boolean; nan: boolean }
  | { id: 'string'; minLength: number; maxLength: number }
  | { id: 'enumeration'; values: readonly string[] }
  | { id: 'datetime'; before?: bigint; after?: bigint }
  | { id: 'geometry' }
  | { id: 'file'; maxBytes: number; formats: readonly FileFormat[] }
  | { id: 'image'; maxBytes: number; formats: readonly ImageFormat[]; maxWidth: number; maxHeight: number }
  | { id: 'array'; min: number; max: number; subtype: Type }

export type ArrayType = Extract<Type, { id: 'array' }>
export type ImageType = Extract<Type, { id: 'image' }>
export type FileType = Extract<Type, { id: 'file' }>
/** Types whose value is a text that a caller can write down. */
export type TextType = Exclude<Type, ArrayType | ImageType | FileType>

export const TYPE_IDS = [
  'boolean',
  'integer',
  'number',
  'string',
  'enumeration',
  'datetime',
  'geometry',
  'file',
  'image',
  'array',
] as const satisfies readonly Type['id'][]

/** Types whose descriptor may name a default; the others have none in the reference either. */
export function takesDefault({ id }: Type): boolean {
  return ['integer', 'boolean', 'number', 'string', 'enumeration', 'datetime'].includes(id)
}

export function isText(type: Type): type is TextType {
  return type.id !== 'array' && type.id !== 'file' && type.id !== 'image'
}

/** `array of integer`, for people. */
export function kindOfType(type: Type): string {
  return type.id === 'array' ? `array of ${kindOfType(type.subtype)}` : type.id
}

/** The type's constraints in a few words, empty where it has none. */
export function constraintsOf(type: Type): string {
  return told(type)
    .filter((part) => part !== '')
    .join(', ')
}

function told(type: Type): string[] {
  switch (type.id) {
    case 'integer':
      return boundsTold(type.bounds)
    case 'number':
      return [...boundsTold(type.bounds), type.infinity ? 'inf allowed' : '', type.nan ? 'nan allowed' : '']
    case 'string':
      return [atLeast(type.minLength, 'characters'), atMost(type.maxLength, 'characters')]
    case 'datetime':
      return [
        type.after === undefined ? '' : `after ${shownInstant(type.after)}`,
        type.before === undefined ? '' : `before ${shownInstant(type.before)}`,
      ]
    case 'file':
      return [type.formats.join(' or '), atMost(type.maxBytes, 'bytes')]
    case 'image':
      return [
        type.formats.join(' or '),
        atMost(type.maxBytes, 'bytes'),
        atMost(type.maxWidth, 'pixels wide'),
        atMost(type.maxHeight, 'pixels high'),
      ]
    case 'array':
      return [atLeast(type.min, 'items'), atMost(type.max, 'items'), itemsTold(constraintsOf(type.subtype))]
    default:
      return []
  }
}

function itemsTold(constraints: string): string {
  return constraints === '' ? '' : `each ${constraints}`
}

function boundsTold({ gt, geq, lt, leq }: Bounds): string[] {
  const limits: [string, number | undefined][] = [
    ['>', gt],
    ['>=', geq],
    ['<', lt],
    ['<=', leq],
  ]
  return limits.flatMap(([sign, limit]) => (limit === undefined ? [] : [`${sign} ${limit}`]))
}

function atLeast(count: number, what: string): string {
  return count > 0 ? `at least ${count} ${what}` : ''
}

function atMost(count: number, what: string): string {
  return Number.isFinite(count) ? `at most ${count} ${what}` : ''
}
