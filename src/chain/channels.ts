/**
 * The Channels contract, typed: opening, claiming, closing, and the state that money decisions are made on. Whoever
 * decides asks for state; events are not needed and not looked at, but for what one's own claim brought.
 */
import { MecaError } from '../core/errors.ts'
import { channelIdOf } from '../core/typed.ts'
import type { ChannelTerms } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { NATIVE } from '../core/units.ts'
import { channelsAbi } from './abi.ts'
import type { Chain, TxReceipt } from './chain.ts'
import { Codec } from './codec.ts'
import { MAX_CLAIM_ROWS } from './limits.ts'
import { openDigest, Token } from './token.ts'
import type { Permit } from './token.ts'
import { splitSignature } from './split.ts'
import type { Wallet } from './wallet.ts'

/** `none`: never opened. `closing`: claims still work, until somebody finishes it from `closesAt` (seconds) on. */
export type ChannelState = {
  state: 'none' | 'open' | 'closing' | 'finished'
  deposit: bigint
  claimed: bigint
  closesAt: number
}

/** What the chain has paid on one (channel, task), cumulative. */
export type LaneState = { jobs: number; hostAmount: bigint; developerAmount: bigint }

/** A voucher as it is claimed. */
export type ClaimRow = { taskId: Hex; jobs: number; hostAmount: bigint; developerAmount: bigint; signature: Hex }
export type ClaimGroup = { terms: ChannelTerms; rows: readonly ClaimRow[] }

const SKIPS = [
  'none',
  'unknown_channel',
  'finished_channel',
  'stale',
  'empty_channel',
  'bad_signature',
  'unknown_task',
  'wrong_token',
  'fee_missing',
  'not_host',
] as const

/**
 * `none`: the row was, or would be, paid. `wrong_token`: the task's fee is in another token than the channel. `not_host`:
 * the caller is neither the channel's host nor its payee.
 */
export type Skip = (typeof SKIPS)[number]
export type ClaimOutcome = { channelId: Hex; taskId: Hex; skip: Skip; hostPaid: bigint; developerPaid: bigint }

/** The fees of those tasks whose payee is `payee`. */
export type FeesOf = { payee: Hex; taskIds: readonly Hex[] }

const codec = new Codec(channelsAbi)

export class Channels {
  readonly #chain: Chain
  readonly #address: Hex

  constructor(chain: Chain) {
    this.#chain = chain
    this.#address = chain.deployment.contracts.channels
  }

