/**
 * Names inside a bundle: relative, one way to write each, and harmless wherever they are unpacked. Refused, not repaired:
 * two readers must never see two different files.
 */
import { MAX_PATH_BYTES } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'

/** File systems take no longer name. */
const MAX_SEGMENT_BYTES = 255
// eslint-disable-next-line no-control-regex -- control characters in names are what is looked for
const ODD = /[\u0000-\u001f\u007f\\]/

/** Why a path cannot stand in a bundle, or undefined where it can. */
export function faultOf(path: string): string | undefined {
  if (path === '') return 'is empty'
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `is longer than ${MAX_PATH_BYTES} bytes`
  if (path.startsWith('/')) return 'is absolute'
  if (ODD.test(path)) return 'has a control character or a backslash'
  if (path.includes('\ufffd')) return 'is not UTF-8'
  const segments = path.split('/')
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) {
    return 'has an empty, . or .. part'
  }
  if (segments.some((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)) {
    return `has a part of more than ${MAX_SEGMENT_BYTES} bytes`
  }
  return undefined
}

/** Throws `bad_input`. */
export function requirePath(path: string): string {
  const fault = faultOf(path)
  if (fault === undefined) return path
  throw new MecaError('bad_input', `The name ${quote(path)} in a bundle ${fault}`, {
    cure: 'use relative names of plain characters',
  })
}

/** The one order of a bundle: by bytes, a folder before what is in it. */
export function comparePaths(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
