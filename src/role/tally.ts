/** What was earned, entry by entry, summed up by whatever its owner asks for. */
import type { Hex } from '../core/units.ts'
import type { EarningsBy, EarningsLine, EarningsRole } from './api-money.ts'

/** One thing that happened. What has no date (its records are lost) counts where no time was asked for. */
export type Entry = {
  role: EarningsRole
  token: Hex
  at?: number
  task?: string | undefined
  client?: Hex | undefined
  run?: number
  hostAmount?: bigint
  developerAmount?: bigint
  claimed?: bigint
  withdrawn?: bigint
  atRisk?: bigint
}

type Sums = {
  run: number
  hostAmount: bigint
  developerAmount: bigint
  claimed: bigint
  withdrawn: bigint
  atRisk: bigint
}
type Group = Sums & { role: EarningsRole; token: Hex; key: string }

/** For what cannot be told: a day that is not on record, or whose task or client money was that was drawn in one go. */
const UNKNOWN = ''

export class Tally {
  readonly #by: EarningsBy
  readonly #since: number | undefined
  readonly #groups = new Map<string, Group>()

  constructor(by: EarningsBy, since: number | undefined) {
    this.#by = by
    this.#since = since
  }

  isBy(by: EarningsBy): boolean {
    return this.#by === by
  }

  /** What is at risk is so now, whenever it was earned: asked for a short time, it is not less. */
  add(entry: Entry): void {
    const { role, token, task, client, atRisk = 0n } = entry
    if (this.#since === undefined || (entry.at ?? -Infinity) >= this.#since) this.#count(entry)
    else if (atRisk !== 0n) this.#count({ role, token, task, client, atRisk })
  }

  #count(entry: Entry): void {
    const group = this.#group(entry)
    group.run += entry.run ?? 0
    group.hostAmount += entry.hostAmount ?? 0n
    group.developerAmount += entry.developerAmount ?? 0n
    group.claimed += entry.claimed ?? 0n
    group.withdrawn += entry.withdrawn ?? 0n
    group.atRisk += entry.atRisk ?? 0n
  }

  lines(): EarningsLine[] {
    const order = ({ role, token, key }: Group) => `${role === 'host' ? 0 : 1}/${token}/${key === UNKNOWN ? '~' : key}`
    return [...this.#groups.values()].sort((a, b) => (order(a) < order(b) ? -1 : 1)).map(lineOf)
  }

  #group({ role, token, ...entry }: Entry): Group {
    const key = this.#keyOf(entry)
    const name = `${role}/${token}/${key}`
    const none: Sums = { run: 0, hostAmount: 0n, developerAmount: 0n, claimed: 0n, withdrawn: 0n, atRisk: 0n }
    const group = this.#groups.get(name) ?? { role, token, key, ...none }
    this.#groups.set(name, group)
    return group
  }

  #keyOf({ at, task, client }: Pick<Entry, 'at' | 'task' | 'client'>): string {
    if (this.#by === 'day') return at === undefined ? UNKNOWN : new Date(at).toISOString().slice(0, 10)
    if (this.#by === 'task') return task ?? UNKNOWN
    if (this.#by === 'client') return client ?? UNKNOWN
    return UNKNOWN
  }
}

function lineOf({ role, token, key, run, ...sums }: Group): EarningsLine {
  return {
    role,
    token,
    key: key === UNKNOWN ? null : key,
    run,
    hostAmount: sums.hostAmount.toString(),
    developerAmount: sums.developerAmount.toString(),
    claimed: sums.claimed.toString(),
    withdrawn: sums.withdrawn.toString(),
    atRisk: sums.atRisk.toString(),
  }
}