  idOf(terms: ChannelTerms): Hex {
    return channelIdOf(this.#chain.domain, terms)
  }

  async state(channelId: Hex, signal: AbortSignal): Promise<ChannelState> {
    const { deposit, claimed, closesAt } = await this.#chain.read(codec, this.#address, 'channel', [channelId], signal)
    if (claimed > deposit) throw impossible(channelId, deposit, claimed)
    if (deposit === 0n) return { state: 'none', deposit, claimed, closesAt: 0 }
    if (closesAt === FINISHED) return { state: 'finished', deposit, claimed, closesAt: 0 }
    return { state: closesAt === 0n ? 'open' : 'closing', deposit, claimed, closesAt: Number(closesAt) }
  }

  /** The deposit that this many blocks stand behind, the one with the transaction counted; 0 where there is none yet. */
  async confirmedDeposit(channelId: Hex, confirmations: number, signal: AbortSignal): Promise<bigint> {
    const head = await this.#chain.block(signal)
    const block = Math.max(0, head.number - Math.max(0, confirmations - 1))
    try {
      return (await this.#chain.read(codec, this.#address, 'channel', [channelId], signal, block)).deposit
    } catch (error) {
      // Before the contract was there, nobody had a deposit in it.
      if ((await this.#chain.code(this.#address, signal, block)) === '0x') return 0n
      throw error
    }
  }

  async lane(channelId: Hex, taskId: Hex, signal: AbortSignal): Promise<LaneState> {
    const lane = await this.#chain.read(codec, this.#address, 'lane', [channelId, taskId], signal)
    return { ...lane, jobs: Number(lane.jobs) }
  }

  /** What `withdraw` would send to the payee of a host or client. */
  async credit(token: Hex, account: Hex, signal: AbortSignal): Promise<bigint> {
    return this.#chain.read(codec, this.#address, 'credit', [token, account], signal)
  }

  /** What `withdrawTasks` would send for a task. */
  async taskCredit(token: Hex, taskId: Hex, signal: AbortSignal): Promise<bigint> {
    return this.#chain.read(codec, this.#address, 'taskCredit', [token, taskId], signal)
  }

  /** The wallet is the client. A token is approved first, exactly as much as is missing. */
  async open(wallet: Wallet, terms: ChannelTerms, amount: bigint, signal: AbortSignal): Promise<TxReceipt> {
    const value = await this.#payment(wallet, terms.token, amount, signal)
    const data = codec.encode('open', [toTerms(terms), amount])
    return wallet.send({ to: this.#address, data, value }, `open channel ${this.idOf(terms)}`, signal)
  }

  /** Opens for a client that pays no gas; see `signOpen` and `Token.signPermit` for the two signatures. */
  async openWithPermit(
    relayer: Wallet,
    terms: ChannelTerms,
    amount: bigint,
    authority: Hex,
    permit: Permit,
    signal: AbortSignal,
  ): Promise<TxReceipt> {
    const data = codec.encode('openWithPermit', [
      toTerms(terms),
      amount,
      splitSignature(authority),
      permit.deadline,
      splitSignature(permit.signature),
    ])
    return relayer.send({ to: this.#address, data }, `open channel ${this.idOf(terms)} for ${terms.client}`, signal)
  }

  /** What a client signs so that somebody else may open its channel with exactly this amount. */
  openDigest(terms: ChannelTerms, amount: bigint): Uint8Array {
    return openDigest(this.#chain.domain, this.idOf(terms), amount)
  }

  async topUp(wallet: Wallet, terms: ChannelTerms, amount: bigint, signal: AbortSignal): Promise<TxReceipt> {
    const value = await this.#payment(wallet, terms.token, amount, signal)
    const data = codec.encode('topUp', [toTerms(terms), amount])
    return wallet.send({ to: this.#address, data, value }, `top up channel ${this.idOf(terms)}`, signal)
  }

  /** From the wallet's own tokens, without an approval; see `Token.signPermit`. */
  async topUpWithPermit(
    wallet: Wallet,
    terms: ChannelTerms,
    amount: bigint,
    permit: Permit,
    signal: AbortSignal,
  ): Promise<TxReceipt> {
    const signature = splitSignature(permit.signature)
    const data = codec.encode('topUpWithPermit', [toTerms(terms), amount, permit.deadline, signature])
    return wallet.send({ to: this.#address, data }, `top up channel ${this.idOf(terms)}`, signal)
  }

  /** What `claim` by `from` would bring if it were in the next block; costs nothing. The groups as in `claim`. */
  async dryClaim(groups: readonly ClaimGroup[], from: Hex, signal: AbortSignal): Promise<ClaimOutcome[]> {
    requireRows(groups)
    const data = codec.encode('claimVouchersAndTell', toRows(groups))
    const answer = await this.#chain.call({ to: this.#address, data, from }, signal)
    const outcomes = codec.decode('claimVouchersAndTell', answer)
    const rows = groups.flatMap(({ terms, rows }) =>
      rows.map(({ taskId }) => ({ channelId: this.idOf(terms), taskId })),
    )
    return rows.map((row, i) => {
      const { skip = 0, hostPaid = 0n, developerPaid = 0n } = outcomes[i] ?? {}
      return { ...row, skip: SKIPS[skip] ?? 'none', hostPaid, developerPaid }
    })
  }

  /**
   * Claims those rows that would be paid; the others are only reported. The channels are of one host in one token, and the
   * wallet is that host or its payee: a claim by anybody else pays nothing. `paid` is what the chain says it paid; no
   * transaction is sent where nothing would be.
   */
  async claim(
    wallet: Wallet,
    groups: readonly ClaimGroup[],
    signal: AbortSignal,
  ): Promise<{ receipt: TxReceipt | undefined; paid: ClaimOutcome[]; skipped: ClaimOutcome[] }> {
    const outcomes = await this.dryClaim(groups, wallet.address, signal)
    const skipped = outcomes.filter((outcome) => outcome.skip !== 'none')
    const worthy = keepRows(groups, (i) => outcomes[i]?.skip === 'none')
    if (worthy.length === 0) return { receipt: undefined, paid: [], skipped }
    const data = toClaim(worthy)
    const receipt = await wallet.send(
      { to: this.#address, data },
      `claim ${outcomes.length - skipped.length} rows`,
      signal,
    )
    return { receipt, paid: this.#paidIn(receipt), skipped }
  }

  /**
   * Claims in one token, and brings the hosts' credit and, where named, developers' fees out in the same transaction,
   * which saves a third of the gas. The wallet is the host or its payee. Undone as a whole where a payee does not take its money; then go step by step.
   */
  async collect(
    wallet: Wallet,
    groups: readonly ClaimGroup[],
    token: Hex,
    developers: readonly FeesOf[],
    signal: AbortSignal,
  ): Promise<{ receipt: TxReceipt; paid: ClaimOutcome[] }> {
    const hosts = new Set(groups.map(({ terms }) => terms.host))
    const calls = [
      toClaim(groups),
      ...[...hosts].map((host) => codec.encode('withdraw', [token, host])),
      ...developers.map((d) => codec.encode('withdrawTasks', [token, d.payee, [...d.taskIds]])),
    ]
    const data = codec.encode('multicall', [calls])
    const receipt = await wallet.send({ to: this.#address, data }, `collect from ${groups.length} channels`, signal)
    return { receipt, paid: this.#paidIn(receipt) }
  }

  async startClose(wallet: Wallet, terms: ChannelTerms, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('startClose', [toTerms(terms)])
    return wallet.send({ to: this.#address, data }, `start to close channel ${this.idOf(terms)}`, signal)
  }

  async finishClose(wallet: Wallet, terms: ChannelTerms, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('finishClose', [toTerms(terms)])
    return wallet.send({ to: this.#address, data }, `finish channel ${this.idOf(terms)}`, signal)
  }

  /** Closes at once with the host's signature over Release(channelId, claimed). */
  async release(
    wallet: Wallet,
    terms: ChannelTerms,
    claimed: bigint,
    hostSignature: Hex,
    signal: AbortSignal,
  ): Promise<TxReceipt> {
    const data = codec.encode('release', [toTerms(terms), claimed, splitSignature(hostSignature)])
    return wallet.send({ to: this.#address, data }, `release channel ${this.idOf(terms)}`, signal)
  }

  /** Brings an account's credit to its payee. Anybody may. */
  async withdraw(wallet: Wallet, token: Hex, account: Hex, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('withdraw', [token, account])
    return wallet.send({ to: this.#address, data }, `withdraw for ${account}`, signal)
  }

  /** Brings the fees of those tasks whose payee is `payee` to it. Anybody may. */
  async withdrawTasks(
    wallet: Wallet,
    token: Hex,
    payee: Hex,
    taskIds: readonly Hex[],
    signal: AbortSignal,
  ): Promise<TxReceipt> {
    const data = codec.encode('withdrawTasks', [token, payee, [...taskIds]])
    return wallet.send({ to: this.#address, data }, `withdraw the fees of ${taskIds.length} tasks`, signal)
  }

  /**
   * Ends a channel in one transaction, by the host, whose own call needs no signature: last vouchers in, channel released
   * and, where `payOut` says so, the host's credit and the named developers' fees out. Undone as a whole where one step
   * fails, also where less than `claimed` was claimed by then; then take the steps one by one.
   */
  async end(
    host: Wallet,
    group: ClaimGroup,
    claimed: bigint,
    payOut: { host: boolean; developers: readonly FeesOf[] },
    signal: AbortSignal,
  ): Promise<{ receipt: TxReceipt; paid: ClaimOutcome[] }> {
    const { terms } = group
    const calls = [
      toClaim([group]),
      codec.encode('release', [toTerms(terms), claimed, NO_SIGNATURE]),
      ...(payOut.host ? [codec.encode('withdraw', [terms.token, terms.host])] : []),
      ...payOut.developers.map((d) => codec.encode('withdrawTasks', [terms.token, d.payee, [...d.taskIds]])),
    ]
    const data = codec.encode('multicall', [calls])
    const receipt = await host.send({ to: this.#address, data }, `end channel ${this.idOf(terms)}`, signal)
    return { receipt, paid: this.#paidIn(receipt) }
  }

  #paidIn(receipt: TxReceipt): ClaimOutcome[] {
    const logs = receipt.logs.filter((log) => log.address === this.#address)
    return codec.events('Claimed', logs).map((event) => ({
      channelId: event['channelId'] as Hex,
      taskId: event['taskId'] as Hex,
      skip: 'none',
      hostPaid: event['hostPaid'] as bigint,
      developerPaid: event['developerPaid'] as bigint,
    }))
  }

  /** The value to send along: the amount itself, or nothing once the contract may move the token. */
  async #payment(wallet: Wallet, token: Hex, amount: bigint, signal: AbortSignal): Promise<bigint> {
    if (token === NATIVE) return amount
    await new Token(this.#chain, token).allow(wallet, this.#address, amount, signal)
    return 0n
  }
}

const FINISHED = 2n ** 64n - 1n
/** Where the contract looks at none; zeros are the cheapest bytes. */
const ZERO_WORD: Hex = `0x${'00'.repeat(32)}`
const NO_SIGNATURE = { r: ZERO_WORD, s: ZERO_WORD, v: 0 } as const

function impossible(channelId: Hex, deposit: bigint, claimed: bigint): MecaError {
  const message = `The endpoint says that of a deposit of ${deposit} (in the smallest unit) ${claimed} was claimed on channel ${channelId}`
  return new MecaError('chain_unreachable', message, { cure: 'Use another RPC endpoint.' })
}

function toTerms({ closeDelaySeconds, ...terms }: ChannelTerms) {
  return { ...terms, closeDelay: BigInt(closeDelaySeconds) }
}

/** The cheaper call where there is one row. */
function toClaim(groups: readonly ClaimGroup[]): Hex {
  const [row, ...others] = groups.flatMap(({ terms, rows }) => rows.map((one) => ({ terms, one })))
  if (row === undefined || others.length > 0) return codec.encode('claimVouchers', toRows(groups))
  return codec.encode('claimVoucher', [toTerms(row.terms), toRow(row.one)])
}

/** The contract takes host and token once, channels that say how many rows are theirs, and one list of rows. */
function toRows(groups: readonly ClaimGroup[]) {
  const { host, token } = sidesOf(groups)
  const heads = groups.map(({ terms, rows }) => ({ ...toTerms(terms), rows: BigInt(rows.length) }))
  const rows = groups.flatMap((group) => group.rows.map(toRow))
  return [host, token, heads, rows] as const
}

function sidesOf(groups: readonly ClaimGroup[]): Pick<ChannelTerms, 'host' | 'token'> {
  const [first, ...others] = groups.map(({ terms }) => terms)
  if (first !== undefined && others.every(({ host, token }) => host === first.host && token === first.token))
    return first
  throw new MecaError('internal', 'A claim is of channels of one host in one token, and of one at least')
}

function toRow(row: ClaimRow) {
  return { ...row, jobs: BigInt(row.jobs), signature: splitSignature(row.signature) }
}

function keepRows(groups: readonly ClaimGroup[], keep: (index: number) => boolean): ClaimGroup[] {
  let index = 0
  return groups
    .map(({ terms, rows }) => ({ terms, rows: rows.filter(() => keep(index++)) }))
    .filter(({ rows }) => rows.length > 0)
}

function requireRows(groups: readonly ClaimGroup[]): void {
  const rows = groups.reduce((sum, group) => sum + group.rows.length, 0)
  if (rows <= MAX_CLAIM_ROWS) return
  const cure = 'Claim in several transactions.'
  throw new MecaError('too_large', `${rows} rows in one claim, at most ${MAX_CLAIM_ROWS} fit in a block`, { cure })
}
