/** Inputs and outputs too large for a message: up to the host, and down into the store. */
import { MecaError } from '../core/errors.ts'
import type { ClientJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { HostMessage } from '../core/wire.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'
import type { Input } from './client-pending.ts'

export type JobResult = HostMessage<'results'>['results'][number]

export class ClientBytes {
  readonly #c: ClientComponents
  readonly #channelId: Hex
  readonly #locate: () => HostAddress

  constructor(c: ClientComponents, channelId: Hex, locate: () => HostAddress) {
    this.#c = c
    this.#channelId = channelId
    this.#locate = locate
  }

  async upload(id: string, input: Input): Promise<void> {
    const header = { op: 'put', channelId: this.#channelId, id, offset: 0 } as const
    const upload =
      'bytes' in input
        ? { lengthBytes: input.bytes.length, read: (offset: number) => once(input.bytes.subarray(offset)) }
        : input
    await this.#c.link.put(this.#locate(), header, upload, this.#c.signal)
  }

  /** A large output goes to disk as it comes; the store refuses bytes that are not the receipt's. */
  async fetch(job: ClientJob, { signed, outcome }: JobResult): Promise<Uint8Array | undefined> {
    if (outcome.outputBytes === 0) return new Uint8Array(0)
    const { maxOutputBytes, signal, blobs, link } = this.#c
    if (outcome.outputBytes > maxOutputBytes) {
      throw new MecaError('too_large', `The output has ${outcome.outputBytes} bytes, taken are ${maxOutputBytes}`, {
        cure: 'raise limits.outputBytes',
      })
    }
    const header = { op: 'get', channelId: this.#channelId, id: job.id, offset: 0 } as const
    const body = await link.get(this.#locate(), header, outcome.outputBytes, signal)
    const { outputHash } = signed.receipt
    await blobs.write(body, { signal, maxBytes: outcome.outputBytes, expect: outputHash })
    requireLength(job.id, outcome.outputBytes, await blobs.size(outputHash))
    return undefined
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

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}
