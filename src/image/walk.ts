/**
 * Checks what layers would do to a host before any engine sees them: no name that leaves the root, no write through a
 * link, no devices, no malformed whiteouts, nothing twice, and no more than the caps allow. One `ImageWalk` sees all
 * layers of an image in order, because a link in one can be written through in the next.
 *
 * An entry below a symbolic link is refused wherever the link leads: one engine follows it, another puts a folder in
 * its place, and chains of links hide where they end.
 */
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'
import type { ImageCaps } from './caps.ts'
import { TarReader, type TarEntry } from './tar.ts'

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'

export class ImageWalk {
  entries = 0
  readonly #caps: ImageCaps
  /** Symbolic links, and hard links to them, of all layers so far. */
  readonly #links = new Set<string>()

  constructor(caps: ImageCaps) {
    this.#caps = caps
  }

  /** Reads one unpacked layer to its end. Throws `invalid_task` or `too_large`; `layer` names it in the message. */
  async layer(layer: string, unpacked: AsyncIterable<Uint8Array>): Promise<number> {
    const before = this.entries
    const reader = new TarReader(unpacked)
    const seen = new Map<string, TarEntry['kind']>()
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      this.#count(layer)
      const why = this.#check(entry, seen)
      if (why !== undefined) throw new MecaError('invalid_task', `Layer ${layer}, entry ${quote(entry.path)}: ${why}`)
    }
    return this.entries - before
  }

  #count(layer: string): void {
    if (++this.entries <= this.#caps.entries) return
    throw new MecaError(
      'too_large',
      `At layer ${layer} the image has more than ${this.#caps.entries} files, the most allowed`,
    )
  }

  /** Why the entry is refused. */
  #check(entry: TarEntry, seen: Map<string, TarEntry['kind']>): string | undefined {
    const path = plain(entry.path)
    if (path === '') return entry.kind === 'directory' ? undefined : 'the root is not a folder'
    return (
      this.#checkPath(path) ??
      this.#checkParents(path, seen) ??
      checkKind(entry) ??
      checkWhiteout(path, entry) ??
      checkRepeat(path, entry, seen) ??
      this.#checkLink(path, entry, seen)
    )
  }

  #checkPath(path: string): string | undefined {
    if (path.startsWith('/')) return 'an absolute path'
    if (path.includes('\0')) return 'a zero byte in a name'
    if (path.length > this.#caps.pathBytes) return `a path of ${path.length} bytes, ${this.#caps.pathBytes} are allowed`
    const names = path.split('/')
    if (names.length > this.#caps.pathDepth) return `${names.length} folders deep, ${this.#caps.pathDepth} are allowed`
    const bad = names.find((name) => name === '' || name === '.' || name === '..' || name.length > 255)
    return bad === undefined ? undefined : `${quote(bad)} cannot be the name of a file`
  }

  #checkParents(path: string, seen: ReadonlyMap<string, TarEntry['kind']>): string | undefined {
    for (const parent of parents(path)) {
      if (this.#links.has(parent)) return `it lies below ${quote(parent)}, which is a symbolic link`
      const kind = seen.get(parent)
      if (kind !== undefined && kind !== 'directory') return `it lies below ${quote(parent)}, a ${kind}`
      if (baseName(parent).startsWith(WHITEOUT)) return 'it lies below a whiteout'
    }
    return undefined
  }

  /** Remembers links and forgets what is replaced. */
  #checkLink(path: string, entry: TarEntry, seen: ReadonlyMap<string, TarEntry['kind']>): string | undefined {
    const name = baseName(path)
    this.#links.delete(name.startsWith(WHITEOUT) ? join(parentOf(path), name.slice(WHITEOUT.length)) : path)
    if (entry.kind === 'symlink') return this.#noteSymlink(path, entry.link)
    if (entry.kind !== 'hardlink') return undefined
    const target = plain(entry.link)
    const why = target === '' ? 'it names the root' : (this.#checkPath(target) ?? this.#checkParents(target, seen))
    if (why !== undefined) return `a hard link to ${quote(entry.link)}: ${why}`
    if (this.#links.has(target)) this.#links.add(path)
    return seen.get(target) === 'directory' ? `a hard link to the folder ${quote(target)}` : undefined
  }

  #noteSymlink(path: string, target: string): string | undefined {
    if (target === '' || target.length > this.#caps.pathBytes || target.includes('\0'))
      return 'a link without a usable target'
    this.#links.add(path)
    return undefined
  }
}

function checkKind(entry: TarEntry): string | undefined {
  if (entry.kind !== 'char' && entry.kind !== 'block') return undefined
  return 'a device node; make the image without it (containers get their own /dev)'
}

/** `.wh.name` deletes `name`, `.wh..wh..opq` hides the folder's content; nothing else may begin like them. */
function checkWhiteout(path: string, entry: TarEntry): string | undefined {
  const name = baseName(path)
  if (!name.startsWith(WHITEOUT)) return undefined
  if (entry.kind !== 'file' || entry.bytes !== 0) return 'a whiteout that is not an empty file'
  const target = name.slice(WHITEOUT.length)
  const wellFormed =
    name === OPAQUE || (target !== '' && target !== '.' && target !== '..' && !target.startsWith(WHITEOUT))
  return wellFormed ? undefined : 'a malformed whiteout'
}

/** Readers differ on which of two entries wins; only a folder may be named again. */
function checkRepeat(path: string, entry: TarEntry, seen: Map<string, TarEntry['kind']>): string | undefined {
  const before = seen.get(path)
  if (before !== undefined && (before !== 'directory' || entry.kind !== 'directory'))
    return 'the same path twice in one layer'
  seen.set(path, entry.kind)
  return undefined
}

/** Without the `./` and the closing `/` that tools put there. */
function plain(path: string): string {
  let start = 0
  while (path.startsWith('./', start)) start += 2
  const rest = path.slice(start)
  return rest === '.' || rest === '' ? '' : rest.endsWith('/') && rest.length > 1 ? rest.slice(0, -1) : rest
}

function* parents(path: string): Generator<string> {
  for (let at = path.indexOf('/'); at > 0; at = path.indexOf('/', at + 1)) yield path.slice(0, at)
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function join(parent: string, name: string): string {
  return parent === '' ? name : `${parent}/${name}`
}
