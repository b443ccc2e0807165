/** What a client knows of its jobs: their records, results and outputs, also while these are still on their way to disk. */
import { peekResult } from '../bundle/local.ts'
import { BUNDLE_TYPE } from '../core/bundle.ts'
import { MecaError, toProblem } from '../core/errors.ts'
import type { ClientJob } from '../core/records.ts'
import type { RunResult } from './api-client.ts'
import type { ClientComponents } from './client-components.ts'
import type { Delivered } from './client-pending.ts'
import { toResult } from './client-records.ts'
import { RecentResults } from './recent.ts'
import { one } from './sums.ts'

export class ClientAnswers {
  readonly #c: Pick<ClientComponents, 'tables' | 'blobs' | 'signal'>
  readonly #recent = new RecentResults()

  constructor(c: Pick<ClientComponents, 'tables' | 'blobs' | 'signal'>) {
    this.#c = c
  }

  /** A result that was just checked, as its caller sees it. */
  add(delivered: Delivered): Promise<RunResult> {
    this.#recent.add(delivered)
    return this.shown(delivered.job, false)
  }

  async known(id: string): Promise<ClientJob | undefined> {
    return this.#recent.get(id)?.job ?? (await this.#c.tables.clientJobs.get(id))
  }

  /** The same as it is in this very turn; where it is on disk, everything else waits for that. */
  find(id: string): ClientJob | undefined {
    return this.#recent.get(id)?.job ?? this.#c.tables.clientJobs.getSync(id)
  }

  /** A record of a job, also of one whose result is still on its way to disk. */
  async record(id: string): Promise<ClientJob> {
    const job = await this.known(id)
    if (job !== undefined) return job
    throw new MecaError('not_found', `There is no job ${id} here`, { cure: 'see meca job list' })
  }

  /** The output of a job that ended, from this node's store. */
  async output(id: string): Promise<AsyncIterable<Uint8Array>> {
    const recent = this.#recent.get(id)
    if (recent?.output !== undefined) return one(recent.output)
    const job = await this.record(id)
    if (job.signed === undefined || job.outcome === undefined)
      throw new MecaError('not_found', `The job ${id} has no result`, { cure: 'see meca job show' })
    if (job.outcome.outputBytes === 0) return one(new Uint8Array(0))
    const small = await this.#c.tables.clientOutputs.get(id)
    if (small !== undefined) return one(Buffer.from(small, 'base64'))
    return this.#c.blobs.read(job.signed.receipt.outputHash, { signal: this.#c.signal })
  }

  /** A job's result with what its outputs are, read out of the verified bytes. */
  async result(job: ClientJob): Promise<RunResult> {
    return this.shown(job, false).catch((error: unknown) => {
      if (!(error instanceof MecaError) || error.code !== 'not_verified') throw error
      return { ...toResult(job, false), problem: toProblem(error) }
    })
  }

  async shown(job: ClientJob, replayed: boolean): Promise<RunResult> {
    const result = toResult(job, replayed)
    if (result.contentType !== BUNDLE_TYPE || result.outputBytes === 0) return result
    const { outputs, providers } = await peekResult(await this.output(job.id))
    return { ...result, outputs, ...(providers === undefined ? {} : { providers }) }
  }

  /** A job whose end is not known may be running: it must not be sent to another host as well. */
  async mayRun(id: string): Promise<boolean> {
    return (await this.#c.tables.clientJobs.get(id))?.state === 'sent'
  }

  /** A result that cannot be read was billed all the same. */
  billed(id: string): bigint {
    const receipt = this.#recent.get(id)?.job.signed?.receipt
    return receipt === undefined ? 0n : receipt.hostAmount + receipt.developerAmount
  }

  /**
   * A channel that its host does not take any more is left alone from then on, and another one is opened, once. Where the
   * host sees less money on it than this client does, the chain is asked, and what is missing put there.
   */
}
