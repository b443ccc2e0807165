/**
 * `matching` and `derived_from` between parameters. Matching arrays have one size; it holds in both directions and over
 * several steps, so that it makes groups.
 */
import type { Param } from './params.ts'
import { isObject } from './reader.ts'
import type { Reader } from './reader.ts'

const REFERENCE = /^(inputs|outputs)\/[a-zA-Z0-9_]+$/

function refOf({ side, name }: Param): string {
  return `${side}/${name}`
}

/** Arrays that must have one size, each group of at least two. */
export function matchingGroups(params: readonly Param[]): Param[][] {
  const groups: Param[][] = []
  for (const param of params) {
    const linked = groups.filter((group) => group.some((other) => areLinked(param, other)))
    const merged = [...linked.flat(), param]
    groups.splice(0, groups.length, ...groups.filter((group) => !linked.includes(group)), merged)
  }
  return groups.filter((group) => group.length > 1)
}

function areLinked(a: Param, b: Param): boolean {
  return a.matching.includes(refOf(b)) || b.matching.includes(refOf(a))
}

/** What sizes a group has, where they differ: `a has 3 items and b has 4`. */
export function matchingFault(
  group: readonly Param[],
  sizeOf: (param: Param) => number | undefined,
): string | undefined {
  const sizes = group.flatMap((param) => {
    const size = sizeOf(param)
    return size === undefined ? [] : [{ param, size }]
  })
  if (new Set(sizes.map(({ size }) => size)).size <= 1) return undefined
  return `must have as many items as it is matched with: ${sizes.map(({ param, size }) => `${refOf(param)} has ${size}`).join(', ')}`
}

export function checkDependencies(top: Reader, params: readonly Param[]): void {
  const known = new Map(params.map((param) => [refOf(param), param]))
  for (const param of params) {
    const path = [param.side, param.name, 'dependencies']
    for (const ref of param.matching) {
      const fault = matchFault(param, ref, known.get(ref))
      if (fault !== undefined)
        top.notes.error([...path, 'matching'], fault, 'name arrays as inputs/NAME or outputs/NAME')
    }
    const from = derivedFrom(top, param)
    if (from !== undefined && !(typeof from === 'string' && from.startsWith('inputs/') && known.has(from)))
      top.notes.error(
        [...path, 'derived_from'],
        `names ${told(from)}, which is no input`,
        'name an input as inputs/NAME',
      )
  }
}

function matchFault(param: Param, ref: string, other: Param | undefined): string | undefined {
  if (param.type.id !== 'array') return `is set, but ${param.name} is no array`
  if (!REFERENCE.test(ref)) return `names ${told(ref)}, which is no reference`
  if (other === undefined) return `names ${ref}, which there is not`
  return other.type.id === 'array' ? undefined : `names ${ref}, which is no array`
}

function derivedFrom(top: Reader, { side, name }: Param): unknown {
  const dependencies = top.object(side)?.object(name)?.raw('dependencies')
  return side === 'outputs' && isObject(dependencies) ? dependencies['derived_from'] : undefined
}

function told(value: unknown): string {
  return JSON.stringify(value)?.slice(0, 80) ?? 'nothing'
}
