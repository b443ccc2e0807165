/**
 * Money on the command line: read in the currency that it has to be in, shown with its currency's name. Which currency
 * that is, the caller says: a task's own for what is paid for it, the market's own where nothing else is named.
 */
import { MecaError } from '../core/errors.ts'
import { amountIn, formatMoney, isCalled, isSmallestUnit, readMoney } from '../core/money.ts'
import { parseAddress, parseAmount } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { NodeApi } from '../role/api.ts'
import type { TokenInfo } from '../role/api-common.ts'

/** `token` is asked for only where the text needs it. Throws `bad_input`. */
export async function readAmount(text: string, what: string, token: () => Promise<TokenInfo>): Promise<bigint> {
  const written = readMoney(text, what)
  return isSmallestUnit(written) ? parseAmount(written.number, what) : amountIn(written, await token(), what)
}

/** A token by its symbol or address. Throws `bad_input` where no token is called so. */
export function tokenNamed(text: string, tokens: readonly TokenInfo[], what: string): Hex {
  const known = tokens.find((token) => isCalled(token, text))
  if (known !== undefined) return known.address
  if (/^0x/i.test(text)) return parseAddress(text, what)
  throw new MecaError('bad_input', `${what} cannot be ${text}, known here are ${symbolsOf(tokens)}`, {
    cure: 'give the address of another token, or add it to chain.tokens',
  })
}

/** A token that amounts can be read in. Throws `bad_input` where its symbol and decimals are not known. */
export function currencyOf(token: Hex, tokens: readonly TokenInfo[]): TokenInfo {
  const known = tokens.find(({ address }) => address === token)
  if (known !== undefined) return known
  throw new MecaError('bad_input', `The decimals of the token ${token} are not known here`, {
    cure: 'write the amount as a whole number in its smallest unit, or add the token to chain.tokens',
  })
}

/** What a task is paid in. */
export async function currencyOfTask(api: NodeApi, ref: string, signal: AbortSignal): Promise<TokenInfo> {
  const [{ token }, { tokens }] = [await api.developer.show(ref, signal), await api.info()]
  return currencyOf(token, tokens)
}

/** `1500000000000000` → `0.0015 ETH`; a token that is not known keeps its smallest unit and its address. */
export function money(amount: string, token: string | TokenInfo, known: readonly TokenInfo[] = []): string {
  if (typeof token !== 'string') return formatMoney(BigInt(amount), token)
  const info = known.find(({ address }) => address === token)
  return info === undefined ? `${amount} of ${token}` : money(amount, info)
}

export function sum(...amounts: readonly string[]): string {
  return amounts.reduce((total, amount) => total + BigInt(amount), 0n).toString()
}

function symbolsOf(tokens: readonly TokenInfo[]): string {
  return tokens.map(({ symbol }) => symbol).join(', ')
}
