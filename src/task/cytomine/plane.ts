/** Points, segments and rings in the plane. */
export type Point = readonly number[]
export type Ring = readonly Point[]
export type Ends = { a: Point; b: Point }

/**
 * A shape made to be slow must not hold a host up: this many pairs (of segments whose extents overlap; of rings and points)
 * take about 50 ms. What would need more counts as valid.
 */
export const MAX_PAIRS = 2_000_000

export function extentsMeet(a: Ring, b: Ring): boolean {
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
export function areaOf(ring: Ring): number {
  const origin = ring[0] ?? [0, 0]
  return ring.reduce((sum, b, i) => sum + turn(origin, ring[Math.max(0, i - 1)] ?? b, b), 0)
}

/** Above 0 where c lies to the left of a → b, 0 on its line. */
export function turn(a: Point, b: Point, c: Point): number {
  return (x(b) - x(a)) * (y(c) - y(a)) - (y(b) - y(a)) * (x(c) - x(a))
}

export function same(a: Point | undefined, b: Point | undefined): boolean {
  return a !== undefined && b !== undefined && a[0] === b[0] && a[1] === b[1]
}

export function x(p: Point): number {
  return p[0] ?? 0
}

export function y(p: Point): number {
  return p[1] ?? 0
}

export function within(p: Point, { a, b }: Ends): boolean {
  return (
    Math.min(x(a), x(b)) <= x(p) &&
    x(p) <= Math.max(x(a), x(b)) &&
    Math.min(y(a), y(b)) <= y(p) &&
    y(p) <= Math.max(y(a), y(b))
  )
}
