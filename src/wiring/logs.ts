/** The output of a client's jobs, kept beside their records, also of those that failed. What may be lost is lost first. */
import type { LogLine } from '../core/plan.ts'
import type { Store } from '../store/store.ts'
import type { Table } from '../store/tables.ts'

/** A task may print 10 MiB; its last thousand lines tell what happened. */
const MAX_LINES = 1000
/** Lines come in bursts; they are written together. */
const WRITE_AFTER_MS = 200

export class LogKeeper {
  readonly #store: Store
  readonly #table: Table<LogLine[]>
  readonly #lines = new Map<string, LogLine[]>()
  #timer: NodeJS.Timeout | undefined

  constructor(store: Store, table: Table<LogLine[]>) {
    this.#store = store
    this.#table = table
  }

  add(job: string, line: LogLine): void {
    const lines = this.#lines.get(job) ?? []
    this.#lines.set(job, lines)
    lines.push(line)
    if (lines.length > MAX_LINES) lines.shift()
    this.#timer ??= setTimeout(() => void this.#flush(), WRITE_AFTER_MS)
  }

  async read(job: string): Promise<LogLine[]> {
    await this.#flush()
    return (await this.#table.get(job)) ?? []
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const batch = [...this.#lines]
    this.#lines.clear()
    for (const [job, lines] of batch) {
      const before = (await this.#table.get(job)) ?? []
      // A store that failed has told its node, which is stopping; logs are not worth a second alarm.
      await this.#store
        .commit({ rows: [this.#table.put(job, [...before, ...lines].slice(-MAX_LINES))] })
        .catch(() => undefined)
    }
  }
}
