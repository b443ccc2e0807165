/**
 * Where a job's input arrives: in the frame that asked for the job, or on a stream of its own, to disk. The job is
 * queued meanwhile, with an end to the waiting; what arrives is held against the hash that the client promised.
 */
import { MecaError } from '../core/errors.ts'
import type { HostJob } from '../core/records.ts'
import type { Blobs } from '../store/blobs.ts'
import { failpoint } from '../failpoint.ts'
import { sha256 } from './sums.ts'

/** A client that was admitted and sends nothing for so long has gone away. */
const INPUT_WAIT_MS = 300_000

export class InputGate {
  readonly #record: HostJob
  readonly #inline: Uint8Array | undefined
  readonly #blobs: Blobs
  readonly #arrived = Promise.withResolvers<void>()

  constructor(record: HostJob, inline: Uint8Array | undefined, blobs: Blobs) {
    this.#record = record
    this.#inline = inline
    this.#blobs = blobs
  }

  /** Takes the input's bytes as they come; safe to call again after a broken transfer. */
  async receive(body: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<void> {
    const { inputHash, inputBytes } = this.#record
    await this.#blobs.write(body, { signal, maxBytes: inputBytes, expect: inputHash })
    failpoint('host.input-written')
    this.#arrived.resolve()
  }

  /** Throws `bad_input` where the bytes are not the promised ones, `timeout` where they do not come. */
  async take(signal: AbortSignal): Promise<Uint8Array> {
    if (this.#inline !== undefined) return this.#checked(this.#inline)
    if (this.#record.inputBytes === 0) return this.#checked(new Uint8Array(0))
    if ((await this.#blobs.size(this.#record.inputHash)) === undefined) await this.#wait(signal)
    const chunks: Uint8Array[] = []
    for await (const chunk of this.#blobs.read(this.#record.inputHash, { signal })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** The same for what is read where it lies. Throws as `take`. */
  async source(signal: AbortSignal): Promise<() => AsyncIterable<Uint8Array>> {
    const { inputHash, inputBytes } = this.#record
    if (this.#inline !== undefined || inputBytes === 0) {
      const bytes = this.#checked(this.#inline ?? new Uint8Array(0))
      return () => one(bytes)
    }
    if ((await this.#blobs.size(inputHash)) === undefined) await this.#wait(signal)
    return () => this.#blobs.read(inputHash, { signal })
  }

  #checked(bytes: Uint8Array): Uint8Array {
    const { inputBytes, inputHash } = this.#record
    if (bytes.length !== inputBytes || sha256(bytes) !== inputHash) {
      throw new MecaError('bad_input', 'The input that came with the job is not the one it promised', {
        cure: 'send the bytes whose sha-256 stands in the job',
      })
    }
    return bytes
  }

  async #wait(signal: AbortSignal): Promise<void> {
    const timer = AbortSignal.timeout(INPUT_WAIT_MS)
    const { promise, reject } = Promise.withResolvers<never>()
    const stop = () =>
      reject(
        timer.aborted
          ? new MecaError('timeout', `The input did not arrive within ${INPUT_WAIT_MS / 1000} s`)
          : signal.reason,
      )
    const any = AbortSignal.any([signal, timer])
    if (any.aborted) stop()
    any.addEventListener('abort', stop, { once: true })
    try {
      await Promise.race([this.#arrived.promise, promise])
    } finally {
      any.removeEventListener('abort', stop)
    }
  }
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
