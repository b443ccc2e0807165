/**
 * Results as they come over a client's line: each is taken once, however often its host sends it. Small outputs come beside
 * it and are booked in the same turn; large ones are fetched one after another, while the line goes on to be read.
 */
import type { Hex } from '../core/units.ts'
import type { HostMessage } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { LiveRow } from './book.ts'
import { inlineOutput } from './client-bytes.ts'
import type { ClientBytes, JobResult } from './client-bytes.ts'
import type { Pending } from './client-pending.ts'
import type { Accepted, ClientResults } from './client-results.ts'

type Come = { pending: Pending; result: JobResult; output: Uint8Array | undefined }

export class ClientArrivals {
  readonly #pending: Map<string, Pending>
  readonly #results: ClientResults
  readonly #bytes: ClientBytes
  readonly #onWritten: () => void
  #fetching: Promise<void> = Promise.resolve()

  /** `pending` are the jobs that somebody waits for; they leave it here. `onWritten`: results are on disk. */
  constructor(pending: Map<string, Pending>, results: ClientResults, bytes: ClientBytes, onWritten: () => void) {
    this.#pending = pending
    this.#results = results
    this.#bytes = bytes
    this.#onWritten = onWritten
  }

  async take({ results }: HostMessage<'results'>, attachments: readonly Uint8Array[]): Promise<void> {
    const come: Come[] = []
    for (const result of results) {
      const pending = this.#pending.get(result.id) ?? (await this.#results.unexpected(result.id))
      if (pending === undefined || pending.isTaken === true) continue
      pending.isTaken = true
      this.#pending.set(result.id, pending)
      if (result.inline === undefined && result.outcome.outputBytes > 0) {
        this.#fetching = this.#fetching.then(() => this.#fetch(pending, result))
        continue
      }
      try {
        come.push({
          pending,
          result,
          output: result.inline === undefined ? NOTHING : inlineOutput(result, attachments),
        })
      } catch (error) {
        this.#giveUp(pending, error)
      }
    }
    this.#book(come)
  }

  async #fetch(pending: Pending, result: JobResult): Promise<void> {
    try {
      const output = await this.#bytes.fetch(pending.job, result, (event) => pending.onEvent(event))
      failpoint('client.output-fetched')
      this.#book([{ pending, result, output }])
    } catch (error) {
      this.#giveUp(pending, error)
    }
  }

  /** In one turn: a bill that waited in memory could reach the disk with another change, and its job not. */
  #book(come: readonly Come[]): void {
    const rows = new Map<Hex, LiveRow>()
    const done: { pending: Pending; accepted: Accepted }[] = []
    for (const { pending, result, output } of come) {
      try {
        done.push({ pending, accepted: this.#results.accept(pending, result, output, rows) })
      } catch (error) {
        this.#giveUp(pending, error)
      }
    }
    this.#results.deliver(rows, done, this.#onWritten)
    for (const { pending } of done) this.#pending.delete(pending.job.id)
  }

  /** Its end stays unknown here, and may be asked for again. */
  #giveUp(pending: Pending, error: unknown): void {
    this.#pending.delete(pending.job.id)
    pending.reject(error)
  }
}

const NOTHING = new Uint8Array(0)
