/**
 * A blob on its way in: counted, capped and hashed as it comes. What came stays when a transfer breaks, so that the next
 * one goes on there; whoever begins an intake finishes, drops or leaves it. It holds no file open between two transfers.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { asMecaError, MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import { hasCode } from './files.ts'

export type BlobSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** The folder that an intake ends in. */
export type BlobRoom = {
  /** Whether what is left in it can be found again. */
  keeps: boolean
  requireSpace(): Promise<void>
  /** Throws `disk_full` over the quota. */
  reserve(bytes: number): void
  release(bytes: number): void
  /** Gives a synced file its name. */
  place(temp: string, hash: Hex): Promise<void>
  /** Nobody writes to it any more. */
  ended(temp: string): void
}

const READ_BYTES = 2 ** 20

export class Intake {
  readonly #room: BlobRoom
  readonly #temp: string
  readonly #maxBytes: number
  readonly #sum = createHash('sha256')
  #bytes = 0
  #keptBytes = 0

  constructor(room: BlobRoom, temp: string, maxBytes: number) {
    this.#room = room
    this.#temp = temp
    this.#maxBytes = maxBytes
  }

  /** What is on disk of it; a transfer that goes on begins here. */
  get bytes(): number {
    return this.#bytes
  }

  /** What was there before, from a transfer that its process did not see to its end. */
  get keptBytes(): number {
    return this.#keptBytes
  }

  /** Goes on with what lies there, which is counted already. To be called first. */
  async takeUp(signal: AbortSignal): Promise<void> {
    for await (const chunk of createReadStream(this.#temp, {
      highWaterMark: READ_BYTES,
      signal,
    }) as AsyncIterable<Buffer>) {
      this.#sum.update(chunk)
      this.#bytes += chunk.length
    }
    this.#keptBytes = this.#bytes
  }

  /** Resolves when all that `source` gave is synced. Where it breaks, what came before stays. One at a time. */
  async append(source: BlobSource, signal: AbortSignal): Promise<void> {
    try {
      await this.#room.requireSpace()
      const file = await open(this.#temp, this.#bytes === 0 ? 'w' : 'r+', 0o600)
      try {
        for await (const chunk of untilAborted(source, signal)) await this.#take(file, chunk)
        await file.sync()
      } finally {
        await file.close()
      }
    } catch (error) {
      throw asWriteError(error)
    }
  }

  /** Throws `not_verified` where it hashes to anything but `expect`. */
  async finish(expect?: Hex): Promise<{ hash: Hex; bytes: number }> {
    const hash: Hex = `0x${this.#sum.digest('hex')}`
    if (expect !== undefined && expect !== hash)
      throw new MecaError('not_verified', `The bytes hash to ${hash}, agreed was ${expect}`, {
        details: { hash, expect },
      })
    failpoint('blob.before-name')
    await this.#room.place(this.#temp, hash).catch((error: unknown) => {
      throw asWriteError(error)
    })
    this.#room.ended(this.#temp)
    return { hash, bytes: this.#bytes }
  }

  async drop(): Promise<void> {
    this.#room.release(this.#bytes)
    this.#bytes = 0
    await rm(this.#temp, { force: true })
    this.#room.ended(this.#temp)
  }

  /** What came stays for whoever resumes it; under no name nobody could. */
  async leave(): Promise<void> {
    if (this.#room.keeps) this.#room.ended(this.#temp)
    else await this.drop()
  }

  /** Counted when it is written: what a failed write left behind is written over by the next. */
  async #take(file: FileHandle, chunk: Uint8Array): Promise<void> {
    if (this.#bytes + chunk.length > this.#maxBytes)
      throw new MecaError('too_large', `More than ${this.#maxBytes} bytes came`, {
        details: { maxBytes: this.#maxBytes },
      })
    this.#room.reserve(chunk.length)
    try {
      await writeAt(file, chunk, this.#bytes)
    } catch (error) {
      this.#room.release(chunk.length)
      throw error
    }
    this.#sum.update(chunk)
    this.#bytes += chunk.length
    failpoint('blob.taken')
  }
}

async function writeAt(file: FileHandle, chunk: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < chunk.length;) {
    at += (await file.write(chunk, at, chunk.length - at, position + at)).bytesWritten
  }
}

/** Ends with the signal even where the source never gives its next chunk. */
async function* untilAborted(source: BlobSource, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
  const aborted = Promise.withResolvers<never>()
  aborted.promise.catch(() => undefined) // it may reject when nobody races it
  const onAbort = () =>
    aborted.reject(new MecaError('cancelled', 'Reading the bytes was cancelled', { cause: signal.reason }))
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    for (;;) {
      const step = await Promise.race([iterator.next(), aborted.promise])
      if (step.done === true) return
      yield step.value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    // Not waited for: a source that stalls does not come back from this either.
    Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

function asWriteError(error: unknown): MecaError {
  if (!hasCode(error, 'ENOSPC')) return asMecaError(error)
  return new MecaError('disk_full', 'The disk of the home folder is full', {
    cause: error,
    cure: 'free some space on it',
  })
}
