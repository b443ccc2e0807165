/**
 * One libp2p stream as bytes with back-pressure both ways, an end to every wait and one reason for its end. libp2p's
 * streams push events and buffer without telling; frames and bulk transfers are both built on this pull side.
 */
import type { Stream, StreamMessageEvent } from '@libp2p/interface'
import { MecaError } from '../core/errors.ts'
import { STREAM } from './limits.ts'

export type PipeOptions = { idleTimeoutMs?: number; writeTimeoutMs?: number }

type Waiter = { resolve: (chunk: Uint8Array | undefined) => void; reject: (error: MecaError) => void }

export class Pipe {
  /** Resolves once, when both directions are over: undefined after a clean end, else why. Never rejects. */
  readonly closed: Promise<MecaError | undefined>
  readonly #stream: Stream
  readonly #options: Required<PipeOptions>
  #settle: (reason: MecaError | undefined) => void = () => undefined
  #chunks: Uint8Array[] = []
  #unreadBytes = 0
  #resuming = false
  #ended = false
  #remoteEnded = false
  #reason: MecaError | undefined
  #isClosed = false
  #reader: Waiter | undefined
  #writers = new Set<() => void>()
  #lastMovedMs = performance.now()
  #blockedSinceMs: number | undefined
  readonly #watch: NodeJS.Timeout

