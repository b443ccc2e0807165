/**
 * A stream of frames: one long-lived libp2p stream that carries many messages both ways. What is sent in one turn of the
 * event loop goes out in one write, since the cost is per write and not per message.
 */
import type { Stream } from '@libp2p/interface'
import { asMecaError, MecaError } from '../core/errors.ts'
import { encode, FrameParser, join } from './codec.ts'
import type { Encoded, Frame, FrameLimits, Header } from './codec.ts'
import { FRAME, STREAM } from './limits.ts'
import { Pipe } from './pipe.ts'
import type { PipeOptions } from './pipe.ts'

export type { Frame, Header } from './codec.ts'

export type FrameStreamOptions = PipeOptions &
  Partial<FrameLimits> & {
    /** Sends an empty frame when nothing else was sent for so long; 0, the default, sends none. */
    keepAliveMs?: number
  }

/** Type 0 is the keep-alive and never reaches the reader; users of a stream number their messages from 1. */
const KEEP_ALIVE = 0

const NONE: readonly Uint8Array[] = []

export class FrameStream implements AsyncIterable<Frame> {
  readonly #pipe: Pipe
  readonly #limits: FrameLimits
  readonly #parser: FrameParser
  #queue: Encoded[] = []
  #queuedBytes = 0
  #flushing: Promise<void> | undefined
  #scheduled = false
  #ending = false
  #sentSinceTick = false
  readonly #keepAlive: NodeJS.Timeout | undefined

  constructor(stream: Stream, options: FrameStreamOptions = {}) {
    const {
      keepAliveMs = 0,
      maxHeaderBytes = FRAME.maxHeaderBytes,
      maxFrameBytes = FRAME.maxFrameBytes,
      ...rest
    } = options
    this.#pipe = new Pipe(stream, rest)
    this.#limits = { maxHeaderBytes, maxFrameBytes }
    this.#parser = new FrameParser(this.#limits)
    if (keepAliveMs > 0) {
      this.#keepAlive = setInterval(() => this.#tick(), keepAliveMs).unref()
      void this.closed.then(() => clearInterval(this.#keepAlive))
    }
  }

  /** Resolves once when the stream is over: undefined after a clean end, else why. Never rejects. */
  get closed(): Promise<MecaError | undefined> {
    return this.#pipe.closed
  }

  get isClosed(): boolean {
    return this.#pipe.isClosed
  }

  /**
   * Queues one message. Await the result to respect back-pressure: it settles at once while there is room, and fails
   * when the stream ended. Attachments belong to the stream until then. Throws `too_large` before anything is sent.
   */
  send(type: number, header: Header, attachments: readonly Uint8Array[] = NONE): Promise<void> {
    const frame = encode(type, header, attachments, this.#limits)
    if (this.#ending || this.#pipe.isClosed) return Promise.reject(endedError())
    this.#queue.push(frame)
    this.#queuedBytes += frame.bytes
    this.#sentSinceTick = true
    if (!this.#scheduled && this.#flushing === undefined) {
      this.#scheduled = true
      process.nextTick(() => this.#startFlush())
    }
    return this.#queuedBytes < FRAME.sendQueueBytes ? Promise.resolve() : this.#flushed()
  }

  /** The next message, or undefined at the peer's clean end. Throws why the stream broke. One reader at a time. */
  async next(): Promise<Frame | undefined> {
    try {
      for (;;) {
        const frame = this.#parser.next()
        if (frame !== undefined && frame.type !== KEEP_ALIVE) return frame
        if (frame !== undefined) continue
        const pending = this.#pipe.read()
        const chunk = pending instanceof Promise ? await pending : pending
        if (chunk === undefined) return this.#atEnd()
        this.#parser.push(chunk)
      }
    } catch (error) {
      this.abort(asMecaError(error))
      throw error
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Frame> {
    for (;;) {
      const frame = await this.next()
      if (frame === undefined) return
      yield frame
    }
  }

  /** Ends our direction after all that was queued is written. The peer has a moment to end its own; then it is reset. */
  async close(): Promise<void> {
    if (this.#ending) return
    this.#ending = true
    clearInterval(this.#keepAlive)
    try {
      await this.#flushed()
    } catch {
      return // The stream broke before; `closed` says why.
    }
    await this.#pipe.close()
    const late = setTimeout(() => this.#pipe.abort(lingeredError()), STREAM.closeTimeoutMs).unref()
    void this.closed.then(() => clearTimeout(late))
  }

  abort(reason: MecaError): void {
    clearInterval(this.#keepAlive)
    this.#pipe.abort(reason)
  }

  /** Leaves the frames for plain bytes, once all frames are written: what arrived beyond the last goes back to the pipe. */
  async bytes(): Promise<Pipe> {
    await this.#flushed()
    this.#pipe.unread(this.#parser.rest())
    return this.#pipe
  }

  #atEnd(): undefined {
    if (this.#parser.partial) throw new MecaError('protocol', 'The peer ended the stream in the middle of a message')
    return undefined
  }

  #startFlush(): void {
    this.#scheduled = false
    this.#flushing ??= this.#flush().finally(() => (this.#flushing = undefined))
    // Whoever awaits gets the error from here or from `closed`; a caller that does not wait must not crash the process.
    this.#flushing.catch(() => undefined)
  }

  async #flush(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue
      this.#queue = []
      this.#queuedBytes = 0
      const room = this.#pipe.write(join(batch))
      if (room !== undefined) await room
    }
  }

  async #flushed(): Promise<void> {
    while (this.#scheduled || this.#flushing !== undefined) {
      if (this.#flushing === undefined) this.#startFlush()
      await this.#flushing
    }
  }

  #tick(): void {
    if (!this.#sentSinceTick && !this.#ending) void this.send(KEEP_ALIVE, {}).catch(() => undefined) // `closed` says why.
    this.#sentSinceTick = false
  }
}

function lingeredError(): MecaError {
  return new MecaError(
    'timeout',
    `The peer did not end its side of the stream within ${STREAM.closeTimeoutMs} ms of ours`,
  )
}

function endedError(): MecaError {
  return new MecaError('peer_unreachable', 'The stream to the peer has ended', { cure: 'Open a new one.' })
}
