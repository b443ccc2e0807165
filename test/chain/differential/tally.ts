/** What was compared: rows by kind, verdict and form of damage; and the first disagreements, word for word. */
import type { Damage } from './damage.ts'
import type { Random } from './random.ts'

export type Counts = { rows: number; accepted: number; refused: number; groups: Record<string, number> }

const MAX_TOLD = 20
/** One row of so many is sound. */
const SOUND_ONE_OF = 4

export function isSound(row: number): boolean {
  return row % SOUND_ONE_OF === 0
}

/** So many rows that every form of damage has its turn. */
export function rowsForAll(damages: readonly Damage[]): number {
  return Math.ceil((damages.length * SOUND_ONE_OF) / (SOUND_ONE_OF - 1)) + 1
}

export class Tally {
  readonly byKind = new Map<string, Counts>()
  readonly disagreements: string[] = []
  disagreed = 0
  readonly #seen = new Map<string, { all: number; seen: Set<string>; next: number }>()

  /** The next damage of the list, from a random place on, so that each has its turn before any has a second one. */
  next(kind: string, list: readonly Damage[], random: Random): Damage {
    const place = this.#seen.get(kind) ?? { all: list.length, seen: new Set(), next: random.below(list.length) }
    this.#seen.set(kind, place)
    const damage = list[place.next++ % list.length]
    if (damage === undefined) throw new Error(`no damage is known for ${kind}`)
    place.seen.add(damage.form)
    return damage
  }

  count(kind: string, damage: Damage | undefined, agreed: boolean, accepted: boolean, tell: () => string): void {
    const counts = this.byKind.get(kind) ?? { rows: 0, accepted: 0, refused: 0, groups: {} }
    this.byKind.set(kind, counts)
    counts.rows++
    counts[accepted ? 'accepted' : 'refused']++
    const group = damage?.group ?? 'sound'
    counts.groups[group] = (counts.groups[group] ?? 0) + 1
    if (agreed) return
    this.disagreed++
    const told = `${kind}, ${damage?.form ?? 'sound'}: ${tell()}`
    if (this.disagreements.length < MAX_TOLD) this.disagreements.push(told)
  }

  get rows(): number {
    return [...this.byKind.values()].reduce((all, { rows }) => all + rows, 0)
  }

  /** Forms of damage that had their turn, and how many there are. */
  forms(kind: string): { seen: number; all: number } {
    const place = this.#seen.get(kind)
    return { seen: place?.seen.size ?? 0, all: place?.all ?? 0 }
  }

  toString(): string {
    return [...this.byKind].map(([kind, counts]) => this.#line(kind, counts)).join('\n')
  }

  #line(kind: string, { rows, accepted, refused, groups }: Counts): string {
    const { seen, all } = this.forms(kind)
    const parts = Object.entries(groups).map(([group, count]) => `${group} ${count}`)
    return `${kind}: ${rows} rows, ${accepted} accepted, ${refused} refused, ${seen} of ${all} forms of damage; ${parts.join(', ')}`
  }
}
