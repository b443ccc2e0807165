/**
 * Money as people write and read it: a number and the name of a currency. A whole number without a name is in the
 * currency's smallest unit, as everywhere in this program; `0.02`, `0.02ETH` or `5 gwei` are in whole coins (or gwei, of
 * the chain's own currency). A name that is not the expected currency's is refused, never converted.
 */
import { MecaError } from './errors.ts'
import { formatDecimal, NATIVE, parseAmount, parseDecimal, quote } from './units.ts'
import type { Hex } from './units.ts'

/** What amounts are counted in: the chain's own currency (`NATIVE`) or a token. */
export type Currency = { address: Hex; symbol: string; decimals: number }

/** A number with the name beside it, which may be empty. */
export type Written = { number: string; unit: string }

/** How an amount reads; shown in the help of everything that takes one. */
export const AMOUNT_HELP = 'whole number in the smallest unit, or tokens like 0.02 or 0.02ETH'

/**
 * How an amount is told to people. Who knows only numbers is handed this by whoever knows the currency; without it the
 * amount stays in its smallest unit.
 */
export type Show = (amount: bigint) => string

const GWEI_DECIMALS = 9
/** `1e18` is a number with an exponent, and no amount of the token `e18`. */
const MONEY = /^([0-9.]{1,68}) ?(?![eE][+-]?[0-9]+$)(0x[0-9a-fA-F]{40}|[A-Za-z][A-Za-z0-9.$_+-]{0,15})?$/

/** Throws `bad_input` where it is no amount of money in any currency. */
export function readMoney(text: string, what: string): Written {
  const [, number, unit = ''] = MONEY.exec(text.trim()) ?? []
  if (number === undefined)
    throw new MecaError('bad_input', `${what} must be an amount of money, got ${quote(text)}`, {
      cure: `write a ${AMOUNT_HELP}`,
    })
  return { number, unit }
}

/** Whether the amount can be understood without knowing its currency. */
export function isSmallestUnit({ number, unit }: Written): boolean {
  return unit === '' && !number.includes('.')
}

/** In the currency's smallest unit. Throws `bad_input` where it is in another currency, or a digit would be lost. */
export function amountIn(written: Written, currency: Currency, what: string): bigint {
  const { number, unit } = written
  if (isSmallestUnit(written)) return parseAmount(number, what)
  if (unit === '' || isCalled(currency, unit)) return parseDecimal(number, currency.decimals, what)
  if (currency.address === NATIVE && unit === 'wei') return parseAmount(number, what)
  if (currency.address === NATIVE && unit === 'gwei') return parseDecimal(number, GWEI_DECIMALS, what)
  throw new MecaError('bad_input', `${what} is in ${unit}, needed is an amount in ${currency.symbol}`, {
    cure: `write it in ${currency.symbol}`,
  })
}

/** Whether `name` is the currency's symbol (in any case) or its address. */
export function isCalled({ symbol, address }: Currency, name: string): boolean {
  return name.toLowerCase() === symbol.toLowerCase() || name.toLowerCase() === address
}

/** A price of gas: `1.5 gwei`. */
export function formatGwei(wei: bigint): string {
  return `${formatDecimal(wei, GWEI_DECIMALS)} gwei`
}

/** `1500000000000000n` of ETH → `0.0015 ETH`. */
export function formatMoney(amount: bigint, { symbol, decimals }: Currency): string {
  return `${formatDecimal(amount, decimals)} ${symbol}`
}
