/**
 * What a container prints, read from the attach stream: split into stdout and stderr, searched for the ready text,
 * cut into lines, counted against a budget. Everything here is a stranger's, so nothing grows without a ceiling.
 */
import type { LogLine } from '../core/plan.ts'

type Stream = LogLine['stream']

/** A line that is longer is handed on in pieces: without a newline a program could fill our memory. */
const MAX_LINE_BYTES = 8 * 1024
/** What an error message shows of the end of the log. */
const TAIL_BYTES = 4 * 1024
const HEADER_BYTES = 8
const NEWLINE = 10

/** Splits the engine's multiplexed stream: 8 bytes of header (1 or 2, three zeros, length), then that many bytes. */
export class Demultiplexer {
  readonly #emit: (stream: Stream, bytes: Buffer) => void
  #header = Buffer.alloc(0)
  #stream: Stream = 'stdout'
  #remaining = 0

  constructor(emit: (stream: Stream, bytes: Buffer) => void) {
    this.#emit = emit
  }

  push(chunk: Buffer): void {
    let rest = chunk
    while (rest.length > 0) rest = this.#remaining > 0 ? this.#payload(rest) : this.#readHeader(rest)
  }

  #payload(chunk: Buffer): Buffer {
    const taken = chunk.subarray(0, this.#remaining)
    this.#remaining -= taken.length
    this.#emit(this.#stream, taken)
    return chunk.subarray(taken.length)
  }

  #readHeader(chunk: Buffer): Buffer {
    const missing = HEADER_BYTES - this.#header.length
    this.#header = Buffer.concat([this.#header, chunk.subarray(0, missing)])
    if (this.#header.length === HEADER_BYTES) {
      this.#stream = this.#header[0] === 2 ? 'stderr' : 'stdout'
      this.#remaining = this.#header.readUInt32BE(4)
      this.#header = Buffer.alloc(0)
    }
    return chunk.subarray(missing)
  }
}

/** Finds a text in a stream of chunks, also where it is cut between two of them; remembers only what it must. */
export class TextFinder {
  readonly #wanted: Buffer
  #kept = Buffer.alloc(0)
  found: boolean

  constructor(wanted: string) {
    this.#wanted = Buffer.from(wanted)
    this.found = wanted === ''
  }

  push(bytes: Buffer): boolean {
    if (this.found) return true
    const window = Buffer.concat([this.#kept, bytes])
    this.found = window.includes(this.#wanted)
    this.#kept = Buffer.from(window.subarray(Math.max(0, window.length - this.#wanted.length + 1)))
    return this.found
  }
}

/** Cuts bytes into lines and makes them safe to show. */
export class LineCutter {
  readonly #emit: (text: string) => void
  #parts: Buffer[] = []
  #length = 0

  constructor(emit: (text: string) => void) {
    this.#emit = emit
  }

  push(bytes: Buffer): void {
    let rest = bytes
    for (let end = rest.indexOf(NEWLINE); end >= 0; end = rest.indexOf(NEWLINE)) {
      this.#keep(rest.subarray(0, end))
      this.flush()
      rest = rest.subarray(end + 1)
    }
    this.#keep(rest)
  }

  #keep(bytes: Buffer): void {
    for (let rest = bytes; rest.length > 0;) {
      const part = rest.subarray(0, MAX_LINE_BYTES - this.#length)
      this.#parts.push(Buffer.from(part))
      this.#length += part.length
      rest = rest.subarray(part.length)
      if (this.#length >= MAX_LINE_BYTES) this.flush()
    }
  }

  flush(): void {
    if (this.#parts.length > 0) this.#emit(printable(Buffer.concat(this.#parts).toString('utf8')))
    this.#parts = []
    this.#length = 0
  }
}

/** Control characters as their escapes, so that no terminal obeys a stranger's log. */
export function printable(text: string): string {
  return text
    .replace(/\r$/, '')
    .replace(/(?!\t)[\p{Cc}\u2028\u2029]/gu, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** The first bytes of a stream, in one buffer that doubles: a program may print a million pieces of one byte. */
export class Recorder {
  readonly #limitBytes: number
  #buffer = Buffer.alloc(4096)
  #length = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length)
  }

  push(bytes: Buffer): void {
    const taken = bytes.subarray(0, this.#limitBytes - this.#length)
    if (this.#length + taken.length > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(this.#length + taken.length, 2 * this.#buffer.length))
      this.#buffer.copy(larger, 0, 0, this.#length)
      this.#buffer = larger
    }
    taken.copy(this.#buffer, this.#length)
    this.#length += taken.length
  }
}

/** The last bytes of a text that keeps growing. */
export class Tail {
  #text = ''

  push(line: string): void {
    const joined = this.#text + line.slice(-TAIL_BYTES) + '\n'
    this.#text = joined.length > 2 * TAIL_BYTES ? joined.slice(-TAIL_BYTES) : joined
  }

  toString(): string {
    return this.#text.slice(-TAIL_BYTES)
  }
}
