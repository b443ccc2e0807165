/** Whether rings cross themselves or each other, by a sweep from left to right: only segments whose extents meet are compared. */
import { MAX_PAIRS, same, turn, within, x, y } from './plane.ts'
import type { Ends, Ring } from './plane.ts'

type Segment = Ends & { ring: number; index: number; last: number; minX: number; maxX: number }

export function crossingFault(polygons: readonly (readonly Ring[])[]): string | undefined {
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
