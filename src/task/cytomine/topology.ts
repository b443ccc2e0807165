/**
 * Whether lines and polygons are valid shapes in the plane: rings are closed and cross nothing, holes lie inside, parts
 * of a MultiPolygon do not overlap. Touching in single points is allowed between rings, as in the OGC rules that the
 * reference's library follows. Decided with plain doubles, so that both sides of a job decide alike.
 */
export type Point = readonly number[]
type Ring = readonly Point[]

/**
 * A shape made to be slow must not hold a host up: this many pairs (of segments whose extents overlap; of rings and points)
 * take about 50 ms. What would need more counts as valid.
 */
const MAX_PAIRS = 2_000_000

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

type Segment = { a: Point; b: Point; ring: number; index: number; last: number; minX: number; maxX: number }

/** A sweep from left to right: only segments whose extents meet are compared. */
function crossingFault(polygons: readonly (readonly Ring[])[]): string | undefined {
  const segments = polygons.flat().flatMap((ring, r) => segmentsOf(ring, r))
  segments.sort((s, t) => s.minX - t.minX)
  let active: Segment[] = []
  let pairs = 0
  for (const segment of segments) {
    active = active.filter((other) => other.maxX >= segment.minX)
    pairs += active.length
    if (pairs > MAX_PAIRS) return undefined
    for (const other of active) {
      if (!meets(segment, other)) continue
      const where = `near ${x(segment.a)}, ${y(segment.a)}`
      return segment.ring === other.ring
        ? `must have rings that do not cross themselves; one does ${where}`
        : `must have rings that do not cross each other; two do ${where}`
    }
    active.push(segment)
  }
  return undefined
}

function segmentsOf(ring: Ring, number: number): Segment[] {
  // A point that is repeated at once is no segment.
  const points = ring.filter((p, i) => i === 0 || !same(p, ring[i - 1]))
  return points.slice(1).map((b, index) => {
    const a = points[index] ?? b
    return {
      a,
      b,
      ring: number,
      index,
      last: points.length - 2,
      minX: Math.min(x(a), x(b)),
      maxX: Math.max(x(a), x(b)),
    }
  })
}

/** Whether two segments have more in common than their rings may. */
function meets(s: Segment, t: Segment): boolean {
  if (Math.min(y(s.a), y(s.b)) > Math.max(y(t.a), y(t.b)) || Math.min(y(t.a), y(t.b)) > Math.max(y(s.a), y(s.b)))
    return false
  const [d1, d2] = [turn(s.a, s.b, t.a), turn(s.a, s.b, t.b)]
  const [d3, d4] = [turn(t.a, t.b, s.a), turn(t.a, t.b, s.b)]
  if (opposite(d1, d2) && opposite(d3, d4)) return true
  if (d1 === 0 && d2 === 0) return shareALine(s, t)
  if (s.ring !== t.ring || areNeighbours(s, t)) return false
  return (
    (d1 === 0 && within(t.a, s)) ||
    (d2 === 0 && within(t.b, s)) ||
    (d3 === 0 && within(s.a, t)) ||
    (d4 === 0 && within(s.b, t))
  )
}

/** By sign, because a product of tiny numbers is 0. */
function opposite(a: number, b: number): boolean {
  return (a < 0 && b > 0) || (a > 0 && b < 0)
}

function areNeighbours(s: Segment, t: Segment): boolean {
  const apart = Math.abs(s.index - t.index)
  return apart === 1 || apart === s.last
}

/** Two segments on one line: they may touch in a point (neighbours, other rings), not lie upon each other. */
function shareALine(s: Segment, t: Segment): boolean {
  const along = Math.abs(x(s.b) - x(s.a)) >= Math.abs(y(s.b) - y(s.a)) ? x : y
  const from = Math.max(Math.min(along(s.a), along(s.b)), Math.min(along(t.a), along(t.b)))
  const to = Math.min(Math.max(along(s.a), along(s.b)), Math.max(along(t.a), along(t.b)))
  return from < to || (from === to && s.ring === t.ring && !areNeighbours(s, t))
}

function within(p: Point, { a, b }: Segment): boolean {
  return (
    Math.min(x(a), x(b)) <= x(p) &&
    x(p) <= Math.max(x(a), x(b)) &&
    Math.min(y(a), y(b)) <= y(p) &&
    y(p) <= Math.max(y(a), y(b))
  )
}

/** Rings that do not cross: the first point of one that is not on the other decides. */
function liesIn(inner: Ring, outer: Ring): boolean {
  const place = inner.map((p) => placeIn(p, outer)).find((side) => side !== 'on')
  return place !== 'outside'
}

function placeIn(p: Point, ring: Ring): 'inside' | 'outside' | 'on' {
  let inside = false
  for (const [i, b] of ring.entries()) {
    const a = ring[i === 0 ? ring.length - 1 : i - 1] ?? b
    const side = turn(a, b, p)
    if (side === 0 && within(p, { a, b, ring: 0, index: 0, last: 0, minX: 0, maxX: 0 })) return 'on'
    if (y(a) > y(p) !== y(b) > y(p) && side > 0 === y(b) > y(a)) inside = !inside
  }
  return inside ? 'inside' : 'outside'
}

function extentsMeet(a: Ring, b: Ring): boolean {
  const [aX, bX, aY, bY] = [range(a, x), range(b, x), range(a, y), range(b, y)]
  return aX.min <= bX.max && bX.min <= aX.max && aY.min <= bY.max && bY.min <= aY.max
}

function range(ring: Ring, along: (p: Point) => number): { min: number; max: number } {
  let [min, max] = [Infinity, -Infinity]
  for (const p of ring) {
    min = Math.min(min, along(p))
    max = Math.max(max, along(p))
  }
  return { min, max }
}

/** Twice the signed area. Measured from the first point, so that far away coordinates lose no digits. */
function areaOf(ring: Ring): number {
  const origin = ring[0] ?? [0, 0]
  return ring.reduce((sum, b, i) => sum + turn(origin, ring[Math.max(0, i - 1)] ?? b, b), 0)
}

/** Above 0 where c lies to the left of a → b, 0 on its line. */
function turn(a: Point, b: Point, c: Point): number {
  return (x(b) - x(a)) * (y(c) - y(a)) - (y(b) - y(a)) * (x(c) - x(a))
}

function same(a: Point | undefined, b: Point | undefined): boolean {
  return a !== undefined && b !== undefined && a[0] === b[0] && a[1] === b[1]
}

function x(p: Point): number {
  return p[0] ?? 0
}

function y(p: Point): number {
  return p[1] ?? 0
}
