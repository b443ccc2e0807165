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

/** Frames stay well under their ceiling of 4 MiB, and their headers under 256 KiB. */
const FRAME_BYTES = 2 * 2 ** 20
const HEADER_BYTES = 200 * 1024
/** A result with its receipt and proof, beside the texts in it; measured were 1,500. */
const RESULT_BYTES = 2_000
/** JSON writes a control character as six. */
const ESCAPED = 6
const MAX_LOGS = 256
const MAX_LINE = 8192
/** A row of a welcome with its signature has about 400 bytes. */
const WELCOME_ROWS = 400

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
      throw new MecaError('unauthorized', `No hello for channel ${channelId} came on this connection`, {
        cure: 'say hello first',
      })
    }
  }

  event(
    channelId: Hex,
    id: string,
    phase: Phase,
    at: number,
    more: { progress?: { doneBytes: number; totalBytes: number }; logs?: LogLine[] } = {},
  ): void {
    const logs = more.logs === undefined ? undefined : lastLines(more.logs)
    this.send(FRAME.event, {
      channelId,
      id,
      phase,
      at,
      ...(more.progress === undefined ? {} : { progress: more.progress }),
      ...(logs === undefined ? {} : { logs }),
    })
  }

  /** In several messages where there are many rows; at least one, since the client waits for it. */
  welcome(channelId: Hex, rows: readonly Record<string, unknown>[]): void {
    this.channels.add(channelId)
    for (let i = 0; i === 0 || i < rows.length; i += WELCOME_ROWS) {
      this.send(FRAME.welcome, { channelId, rows: rows.slice(i, i + WELCOME_ROWS) })
    }
  }

  refused(channelId: Hex, id: string | undefined, error: unknown): void {
    const { details: _, ...problem }: Problem = toProblem(error)
    this.send(FRAME.refused, {
      channelId,
      ...(id === undefined ? {} : { id }),
      problem: { ...problem, message: problem.message.slice(0, 4000) },
    })
  }

  results(channelId: Hex, deliverables: readonly Deliverable[]): void {
    let batch: Deliverable[] = []
    let [bytes, header] = [0, 0]
    for (const one of deliverables) {
      const [size, text] = [one.output?.length ?? 0, headerBytes(one)]
      if (
        batch.length > 0 &&
        (bytes + size > FRAME_BYTES || header + text > HEADER_BYTES || batch.length >= MAX_BATCH)
      ) {
        this.#results(channelId, batch)
        batch = []
        bytes = header = 0
      }
      batch.push(one)
      bytes += size
      header += text
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
    this.#stream.send(type, header as Record<string, unknown>, attachments).catch((error: unknown) => {
      // A stream that broke is noticed by its reader; what was not delivered waits for the client to attach again. What
      // could not be encoded would be lost in silence, so the stream ends and the client asks again.
      if (error instanceof MecaError && error.code === 'too_large') this.#stream.abort(error)
    })
  }
}

function headerBytes({ job }: Deliverable): number {
  const { problem, logTail = '', contentType = '' } = job.outcome ?? { problem: undefined }
  return RESULT_BYTES + ESCAPED * (logTail.length + contentType.length + JSON.stringify(problem ?? '').length)
}

function lastLines(lines: readonly LogLine[]): LogLine[] {
  const kept: LogLine[] = []
  let bytes = 0
  for (const { stream, text } of lines.slice(-MAX_LOGS).reverse()) {
    const line = { stream, text: text.slice(0, MAX_LINE) }
    bytes += ESCAPED * line.text.length + 50
    if (bytes > HEADER_BYTES) break
    kept.push(line)
  }
  return kept.reverse()
}
