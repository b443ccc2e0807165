/**
 * The frame: how a message with a JSON header and byte attachments lies on a stream. Pure.
 *
 *   u32 length of all that follows | u8 type | u32 header length | header, JSON in UTF-8 | attachments back to back
 *
 * The header names the attachments' lengths in `a`, which is ours alone. Whatever a stranger sends, the parser keeps at
 * most one frame below its ceiling, and answers anything else with `protocol`.
 */
import { isUtf8 } from 'node:buffer'
import { MecaError } from '../core/errors.ts'
import { FRAME } from './limits.ts'

export type Header = Readonly<Record<string, unknown>>

/** Attachments may share memory with the network's buffers: copy what is kept for long. */
export type Frame = { type: number; header: Header; attachments: readonly Uint8Array[] }

export type FrameLimits = { maxHeaderBytes: number; maxFrameBytes: number }

/** Length, type and header length. */
const PREFIX_BYTES = 9
const NO_ATTACHMENTS: readonly Uint8Array[] = []

/** A frame made ready: its header as text, so that many can be written into one buffer. */
export type Encoded = {
  type: number
  json: string
  jsonBytes: number
  attachments: readonly Uint8Array[]
  bytes: number
}

/** Throws `too_large` with the numbers: the fault is the sender's own, so it is not a breach of the protocol. */
export function encode(type: number, header: Header, attachments: readonly Uint8Array[], limits: FrameLimits): Encoded {
  const json = JSON.stringify(
    attachments.length === 0 ? header : { ...header, a: attachments.map((a) => a.byteLength) },
  )
  const jsonBytes = Buffer.byteLength(json)
  const bytes = attachments.reduce((sum, a) => sum + a.byteLength, PREFIX_BYTES + jsonBytes)
  if (jsonBytes > limits.maxHeaderBytes) throw tooLarge('A message header', jsonBytes, limits.maxHeaderBytes)
  if (bytes - 4 > limits.maxFrameBytes) throw tooLarge('A message', bytes - 4, limits.maxFrameBytes)
  if (attachments.length > FRAME.maxAttachments)
    throw tooLarge('The attachment count', attachments.length, FRAME.maxAttachments)
  return { type, json, jsonBytes, attachments, bytes }
}

/** Many frames as few buffers: small parts are copied together, large attachments stand alone. */
export function join(frames: readonly Encoded[]): Uint8Array[] {
  const copied = (a: Uint8Array): boolean => a.byteLength < FRAME.copyBelowBytes
  let size = 0
  for (const f of frames) {
    size += PREFIX_BYTES + f.jsonBytes
    for (const a of f.attachments) if (copied(a)) size += a.byteLength
  }
  const into = Buffer.allocUnsafe(size)
  const parts: Uint8Array[] = []
  let start = 0
  let at = 0
  for (const f of frames) {
    at = writePrefix(into, at, f)
    for (const a of f.attachments) {
      if (copied(a)) {
        into.set(a, at)
        at += a.byteLength
      } else {
        parts.push(into.subarray(start, at), a)
        start = at
      }
    }
  }
  if (at > start) parts.push(into.subarray(start, at))
  return parts
}

function writePrefix(into: Buffer, at: number, f: Encoded): number {
  into.writeUInt32BE(f.bytes - 4, at)
  into.writeUInt8(f.type, at + 4)
  into.writeUInt32BE(f.jsonBytes, at + 5)
  return at + PREFIX_BYTES + into.write(f.json, at + PREFIX_BYTES, 'utf8')
}

/** Takes bytes as they come, gives whole frames. After it threw it must not be used again. */
export class FrameParser {
  readonly #limits: FrameLimits
  #chunks: Uint8Array[] = []
  #buffered = 0
  #need = 4

  constructor(limits: FrameLimits) {
    this.#limits = limits
  }

  push(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    this.#chunks.push(chunk)
    this.#buffered += chunk.byteLength
  }

