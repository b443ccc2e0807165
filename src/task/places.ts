/**
 * Places inside a container that formats ask to mount something at. What a developer wrote is brought into one form, and
 * refused where a volume would break the container itself or show nothing of what the task writes.
 */
import { normalize } from 'node:path/posix'
import { MAX_PATH_BYTES } from '../core/bundle.ts'

// eslint-disable-next-line no-control-regex -- control characters in names are what is looked for
const ODD = /[\u0000-\u001f\u007f\\\ufffd]/
/** File systems of the kernel: a volume there breaks the container. */
const KERNEL = ['/proc', '/sys', '/dev']

/** The path without `.`, empty parts or a slash at the end; or what is wrong with it, to be read after its name. */
export function placeOf(path: string): { place: string } | { fault: string } {
  if (!path.startsWith('/')) return { fault: 'must be an absolute path in the container' }
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return { fault: `must have at most ${MAX_PATH_BYTES} bytes` }
  if (ODD.test(path)) return { fault: 'must not hold control characters or a backslash' }
  const whole = normalize(path)
  return { place: whole.length > 1 ? whole.replace(/\/+$/, '') : whole }
}

/** Why nothing may be mounted at this place, or undefined where it may. */
export function mountFault(place: string): string | undefined {
  if (place === '/') return 'must not be the root of the container: a volume there would hide the whole image'
  // The engine's own syntax for mounts reads a colon and a comma.
  if (/[:,]/.test(place)) return 'must not lie in a folder whose name has a colon or a comma'
  const kernel = KERNEL.find((root) => isWithin(place, root))
  return kernel === undefined ? undefined : `must not lie in ${kernel}, which belongs to the kernel`
}

/** Whether `place` is `folder` or lies below it. */
export function isWithin(place: string, folder: string): boolean {
  return place === folder || place.startsWith(folder === '/' ? '/' : `${folder}/`)
}

/** Those that lie in no other one of them. */
export function outermost(places: readonly string[]): string[] {
  const distinct = [...new Set(places)].toSorted((a, b) => a.length - b.length)
  return distinct.filter((place, i) => !distinct.slice(0, i).some((outer) => isWithin(place, outer)))
}
