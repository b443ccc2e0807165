/** `meca devnet`: a whole market on this machine; its processes are the business of devnet.ts. */
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'
import type { PlayToken } from '../wiring/devnet-token.ts'
import { examples, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

const DEFAULT_TOKEN = 'MUSD:6'
/** More and not even a million of it fits into a channel. */
const MAX_DECIMALS = 18

export function addDevnet(devnet: Command, act: Act): void {
  devnet
    .option('--hosts <n>', 'how many hosts', '2')
    .option('--token [symbol:decimals]', `the market is in a token of that name (${DEFAULT_TOKEN})`)
    .action(
      act(async (context, { hosts, token }: { hosts: string; token?: string | true }) => {
        const { runDevnet } = await import('./devnet.ts')
        const options = { hosts: wholeOf(hosts, '--hosts', 16) }
        await runDevnet(context, token === undefined ? options : { ...options, token: playTokenOf(token) })
      }),
    )
  examples(devnet, [
    ['meca devnet', 'Ctrl-C ends it and leaves nothing behind'],
    ['meca devnet --hosts 3 --json', 'one line when the market is ready: who lives where'],
    ['meca devnet --token MUSD:6', 'fees, prices and deposits in a token; tasks in ETH run beside'],
  ])
}

/** Throws `bad_input`. */
function playTokenOf(text: string | true): PlayToken {
  const [, symbol, decimals = '6'] =
    /^([A-Za-z][A-Za-z0-9]{0,9})(?::([0-9]{1,2}))?$/.exec(text === true ? DEFAULT_TOKEN : text) ?? []
  const isOwn = ['eth', 'wei', 'gwei'].includes(symbol?.toLowerCase() ?? '')
  if (symbol !== undefined && !isOwn && Number(decimals) <= MAX_DECIMALS) return { symbol, decimals: Number(decimals) }
  throw new MecaError('bad_input', `--token cannot be ${quote(String(text))}`, {
    cure: `write a symbol of letters and digits and 0 to ${MAX_DECIMALS} decimals, like ${DEFAULT_TOKEN}`,
  })
}
