/** What the money calls take and answer. */
import { z } from 'zod'
import { MAX_VOUCHER_LINE } from '../core/voucher-line.ts'
import { address, amount, anyAddress, count, errorCode, hash, milliseconds, money, token, whole } from './values.ts'

/** Vouchers in one request: half a MiB. A longer file is sent in parts. */
const MAX_LINES = 500

export const openRequest = z.strictObject({ host: anyAddress, deposit: amount, token: anyAddress.exactOptional() })
export const claimRequest = z.strictObject({ channel: hash.exactOptional() })
export const withdrawRequest = z.strictObject({ token: anyAddress.exactOptional() })

const balances = z.array(z.object({ token, wallet: money, credit: money, locked: money }))
export const restoreRequest = z.strictObject({
  lines: z.array(z.string().max(MAX_VOUCHER_LINE)).max(MAX_LINES),
  highest: z.boolean().exactOptional(),
})

export const walletInfo = z.object({ address, balances }).meta({ id: 'WalletInfo' })

const sums = z.object({ jobs: count, host: money, developer: money }).meta({ id: 'Sums' })
const state = z.enum(['opening', 'open', 'closing', 'closed'])
export const channelSummary = z
  .object({
    channel: hash,
    side: z.enum(['client', 'host']),
    client: address,
    host: address,
    token: address,
    state,
    closesAt: milliseconds.exactOptional(),
    deposit: money,
    locked: money,
    vouched: money,
    billed: money,
    claimed: money,
    refundable: money,
    rows: z.array(z.object({ task: hash, cid: z.string(), vouched: sums, billed: sums, claimed: sums })),
  })
  .meta({ id: 'ChannelSummary' })

const claimedIn = { token: address, rows: count, host: money, developer: money }
export const claimReport = z
  .object({ tx: hash.nullable(), gas: money, ...claimedIn, others: z.array(z.object(claimedIn)) })
  .meta({ id: 'ClaimReport' })
export const withdrawReport = z
  .object({ tx: hash.nullable(), gas: money, amount: money, to: address, token: address })
  .meta({ id: 'WithdrawReport' })
const line = z.object({
  channel: hash,
  task: hash,
  token: address,
  what: z.string(),
  ledger: money,
  chain: money,
  difference: money,
  ok: z.boolean(),
})
export const reconcileReport = z.object({ ok: z.boolean(), lines: z.array(line) }).meta({ id: 'ReconcileReport' })

export const voucherCopies = z.object({ lines: z.array(z.string()) }).meta({ id: 'VoucherCopies' })
const restored = z.object({
  outcome: z.enum(['adopted', 'known', 'collected', 'refused']),
  channel: hash.exactOptional(),
  task: hash.exactOptional(),
  host: money.exactOptional(),
  developer: money.exactOptional(),
  token: address.exactOptional(),
  code: errorCode.exactOptional(),
  reason: z.string().exactOptional(),
})
export const restoreReport = z
  .object({ adopted: count, known: count, collected: count, refused: count, rows: z.array(restored) })
  .meta({ id: 'RestoreReport' })

const problem = z.object({ code: errorCode, reason: z.string() })
const recovered = z.object({
  channel: hash,
  host: address,
  token: address,
  state,
  deposit: money,
  claimed: money,
  vouched: money,
  billed: money,
  problem: problem.exactOptional(),
})
export const recoverReport = z.object({ channels: z.array(recovered) }).meta({ id: 'RecoverReport' })

const by = z.enum(['token', 'day', 'task', 'client'])
const role = z.enum(['host', 'developer'])
export const earningsQuery = z.strictObject({ by: by.exactOptional(), since: whole.exactOptional() })
const earningsLine = z.object({
  role,
  key: z.string().nullable(),
  token: address,
  run: count,
  hostAmount: money,
  developerAmount: money,
  claimed: money,
  withdrawn: money,
  atRisk: money,
})
const sumCheck = { what: z.string(), ledger: money, chain: money, difference: money, ok: z.boolean() }
export const earningsReport = z
  .object({
    by,
    since: count.exactOptional(),
    lines: z.array(earningsLine),
    checks: z.array(z.object({ role, token: address, ...sumCheck })),
    ok: z.boolean(),
    difference: money,
    notes: z.array(z.string()),
  })
  .meta({ id: 'EarningsReport' })

export const payoutRequest = z.strictObject({ to: anyAddress })
export const payoutReport = z
  .object({ host: address, payee: address, registered: z.boolean(), tx: hash.nullable() })
  .meta({ id: 'PayoutReport' })
