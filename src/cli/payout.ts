/** `meca host payout`: the address that a host's earnings go to, best one whose key is on no machine in the network. */
import type { Command } from 'commander'
import { parseAddress } from '../core/units.ts'
import type { Context } from './context.ts'
import { facts } from './render.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addPayout(host: Command, act: Act): void {
  const payout = host
    .command('payout [address]')
    .description('where the earnings go; with an address: there from now on, and only that address can change it again')
    .action(act(showPayout))
  examples(payout, [
    ['meca host payout', 'where they go now'],
    ['meca host payout 0xcold…', 'to a key that is not on this machine; this one cannot take it back'],
  ])
}

async function showPayout(context: Context, address?: string): Promise<void> {
  const to = address === undefined ? undefined : parseAddress(address, 'the payout address')
  if (to !== undefined) await context.confirm(`Pay all earnings to ${to}? Only that address can change it again.`)
  return context.withApi(async (api) => {
    const done = await api.money.payout(to, context.signal)
    context.output.result({
      json: done,
      id: done.payee,
      text: facts([
        ['host', `${done.host}${done.registered ? '' : ', not registered'}`],
        ['earnings go to', done.payee === done.host ? `${done.payee}, this node’s own key` : done.payee],
        ['transaction', done.tx ?? undefined],
      ]),
    })
  })
}
