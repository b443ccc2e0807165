/** `meca wallet`: the keys of this node and what they hold. */
import type { Command } from 'commander'
import { asMecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import { money } from './amounts.ts'
import type { Context } from './context.ts'
import { table } from './render.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addWallet(wallet: Command, act: Act): void {
  examples(wallet, [['meca wallet show', 'address and balances']])
  const create = wallet
    .command('create')
    .description('make a key, locked with a password')
    .option('--keep-password', 'leave the password beside the key, for daemons')
    .action(act(createWallet))
  examples(create, [
    ['meca wallet create', 'asks for a password'],
    ['MECA_PASSWORD_FILE=secret meca wallet create', 'without asking'],
  ])
  const show = wallet.command('show').description('address and balances').action(act(showWallet))
  examples(show, [['meca wallet show', 'in the wallet, as credit in the contract, and locked in channels']])
}

async function createWallet(context: Context, { keepPassword }: { keepPassword?: boolean }): Promise<void> {
  const { home } = (await context.settings()).config
  const made = await context.world.doors.createWallet(home, await context.newPassword(), keepPassword === true)
  context.output.result({ json: made, id: made.address, text: made.address })
  context.output.say(`the key is in ${made.home}; without its password nobody can use it, you neither`)
}

/** Whose wallet it is needs neither password nor chain; what it holds does. */
async function showWallet(context: Context): Promise<void> {
  if ((await context.daemon()) === undefined) {
    const loaded = await context.settings()
    const address = await context.world.doors.walletAddress(loaded)
    const { rpc, deployment } = loaded.config.chain
    if (address !== undefined && (rpc === undefined || deployment === undefined))
      return showAddress(context, address, 'chain.rpc and chain.deployment are not set')
    if (address !== undefined)
      return showBalances(context).catch((error: unknown) => orAddress(context, address, error))
  }
  return showBalances(context)
}

function orAddress(context: Context, address: Hex, error: unknown): void {
  const { code, message } = asMecaError(error)
  if (code !== 'would_ask' && code !== 'chain_unreachable') throw error
  showAddress(context, address, code === 'would_ask' ? 'the wallet is locked; set MECA_PASSWORD_FILE' : message)
}

function showAddress({ output }: Context, address: Hex, why: string): void {
  output.result({ json: { address, balances: null, why }, id: address, text: `${address}\nbalances unknown: ${why}` })
}

function showBalances(context: Context): Promise<void> {
  return context.withApi(async (api) => {
    const info = await api.money.wallet(context.signal)
    const rows = info.balances.map(({ token, wallet, credit, locked }) => [
      token.symbol,
      ...[wallet, credit, locked].map((amount) => money(amount, token)),
    ])
    context.output.result({
      json: info,
      id: info.address,
      text: `${info.address}\n${table(['TOKEN', 'WALLET', 'CREDIT', 'LOCKED'], rows)}`,
    })
  })
}
