/**
 * Quantities as Kubernetes writes them (`500m`, `1.5Gi`, `2G`, `1e3`), which the descriptors of two task formats use
 * for hardware. Counted exactly and rounded up, because a task that asks for a little more than a whole number does
 * not fit in that whole number.
 */
import { MecaError } from './errors.ts'
import { quote } from './units.ts'

/** `1.5Gi` → 1610612736, `10` → 10. Throws `bad_input`. */
export function bytesOfQuantity(quantity: string | number, what = 'memory'): number {
  return scaled(quantity, 1n, what)
}

/** `500m` → 500, `2` → 2000. Throws `bad_input`. */
export function millisOfQuantity(quantity: string | number, what = 'cpu'): number {
  return scaled(quantity, 1000n, what)
}

/** Whole, digits behind the point, and either a suffix or an exponent; no more digits than any machine has bytes. */
const QUANTITY = /^\+?([0-9]{1,24})?(?:\.([0-9]{0,24}))?(?:(B|[numkMGTPEZY]|[KMGTPEZY]i)|[eE]([+-]?[0-9]{1,2}))?$/

const DECIMAL: Readonly<Record<string, number>> = { n: -9, u: -6, m: -3, B: 0, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi', 'Yi']

function scaled(quantity: string | number, units: bigint, what: string): number {
  const text = String(quantity)
  const { digits, factor, divisor } = parse(text, what)
  const numerator = digits * factor * units
  const rounded = (numerator + divisor - 1n) / divisor
  if (rounded > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new MecaError('bad_input', `${what} ${quote(text)} is more than any machine has`, {
      cure: 'ask for what the task needs',
    })
  }
  return Number(rounded)
}

/** The value as digits × factor ÷ divisor, all whole. */
function parse(text: string, what: string): { digits: bigint; factor: bigint; divisor: bigint } {
  const match = QUANTITY.exec(text)
  const [whole, fraction] = [match?.[1] ?? '', match?.[2] ?? '']
  const exponent = exponentOf(match?.[3] ?? '', match?.[4])
  if (match === null || whole + fraction === '' || exponent === undefined) throw notAQuantity(text, what)
  const binary = BINARY.indexOf(match[3] ?? '') + 1
  return {
    digits: BigInt(whole + fraction),
    factor: 1024n ** BigInt(binary) * 10n ** BigInt(Math.max(0, exponent)),
    divisor: 10n ** BigInt(fraction.length + Math.max(0, -exponent)),
  }
}

/** Undefined for a suffix that Kubernetes has not. */
function exponentOf(suffix: string, exponent: string | undefined): number | undefined {
  if (exponent !== undefined) return Number(exponent)
  return suffix === '' || BINARY.includes(suffix) ? 0 : DECIMAL[suffix]
}

function notAQuantity(text: string, what: string): MecaError {
  return new MecaError('bad_input', `${what} must be a quantity such as 500m, 2, 512Mi or 1.5Gi, got ${quote(text)}`, {
    cure: 'write a number that is not negative, with a suffix of n, u, m, k, M, G, T, P, E or Ki to Yi',
  })
}
