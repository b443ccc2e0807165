/**
 * The small values that cross every border of the program (money, hashes, addresses, sizes) with the pattern
 * that each must match. Text is matched before it is converted, because the platform's own conversions accept
 * far too much (`BigInt('')` is 0, a million digits take a noticeable time).
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import { printable } from './text.ts'

export type Hex = `0x${string}`

/** Largest amount that the contracts carry: uint96, in the token's smallest unit. */
export const MAX_AMOUNT = 2n ** 96n - 1n

/** The address that stands for the chain's own currency. */
export const NATIVE: Hex = '0x0000000000000000000000000000000000000000'

const AMOUNT = /^(0|[1-9][0-9]{0,28})$/

/** A decimal string as money in the smallest unit. Throws `bad_input`. */
export function parseAmount(text: string, what = 'amount'): bigint {
  if (!AMOUNT.test(text)) {
    throw new MecaError('bad_input', `${what} must be a whole decimal number in the smallest unit, got ${quote(text)}`)
  }
  const value = BigInt(text)
  if (value > MAX_AMOUNT) throw new MecaError('bad_input', `${what} ${text} is over the largest amount ${MAX_AMOUNT}`)
  return value
}

const DECIMAL = /^([0-9]{1,29})(?:\.([0-9]{1,36}))?$/

/** `1.5` with 18 decimals → 1500000000000000000n. Throws `bad_input` where a digit would be lost. */
export function parseDecimal(text: string, decimals: number, what = 'amount'): bigint {
  const match = DECIMAL.exec(text)
  const fraction = match?.[2] ?? ''
  if (match === null || fraction.replace(/0+$/, '').length > decimals) {
    throw new MecaError(
      'bad_input',
      `${what} must be a decimal number with at most ${decimals} places, got ${quote(text)}`,
    )
  }
  return parseAmount(BigInt(match[1] + fraction.slice(0, decimals).padEnd(decimals, '0')).toString(), what)
}

/** 1500000000000000000n with 18 decimals → `1.5`; every digit is kept. */
export function formatDecimal(amount: bigint, decimals: number): string {
  const sign = amount < 0n ? '-' : ''
  const digits = (amount < 0n ? -amount : amount).toString().padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  return sign + whole + (fraction === '' ? '' : `.${fraction}`)
}

/** Schemas for values on a wire or in a file. `abort`, because a later check would convert what the pattern refused. */
export const zAmount = z
  .string()
  .regex(AMOUNT, { abort: true })
  .refine((t) => BigInt(t) <= MAX_AMOUNT, 'over 2^96 - 1')
  .transform((t) => BigInt(t))
export const zHash = z.custom<Hex>(
  (v) => typeof v === 'string' && /^0x[0-9a-f]{64}$/.test(v),
  '32 bytes of lower-case hex, with 0x',
)
export const zAddress = z.custom<Hex>(
  (v) => typeof v === 'string' && /^0x[0-9a-f]{40}$/.test(v),
  '20 bytes of lower-case hex, with 0x',
)
export const zSignature = z.custom<Hex>(
  (v) => typeof v === 'string' && /^0x[0-9a-f]{130}$/.test(v),
  '65 bytes of lower-case hex, with 0x',
)
export const zJobId = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, '1 to 64 of letters, digits, dot, dash, underscore')
export const zCid = z.string().regex(/^b[a-z2-7]{20,120}$/, 'a CIDv1 in base32')
export const zCount = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)

/** Addresses are lower-case everywhere inside the program; only people see checksums. */
export function parseAddress(text: string, what = 'address'): Hex {
  if (!/^0x[0-9a-fA-F]{40}$/.test(text))
    throw new MecaError('bad_input', `${what} must be 0x and 40 hex digits, got ${quote(text)}`)
  return text.toLowerCase() as Hex
}

const SIZES: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

/** `512M`, `2g`, `1024` → bytes (powers of 1024, as docker reads them). Throws `bad_input`. */
export function parseBytes(text: string, what = 'size'): number {
  const match = /^([0-9]{1,15})(?:([kmgt])i?)?b?$/i.exec(text)
  const unit = SIZES[(match?.[2] ?? '').toLowerCase()]
  if (match === null || unit === undefined)
    throw new MecaError('bad_input', `${what} must be like 512M or 2G, got ${quote(text)}`)
  const bytes = Number(match[1]) * unit
  if (!Number.isSafeInteger(bytes)) throw new MecaError('bad_input', `${what} ${text} is too large`)
  return bytes
}

const DURATIONS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A timer holds 31 bits of milliseconds; Node lets a longer one fire at once. */
export const MAX_DURATION_MS = 2 ** 31 - 1

/** `90s`, `10m`, `250ms` → milliseconds; what no timer waits for may be longer. Throws `bad_input`. */
export function parseDuration(text: string, what = 'duration', maxMs = MAX_DURATION_MS): number {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(text)
  const unit = DURATIONS[match?.[2] ?? '']
  if (match === null || unit === undefined)
    throw new MecaError('bad_input', `${what} must be like 90s, 10m or 2h, got ${quote(text)}`)
  const ms = Number(match[1]) * unit
  if (ms > maxMs) throw new MecaError('bad_input', `${what} ${text} is over the longest one, 24 days`)
  return ms
}

/** A stranger's text for a message: shortened, and with everything escaped that draws nothing. */
export function quote(text: string): string {
  return printable(JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text))
}
