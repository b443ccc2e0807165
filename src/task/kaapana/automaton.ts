/** A pattern's tree as a machine that is in several states at once (Thompson's), which is why it never has to go back. */
import { MecaError } from '../../core/errors.ts'
import type { CharSet } from './pattern-class.ts'
import { isIn } from './pattern-class.ts'
import type { Node } from './pattern-parser.ts'

/** A repetition of repetitions multiplies; a file pattern has a few dozen states. */
const MAX_STATES = 5000

type State =
  | { kind: 'set'; set: CharSet; to: number }
  | { kind: 'fork'; to: readonly number[] }
  | { kind: 'start'; to: number }
  | { kind: 'end'; to: number }
  | { kind: 'accept' }

export type Automaton = {
  /** How many there are. */
  readonly states: number
  /** Where it is before the first character; `empty` says that there is none. */
  start(empty: boolean): readonly number[]
  /** Where it is after one more character; `last` says that it is the last one. */
  step(states: readonly number[], char: number, last: boolean): readonly number[]
  accepts(states: readonly number[]): boolean
}

export function compile(node: Node): Automaton {
  countStates(node)
  const states: State[] = [{ kind: 'accept' }]
  const first = build(states, node, 0)
  return {
    states: states.length,
    start: (empty) => closure(states, [first], true, empty),
    step: (at, char, last) => {
      const next = at.flatMap((id) => {
        const state = states[id]
        return state?.kind === 'set' && isIn(state.set, char) ? [state.to] : []
      })
      return closure(states, next, false, last)
    },
    accepts: (at) => at.includes(0),
  }
}

/** Throws `invalid_task` where there would be too many, which is known before any is made. */
export function countStates(node: Node): number {
  const count = statesOf(node)
  if (count <= MAX_STATES) return count
  throw new MecaError('invalid_task', `A pattern needs more than ${MAX_STATES} states`, {
    cure: 'repeat less inside of what is repeated',
  })
}

/** As many as `build` makes. */
function statesOf(node: Node): number {
  if (node.kind === 'row' || node.kind === 'either') {
    return node.of.reduce((sum, part) => sum + statesOf(part), node.kind === 'row' ? 0 : 1)
  }
  if (node.kind !== 'repeat') return 1
  const [once, optional] = [statesOf(node.of), node.max === undefined ? 1 : node.max - node.min]
  return once * node.min + (once + 1) * optional
}

function addState(states: State[], state: State): number {
  return states.push(state) - 1
}

/** The state from which `node` leads to `to`. */
function build(states: State[], node: Node, to: number): number {
  switch (node.kind) {
    case 'set':
      return addState(states, { kind: 'set', set: node.set, to })
    case 'start':
    case 'end':
      return addState(states, { kind: node.kind, to })
    case 'row':
      return node.of.reduceRight((next, part) => build(states, part, next), to)
    case 'either':
      return addState(states, { kind: 'fork', to: node.of.map((part) => build(states, part, to)) })
    case 'repeat':
      return buildRepeat(states, node, to)
  }
}

function buildRepeat(states: State[], { of, min, max }: Extract<Node, { kind: 'repeat' }>, to: number): number {
  let next = max === undefined ? buildLoop(states, of, to) : to
  for (let n = min; n < (max ?? min); n++) next = addState(states, { kind: 'fork', to: [build(states, of, next), to] })
  for (let n = 0; n < min; n++) next = build(states, of, next)
  return next
}

function buildLoop(states: State[], of: Node, to: number): number {
  const fork = addState(states, { kind: 'fork', to: [] })
  states[fork] = { kind: 'fork', to: [build(states, of, fork), to] }
  return fork
}

/** All that can be reached without a character, each once; anchors let through at the ends only. */
function closure(states: readonly State[], from: readonly number[], first: boolean, last: boolean): readonly number[] {
  const seen = new Set<number>()
  const open = [...from]
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue
    seen.add(id)
    const state = states[id]
    if (state?.kind === 'fork') open.push(...state.to)
    if ((state?.kind === 'start' && first) || (state?.kind === 'end' && last)) open.push(state.to)
  }
  return [...seen].filter((id) => states[id]?.kind === 'set' || states[id]?.kind === 'accept').sort((a, b) => a - b)
}
