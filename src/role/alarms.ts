/**
 * What an owner must hear while there is still time: each alarm is logged once when it begins, or gets worse, and stands
 * in `meca host status` and `meca doctor` until what it says is over.
 */
import type { Logger } from 'pino'

export type Alarm = { level: 'warning' | 'error'; detail: string; cure: string }
export type Raised = Alarm & { name: string; since: number }

export class Alarms {
  readonly #standing = new Map<string, Raised>()
  readonly #log: Logger
  readonly #wallNow: () => number

  constructor(log: Logger, wallNow: () => number) {
    this.#log = log
    this.#wallNow = wallNow
  }

  /** The newest text stands; the time is that of the first. */
  raise(name: string, alarm: Alarm): void {
    const before = this.#standing.get(name)
    this.#standing.set(name, { ...alarm, name, since: before?.since ?? this.#wallNow() })
    if (before === undefined || (before.level === 'warning' && alarm.level === 'error'))
      this.#log[alarm.level === 'error' ? 'error' : 'warn']({ alarm: name, cure: alarm.cure }, alarm.detail)
  }

  clear(name: string): void {
    if (this.#standing.delete(name)) this.#log.info({ alarm: name }, 'the alarm is over')
  }

  /** Of those whose name begins so, exactly these stand. */
  set(prefix: string, alarms: ReadonlyMap<string, Alarm>): void {
    for (const name of this.#standing.keys()) if (name.startsWith(prefix) && !alarms.has(name)) this.clear(name)
    for (const [name, alarm] of alarms) this.raise(name, alarm)
  }

  /** The worst first, then the oldest. */
  list(): Raised[] {
    const rank = ({ level }: Raised) => (level === 'error' ? 0 : 1)
    return [...this.#standing.values()].sort((a, b) => rank(a) - rank(b) || a.since - b.since)
  }
}
