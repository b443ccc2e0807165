/** `meca channel`: money that this node locked for hosts, or that clients locked for it. */
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import { AMOUNT_HELP } from '../core/money.ts'
import { parseAddress, quote, zHash } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { NodeApi } from '../role/api.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { ChannelSummary } from '../role/api-money.ts'
import { currencyOf, money, readAmount, tokenNamed } from './amounts.ts'
import { PARTS, sumsOf, untilClosed } from './channel-sums.ts'
import type { ChannelSums } from './channel-sums.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { date, facts, table } from './render.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addChannel(channel: Command, act: Act): void {
  examples(channel, [['meca channel list', 'what is locked, signed away and collected']])
  const open = channel
    .command('open <host> <deposit>')
    .description(`lock money for one host (${AMOUNT_HELP}); the first job with a host does it by itself`)
    .option('--token <token>', 'its symbol or address; the market’s own where absent')
    .action(act(openChannel))
  examples(open, [['meca channel open 0xhost… 0.01', 'enough for many small jobs']])
  const list = channel
    .command('list')
    .description('all of them, on both sides, and what they come to in each currency')
    .option('--sums', 'only what they come to')
    .action(act(listChannels))
  examples(list, [
    ['meca channel list', 'what is locked, billed and collected, and what would come back'],
    ['meca channel list --sums --json', 'for each side and currency'],
  ])
  const recover = channel
    .command('recover')
    .description('after a lost disk: find this key’s channels on chain and ask their hosts what was signed on them')
    .action(act(recoverChannels))
  examples(recover, [['meca channel recover', 'with the same key; a node with empty records does it at its start']])
  const close = channel
    .command('close <channel>')
    .description('get the rest back: at once where the host agrees, else after the delay (call it again then)')
    .option('--wait', 'wait for the delay, and get the rest then')
    .action(act(closeChannel))
  examples(close, [
    ['meca channel close 0xchannel…', 'the host collects first what it is owed'],
    ['meca channel close 0xchannel… --wait --timeout 2d', 'the host is gone: the deposit comes back after the delay'],
  ])
}

/** Throws `bad_input`. */
export function channelOf(text: string): Hex {
  const parsed = zHash.safeParse(text.toLowerCase())
  if (parsed.success) return parsed.data
  throw new MecaError('bad_input', `A channel is 0x and 64 hex digits, got ${quote(text)}`, {
    cure: 'see: meca channel list',
  })
}

function openChannel(context: Context, host: string, deposit: string, flags: { token?: string }): Promise<void> {
  const address = parseAddress(host, 'the host')
  return context.withApi(async (api) => {
    const tokens = await tokensOf(api)
    const token = flags.token === undefined ? undefined : tokenNamed(flags.token, tokens, '--token')
    const inToken = async () => (token === undefined ? (await api.info()).token : currencyOf(token, tokens))
    const amount = await readAmount(deposit, 'the deposit', inToken)
    await confirmUnknown(context, api, address)
    showChannel(context, await api.money.open(address, amount, context.signal, token), tokens)
  })
}

/** Money for an address with a typing error would lie there for the whole close delay. */
async function confirmUnknown(context: Context, api: NodeApi, host: Hex): Promise<void> {
  const known = (await api.client.hosts()).some((one) => one.host === host)
  if (!known) await context.confirm(`No host ${host} is registered or heard. Lock money for it all the same?`)
}

async function closeChannel(context: Context, id: string, { wait }: { wait?: boolean }): Promise<void> {
  const channel = channelOf(id)
  await context.confirm(`Close the channel ${channel}?`)
  return context.withApi(async (api) => {
    const begun = await api.money.close(channel, context.signal)
    const closed = wait === true ? await untilClosed(context, api, begun) : begun
    showChannel(context, closed, await tokensOf(api))
    if (closed.state === 'closing') context.next(`channel close ${channel}`)
  })
}

function showChannel({ output }: Context, c: ChannelSummary, tokens: TokenInfo[]): void {
  const shown = (amount: string) => money(amount, c.token, tokens)
  output.result({
    json: c,
    id: c.channel,
    text: facts([
      ['channel', c.channel],
      ['host', c.host],
      ['client', c.client],
      ['state', c.state],
      ['closes (UTC)', date(c.closesAt)],
      ['deposit', shown(c.deposit)],
      ['locked', shown(c.locked)],
      ['billed', shown(c.billed)],
      ['claimed', shown(c.claimed)],
      c.state === 'closed'
        ? ['came back', shown((BigInt(c.deposit) - BigInt(c.claimed)).toString())]
        : ['refundable', shown(c.refundable)],
    ]),
  })
}

function recoverChannels(context: Context): Promise<number> {
  return context.withApi(async (api) => {
    const [report, tokens] = [await api.money.recover(context.signal), await tokensOf(api)]
    const rows = report.channels.map((c) => [
      c.channel,
      c.host,
      c.state,
      ...[c.deposit, c.billed, c.claimed].map((amount) => money(amount, c.token, tokens)),
      c.problem === undefined ? 'known to its host' : `${c.problem.code}: ${c.problem.reason}`,
    ])
    const head = ['CHANNEL', 'WITH', 'STATE', 'DEPOSIT', 'BILLED', 'CLAIMED', 'ITS HOST SAYS']
    context.output.result({
      json: report,
      id: report.channels.map(({ channel }) => channel).join('\n'),
      text: rows.length === 0 ? '' : table(head, rows),
    })
    if (rows.length === 0) context.output.say('the chain knows no channel of this key that is not in the records')
    return report.channels.some(({ problem }) => problem !== undefined) ? 6 : 0
  })
}

function listChannels(context: Context, { sums: onlySums }: { sums?: boolean }): Promise<void> {
  return context.withApi(async (api) => {
    const [all, tokens] = [await api.money.channels(context.signal), await tokensOf(api)]
    const sums = sumsOf(all)
    const amounts = (of: ChannelSummary | ChannelSums) => PARTS.map((part) => money(of[part], of.token, tokens))
    const rows = all.map((c) => [c.channel, c.side, c.side === 'client' ? c.host : c.client, c.state, ...amounts(c)])
    const totals = sums.map((s) => [
      'ALL',
      s.side,
      s.channels === 1 ? '1 channel' : `${s.channels} channels`,
      '',
      ...amounts(s),
    ])
    const head = ['CHANNEL', 'AS', 'WITH', 'STATE', ...PARTS.map((part) => part.toUpperCase())]
    context.output.result({
      json: onlySums === true ? sums : all,
      id: all.map(({ channel }) => channel).join('\n'),
      text: all.length === 0 ? '' : table(head, onlySums === true ? totals : [...rows, ...totals]),
    })
    if (all.length === 0) context.output.say('no channels; the first job with a host opens one')
  })
}
