/**
 * Where a host takes money in: a client's vouchers, checked the cheap way first, so that a flood of bad ones costs
 * little. A voucher counts from the moment it is staged in the book; the caller writes it down before any work.
 */
import { covers, requireClaimable, sum, withVoucher, ZERO } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import { MecaError } from '../core/errors.ts'
import type { ChannelRecord } from '../core/records.ts'
import { recover } from '../core/signature.ts'
import { voucherDigest } from '../core/typed.ts'
import type { Domain } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { Book, LiveRow } from './book.ts'
import type { Currencies } from './currencies.ts'
import { FORGED } from './offences.ts'
import type { KnownTask } from './tasks.ts'

export type SignedVoucher = Totals & { taskId: Hex; signature: Hex }

/** What money has to know of a task. */
export type SoldTask = Pick<KnownTask, 'cid' | 'taskId' | 'entry'>

/** Stages the row with this voucher; undefined where it changes nothing. Throws `payment`. */
export function takeVoucher(
  domain: Domain,
  book: Book,
  channel: ChannelRecord,
  voucher: SignedVoucher,
  task: SoldTask,
  currencies: Currencies,
): LiveRow | undefined {
  const before = book.row(channel.channelId, voucher.taskId) ?? newRow(channel.channelId, task)
  const totals: Totals = {
    jobs: voucher.jobs,
    hostAmount: voucher.hostAmount,
    developerAmount: voucher.developerAmount,
  }
  const after = withVoucher(before, totals)
  if (after === before) return undefined
  const show = (amount: bigint) => currencies.show(amount, channel.terms.token)
  checkFee(voucher, task, channel, currencies)
  const vouched = book.vouchedOn(channel.channelId) - sum(before.vouched) + sum(totals)
  if (vouched > channel.deposit) {
    throw new MecaError(
      'payment',
      `The vouchers on the channel reach ${show(vouched)}, its deposit is ${show(channel.deposit)}`,
      {
        cure: 'top the channel up, or close it and open another',
        details: { vouched: vouched.toString(), deposit: channel.deposit.toString() },
      },
    )
  }
  failpoint('host.before-verify')
  checkSignature(domain, channel, voucher)
  failpoint('host.voucher-verified')
  const row: LiveRow = { ...before, ...after, vouchedSignature: voucher.signature }
  book.stageRow(row)
  return row
}

/**
 * Stages a voucher over what was billed at some moment, which a client sends now and then. With it the host claims no
 * more than it billed. One that says more than was billed, or less than the last one, is ignored.
 */
export function takeExact(
  domain: Domain,
  book: Book,
  channel: ChannelRecord,
  voucher: SignedVoucher,
): LiveRow | undefined {
  const row = book.row(channel.channelId, voucher.taskId)
  const totals: Totals = {
    jobs: voucher.jobs,
    hostAmount: voucher.hostAmount,
    developerAmount: voucher.developerAmount,
  }
  if (row === undefined || !covers(row.billed, totals)) return undefined
  if (row.exact !== undefined && !covers(totals, row.exact.totals)) return undefined
  checkSignature(domain, channel, voucher)
  failpoint('host.exact-verified')
  const next: LiveRow = { ...row, exact: { totals, signature: voucher.signature } }
  book.stageRow(next)
  return next
}

function newRow(channelId: Hex, task: SoldTask): LiveRow {
  return {
    channelId,
    taskId: task.taskId,
    cid: task.cid,
    vouched: ZERO,
    vouchedSignature: `0x${'00'.repeat(65)}`,
    billed: ZERO,
    claimed: ZERO,
    reserved: ZERO,
  }
}

function checkFee(voucher: SignedVoucher, { entry }: SoldTask, { terms }: ChannelRecord, currencies: Currencies): void {
  requireClaimable(voucher, entry.fee, (amount) => currencies.show(amount, entry.token))
  if (entry.token === terms.token) return
  const [sold, held] = [entry.token, terms.token].map((token) => currencies.name(token))
  throw new MecaError('payment', `The task is sold in ${sold}, the channel holds ${held}`)
}

function checkSignature(domain: Domain, channel: ChannelRecord, voucher: SignedVoucher): void {
  if (
    recover(voucherDigest(domain, { ...voucher, channelId: channel.channelId }), voucher.signature) !==
    channel.terms.signer
  ) {
    throw new MecaError('payment', `The voucher is not signed by the channel's signer ${channel.terms.signer}`, {
      cure: 'sign with the key that the channel names',
      details: FORGED,
    })
  }
}
