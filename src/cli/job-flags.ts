/** The flags that a quote and a run share. */
import type { Command } from 'commander'
import { parseAddress } from '../core/units.ts'
import type { NodeApi } from '../role/api.ts'
import type { QuoteOptions } from '../role/api-client.ts'
import { AMOUNT_HELP } from '../core/money.ts'
import { currencyOfTask, readAmount } from './amounts.ts'
import { wholeOf } from './usage.ts'

export type QuoteFlags = { maxPrice?: string; maxSeconds?: string; host?: string; runtime?: string }

export function addQuoteFlags(command: Command): Command {
  return command
    .option('--max-price <amount>', `refuse to pay more: ${AMOUNT_HELP}`)
    .option('--max-seconds <n>', 'how long the task may run')
    .option('--host <address>', 'this host and no other')
    .option('--runtime <name>', 'only hosts with this sandbox, like runsc')
}

/** `ref` is the task, in whose currency the price is. */
export async function quoteOptions(
  { maxPrice, maxSeconds, host, runtime }: QuoteFlags,
  api: NodeApi,
  ref: string,
  signal: AbortSignal,
): Promise<QuoteOptions> {
  const token = () => currencyOfTask(api, ref, signal)
  return {
    ...(maxPrice === undefined ? {} : { maxPrice: await readAmount(maxPrice, '--max-price', token) }),
    ...(maxSeconds === undefined ? {} : { maxSeconds: wholeOf(maxSeconds, '--max-seconds') }),
    ...(host === undefined ? {} : { host: parseAddress(host, '--host') }),
    ...(runtime === undefined ? {} : { runtime }),
  }
}
