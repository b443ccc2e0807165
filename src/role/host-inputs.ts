/**
 * Where a job's input arrives: in the frame that asked for the job, or on a stream of its own, to disk. The job is
 * queued meanwhile, with an end to the waiting; what arrives is held against the hash that the client promised. A stream
 * that breaks is followed by another, which goes on where the first one stopped.
 */
import { MecaError } from '../core/errors.ts'
import type { HostJob } from '../core/records.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Intake } from '../store/intake.ts'
import { failpoint } from '../failpoint.ts'
import { one, sha256 } from './sums.ts'

/** A client that was admitted and sends nothing for so long has gone away. */
const INPUT_WAIT_MS = 300_000
/** What comes buys further time at the rate of a slow line (1 Mbit/s), so that trickling holds no place for ever. */
const BYTES_PER_MS = 128

/** Faults of the bytes or of this disk: what came is of no use to another try. */
const HOPELESS: ReadonlySet<string> = new Set(['disk_full', 'too_large', 'not_verified'])

type InputBlobs = Pick<Blobs, 'resume' | 'read' | 'size'>

export class InputGate {
  readonly #record: HostJob
  readonly #inline: Uint8Array | undefined
  readonly #blobs: InputBlobs
  readonly #arrived = Promise.withResolvers<void>()
  readonly #over = new AbortController()
  #wasHere: Promise<boolean> | undefined
  #isHere = false
  #opening: Promise<Intake> | undefined
  #intake: Intake | undefined
  #sender: AbortController | undefined
  #receiving: Promise<void> = Promise.resolve()
  #isReceiving = false

  constructor(record: HostJob, inline: Uint8Array | undefined, blobs: InputBlobs) {
    this.#record = record
    this.#inline = inline
    this.#blobs = blobs
  }

  /**
   * How many of the input's bytes need not be sent. A client that comes again has lost its former stream, perhaps before
   * this host noticed, so that one is ended here.
   */
  async offset(): Promise<number> {
    await this.#endSender()
    return (await this.#atHand()) ? this.#record.inputBytes : (await this.#open()).bytes
  }

  /** A client whose host was restarted sends the same input for another job: it goes on where the former one stopped. */
  async #open(): Promise<Intake> {
    if (this.#over.signal.aborted) throw this.#over.signal.reason
    const { client, inputHash, inputBytes } = this.#record
    this.#opening ??= this.#blobs.resume(`input ${client} ${inputHash}`, inputBytes, this.#over.signal)
    try {
      this.#intake = await this.#opening
    } catch (error) {
      this.#opening = undefined
      throw error
    }
    return this.#intake
  }

  /** Takes the input's bytes from `offset` on as they come. Throws `not_verified` where all of them are not the promised ones. */
  async receive(body: AsyncIterable<Uint8Array>, offset: number, signal: AbortSignal): Promise<void> {
    // Two streams that asked for the offset at once were given the same one: only the first may write from there.
    if (this.#isReceiving) throw overtaken()
    this.#isReceiving = true
    const sender = new AbortController()
    this.#sender = sender
    const filling = this.#fill(body, offset, AbortSignal.any([signal, sender.signal, this.#over.signal]))
    this.#receiving = filling.finally(() => (this.#isReceiving = false))
    await this.#receiving
  }

  /** The job has ended: what came of an input that nobody waits for is removed; a host that stops keeps it for the next time. */
  async end(isStopping: boolean): Promise<void> {
    this.#over.abort(new MecaError('cancelled', 'The job has ended'))
    await this.#receiving.catch(() => undefined) // told to the stream that it came over
    await this.#opening?.catch(() => undefined) // told to the same
    if (isStopping) await this.#intake?.leave()
    else await this.#forget()
  }

  /** Throws `bad_input` where the bytes are not the promised ones, `timeout` where they do not come. */
  async take(signal: AbortSignal): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    for await (const chunk of (await this.source(signal))()) chunks.push(chunk)
    return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
  }

  /** The same for what is read where it lies. Throws as `take`. */
  async source(signal: AbortSignal): Promise<() => AsyncIterable<Uint8Array>> {
    const { inputHash, inputBytes } = this.#record
    if (this.#inline !== undefined || inputBytes === 0) {
      const bytes = this.#checked(this.#inline ?? new Uint8Array(0))
      return () => one(bytes)
    }
    if (!(await this.#atHand())) await this.#wait(signal)
    return () => this.#blobs.read(inputHash, { signal })
  }

  /** Sent now, or for another job. Asked once of the disk: what is waited for and what is sent must agree on it. */
  async #atHand(): Promise<boolean> {
    const { inputHash, inputBytes } = this.#record
    this.#wasHere ??= this.#blobs.size(inputHash).then((bytes) => bytes === inputBytes)
    return this.#isHere || (await this.#wasHere)
  }

  async #endSender(): Promise<void> {
    this.#sender?.abort(new MecaError('cancelled', 'The input is sent over another stream'))
    await this.#receiving.catch(() => undefined) // told to the stream that it came over
  }

  async #fill(body: AsyncIterable<Uint8Array>, offset: number, signal: AbortSignal): Promise<void> {
    if (await this.#atHand()) return
    const intake = await this.#open()
    if (intake.bytes !== offset) throw overtaken()
    try {
      await intake.append(body, signal)
      await intake.finish(this.#record.inputHash)
    } catch (error) {
      if (error instanceof MecaError && HOPELESS.has(error.code)) await this.#forget()
      throw intake.keptBytes > 0 && error instanceof MecaError && error.code === 'not_verified' ? spoilt(error) : error
    }
    this.#intake = this.#opening = undefined
    failpoint('host.input-written')
    this.#isHere = true
    this.#arrived.resolve()
  }

  async #forget(): Promise<void> {
    const intake = this.#intake
    this.#intake = this.#opening = undefined
    await intake?.drop()
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
    const { promise, reject } = Promise.withResolvers<never>()
    let bought = 0
    const late = () => {
      const bytes = (this.#intake?.bytes ?? 0) - (this.#intake?.keptBytes ?? 0)
      const moreMs = (bytes - bought) / BYTES_PER_MS
      bought = bytes
      if (moreMs >= 1) timer = setTimeout(late, moreMs)
      else
        reject(new MecaError('timeout', `The input did not arrive: ${bytes} of ${this.#record.inputBytes} bytes came`))
    }
    let timer = setTimeout(late, INPUT_WAIT_MS)
    const stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    try {
      await Promise.race([this.#arrived.promise, promise])
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', stop)
    }
  }
}

/** A passing fault: the client asks again where the input stands. */
function overtaken(): MecaError {
  return new MecaError('timeout', 'Another stream was faster with this input', {
    cure: 'send what is still missing of it',
  })
}

/** A passing fault: the client sends it anew, from the start. */
function spoilt(cause: MecaError): MecaError {
  return new MecaError('not_found', 'What was kept of this input over a restart does not belong to it', {
    cause,
    cure: 'send it from the start',
  })
}
