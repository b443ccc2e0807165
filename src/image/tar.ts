/**
 * Reads a tar stream, strictly: USTAR, PAX and GNU headers as docker and ordinary tools write them. Whatever two
 * readers might understand differently is refused, so that what is checked here is what an engine unpacks. Holds one
 * header and one chunk in memory; names are kept byte for byte (latin1), because they need not be UTF-8.
 */
import { MecaError } from '../core/errors.ts'
import { Cursor } from './cursor.ts'

const BLOCK = 512

/** A PAX header holds a name, a link and extended attributes; Go's reader has the same ceiling. */
const MAX_PAX_BYTES = 2 ** 20

/** Linux allows no longer path, with its closing zero. */
const MAX_NAME_BYTES = 4096

type TarKind = 'file' | 'directory' | 'symlink' | 'hardlink' | 'char' | 'block' | 'fifo'

export type TarEntry = { path: string; kind: TarKind; bytes: number; link: string }

const KINDS: Readonly<Record<string, TarKind>> = {
  '0': 'file', '\0': 'file', '7': 'file', '1': 'hardlink', '2': 'symlink', '3': 'char', '4': 'block', '5': 'directory', '6': 'fifo',
} // prettier-ignore

/** What a PAX or GNU header says of the entry after it. */
type Extra = { path?: string; link?: string; bytes?: number }

