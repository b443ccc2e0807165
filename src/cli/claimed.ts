/** What a claim brought, in words: a line for each currency, which are never added up. */
import type { TokenInfo } from '../role/api-common.ts'
import type { ClaimedIn, ClaimReport } from '../role/api-money.ts'
import { money, sum } from './amounts.ts'

export function claimedText(
  { others, ...main }: ClaimReport,
  tokens: readonly TokenInfo[],
): Record<'rows' | 'host' | 'developer', string> {
  const all = [main, ...others]
  const lines = (of: (claimed: ClaimedIn) => string) => all.map(of).join('\n')
  return {
    rows: lines((c) => `${money(sum(c.host, c.developer), c.token, tokens)} in ${c.rows} rows`),
    host: lines((c) => money(c.host, c.token, tokens)),
    developer: lines((c) => money(c.developer, c.token, tokens)),
  }
}
