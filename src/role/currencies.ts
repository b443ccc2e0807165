/**
 * The currencies that a node counts in, and its owner's caps in each of them. A cap is never carried over from one
 * currency to another, since their units differ by any factor: where an owner caps something and does not name a
 * currency, nothing is allowed in that one.
 */
import { MecaError } from '../core/errors.ts'
import { amountIn, formatMoney, isCalled, isSmallestUnit, readMoney } from '../core/money.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { TokenInfo } from './api-common.ts'

/** In each currency's smallest unit. */
export type Caps = ReadonlyMap<Hex, bigint>

export class Currencies {
  readonly list: readonly TokenInfo[]

  /** The market's own first. */
  constructor(list: readonly TokenInfo[]) {
    this.list = list
  }

  find(token: Hex): TokenInfo | undefined {
    return this.list.find(({ address }) => address === token)
  }

  /** `0.0015 ETH`; a currency that is not known keeps its smallest unit and its address. */
  show(amount: bigint, token: Hex): string {
    const known = this.find(token)
    return known === undefined ? `${amount} of the token ${token}` : formatMoney(amount, known)
  }

  name(token: Hex): string {
    return this.find(token)?.symbol ?? token
  }

  /** A setting's amounts: a plain number is in the chain's own currency. Throws `bad_config`. */
  caps(setting: string, amounts: readonly string[]): Caps {
    const caps = new Map<Hex, bigint>()
    for (const text of amounts) {
      const written = readMoney(text, setting)
      const { unit } = written
      const isNative = isSmallestUnit(written) || unit === '' || unit === 'wei' || unit === 'gwei'
      const token = isNative ? this.find(NATIVE) : this.list.find((t) => isCalled(t, unit))
      if (token === undefined) throw this.#unknown(setting, text)
      if (caps.has(token.address))
        throw new MecaError('bad_config', `${setting} names ${token.symbol} twice`, { cure: 'leave one of them out' })
      caps.set(token.address, amountIn(written, token, setting))
    }
    return caps
  }

  #unknown(setting: string, text: string): MecaError {
    const known = this.list.map(({ symbol }) => symbol).join(', ')
    return new MecaError('bad_config', `${setting} has ${text}, known here are ${known}`, {
      cure: 'name another token by its address, and see chain.tokens',
    })
  }
}

/** A host's refusal of a currency that it has no tariff in. */
export function notTaken(currencies: Currencies, tariffs: readonly { token: Hex }[], token: Hex): MecaError {
  const taken = tariffs.map((tariff) => currencies.name(tariff.token)).join(' and ')
  return new MecaError('refused', `This host takes ${taken}, not ${currencies.name(token)}`, {
    cure: 'ask another host, see meca quote',
  })
}

/** The cap in one currency; undefined where the owner caps nothing. Throws `price_cap` where only others are capped. */
export function capIn(caps: Caps | undefined, token: Hex, setting: string, currencies: Currencies): bigint | undefined {
  const cap = caps?.get(token)
  if (caps === undefined || cap !== undefined) return cap
  const name = currencies.name(token)
  throw new MecaError('price_cap', `${setting} says nothing of ${name}, so nothing may be spent in it`, {
    cure: `add an amount in ${name} to ${setting}, like 10${name}`,
  })
}