export class TarReader {
  readonly #bytes: Cursor
  #body = 0
  #padding = 0

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#bytes = new Cursor(source)
  }

  /** The next entry, or undefined after the last. What is left of the one before is skipped. */
  async next(): Promise<TarEntry | undefined> {
    await this.#skip()
    let extra: Extra = {}
    for (;;) {
      const header = await this.#bytes.take(BLOCK)
      if (header === undefined) return this.#fail('the end mark is missing')
      if (header.every((byte) => byte === 0)) {
        if (Object.keys(extra).length > 0) return this.#fail('a header extension with no entry after it')
        return await this.#end()
      }
      const type = this.#check(header)
      const bytes = this.#number(header, 124, 12)
      const kind = KINDS[type]
      if (kind !== undefined) return this.#entry(header, kind, extra, bytes)
      extra = this.#merge(extra, await this.#extension(type, bytes))
    }
  }

  /** The bytes of the current entry that were not read yet. */
  async *body(): AsyncGenerator<Uint8Array> {
    while (this.#body > 0) {
      const piece = await this.#bytes.some(this.#body)
      if (piece.length === 0) this.#fail('the stream ends inside an entry')
      this.#body -= piece.length
      yield piece
    }
    const padding = this.#padding
    this.#padding = 0
    if ((await this.#bytes.take(padding)) === undefined) this.#fail('the stream ends inside an entry')
  }

  async #skip(): Promise<void> {
    const rest = this.body()
    while ((await rest.next()).done !== true) continue
  }

  #entry(header: Uint8Array, kind: TarKind, extra: Extra, declared: number): TarEntry {
    const bytes = extra.bytes ?? declared
    if (kind !== 'file' && bytes !== 0) this.#fail(`a ${kind} with ${bytes} bytes of content`)
    const path = extra.path ?? this.#ustarPath(header)
    this.#body = bytes
    this.#padding = (BLOCK - (bytes % BLOCK)) % BLOCK
    const isFolder = kind === 'directory' || (kind === 'file' && path.endsWith('/'))
    if (isFolder && bytes !== 0) this.#fail(`the folder ${JSON.stringify(path)} with ${bytes} bytes of content`)
    return { path, kind: isFolder ? 'directory' : kind, bytes, link: extra.link ?? text(header, 157, 100) }
  }

  #ustarPath(header: Uint8Array): string {
    const name = text(header, 0, 100)
    const prefix = text(header, 257, 6) === 'ustar' ? text(header, 345, 155) : ''
    return prefix === '' ? name : `${prefix}/${name}`
  }

  /** Checksum and format; returns the type letter. */
  #check(header: Uint8Array): string {
    const sum = header.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0)
    if (this.#number(header, 148, 8) !== sum) this.#fail('the checksum of a header is wrong')
    const magic = text(header, 257, 6)
    if (magic !== 'ustar' && magic !== 'ustar ' && magic !== '') this.#fail('a header of an unknown format')
    return String.fromCharCode(header[156] ?? 0)
  }

  async #extension(type: string, bytes: number): Promise<Extra> {
    if (type === 'L') return { path: await this.#longName(bytes) }
    if (type === 'K') return { link: await this.#longName(bytes) }
    if (type !== 'x' && type !== 'g') return this.#fail(`entry type ${JSON.stringify(type)} is not supported`)
    if (bytes > MAX_PAX_BYTES) this.#fail(`a PAX header of ${bytes} bytes, ${MAX_PAX_BYTES} are allowed`)
    const extra = this.#pax(await this.#padded(bytes))
    // Readers differ on whether a global header names the entries after it, so it may only carry comments.
    if (type === 'g' && Object.keys(extra).length > 0) this.#fail('a global PAX header that sets a path, link or size')
    return extra
  }

  #merge(before: Extra, now: Extra): Extra {
    for (const key of ['path', 'link', 'bytes'] as const) {
      if (before[key] !== undefined && now[key] !== undefined)
        this.#fail(`two header extensions that both set the ${key}`)
    }
    return { ...before, ...now }
  }

  async #longName(bytes: number): Promise<string> {
    if (bytes === 0 || bytes > MAX_NAME_BYTES + 1) return this.#fail(`a name of ${bytes} bytes`)
    const name = Buffer.from(await this.#padded(bytes)).toString('latin1')
    return name.endsWith('\0') ? name.slice(0, -1) : name
  }

  /** Records of `<length> <key>=<value>\n`, where the length counts all of it. */
  #pax(bytes: Uint8Array): Extra {
    const all = Buffer.from(bytes).toString('latin1')
    const extra: Extra = {}
    for (let at = 0; at < all.length;) {
      const digits =
        /^([1-9][0-9]{0,6}) /.exec(all.slice(at, at + 8))?.[1] ?? this.#fail('a PAX record without a length')
      const record = all.slice(at + digits.length + 1, at + Number(digits))
      const split = record.indexOf('=')
      if (at + Number(digits) > all.length || split < 1 || !record.endsWith('\n'))
        this.#fail('a PAX record that does not fit')
      this.#record(extra, record.slice(0, split), record.slice(split + 1, -1))
      at += Number(digits)
    }
    return extra
  }

  #record(extra: Extra, key: string, value: string): void {
    if (key.startsWith('GNU.sparse.')) this.#fail('a sparse file')
    const name = key === 'path' ? 'path' : key === 'linkpath' ? 'link' : key === 'size' ? 'bytes' : undefined
    if (name === undefined) return
    if (extra[name] !== undefined) this.#fail(`a PAX header that sets the ${name} twice`)
    if (name !== 'bytes') extra[name] = value
    else
      extra.bytes = /^(0|[1-9][0-9]{0,14})$/.test(value) ? Number(value) : this.#fail('a PAX size that is not a number')
  }

  /** After the last entry come two zero blocks, and nothing but zeros as padding. */
  async #end(): Promise<undefined> {
    const second = await this.#bytes.take(BLOCK)
    if (second === undefined || second.some((byte) => byte !== 0)) return this.#fail('half an end mark')
    for (let rest = await this.#bytes.some(Infinity); rest.length > 0; rest = await this.#bytes.some(Infinity)) {
      if (rest.some((byte) => byte !== 0)) return this.#fail('bytes after the end mark')
    }
    return undefined
  }

  /** Octal text, or GNU's base 256 for what does not fit. */
  #number(header: Uint8Array, offset: number, length: number): number {
    const first = header[offset] ?? 0
    if (first === 0x80) return this.#wide(header.subarray(offset + 1, offset + length))
    const digits = text(header, offset, length).trim()
    if (!/^[0-7]*$/.test(digits)) return this.#fail('a number in a header that is not octal')
    return digits === '' ? 0 : parseInt(digits, 8)
  }

  #wide(bytes: Uint8Array): number {
    const value = bytes.reduce((sum, byte) => sum * 256 + byte, 0)
    return Number.isSafeInteger(value) ? value : this.#fail('a number in a header that is too large')
  }

  async #padded(bytes: number): Promise<Uint8Array> {
    const whole = await this.#bytes.take(Math.ceil(bytes / BLOCK) * BLOCK)
    if (whole === undefined) return this.#fail('the stream ends inside a header')
    return whole.subarray(0, bytes)
  }

  #fail(why: string): never {
    throw new MecaError('invalid_task', `The tar stream is not usable at byte ${this.#bytes.at}: ${why}`)
  }
}

/** Up to the first zero byte. */
function text(header: Uint8Array, offset: number, length: number): string {
  const field = Buffer.from(header.buffer, header.byteOffset + offset, length)
  const end = field.indexOf(0)
  return field.toString('latin1', 0, end < 0 ? length : end)
}
