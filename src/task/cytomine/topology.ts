/**
 * Whether lines and polygons are valid shapes in the plane: rings are closed and cross nothing, holes lie inside, parts
 * of a MultiPolygon do not overlap. Touching in single points is allowed between rings, as in the OGC rules that the
 * reference's library follows. Decided with plain doubles, so that both sides of a job decide alike.
 */
import { crossingFault } from './crossings.ts'
import { areaOf, extentsMeet, MAX_PAIRS, same, turn, within, y } from './plane.ts'
import type { Point, Ring } from './plane.ts'

export function pointsFault(line: Ring): string | undefined {
  const first = line[0]
  return line.every((p) => same(p, first)) ? 'must have lines with at least two different points' : undefined
}

export function polygonsFault(polygons: readonly (readonly Ring[])[]): string | undefined {
  for (const ring of polygons.flat()) {
    if (!same(ring[0], ring.at(-1))) return 'must have closed rings: the last point is the first again'
    if (areaOf(ring) === 0) return 'must have rings with an area'
  }
  const crossing = crossingFault(polygons)
  if (crossing !== undefined) return crossing
  const rings = polygons.flat()
  if (rings.length * rings.reduce((sum, ring) => sum + ring.length, 0) > MAX_PAIRS) return undefined
  for (const [shell, ...holes] of polygons) {
    if (shell === undefined) continue
    if (holes.some((hole) => !liesIn(hole, shell))) return 'must have its holes inside its outer ring'
    if (holes.some((hole, i) => holes.some((other, j) => i !== j && liesIn(hole, other))))
      return 'must have holes that lie beside each other'
  }
  return overlapFault(polygons)
}

function overlapFault(polygons: readonly (readonly Ring[])[]): string | undefined {
  for (const [i, [shell]] of polygons.entries()) {
    for (const [j, [other, ...holes]] of polygons.entries()) {
      if (i === j || shell === undefined || other === undefined || !extentsMeet(shell, other)) continue
      // A part may lie in another's hole.
      if (liesIn(shell, other) && !holes.some((hole) => liesIn(shell, hole)))
        return 'must have parts that do not overlap'
    }
  }
  return undefined
}

/** Rings that do not cross touch in few points, so that one of the first is not on the other, and decides. */
const TRIED_POINTS = 16

function liesIn(inner: Ring, outer: Ring): boolean {
  for (const p of inner.slice(0, TRIED_POINTS)) {
    const place = placeIn(p, outer)
    if (place !== 'on') return place === 'inside'
  }
  return true
}

function placeIn(p: Point, ring: Ring): 'inside' | 'outside' | 'on' {
  let inside = false
  for (const [i, b] of ring.entries()) {
    const a = ring[i === 0 ? ring.length - 1 : i - 1] ?? b
    const side = turn(a, b, p)
    if (side === 0 && within(p, { a, b })) return 'on'
    if (y(a) > y(p) !== y(b) > y(p) && side > 0 === y(b) > y(a)) inside = !inside
  }
  return inside ? 'inside' : 'outside'
}
