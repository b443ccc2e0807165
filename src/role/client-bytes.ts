/**
 * Inputs and outputs too large for a message: up to the host, and down into the store. Both go on where they stopped when
 * the line breaks; what comes down is held against the receipt's hash as a whole, whatever it was put together from.
 */
import { MecaError } from '../core/errors.ts'
import type { ClientJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { DataHeader, HostMessage } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'
import type { Event, Input, Moved } from './client-pending.ts'
import { persist } from './persist.ts'

export type JobResult = HostMessage<'results'>['results'][number]

/** Where a job's host is, and a promise that it knows this connection. */
export type Reach = { locate(): HostAddress; greeted(): Promise<unknown> }

/** Whoever waits for the transfer, and is told of it. */
export type Waiting = { isWanted(): boolean; onEvent(event: Event): void }

type Intake = Awaited<ReturnType<ClientComponents['blobs']['resume']>>
type Order = { id: string; outputBytes: number; hash: Hex; onEvent: Waiting['onEvent'] }

/** Faults of the bytes or of this disk. */
const HOPELESS: ReadonlySet<string> = new Set(['disk_full', 'too_large', 'not_verified'])

/** What a job's output is known by while it comes, also after a restart. */
export function outputName({ channelId, id }: Pick<ClientJob, 'channelId' | 'id'>): string {
  return `output ${channelId} ${id}`
}

export class ClientBytes {
  readonly #c: ClientComponents
  readonly #channelId: Hex
  readonly #reach: Reach

  constructor(c: ClientComponents, channelId: Hex, reach: Reach) {
    this.#c = c
    this.#channelId = channelId
    this.#reach = reach
  }

  /** Throws `protocol` where the host forgets what it had. */
  async upload(id: string, input: Input, { isWanted, onEvent }: Waiting): Promise<void> {
    const { link, signal } = this.#c
    const source = 'bytes' in input ? inMemory(input.bytes) : input
    const { lengthBytes } = source
    let safe = 0
    let isAnew = false
    const read = (offset: number) => {
      // Once: what a host kept over a restart of its own may turn out to be spoilt.
      if (offset === 0 && safe > 0 && !isAnew) isAnew = true
      else if (offset < safe)
        throw new MecaError('protocol', `The host had ${safe} bytes of the input, and now says ${offset}`)
      safe = offset
      return watched(source.read(offset), { step: 'send', doneBytes: offset, totalBytes: lengthBytes }, onEvent)
    }
    const step = async () => {
      await this.#reach.greeted()
      const header = this.#header('put', id, 0)
      await link.put(this.#reach.locate(), header, { lengthBytes, read }, signal)
    }
    await persist({ step, done: () => safe, isWanted }, signal)
  }

  /** A large output goes to disk as it comes; the store refuses bytes that are not the receipt's. */
  async fetch(
    job: ClientJob,
    { signed, outcome }: JobResult,
    onEvent: Waiting['onEvent'],
  ): Promise<Uint8Array | undefined> {
    const { outputBytes } = outcome
    if (outputBytes === 0) return new Uint8Array(0)
    const { maxOutputBytes, blobs } = this.#c
    if (outputBytes > maxOutputBytes) {
      throw new MecaError('too_large', `The output has ${outputBytes} bytes, taken are ${maxOutputBytes}`, {
        cure: 'raise limits.outputBytes',
      })
    }
    const order = { id: job.id, outputBytes, hash: signed.receipt.outputHash, onEvent }
    const intake = await blobs.resume(outputName(job), outputBytes, this.#c.signal)
    const isOlder = intake.keptBytes > 0
    try {
      await this.#receive(intake, order)
    } catch (error) {
      if (!isOlder || !(error instanceof MecaError) || error.code !== 'not_verified') throw error
      // What lay here from before may have been spoilt by a power cut: that is no lie of the host.
      await this.#receive(await blobs.resume(outputName(job), outputBytes, this.#c.signal), order)
    }
    return undefined
  }

  /** What came stays for the next try, of this process or a later one, unless it is of no use to it. */
  async #receive(intake: Intake, { id, outputBytes, hash, onEvent }: Order): Promise<void> {
    try {
      await this.#fill(intake, id, outputBytes, onEvent)
      requireLength(id, outputBytes, intake.bytes)
      await intake.finish(hash)
    } catch (error) {
      await (error instanceof MecaError && HOPELESS.has(error.code) ? intake.drop() : intake.leave())
      throw error
    }
  }

  #fill(intake: Intake, id: string, totalBytes: number, onEvent: Waiting['onEvent']): Promise<void> {
    const { link, signal } = this.#c
    const step = async () => {
      await this.#reach.greeted()
      const { bytes: doneBytes } = intake
      const header = this.#header('get', id, doneBytes)
      const body = await link.get(this.#reach.locate(), header, totalBytes - doneBytes, signal)
      await intake.append(watched(body, { step: 'receive', doneBytes, totalBytes }, onEvent), signal)
    }
    return persist({ step, done: () => intake.bytes, isWanted: () => true }, signal)
  }

  #header(op: DataHeader['op'], id: string, offset: number): DataHeader {
    return { op, channelId: this.#channelId, id, offset }
  }
}

/** How often who waits is told of bytes that moved. */
const TELL_EVERY_BYTES = 2 ** 20

async function* watched(
  body: AsyncIterable<Uint8Array>,
  { step, doneBytes: from, totalBytes }: Moved,
  onEvent: (moved: Moved) => void,
): AsyncGenerator<Uint8Array> {
  let doneBytes = from
  let told = from
  onEvent({ step, doneBytes, totalBytes })
  for await (const chunk of body) {
    if (step === 'send') failpoint('client.input-going')
    yield chunk
    // Asked for more: what was given before is on its way.
    doneBytes += chunk.length
    if (doneBytes - told < TELL_EVERY_BYTES && doneBytes !== totalBytes) continue
    told = doneBytes
    onEvent({ step, doneBytes, totalBytes })
  }
}

/** The output beside the message. Throws `protocol` where it is named and not there, which would else pass unchecked. */
export function inlineOutput({ id, inline = 0, outcome }: JobResult, attachments: readonly Uint8Array[]): Uint8Array {
  const output = attachments[inline]
  if (output === undefined) throw new MecaError('protocol', `The output of job ${id} was named and not sent`)
  requireLength(id, outcome.outputBytes, output.length)
  return output
}

function requireLength(id: string, named: number, there: number | undefined): void {
  if (named === there) return
  throw new MecaError('not_verified', `The output of job ${id} has ${there} bytes, its host said ${named}`)
}

function inMemory(bytes: Uint8Array): Exclude<Input, { bytes: Uint8Array }> {
  return { lengthBytes: bytes.length, read: (offset) => pieces(bytes.subarray(offset)) }
}

/** Small enough that a bar moves, and that what a break loses is little. */
const PIECE_BYTES = 256 * 1024

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES)
    yield await Promise.resolve(bytes.subarray(at, at + PIECE_BYTES))
}
