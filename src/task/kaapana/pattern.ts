/**
 * A stranger's regular expression, matched without backtracking: the pattern becomes an automaton whose time grows with
 * the text and never with what the pattern repeats. It reads what file patterns are made of (characters, classes, groups,
 * alternatives, repetitions, anchors) and refuses the rest; the platform's own matcher never sees it.
 */
import { compile, countStates } from './automaton.ts'
import type { Automaton } from './automaton.ts'
import type { Budget } from './budget.ts'
import { parsePattern } from './pattern-parser.ts'

type Pattern = { matches(text: string): boolean }

/** A state that must be worked out costs about as much as this many remembered steps (measured). */
const FRESH_STEPS = 8
/** Sets of states that are remembered; a pattern that makes more of them starts to forget. */
const MAX_REMEMBERED = 500
const ANYTHING = '.*'

/** Throws `invalid_task` for a pattern beyond the subset, without making its automaton. */
export function checkPattern(source: string): void {
  countStates(parsePattern(source))
}

/** Whole-text match, as Python's `re.fullmatch`. Throws like `checkPattern`. */
export function patternOf(source: string, budget: Budget): Pattern {
  if (source === ANYTHING) return { matches: (text) => !text.includes('\n') }
  return new Matcher(compile(parsePattern(source)), budget)
}

type Known = { states: readonly number[]; accepts: boolean; next: Map<number, Known> }

class Matcher implements Pattern {
  readonly #automaton: Automaton
  readonly #budget: Budget
  #known = new Map<string, Known>()

  constructor(automaton: Automaton, budget: Budget) {
    this.#automaton = automaton
    this.#budget = budget
    budget.spend(FRESH_STEPS * automaton.states)
  }

  matches(text: string): boolean {
    let known = this.#remember(this.#automaton.start(text.length === 0))
    for (let at = 0; at < text.length && known.states.length > 0;) {
      const char = text.codePointAt(at) ?? 0
      at += char > 0xffff ? 2 : 1
      known = this.#step(known, char, at === text.length)
    }
    return known.accepts
  }

  /** The last character is a step of its own, because an anchor may look past it. */
  #step(known: Known, char: number, last: boolean): Known {
    const key = last ? -1 - char : char
    const seen = known.next.get(key)
    if (seen !== undefined) {
      this.#budget.spend(1)
      return seen
    }
    const next = this.#remember(this.#automaton.step(known.states, char, last))
    this.#budget.spend(FRESH_STEPS * (1 + known.states.length + next.states.length))
    known.next.set(key, next)
    return next
  }

  #remember(states: readonly number[]): Known {
    const key = states.join(' ')
    const seen = this.#known.get(key)
    if (seen !== undefined) return seen
    if (this.#known.size >= MAX_REMEMBERED) this.#known = new Map()
    const known = { states, accepts: this.#automaton.accepts(states), next: new Map<number, Known>() }
    this.#known.set(key, known)
    return known
  }
}
