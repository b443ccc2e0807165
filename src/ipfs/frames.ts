/**
 * Length-prefixed frames on a libp2p stream. Writing waits while too much is unsent. Reading does not pause the stream;
 * whoever reads asks for no more than it has room for, and a peer that sends more is cut off.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { asMecaError, MecaError } from '../core/errors.ts'

/** Stands in a frame's length for "I do not have this one". */
const NOTHING = 0xffffffff

export async function writeFrame(stream: Stream, bytes: Uint8Array | undefined, signal: AbortSignal): Promise<void> {
  const head = new Uint8Array(4)
  new DataView(head.buffer).setUint32(0, bytes?.length ?? NOTHING)
  stream.send(head)
  if (bytes !== undefined && bytes.length > 0) stream.send(bytes)
  await stream.onDrain({ signal })
}

/** A frame in the pieces that it came in: to join them costs more than to hash and write them one by one. */
export type Frame = readonly Uint8Array[] | undefined

/** `frameBytes` is the largest frame, `unreadBytes` what may wait to be read. */
type ReadLimits = { frameBytes: number; unreadBytes: number }

/** Frames until the peer closes its side. Throws `protocol` beyond the limits, and on a frame that is cut off. */
export async function* readFrames(stream: Stream, limits: ReadLimits, signal: AbortSignal): AsyncGenerator<Frame> {
  const { frameBytes } = limits
  const intake = new Intake(stream, limits.unreadBytes, signal)
  try {
    for (;;) {
      const head = await intake.take(4)
      if (head === undefined) return
      const length = Buffer.concat(head).readUInt32BE()
      if (length === NOTHING) {
        yield undefined
        continue
      }
      if (length > frameBytes)
        throw new MecaError('protocol', `A frame of ${length} bytes came, ${frameBytes} are allowed`)
      const body = await intake.take(length)
      if (body === undefined) throw new MecaError('protocol', `A frame of ${length} bytes was cut off`)
      yield body
    }
  } finally {
    intake.close()
  }
}

class Intake {
  #chunks: Uint8Array[] = []
  #unread = 0
  #ended = false
  #error: Error | undefined
  #wake = Promise.withResolvers<void>()
  readonly #stream: Stream
  readonly #maxUnread: number
  readonly #signal: AbortSignal
  readonly #off = new AbortController()

  constructor(stream: Stream, maxUnread: number, signal: AbortSignal) {
    this.#stream = stream
    this.#maxUnread = maxUnread
    this.#signal = signal
    const options = { signal: this.#off.signal }
    stream.addEventListener('message', (event) => this.#arrive(event.data), options)
    stream.addEventListener('remoteCloseWrite', () => this.#end(undefined), options)
    stream.addEventListener('close', (event) => this.#end(event.error), options)
    signal.addEventListener('abort', () => this.#end(asMecaError(signal.reason)), options)
    this.#ended = stream.remoteWriteStatus === 'closed'
  }

  /** Exactly so many bytes; undefined where the stream ends before them. */
  async take(length: number): Promise<Frame> {
    this.#signal.throwIfAborted()
    while (this.#unread < length || this.#error !== undefined) {
      if (this.#error !== undefined) throw this.#error
      if (this.#ended && this.#stream.readBufferLength === 0) return undefined
      this.#wake = Promise.withResolvers()
      await this.#wake.promise
    }
    return this.#cut(length)
  }

  close(): void {
    this.#off.abort()
  }

  #arrive(bytes: StreamMessageEvent['data']): void {
    this.#chunks.push(...(bytes instanceof Uint8Array ? [bytes] : bytes))
    this.#unread += bytes.byteLength
    if (this.#unread > this.#maxUnread && this.#error === undefined) {
      this.#off.abort()
      this.#end(new MecaError('protocol', `The peer sent more than the ${this.#maxUnread} bytes that it was asked for`))
    }
    this.#wake.resolve()
  }

  #end(error: Error | undefined): void {
    this.#ended = true
    this.#error ??= error
    this.#wake.resolve()
  }

  #cut(length: number): Uint8Array[] {
    this.#unread -= length
    const pieces: Uint8Array[] = []
    let taken = 0
    for (let missing = length; missing > 0;) {
      const chunk = this.#chunks[taken] ?? new Uint8Array()
      const piece = chunk.subarray(0, missing)
      pieces.push(piece)
      missing -= piece.length
      if (piece.length === chunk.length) taken++
      else this.#chunks[taken] = chunk.subarray(piece.length)
    }
    this.#chunks.splice(0, taken)
    return pieces
  }
}
