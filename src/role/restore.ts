/**
 * How a host that lost records gets its money back: vouchers out of a copy, or out of the hands of the client that signed
 * them. Each is checked as the contract would check it; what the contract would refuse is refused here with the reason,
 * and nothing lower than what is known is taken.
 *
 * What a client says it owes exactly is believed as the bill where the bill is lost: it would say no more than is true.
 */
import { asMecaError, MecaError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import { covers, equal, minus, plus, requireClaimable, sum, ZERO } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { ChannelRecord } from '../core/records.ts'
import { recover } from '../core/signature.ts'
import { channelIdOf, voucherDigest } from '../core/typed.ts'
import type { ChannelTerms, Domain } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { cidOf } from '../core/cid.ts'
import { parseVoucherLine } from '../core/voucher-line.ts'
import type { VoucherLine } from '../core/voucher-line.ts'
import type { Book, LiveRow } from './book.ts'
import type { Currencies } from './currencies.ts'
import type { ChainChannel } from './host-components.ts'
import type { SignedVoucher } from './host-vouchers.ts'

export type RestoreComponents = {
  domain: Domain
  /** The host's own address. */
  host: Hex
  book: Book
  state(channelId: Hex, signal: AbortSignal): Promise<ChainChannel>
  lane(channelId: Hex, taskId: Hex, signal: AbortSignal): Promise<Totals>
  /** The registry's entry; undefined where there is no such task. */
  task(taskId: Hex, signal: AbortSignal): Promise<{ fee: bigint; token: Hex } | undefined>
  currencies: Currencies
  wallNow(): number
}

/** One voucher on its way back. */
type Coming = { terms: ChannelTerms; channelId: Hex; taskId: Hex; totals: Totals; signature: Hex; exact: boolean }
/** `known`: nothing new in it, or a higher one came with it. `collected`: the chain has paid it. */
export type Outcome = 'adopted' | 'known' | 'collected' | 'refused'
export type Judged = { outcome: Outcome; code?: ErrorCode; reason?: string; voucher?: VoucherLine }

/** Times that vouchers of one channel may be restored over its line: each asks the chain, and none is needed twice. */
const MAX_RESTORES = 300

export class Restorer {
  readonly #c: RestoreComponents
  readonly #restores = new Map<Hex, number>()
  /** Rows whose vouchers came back from a client; what it owes exactly has not. */
  readonly #behind = new Set<string>()

  constructor(c: RestoreComponents) {
    this.#c = c
  }

  /**
   * Takes exported lines; what each came to stands at its index. Where nothing says what was billed exactly, the highest
   * voucher counts as the bill; with `highest` it does so everywhere, for an owner who knows that the work was done.
   */
  async import(lines: readonly string[], highest: boolean, signal: AbortSignal): Promise<Judged[]> {
    const judged = lines.map((text) => this.#read(text))
    const known = new Set(this.#c.book.channels.keys())
    const touched = new Map<string, LiveRow>()
    const fresh = new Set<string>()
    for (const one of bestOfEach(judged)) {
      const key = keyOf(one.voucher)
      if (this.#c.book.row(one.voucher.channelId, one.voucher.taskId) === undefined) fresh.add(key)
      const { row, ...verdict } = await this.#judge(comingOf(one.voucher), signal)
      Object.assign(one, verdict)
      if (row !== undefined) touched.set(key, row)
    }
    const rows = [...touched].map(([key, row]) => this.#billed(row, highest || fresh.has(key), highest))
    const channels = [...this.#c.book.channels.values()].filter(({ channelId }) => !known.has(channelId))
    if (rows.length + channels.length > 0) await this.#c.book.commit('imported', { rows, channels })
    return judged
  }

  /** Vouchers that a client holds and this host lost. Throws `payment` for one that would not be paid. */
  async fromClient(
    channel: ChannelRecord,
    vouchers: readonly SignedVoucher[],
    signal: AbortSignal,
  ): Promise<LiveRow[]> {
    const rows = await this.#take(channel, vouchers, false, signal)
    for (const row of rows) this.#behind.add(keyOf(row))
    return rows
  }

  /** What is owed exactly on rows that were lost; on others the host's own bill stands, and nothing is done. */
  async billsFromClient(
    channel: ChannelRecord,
    vouchers: readonly SignedVoucher[],
    signal: AbortSignal,
  ): Promise<LiveRow[]> {
    const lost = vouchers.filter(({ taskId }) => this.#behind.delete(keyOf({ channelId: channel.channelId, taskId })))
    return lost.length === 0 ? [] : this.#take(channel, lost, true, signal)
  }

  async #take(
    { channelId, terms }: ChannelRecord,
    vouchers: readonly SignedVoucher[],
    exact: boolean,
    signal: AbortSignal,
  ): Promise<LiveRow[]> {
    const rows: LiveRow[] = []
    for (const { taskId, signature, jobs, hostAmount, developerAmount } of vouchers) {
      const totals = { jobs, hostAmount, developerAmount }
      const coming = { terms, channelId, taskId, totals, signature, exact }
      // What is known costs nothing: neither a look at its signature nor one at the chain.
      if (!exact && covers(this.#c.book.row(channelId, taskId)?.vouched ?? ZERO, totals)) continue
      this.#countRestore(channelId)
      requireSigned(this.#c.domain, coming)
      this.#requireDeposit(coming)
      const { row, outcome, reason = '' } = await this.#judge(coming, signal)
      if (outcome === 'refused') throw new MecaError('payment', reason)
      if (row !== undefined) rows.push(row)
    }
    if (rows.length > 0) await this.#c.book.commit('restored', { rows })
    return rows
  }

  #countRestore(channelId: Hex): void {
    const times = (this.#restores.get(channelId) ?? 0) + 1
    if (times > MAX_RESTORES) throw new MecaError('busy', `Vouchers of channel ${channelId} were restored too often`)
    this.#restores.set(channelId, times)
  }

  #read(text: string): Judged {
    try {
      const voucher = parseVoucherLine(text)
      this.#requireOurs(voucher)
      return { outcome: 'known', voucher }
    } catch (error) {
      return refused(error)
    }
  }

  #requireOurs(voucher: VoucherLine): void {
    const { domain, host } = this.#c
    const { chainId, channels, channelId, terms } = voucher
    if (chainId !== domain.chainId || channels !== domain.channels)
      throw new MecaError(
        'wrong_chain',
        `It is for ${channels} on chain ${chainId}, this node works with ${domain.channels} on ${domain.chainId}`,
      )
    if (channelIdOf(domain, terms) !== channelId)
      throw new MecaError('not_verified', `Its terms are not those of channel ${channelId}`)
    if (terms.host !== host) throw new MecaError('unauthorized', `It pays the host ${terms.host}, this is ${host}`)
    requireSigned(domain, comingOf(voucher))
  }

  /** What the chain and the book say to it; the row is staged where something new is in it. */
  async #judge(coming: Coming, signal: AbortSignal): Promise<Judged & { row?: LiveRow }> {
    try {
      const { channelId, taskId, totals, terms } = coming
      const state = await this.#c.state(channelId, signal)
      requireLive(channelId, state)
      requireTask(taskId, await this.#c.task(taskId, signal), terms.token, totals, this.#c.currencies)
      const claimed = await this.#c.lane(channelId, taskId, signal)
      if (!covers(totals, claimed) || sum(totals) === sum(claimed)) return { outcome: 'collected' }
      if (state.claimed >= state.deposit) throw usedUp(this.#c.currencies.show(state.deposit, terms.token))
      this.#stageChannel(coming, state)
      const row = this.#stageRow(coming, claimed)
      return row === undefined ? { outcome: 'known' } : { outcome: 'adopted', row }
    } catch (error) {
      return refused(error)
    }
  }

  #stageChannel({ channelId, terms }: Coming, { deposit, claimed, closesAt }: ChainChannel): void {
    if (this.#c.book.channels.has(channelId)) return
    const state = closesAt > 0 ? 'closing' : 'open'
    const createdAt = this.#c.wallNow()
    this.#c.book.stageChannel({ channelId, side: 'host', terms, state, deposit, claimed, closesAt, createdAt })
  }

  #stageRow({ channelId, taskId, totals, signature, exact }: Coming, claimed: Totals): LiveRow | undefined {
    const before = this.#c.book.row(channelId, taskId) ?? newRow(channelId, taskId)
    const row: LiveRow = { ...before, claimed }
    if (!covers(row.vouched, totals)) {
      requireHigher(row.vouched, totals)
      Object.assign(row, { vouched: totals, vouchedSignature: signature })
    }
    if (exact && (row.exact === undefined || !covers(row.exact.totals, totals))) {
      requireHigher(row.exact?.totals ?? ZERO, totals)
      row.exact = { totals, signature }
      // Jobs under way were admitted against the bill as it was, and must still fit.
      if (covers(totals, row.billed) && covers(row.vouched, plus(totals, row.reserved))) row.billed = totals
    }
    if (equal(row.vouched, before.vouched) && row.exact === before.exact) return undefined
    this.#c.book.stageRow(row)
    return row
  }

  /** A row whose bill nobody knows any more is billed as it was vouched for. */
  #billed({ channelId, taskId }: LiveRow, isLost: boolean, highest: boolean): LiveRow {
    const row = this.#c.book.row(channelId, taskId)
    if (row === undefined) throw new MecaError('internal', 'an imported row is not in the book')
    const isKnown = row.exact !== undefined && !highest
    if (!isLost || isKnown || sum(row.reserved) > 0n) return row
    const { vouched: totals, vouchedSignature: signature } = row
    const next: LiveRow = { ...row, billed: totals, exact: { totals, signature } }
    this.#c.book.stageRow(next)
    return next
  }

  #requireDeposit({ channelId, taskId, totals, terms }: Coming): void {
    const { book, currencies } = this.#c
    const deposit = book.channels.get(channelId)?.deposit ?? 0n
    const before = book.row(channelId, taskId)?.vouched ?? ZERO
    const after = book.vouchedOn(channelId) + sum(minus(totals, before))
    if (after <= deposit) return
    const [reached, most] = [after, deposit].map((amount) => currencies.show(amount, terms.token))
    throw new MecaError('payment', `The vouchers on the channel reach ${reached}, its deposit is ${most}`)
  }
}

/** For each channel, task and kind the highest alone is worth asking the chain for. */
function bestOfEach(judged: readonly Judged[]): (Judged & { voucher: VoucherLine })[] {
  const best = new Map<string, Judged & { voucher: VoucherLine }>()
  for (const one of judged) {
    const { voucher } = one
    if (voucher === undefined || one.outcome === 'refused') continue
    const key = `${voucher.channelId}/${voucher.taskId}/${voucher.exact ?? false}`
    const other = best.get(key)
    if (other === undefined || sum(voucher) > sum(other.voucher)) best.set(key, Object.assign(one, { voucher }))
  }
  return [...best.values()].sort((a, b) => Number(a.voucher.exact ?? false) - Number(b.voucher.exact ?? false))
}

function comingOf(voucher: VoucherLine): Coming {
  const { terms, channelId, taskId, jobs, hostAmount, developerAmount, signature, exact = false } = voucher
  return { terms, channelId, taskId, totals: { jobs, hostAmount, developerAmount }, signature, exact }
}

function requireSigned(domain: Domain, { channelId, taskId, totals, signature, terms }: Coming): void {
  if (recover(voucherDigest(domain, { channelId, taskId, ...totals }), signature) === terms.signer) return
  throw new MecaError('not_verified', `It is not signed by the channel's signer ${terms.signer}`)
}

function requireLive(channelId: Hex, { deposit, closed }: ChainChannel): void {
  if (closed)
    throw new MecaError('payment', `The channel ${channelId} is closed: nothing can be claimed from it any more`)
  if (deposit === 0n) throw new MecaError('not_found', `The chain knows no channel ${channelId}`)
}

/** A task without a fee may be paid in any token, as the contract has it. */
function requireTask(
  taskId: Hex,
  task: { fee: bigint; token: Hex } | undefined,
  token: Hex,
  totals: Totals,
  currencies: Currencies,
): void {
  if (task === undefined) throw new MecaError('not_found', `The registry knows no task ${taskId}`)
  const [sold, held] = [task.token, token].map((one) => currencies.name(one))
  if (task.fee > 0n && task.token !== token)
    throw new MecaError('payment', `The task's fee is in ${sold}, the channel holds ${held}`)
  requireClaimable(totals, task.fee, (amount) => currencies.show(amount, task.token))
}

function usedUp(deposit: string): MecaError {
  return new MecaError('payment', `The deposit ${deposit} is used up`)
}

function requireHigher(before: Totals, now: Totals): void {
  if (covers(now, before)) return
  throw new MecaError('payment', 'It is higher in one number and lower in another than the one that is known')
}

/** What is wrong with the voucher itself; a chain that does not answer says nothing about it. */
const VERDICTS: ReadonlySet<ErrorCode> = new Set([
  'bad_input',
  'wrong_chain',
  'not_verified',
  'unauthorized',
  'not_found',
  'payment',
])

function refused(error: unknown): Judged {
  const { code, message } = asMecaError(error)
  if (!VERDICTS.has(code)) throw error
  return { outcome: 'refused', code, reason: message }
}

function keyOf({ channelId, taskId }: { channelId: Hex; taskId: Hex }): string {
  return `${channelId}/${taskId}`
}

function newRow(channelId: Hex, taskId: Hex): LiveRow {
  const none = { vouched: ZERO, billed: ZERO, claimed: ZERO, reserved: ZERO }
  return { channelId, taskId, cid: cidOf(taskId), ...none, vouchedSignature: `0x${'00'.repeat(65)}` }
}
