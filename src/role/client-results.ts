/**
 * What a client believes of a result: the receipt's signature, its hashes and its bill are checked before anything of it
 * is booked, and the result is on disk before its host hears that it need not keep it.
 */
import { MecaError } from '../core/errors.ts'
import { covers } from '../core/ledger.ts'
import { billOf, receiptChecker, STATUS } from '../core/receipt.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import type { Price } from '../core/tariff.ts'
import { keccakText } from '../core/typed.ts'
import type { Receipt } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { LiveRow } from './book.ts'
import type { JobResult } from './client-bytes.ts'
import type { ClientComponents } from './client-components.ts'
import type { Delivered, Pending } from './client-pending.ts'
import type { ClientRows } from './client-rows.ts'
import { sha256 } from './sums.ts'

export type Accepted = Omit<Delivered, 'written'>

export class ClientResults {
  readonly #c: ClientComponents
  readonly #channelId: Hex
  readonly #host: Hex
  readonly #rows: ClientRows
  readonly #check: ReturnType<typeof receiptChecker>
  /** Checked and under way to disk: who asks for one again must not have it booked twice. */
  readonly #unwritten = new Map<string, Delivered>()
  /** On disk, and not told to the host yet. */
  #written: string[] = []

  constructor(c: ClientComponents, { channelId, terms }: ChannelRecord, rows: ClientRows) {
    this.#c = c
    this.#channelId = channelId
    this.#host = terms.host
    this.#rows = rows
    this.#check = receiptChecker(c.domain, terms.host)
  }

  /** From now on the job may be billed as cancelled, also where its bill comes to a client that was started again. */
  allowCancelled(pending: Pending): Promise<void> {
    pending.wish ??= pending.job.cancelledAt === undefined ? this.#writeWish(pending) : Promise.resolve()
    return pending.wish
  }

  async #writeWish(pending: Pending): Promise<void> {
    pending.job = { ...pending.job, cancelledAt: this.#c.wallNow() }
    // A job of before the records were lost has no record of its own until its end.
    if (pending.lost !== undefined) return
    const { clientJobs } = this.#c.tables
    await this.#c.book.commit('cancel', { also: [clientJobs.put(pending.job.id, pending.job)] })
  }

  /** The job may have ended since its record was read. */
  done(id: string): Delivered | undefined {
    const unwritten = this.#unwritten.get(id)
    if (unwritten !== undefined) return unwritten
    const job = this.#c.tables.clientJobs.getSync(id)
    return job?.state === 'done' ? { job, output: undefined, written: Promise.resolve() } : undefined
  }

  /**
   * A result of a job that was taken for refused: another copy of it was under way and ran. It is booked like any other,
   * so that both ledgers count the same; nobody waits for it any more.
   */
  async unexpected(id: string): Promise<Pending | undefined> {
    if (this.#unwritten.has(id)) return undefined
    const job = await this.#c.tables.clientJobs.get(id)
    if (job?.state !== 'refused' || job.channelId !== this.#channelId) return undefined
    const { problem: _, ...rest } = job
    return { job: rest, freed: true, onEvent: () => undefined, resolve: () => undefined, reject: () => undefined }
  }

  /** Throws `not_verified`. The row is staged with the bill. */
  accept(pending: Pending, result: JobResult, output: Uint8Array | undefined, rows: Map<Hex, LiveRow>): Accepted {
    const { freed, lost } = pending
    const { receipt } = result.signed
    // Its price went with the records; what was vouched for bounds its bill.
    const job = lost === undefined ? pending.job : { ...pending.job, price: priceIn(pending.job, receipt) }
    this.#verify(job, result, output)
    const bill = billOf(receipt, job.price, (amount) => this.#c.currencies.show(amount, job.price.token))
    // What ended before the records were lost is in the bill that its host told.
    if (lost !== 'ended') {
      const settled = this.#rows.bill(job, bill, freed === true || lost === 'running')
      if (!covers(settled.vouched, settled.billed))
        throw new MecaError('not_verified', `The host billed job ${job.id} over what was vouched for`)
      rows.set(settled.taskId, settled)
    }
    return {
      job: { ...job, state: 'done', endedAt: this.#c.wallNow(), signed: result.signed, outcome: result.outcome },
      output,
    }
  }

  #verify(job: ClientJob, { signed }: JobResult, output: Uint8Array | undefined): void {
    const { receipt } = signed
    const same =
      receipt.channelId === this.#channelId &&
      receipt.jobHash === keccakText(job.id) &&
      receipt.taskId === job.taskId &&
      receipt.inputHash === job.inputHash
    if (!same) throw new MecaError('not_verified', `The receipt for job ${job.id} is for another job`)
    if (!this.#check(signed))
      throw new MecaError('not_verified', `The receipt for job ${job.id} is not signed by the host ${this.#host}`)
    if (output !== undefined && sha256(output) !== receipt.outputHash)
      throw new MecaError('not_verified', `The output of job ${job.id} is not the one in its receipt`)
    if (receipt.status === STATUS.cancelled && receipt.hostAmount > 0n && job.cancelledAt === undefined) {
      throw new MecaError('not_verified', `The host billed job ${job.id} as cancelled, which nobody asked for`)
    }
  }

  /** Tells who waits; nothing waits for the writing but the acknowledgement, for which `onWritten` is called. */
  deliver(
    rows: Map<Hex, LiveRow>,
    done: readonly { pending: Pending; accepted: Accepted }[],
    onWritten: () => void,
  ): void {
    if (done.length === 0) return
    const ids = done.map(({ accepted }) => accepted.job.id)
    const written = this.#write(rows, done).then(() => {
      for (const id of ids) this.#unwritten.delete(id)
      this.#written.push(...ids)
      onWritten()
    })
    written.catch((error: unknown) =>
      this.#c.log.error({ err: error, jobs: ids.length }, 'results were not written down; their host keeps them'),
    )
    for (const { pending, accepted } of done) {
      const delivered = { ...accepted, written }
      this.#unwritten.set(accepted.job.id, delivered)
      pending.resolve(delivered)
    }
  }

  /** The ids that may be acknowledged now; they are told once on a line. */
  takeWritten(): string[] {
    const ids = this.#written
    this.#written = []
    return ids
  }

  async #write(rows: Map<Hex, LiveRow>, done: readonly { accepted: Accepted }[]): Promise<void> {
    const { clientJobs, clientOutputs } = this.#c.tables
    failpoint('client.before-result')
    await this.#c.book.commit('end', {
      rows: rows.values(),
      also: done.flatMap(({ accepted: { job, output } }) => [
        clientJobs.put(job.id, job),
        ...(output !== undefined && output.length > 0
          ? [clientOutputs.put(job.id, Buffer.from(output).toString('base64'))]
          : []),
      ]),
    })
    failpoint('client.result-written')
  }
}

function priceIn({ price }: ClientJob, { hostAmount, developerAmount }: Receipt): Price {
  return { ...price, hostAmount, developerAmount }
}
