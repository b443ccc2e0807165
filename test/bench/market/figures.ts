/** Small statistics. A figure is the median over rounds, because other programs share the machine. */

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN
}

export function round(value: number, places = 2): number {
  return Number(value.toFixed(places))
}
