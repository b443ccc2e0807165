/**
 * Length-prefixed frames on a libp2p stream, in both directions with back-pressure: reading stops while too much is
 * unread, writing waits while too much is unsent. (The stream's own iterator reads on without an end.)
 */
import type { Stream } from '@libp2p/interface'
import { asMecaError, MecaError } from '../core/errors.ts'

/** Unread bytes beyond which the peer is asked to pause: a few blocks, so that the next is there when one is done. */
const HIGH_WATER = 4 * 2 ** 20

/** What may still arrive between asking for a pause and the peer keeping it (the muxer's largest window is 16 MiB). */
const SLACK = 20 * 2 ** 20

/** Stands in a frame's length for "I do not have this one". */
const NOTHING = 0xffffffff

export async function writeFrame(stream: Stream, bytes: Uint8Array | undefined, signal: AbortSignal): Promise<void> {
  const head = new Uint8Array(4)
  new DataView(head.buffer).setUint32(0, bytes?.length ?? NOTHING)
  stream.send(head)
  if (bytes !== undefined && bytes.length > 0) stream.send(bytes)
  await stream.onDrain({ signal })
}

type Frame = Uint8Array | undefined

/** Frames until the peer closes its side. Throws `protocol` on a frame over `maxBytes` or one that is cut off. */
export async function* readFrames(stream: Stream, maxBytes: number, signal: AbortSignal): AsyncGenerator<Frame> {
  const intake = new Intake(stream, signal)
  try {
    for (;;) {
      const head = await intake.take(4)
      if (head === undefined) return
      const length = new DataView(head.buffer, head.byteOffset).getUint32(0)
      if (length === NOTHING) {
        yield undefined
        continue
      }
      if (length > maxBytes) throw new MecaError('protocol', `A frame of ${length} bytes came, ${maxBytes} are allowed`)
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
  readonly #signal: AbortSignal
  readonly #off = new AbortController()

  constructor(stream: Stream, signal: AbortSignal) {
    this.#stream = stream
    this.#signal = signal
    stream.maxReadBufferLength = HIGH_WATER + SLACK
    const options = { signal: this.#off.signal }
    stream.addEventListener('message', (event) => this.#arrive(event.data.subarray()), options)
    stream.addEventListener('remoteCloseWrite', () => this.#end(undefined), options)
    stream.addEventListener('close', (event) => this.#end(event.error), options)
    signal.addEventListener('abort', () => this.#end(asMecaError(signal.reason)), options)
    this.#ended = stream.remoteWriteStatus === 'closed'
  }

  /** Exactly so many bytes; undefined where the stream ends before them. */
  async take(length: number): Promise<Uint8Array | undefined> {
    this.#signal.throwIfAborted()
    while (this.#unread < length) {
      if (this.#error !== undefined) throw this.#error
      if (this.#ended && this.#stream.readBufferLength === 0) return undefined
      this.#wake = Promise.withResolvers()
      await this.#wake.promise
    }
    const bytes = this.#cut(length)
    if (this.#unread < HIGH_WATER && this.#stream.readStatus === 'paused') this.#stream.resume()
    return bytes
  }

  close(): void {
    this.#off.abort()
  }

  #arrive(bytes: Uint8Array): void {
    this.#chunks.push(bytes)
    this.#unread += bytes.length
    if (this.#unread >= HIGH_WATER && this.#stream.readStatus === 'readable') this.#stream.pause()
    this.#wake.resolve()
  }

  #end(error: Error | undefined): void {
    this.#ended = true
    this.#error ??= error
    this.#wake.resolve()
  }

  #cut(length: number): Uint8Array {
    const whole = new Uint8Array(length)
    let filled = 0
    while (filled < length) {
      const chunk = this.#chunks[0] ?? new Uint8Array()
      const part = chunk.subarray(0, length - filled)
      whole.set(part, filled)
      filled += part.length
      if (part.length === chunk.length) this.#chunks.shift()
      else this.#chunks[0] = chunk.subarray(part.length)
    }
    this.#unread -= length
    return whole
  }
}
