/**
 * The currencies that a node counts in: those that its owner and its market name, known from the start, and those of
 * tasks that somebody asks about, which are shown and never paid in unless the owner caps them too.
 */
import type { Chain } from '../chain/chain.ts'
import { symbolByAddress, Token } from '../chain/token.ts'
import type { Config } from '../config.ts'
import { MecaError } from '../core/errors.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { Base } from './base.ts'

/** Tasks may name any number of tokens; no person asks about more. */
const MAX_TOKENS = 1_000

/** The market's own currency first. Throws `bad_config` where one of them is no token. */
export async function tokenList(chain: Chain, { chain: { tokens }, host }: Config, signal: AbortSignal) {
  const own = chain.deployment.token
  const tariffs = host.tariffs.map(({ token }) => token)
  const list: TokenInfo[] = []
  for (const address of new Set([...(own === undefined ? [] : [own]), NATIVE, ...tokens, ...tariffs]))
    list.push(await lookUp(chain, address, list, signal))
  return list
}

/** One that a stranger's task names; where it lies about itself it is counted in its smallest unit. */
export async function tokenInfo(
  { chain, tokens }: Pick<Base, 'chain' | 'tokens'>,
  address: Hex,
  signal: AbortSignal,
): Promise<TokenInfo> {
  const known = tokens.find((token) => token.address === address)
  if (known !== undefined) return known
  try {
    const found = await lookUp(chain, address, tokens, signal)
    if (tokens.length < MAX_TOKENS) tokens.push(found)
    return found
  } catch (error) {
    if (!(error instanceof MecaError) || error.code !== 'bad_config') throw error
    return { address, symbol: symbolByAddress(address), decimals: 0 }
  }
}

/** Of two with one symbol, the second goes by its address. */
async function lookUp(chain: Chain, address: Hex, list: readonly TokenInfo[], signal: AbortSignal): Promise<TokenInfo> {
  if (address === NATIVE) return { address, symbol: 'ETH', decimals: 18 }
  const { symbol, decimals } = await new Token(chain, address).names(signal)
  const isTaken = list.some((other) => other.symbol.toLowerCase() === symbol.toLowerCase())
  return { address, symbol: isTaken ? symbolByAddress(address) : symbol, decimals }
}