  constructor(stream: Stream, options: PipeOptions = {}) {
    this.#stream = stream
    this.#options = { idleTimeoutMs: STREAM.idleTimeoutMs, writeTimeoutMs: STREAM.writeTimeoutMs, ...options }
    this.closed = new Promise((resolve) => (this.#settle = resolve))
    stream.addEventListener('message', (event) => this.#onData(event.data))
    stream.addEventListener('remoteCloseWrite', () => (this.#remoteEnded = true))
    stream.addEventListener('end', () => this.#onEnd())
    stream.addEventListener('drain', () => this.#wakeWriters())
    stream.addEventListener('close', (event) => this.#onClose(event.error))
    this.#watch = setInterval(() => this.#checkDeadlines(), Math.min(1_000, this.#options.idleTimeoutMs / 4)).unref()
    this.#remoteEnded = stream.remoteWriteStatus === 'closed' && stream.status === 'open'
    if (stream.readableEnded) this.#onEnd()
    if (stream.status !== 'open' && stream.status !== 'closing') this.#onClose(undefined)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** The next bytes, or undefined at the peer's clean end. One reader at a time. */
  read(): Promise<Uint8Array | undefined> | Uint8Array | undefined {
    const chunk = this.#chunks.shift()
    if (chunk !== undefined) {
      this.#unreadBytes -= chunk.byteLength
      this.#resumeIfLow()
      return chunk
    }
    if (this.#reason !== undefined) return Promise.reject(this.#reason)
    if (this.#ended || this.#isClosed) return undefined
    return new Promise((resolve, reject) => (this.#reader = { resolve, reject }))
  }

  /** Puts back what was read too far. */
  unread(chunks: readonly Uint8Array[]): void {
    this.#chunks.unshift(...chunks)
    for (const c of chunks) this.#unreadBytes += c.byteLength
  }

  /** Hands the parts over; returns a promise only when the caller should wait for room. */
  write(parts: readonly Uint8Array[]): Promise<void> | undefined {
    if (this.#isClosed) return Promise.reject(this.#reason ?? goneError())
    try {
      for (const part of parts) this.#stream.send(part)
    } catch (cause) {
      return Promise.reject(this.#reason ?? goneError(cause))
    }
    return this.#stream.writeBufferLength <= STREAM.writeAheadBytes ? undefined : this.#drained()
  }

  /** Tells the idle deadline that work goes on although the peer has nothing to say, as in a long upload. */
  touch(): void {
    this.#lastMovedMs = performance.now()
  }

  /** Ends our direction; the peer's may go on until it ends its own. Becomes a reset when that takes too long. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    try {
      await this.#stream.close({ signal: AbortSignal.timeout(STREAM.closeTimeoutMs) })
    } catch (cause) {
      this.abort(new MecaError('timeout', `The stream did not close within ${STREAM.closeTimeoutMs} ms`, { cause }))
    }
  }

  /** Resets the stream at once; whatever was not sent or read is gone. */
  abort(reason: MecaError): void {
    if (this.#isClosed) return
    this.#reason = reason
    this.#stream.abort(reason)
    this.#onClose(reason)
  }

  #onData(data: StreamMessageEvent['data']): void {
    this.#lastMovedMs = performance.now()
    for (const chunk of data instanceof Uint8Array ? [data] : data) this.#accept(chunk)
    // Pausing inside libp2p's resume() would be undone by its end, so that case is looked at after it.
    if (this.#unreadBytes > STREAM.pauseAboveBytes && !this.#resuming) this.#pause()
  }

  /** A stream whose peer has sent everything is no longer readable, and has nothing left to hold back. */
  #pause(): void {
    if (this.#stream.readStatus === 'readable') this.#stream.pause()
  }

  #accept(chunk: Uint8Array): void {
    if (chunk.byteLength === 0) return
    const reader = this.#reader
    this.#reader = undefined
    if (reader !== undefined) return reader.resolve(chunk)
    this.#chunks.push(chunk)
    this.#unreadBytes += chunk.byteLength
  }

  #resumeIfLow(): void {
    if (this.#unreadBytes > STREAM.pauseAboveBytes / 2 || this.#stream.readStatus !== 'paused' || this.#isClosed) return
    this.#resuming = true
    this.#stream.resume()
    this.#resuming = false
    this.#lastMovedMs = performance.now()
    if (this.#unreadBytes > STREAM.pauseAboveBytes) this.#pause()
  }

  /** Also said of a reset and of a lost connection, whose reason comes with the close that follows. */
  #onEnd(): void {
    if (!this.#remoteEnded || this.#stream.status === 'reset' || this.#stream.status === 'aborted') return
    this.#ended = true
    this.#reader?.resolve(undefined)
    this.#reader = undefined
  }

  #onClose(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    clearInterval(this.#watch)
    if (error !== undefined) this.#reason ??= error instanceof MecaError ? error : resetError(error)
    else if (!this.#remoteEnded) this.#reason ??= goneError()
    if (this.#reason === undefined) this.#reader?.resolve(undefined)
    else this.#reader?.reject(this.#reason)
    this.#reader = undefined
    this.#wakeWriters()
    this.#settle(this.#reason)
  }

  #wakeWriters(): void {
    this.#lastMovedMs = performance.now()
    for (const wake of this.#writers) wake()
    this.#writers.clear()
  }

  /**
   * Waits until half of what may lie ahead is gone: a writer that waited for all of it would leave the line idle between
   * its writes. libp2p's own onDrain() resolves at once after its first use, so the event is watched here.
   */
  async #drained(): Promise<void> {
    this.#blockedSinceMs ??= performance.now()
    while (!this.#isClosed && this.#stream.writeBufferLength > STREAM.writeAheadBytes / 2) {
      await new Promise<void>((resolve) => this.#writers.add(resolve))
      // The queue goes on in a microtask after the event; only then is it known whether it filled up again.
      await Promise.resolve()
    }
    this.#blockedSinceMs = undefined
    if (this.#isClosed && this.#reason !== undefined) throw this.#reason
  }

  #checkDeadlines(): void {
    const now = performance.now()
    const { idleTimeoutMs, writeTimeoutMs } = this.#options
    if (
      this.#blockedSinceMs !== undefined &&
      now - Math.max(this.#blockedSinceMs, this.#lastMovedMs) > writeTimeoutMs
    ) {
      this.abort(new MecaError('timeout', `The peer took no bytes for ${writeTimeoutMs} ms`))
    } else if (this.#stream.readStatus !== 'paused' && now - this.#lastMovedMs > idleTimeoutMs) {
      this.abort(new MecaError('timeout', `Nothing moved on the stream for ${idleTimeoutMs} ms`))
    }
  }
}

function resetError(cause: Error): MecaError {
  return new MecaError('peer_unreachable', `The stream to the peer broke: ${cause.message}`, {
    cause,
    cure: 'Try again; the peer closed it, hit a limit of its own, or the connection went away.',
  })
}

function goneError(cause?: unknown): MecaError {
  return new MecaError('peer_unreachable', 'The stream to the peer is closed', { cause, cure: 'Open a new one.' })
}
