/** What a node can do with money on either side, as types: channels, claims, earnings, copies. See api.ts for the units. */
import type { ErrorCode } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import type { TokenInfo } from './api-common.ts'

export type ChannelRow = {
  task: Hex
  cid: string
  vouched: { jobs: number; host: string; developer: string }
  billed: { jobs: number; host: string; developer: string }
  claimed: { jobs: number; host: string; developer: string }
}
export type ChannelSummary = {
  channel: Hex
  side: 'client' | 'host'
  client: Hex
  host: Hex
  token: Hex
  state: 'opening' | 'open' | 'closing' | 'closed'
  closesAt?: number
  deposit: string
  /** What of the deposit is neither paid out nor back. */
  locked: string
  vouched: string
  billed: string
  claimed: string
  refundable: string
  rows: ChannelRow[]
}

export type MoneyApi = {
  wallet(signal: AbortSignal): Promise<WalletInfo>
  channels(signal: AbortSignal): Promise<ChannelSummary[]>
  /** In the market's own currency where no token is named. */
  open(host: Hex, deposit: bigint, signal: AbortSignal, token?: Hex): Promise<ChannelSummary>
  /** Cooperatively where the host answers, else by the delay; called again after the delay it collects the rest. */
  close(channel: Hex, signal: AbortSignal): Promise<ChannelSummary>
  /** Collects what clients vouched for on this node's channels. */
  claim(options: { channel?: Hex }, signal: AbortSignal): Promise<ClaimReport>
  /** Brings the credits of this node's address out of the contract. */
  withdraw(options: { token?: Hex }, signal: AbortSignal): Promise<WithdrawReport>
  /** Whether both ledgers and the chain agree, to the last unit. */
  reconcile(signal: AbortSignal): Promise<ReconcileReport>
  /** Where a host's earnings go; with `to`: there from now on, and only that address can change it again. */
  payout(to: Hex | undefined, signal: AbortSignal): Promise<PayoutReport>
  /** What was run, billed, claimed and drawn, as a host and as a developer, held against the chain. */
  earnings(options: EarningsOptions, signal: AbortSignal): Promise<EarningsReport>
  /** Finds this address's channels on chain that are not in its records, and asks their hosts what was signed. */
  recover(signal: AbortSignal): Promise<RecoverReport>
  /** Every voucher that this node holds, one line of text each (core/voucher-line). */
  vouchers(): Promise<VoucherCopies>
  /** Takes such lines back where they are worth something; `highest` counts work as done that nobody has billed. */
  restore(lines: readonly string[], options: { highest?: boolean }, signal: AbortSignal): Promise<RestoreReport>
}

export type WalletInfo = {
  address: Hex
  balances: { token: TokenInfo; wallet: string; credit: string; locked: string }[]
}
/** In one currency. */
export type ClaimedIn = { token: Hex; rows: number; host: string; developer: string }
/** The sums are in the market's own currency, or the only one; `others` has what was claimed in further ones. */
export type ClaimReport = ClaimedIn & { tx: Hex | null; gas: string; others: ClaimedIn[] }
export type WithdrawReport = { tx: Hex | null; gas: string; amount: string; to: Hex; token: Hex }
export type ReconcileReport = {
  ok: boolean
  lines: ReconcileLine[]
}
/** `difference` is what is not claimed yet; it may be none where the channel is closed, and never less. */
export type ReconcileLine = {
  channel: Hex
  task: Hex
  token: Hex
  what: string
  ledger: string
  chain: string
  difference: string
  ok: boolean
}

export type PayoutReport = { host: Hex; payee: Hex; registered: boolean; tx: Hex | null }
export type EarningsBy = 'token' | 'day' | 'task' | 'client'
export type EarningsRole = 'host' | 'developer'
/** `since` in ms: what happened before it, or nobody knows when, is left out of the lines; what is at risk now never is. */
export type EarningsOptions = { by: EarningsBy; since?: number }
/** A host's billed parts by receipts, and its own part claimed; a developer's fees as the chain credited them. */
export type EarningsLine = {
  role: EarningsRole
  /** A day, a CID or an address; null for all together, or where it is not known. */
  key: string | null
  token: Hex
  run: number
  hostAmount: string
  developerAmount: string
  claimed: string
  withdrawn: string
  /** Billed and not claimed, on channels that are not closed. */
  atRisk: string
}
export type EarningsCheck = {
  role: EarningsRole
  token: Hex
  what: string
  ledger: string
  chain: string
  difference: string
  ok: boolean
}
export type EarningsReport = EarningsOptions & {
  lines: EarningsLine[]
  /** Over all time, whatever the lines leave out. */
  checks: EarningsCheck[]
  ok: boolean
  /** What the checks that fail are off by, in all. */
  difference: string
  notes: string[]
}
/** What was found; `problem` where the host did not say what it holds. */
export type RecoverReport = {
  channels: {
    channel: Hex
    host: Hex
    token: Hex
    state: ChannelSummary['state']
    deposit: string
    claimed: string
    vouched: string
    billed: string
    problem?: { code: ErrorCode; reason: string }
  }[]
}
export type VoucherCopies = { lines: string[] }
/** What each line came to, in the order given; `known` says nothing new, `collected` was paid by the chain already. */
export type RestoreReport = {
  adopted: number
  known: number
  collected: number
  refused: number
  rows: RestoredRow[]
}
export type RestoredRow = {
  outcome: 'adopted' | 'known' | 'collected' | 'refused'
  channel?: Hex
  task?: Hex
  host?: string
  developer?: string
  token?: Hex
  code?: ErrorCode
  reason?: string
}
