/**
 * One client's stream at a host: which channels it proved to speak for, and what is sent to it. A session may end at any
 * moment; jobs do not depend on it.
 */
import type { Problem } from '../core/errors.ts'
import { MecaError, toProblem } from '../core/errors.ts'
import type { Phase } from '../core/job.ts'
import type { LogLine } from '../core/plan.ts'
import type { HostJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import { FRAME, MAX_BATCH, toWire } from '../core/wire.ts'
import type { FrameStream } from '../p2p/frames.ts'

/** A result ready to go out: the output inline where it is small. */
export type Deliverable = { job: HostJob; output: Uint8Array | undefined }

/** Frames stay well under their ceiling of 4 MiB. */
const FRAME_BYTES = 2 * 2 ** 20
const MAX_LOGS = 256

export class HostSession {
  readonly peerId: string
  readonly channels = new Set<Hex>()
  readonly #stream: FrameStream

  constructor(stream: FrameStream, peerId: string) {
    this.#stream = stream
    this.peerId = peerId
  }

  /** Throws `unauthorized` where this stream has not said hello for the channel. */
  require(channelId: Hex): void {
    if (!this.channels.has(channelId)) {
      throw new MecaError('unauthorized', `No hello for channel ${channelId} came on this connection`, { cure: 'say hello first' })
    }
  }

  event(channelId: Hex, id: string, phase: Phase, at: number, more: { progress?: { doneBytes: number; totalBytes: number }; logs?: LogLine[] } = {}): void {
    const logs = more.logs?.slice(-MAX_LOGS).map((line) => ({ ...line, text: line.text.slice(0, 8192) }))
    this.send(FRAME.event, { channelId, id, phase, at, ...(more.progress === undefined ? {} : { progress: more.progress }), ...(logs === undefined ? {} : { logs }) })
  }

  refused(channelId: Hex, id: string | undefined, error: unknown): void {
    const { details: _, ...problem }: Problem = toProblem(error)
    this.send(FRAME.refused, { channelId, ...(id === undefined ? {} : { id }), problem: { ...problem, message: problem.message.slice(0, 4000) } })
  }

  results(channelId: Hex, deliverables: readonly Deliverable[]): void {
    let batch: Deliverable[] = []
    let bytes = 0
    for (const one of deliverables) {
      const size = one.output?.length ?? 0
      if (batch.length > 0 && (bytes + size > FRAME_BYTES || batch.length >= MAX_BATCH)) {
        this.#results(channelId, batch)
        batch = []
        bytes = 0
      }
      batch.push(one)
      bytes += size
    }
    if (batch.length > 0) this.#results(channelId, batch)
  }

  #results(channelId: Hex, batch: readonly Deliverable[]): void {
    const attachments: Uint8Array[] = []
    const results = batch.map(({ job, output }) => {
      if (output === undefined) return { id: job.id, signed: job.signed, outcome: job.outcome }
      attachments.push(output)
      return { id: job.id, signed: job.signed, outcome: job.outcome, inline: attachments.length - 1 }
    })
    this.send(FRAME.results, { channelId, results }, attachments)
  }

  send(type: number, message: Record<string, unknown>, attachments: readonly Uint8Array[] = []): void {
    const header: unknown = toWire(message)
    // A stream that broke is noticed by its reader; what was not delivered waits for the client to attach again.
    this.#stream.send(type, header as Record<string, unknown>, attachments).catch(() => undefined)
  }
}
