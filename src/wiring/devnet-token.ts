/**
 * A market for play in a token: what is made and given out, and what its members' settings say beside those in the
 * chain's own currency. Both are taken, so that tasks in either can be tried side by side.
 */
import type { NewToken } from '../chain/deploy.ts'
import type { Hex } from '../core/units.ts'
import type { TokenInfo } from '../role/api-common.ts'

export type PlayToken = { symbol: string; decimals: number }

/** In whole tokens: what each member gets who pays. */
const SHARE = 1_000_000n
/** In whole tokens, for a job, a client's deposit with a host, and what a host may be owed. */
const JOB_CAP = 100
const DEPOSIT_CAP = 1_000
const EXPOSURE = 100_000

export function newToken({ symbol, decimals }: PlayToken, people: readonly Hex[]): NewToken {
  const amount = SHARE * 10n ** BigInt(decimals)
  const shares = people.map((to) => ({ to, amount }))
  return { name: `Play ${symbol}`, symbol, decimals, supply: amount * BigInt(people.length), shares }
}

/** The groups `host` and `client` of config/devnet.yml, with the token's tariff and caps in them. */
export function inToken(token: TokenInfo, host: object, client: object): { host: object; client: object } {
  const { tariffs, exposurePerClient, exposureTotal } = host as Record<string, unknown>
  const { maxPrice } = client as Record<string, unknown>
  const amount = (whole: number) => `${whole}${token.symbol}`
  return {
    host: {
      ...host,
      tariffs: [tariffIn(token), ...[tariffs].flat()],
      exposurePerClient: [exposurePerClient, amount(EXPOSURE)],
      exposureTotal: [exposureTotal, amount(EXPOSURE)],
      claimThreshold: ['0.01ETH', amount(1)],
    },
    client: { ...client, maxPrice: [maxPrice, amount(JOB_CAP)], depositCap: ['0.1ETH', amount(DEPOSIT_CAP)] },
  }
}

/** 0.001 a job and 0.0001 per core and second, as in the chain's own currency, where the token is divided so finely. */
function tariffIn({ address, decimals }: TokenInfo) {
  const part = (places: number) => (decimals < places ? 0n : 10n ** BigInt(decimals - places)).toString()
  const perJob = decimals < 3 ? '1' : part(3)
  return { token: address, perJob, perCpuSecond: part(4), perGibSecond: part(5), perGpuSecond: part(3) }
}
