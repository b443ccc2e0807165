/**
 * Money as people write and read it. A whole number is the token's smallest unit, as everywhere in this program; a
 * number with a point or a symbol (`0.02`, `0.02ETH`, `5gwei`) is in whole tokens (or gwei, of the chain's own currency).
 */
import { MecaError } from '../core/errors.ts'
import { formatDecimal, parseAmount, parseDecimal, quote } from '../core/units.ts'
import type { TokenInfo } from '../role/api.ts'

/** How an amount on the command line reads; shown in the help of each option that takes one. */
export const AMOUNT_HELP = 'whole number in the smallest unit, or tokens like 0.02 or 0.02ETH'

/** `token` is asked for only where the text needs it. Throws `bad_input`. */
export async function readAmount(text: string, what: string, token: () => Promise<TokenInfo>): Promise<bigint> {
  const match = /^([0-9.]+) ?([A-Za-z]*)$/.exec(text.trim())
  const [, number = '', unit = ''] = match ?? []
  if (match === null)
    throw new MecaError('bad_input', `${what} must be an amount of money, got ${quote(text)}`, {
      cure: `write a ${AMOUNT_HELP}`,
    })
  if (unit === 'wei' || (unit === '' && !number.includes('.'))) return parseAmount(number, what)
  if (unit === 'gwei') return parseDecimal(number, 9, what)
  const { symbol, decimals } = await token()
  if (unit === '' || unit.toLowerCase() === symbol.toLowerCase()) return parseDecimal(number, decimals, what)
  throw new MecaError('bad_input', `${what} is in ${unit}, this market pays in ${symbol}`, {
    cure: `write it in ${symbol}`,
  })
}

/** `1500000000000000` → `0.0015 ETH`; a token that is not known keeps its smallest unit and its address. */
export function money(amount: string, token: string | TokenInfo, known: readonly TokenInfo[] = []): string {
  if (typeof token !== 'string') return `${formatDecimal(BigInt(amount), token.decimals)} ${token.symbol}`
  const info = known.find(({ address }) => address === token)
  return info === undefined ? `${amount} of ${token}` : money(amount, info)
}

export function sum(...amounts: readonly string[]): string {
  return amounts.reduce((total, amount) => total + BigInt(amount), 0n).toString()
}
