/** `meca claim`, `meca withdraw`, `meca reconcile`: from signed vouchers to money, and the proof that it adds up. */
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import type { ReconcileLine } from '../role/api-money.ts'
import { money, tokenNamed } from './amounts.ts'
import { channelOf } from './channel.ts'
import { claimedText } from './claimed.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { facts, table } from './render.ts'
import { examples } from './usage.ts'
import { exportVouchers, importVouchers } from './vouchers.ts'
import type { Act } from './usage.ts'

export function addClaim(claim: Command, act: Act): void {
  claim
    .option('--channel <id>', 'of one channel')
    .option('--export <file>', 'claim nothing; write every voucher to a new file, best on another disk')
    .option(
      '--import <file>',
      'take vouchers back from such a file, each checked as the contract would, and claim them',
    )
    .option('--highest', 'with --import: count jobs as done whose bill is lost with the disk')
    .action(act(claimOrCopy))
  examples(claim, [
    ['meca claim', 'all channels in one transaction'],
    ['meca claim --export /media/usb/vouchers.jsonl', 'a copy that still pays when this disk is gone'],
    ['meca claim --import /media/usb/vouchers.jsonl', 'on a new disk, with the same key; needs the running host'],
  ])
}

export function addWithdraw(withdraw: Command, act: Act): void {
  withdraw.option('--token <token>', "its symbol or address; the market's own where absent").action(act(withdrawAll))
  examples(withdraw, [
    ['meca withdraw', 'to the payee set on the chain'],
    ['meca withdraw --token ETH', 'what was earned in another currency than the market’s own'],
  ])
}

export function addReconcile(reconcile: Command, act: Act): void {
  reconcile.action(act(reconcileAll))
  examples(reconcile, [['meca reconcile', 'one line for each sum; exit code 9 where they differ']])
}

type ClaimFlags = { channel?: string; export?: string; import?: string; highest?: boolean }

function claimOrCopy(context: Context, flags: ClaimFlags): Promise<number | void> {
  if (Object.keys(flags).filter((name) => name !== 'highest').length > 1)
    throw new MecaError('bad_input', '--channel, --export and --import exclude each other', {
      cure: 'give one of them',
    })
  if (flags.export !== undefined) return exportVouchers(context, flags.export)
  if (flags.import !== undefined) return importVouchers(context, flags.import, flags.highest === true)
  return claimAll(context, flags)
}

function claimAll(context: Context, { channel }: { channel?: string }): Promise<void> {
  const options = channel === undefined ? {} : { channel: channelOf(channel) }
  return context.withApi(async (api) => {
    const [done, tokens] = [await api.money.claim(options, context.signal), await tokensOf(api)]
    const { host, developer, rows } = claimedText(done, tokens)
    context.output.result({
      json: done,
      id: done.tx ?? '',
      text: facts([
        ['claimed', rows],
        ['host', host],
        ['developers', developer],
        ['transaction', done.tx === null ? 'none was needed' : `${done.tx} (${done.gas} gas)`],
      ]),
    })
    if (done.tx === null) context.output.say('nothing was to be claimed')
    else context.next('withdraw')
  })
}

function withdrawAll(context: Context, { token }: { token?: string }): Promise<void> {
  return context.withApi(async (api) => {
    const tokens = await tokensOf(api)
    const options = token === undefined ? {} : { token: tokenNamed(token, tokens, '--token') }
    const done = await api.money.withdraw(options, context.signal)
    context.output.result({
      json: done,
      id: done.tx ?? '',
      text: facts([
        ['withdrawn', money(done.amount, done.token, tokens)],
        ['to', done.to],
        ['transaction', done.tx === null ? 'none was needed' : `${done.tx} (${done.gas} gas)`],
      ]),
    })
  })
}

function reconcileAll(context: Context): Promise<number> {
  return context.withApi(async (api) => {
    const [report, tokens] = [await api.money.reconcile(context.signal), await tokensOf(api)]
    const rows = report.lines.map((l) => [
      l.channel.slice(0, 14),
      l.task.slice(0, 14),
      l.what,
      ...[l.ledger, l.chain, l.difference].map((amount) => money(amount, l.token, tokens)),
      verdictOf(l),
    ])
    const words = report.ok ? 'the ledgers and the chain agree' : 'the ledgers and the chain differ'
    const head = ['CHANNEL', 'TASK', 'WHAT', 'LEDGER', 'CHAIN', 'DIFFERENCE', '']
    context.output.result({ json: report, text: rows.length === 0 ? words : `${table(head, rows)}\n${words}` })
    return report.ok ? 0 : 9
  })
}

function verdictOf({ ok, difference }: ReconcileLine): string {
  if (!ok) return 'DIFFERS'
  return difference === '0' ? 'ok' : 'not claimed yet'
}
