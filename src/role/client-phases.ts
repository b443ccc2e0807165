/**
 * How far each job under way is, as its host last said. What takes longer than a moment is written down, so that a client
 * that was ended can still say what it heard last, and when; it may be lost.
 */
import type { Phase } from '../core/job.ts'
import type { ClientJob } from '../core/records.ts'
import type { RowChange, Table } from '../store/tables.ts'
import type { Store } from '../store/store.ts'

/** Most jobs end within this and cost no write of their own. */
const WRITE_AFTER_MS = 1000

export type PhaseRow = { phase: Phase; at: number }
/** `isFollowed`: its host is listened to now, so that the phase is what it is in and not only what was heard last. */
export type KnownPhase = PhaseRow & { isFollowed: boolean }

export type PhaseParts = {
  store: Pick<Store, 'commit'>
  tables: { phases: Table<PhaseRow>; clientJobs: { getSync(id: string): Pick<ClientJob, 'state'> | undefined } }
  log: { warn(facts: object, text: string): void }
  wallNow(): number
}

export class ClientPhases {
  readonly #c: PhaseParts
  readonly #known = new Map<string, KnownPhase>()
  readonly #written = new Set<string>()
  readonly #changed = new Set<string>()
  #timer: NodeJS.Timeout | undefined

  constructor(c: PhaseParts) {
    this.#c = c
  }

  /** At start. What was written of a job that has ended since goes; a row that cannot be read ends nothing but itself. */
  async recover(): Promise<void> {
    try {
      for await (const [id, row] of this.#c.tables.phases.entries()) {
        this.#written.add(id)
        if (this.#c.tables.clientJobs.getSync(id)?.state === 'sent') this.#known.set(id, { ...row, isFollowed: false })
        else this.#change(id)
      }
    } catch (error) {
      this.#c.log.warn({ err: error }, 'the phases that were heard last cannot be read')
    }
  }

  /** A job that was sent, or is asked for again. */
  follow(id: string): void {
    const known = this.#known.get(id) ?? { phase: 'queued', at: this.#c.wallNow() }
    this.#known.set(id, { ...known, isFollowed: true })
    this.#change(id)
  }

  tell(id: string, phase: Phase): void {
    const known = this.#known.get(id)
    if (known === undefined || known.phase === phase) return
    this.#known.set(id, { ...known, phase, at: this.#c.wallNow() })
    this.#change(id)
  }

  /** Nobody waits for it any more; it may go on at its host. */
  leave(id: string): void {
    const known = this.#known.get(id)
    if (known !== undefined) this.#known.set(id, { ...known, isFollowed: false })
  }

  end(id: string): void {
    this.#known.delete(id)
    if (this.#written.has(id)) this.#change(id)
    else this.#changed.delete(id)
  }

  of(id: string): KnownPhase | undefined {
    return this.#known.get(id)
  }

  async close(): Promise<void> {
    if (this.#changed.size > 0) await this.#write()
    clearTimeout(this.#timer)
  }

  #change(id: string): void {
    this.#changed.add(id)
    this.#timer ??= setTimeout(() => void this.#write(), WRITE_AFTER_MS).unref()
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const rows = [...this.#changed].map((id) => this.#row(id))
    this.#changed.clear()
    if (rows.length === 0) return
    await this.#c.store.commit({ rows }).catch((error: unknown) => {
      this.#c.log.warn({ err: error }, 'how far jobs are was not written down')
    })
  }

  #row(id: string): RowChange {
    const known = this.#known.get(id)
    if (known === undefined) {
      this.#written.delete(id)
      return this.#c.tables.phases.del(id)
    }
    this.#written.add(id)
    return this.#c.tables.phases.put(id, { phase: known.phase, at: known.at })
  }
}