  /** The next whole frame, or undefined when more bytes are needed. */
  next(): Frame | undefined {
    if (this.#buffered < this.#need) return undefined
    const head = this.#first(4)
    const length = head.readUInt32BE(0)
    if (length < PREFIX_BYTES - 4) throw broken(`a frame of ${length} bytes cannot hold a type and a header`)
    if (length > this.#limits.maxFrameBytes)
      throw broken(`a frame of ${length} bytes is over ${this.#limits.maxFrameBytes}`)
    this.#need = 4 + length
    if (this.#buffered < this.#need) return undefined
    const frame = parse(this.#first(this.#need), this.#limits)
    this.#drop(this.#need)
    this.#need = 4
    return frame
  }

  /** True in the middle of a frame: the stream must not end here. */
  get partial(): boolean {
    return this.#buffered > 0
  }

  /** What arrived after the last frame, for a protocol that goes on with plain bytes. */
  rest(): Uint8Array[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#buffered = 0
    return chunks
  }

  /** The first `count` buffered bytes in one piece; joins chunks only when a piece spans several. */
  #first(count: number): Buffer {
    const chunk = this.#chunks[0] ?? new Uint8Array()
    if (chunk.byteLength >= count) return Buffer.from(chunk.buffer, chunk.byteOffset, count)
    if (count <= 4) return Buffer.concat(this.#chunks.slice(0, count), count)
    const all = Buffer.concat(this.#chunks, this.#buffered)
    this.#chunks = [all]
    return all.subarray(0, count)
  }

  #drop(count: number): void {
    const chunk = this.#chunks[0] ?? new Uint8Array()
    this.#buffered -= count
    if (chunk.byteLength > count) this.#chunks[0] = chunk.subarray(count)
    else this.#chunks.shift()
  }
}

function parse(bytes: Buffer, limits: FrameLimits): Frame {
  const headerBytes = bytes.readUInt32BE(5)
  const bodyAt = PREFIX_BYTES + headerBytes
  if (headerBytes > limits.maxHeaderBytes)
    throw broken(`a header of ${headerBytes} bytes is over ${limits.maxHeaderBytes}`)
  if (bodyAt > bytes.length)
    throw broken(`a header of ${headerBytes} bytes does not fit in a frame of ${bytes.length - 4}`)
  const header = parseHeader(bytes.subarray(PREFIX_BYTES, bodyAt))
  const type = bytes.readUInt8(4)
  if (!Object.hasOwn(header, 'a')) {
    if (bodyAt !== bytes.length) throw broken(`${bytes.length - bodyAt} bytes follow a header that names no attachment`)
    return { type, header, attachments: NO_ATTACHMENTS }
  }
  const { a, ...rest } = header
  return { type, header: rest, attachments: cut(bytes.subarray(bodyAt), a) }
}

function parseHeader(bytes: Buffer): Record<string, unknown> {
  if (!isUtf8(bytes)) throw broken('a header is not UTF-8')
  if (depth(bytes) > FRAME.maxHeaderDepth) throw broken(`a header nests deeper than ${FRAME.maxHeaderDepth}`)
  let value: unknown
  try {
    value = JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw broken('a header is not JSON', cause)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw broken('a header is not a JSON object')
  return value as Record<string, unknown>
}

function cut(body: Buffer, lengths: unknown): Uint8Array[] {
  if (!Array.isArray(lengths) || lengths.length > FRAME.maxAttachments)
    throw broken('the attachment lengths are not a short list')
  let at = 0
  const parts = lengths.map((length: unknown) => {
    if (typeof length !== 'number' || !Number.isInteger(length) || length < 0 || at + length > body.length) {
      throw broken(
        `an attachment of ${String(length).slice(0, 40)} bytes does not fit in the ${body.length - at} that are left`,
      )
    }
    at += length
    return body.subarray(at - length, at)
  })
  if (at !== body.length) throw broken(`${body.length - at} bytes follow the last attachment`)
  return parts
}

/** Deepest nesting of brackets outside of strings, counted before anything recursive sees the text. */
function depth(json: Uint8Array): number {
  let deepest = 0
  let open = 0
  let inString = false
  for (let i = 0; i < json.length; i++) {
    const c = json[i]
    if (inString) {
      if (c === 0x5c) i++
      else if (c === 0x22) inString = false
    } else if (c === 0x22) inString = true
    else if (c === 0x7b || c === 0x5b) deepest = Math.max(deepest, ++open)
    else if (c === 0x7d || c === 0x5d) open--
  }
  return deepest
}

function broken(what: string, cause?: unknown): MecaError {
  return new MecaError('protocol', `The peer sent a broken message: ${what}`, {
    cause,
    cure: 'The stream was reset. If it happens again, the peer runs another version or is hostile.',
  })
}

function tooLarge(what: string, bytes: number, cap: number): MecaError {
  return new MecaError('too_large', `${what} is ${bytes}, the cap is ${cap}`, {
    cure: 'Send large inputs and outputs as a data stream or by CID.',
    details: { bytes, cap },
  })
}
