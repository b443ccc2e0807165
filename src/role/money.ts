/** What a person can ask about this node's money, from both books and the chain: channels, claims, credit, agreement. */
import { MecaError } from '../core/errors.ts'
import { sum } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { ChannelRecord } from '../core/records.ts'
import type { Signer } from '../core/signature.ts'
import type { Domain } from '../core/typed.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { TokenInfo } from './api-common.ts'
import type {
  ChannelRow,
  ChannelSummary,
  ClaimedIn,
  ClaimReport,
  EarningsOptions,
  EarningsReport,
  MoneyApi,
  PayoutReport,
  ReconcileReport,
  RecoverReport,
  RestoredRow,
  RestoreReport,
  VoucherCopies,
  WalletInfo,
  WithdrawReport,
} from './api-money.ts'
import type { Book, LiveRow } from './book.ts'
import type { Client } from './client.ts'
import { copiesOf } from './copies.ts'
import type { Earnings } from './earnings.ts'
import type { Payer } from './payer.ts'
import type { Recovery } from './recover.ts'
import type { Judged, Restorer } from './restore.ts'
import type { Claimed, Settler } from './settle.ts'
import type { ChainChannel } from './host-components.ts'

export type MoneyComponents = {
  domain: Domain
  signer: Signer
  clientBook: Book
  /** Channels on which this address is the host, as its records have them also while no host runs. */
  hostBook(): Promise<Book>
  /** Absent where this node does not run as a host. */
  host?: { settler: Settler; restorer: Restorer }
  client: Client
  payer: Payer
  recovery: Recovery
  earnings: Earnings
  tokens: readonly TokenInfo[]
  chain: {
    state(channelId: Hex, signal: AbortSignal): Promise<ChainChannel>
    lane(channelId: Hex, taskId: Hex, signal: AbortSignal): Promise<Totals>
    balance(token: Hex, signal: AbortSignal): Promise<bigint>
    /** Everything that `withdraw` would bring for this node's address: a host's, a client's and a developer's. */
    credit(token: Hex, signal: AbortSignal): Promise<bigint>
    withdraw(
      token: Hex,
      signal: AbortSignal,
    ): Promise<{ tx: Hex; gasUsed: bigint; to: Hex; amount: bigint } | undefined>
    payout(to: Hex | undefined, signal: AbortSignal): Promise<PayoutReport>
    startClose(terms: ChannelRecord['terms'], signal: AbortSignal): Promise<void>
    finishClose(terms: ChannelRecord['terms'], signal: AbortSignal): Promise<void>
    release(terms: ChannelRecord['terms'], claimed: bigint, hostSignature: Hex, signal: AbortSignal): Promise<void>
  }
}

export class Money implements MoneyApi {
  readonly #c: MoneyComponents

  constructor(c: MoneyComponents) {
    this.#c = c
  }

  async wallet(signal: AbortSignal): Promise<WalletInfo> {
    await this.#c.recovery.idle(signal)
    const balances = await Promise.all(
      this.#c.tokens.map(async (token) => ({
        token,
        wallet: (await this.#c.chain.balance(token.address, signal)).toString(),
        credit: (await this.#c.chain.credit(token.address, signal)).toString(),
        locked: this.#locked(token.address).toString(),
      })),
    )
    return { address: this.#c.signer.address, balances }
  }

  async channels(signal: AbortSignal): Promise<ChannelSummary[]> {
    await this.#c.recovery.idle(signal)
    for (const channel of this.#c.clientBook.channels.values()) {
      if (channel.state !== 'closed') await this.#readLanes(await this.#c.payer.refresh(channel, signal), signal)
    }
    return (await this.#all()).map(([channel, book]) => summary(channel, book))
  }

  async open(host: Hex, deposit: bigint, signal: AbortSignal, token = this.#defaultToken()): Promise<ChannelSummary> {
    if (deposit === 0n || host === NATIVE)
      throw new MecaError('bad_input', `A channel needs a host and a deposit, got ${host} and ${deposit}`, {
        cure: 'give the address of a host (meca hosts list) and an amount above 0',
      })
    const channel = await this.#c.payer.open(host, token, deposit, deposit, signal)
    return summary(channel, this.#c.clientBook)
  }

  async close(channelId: Hex, signal: AbortSignal): Promise<ChannelSummary> {
    const channel = await this.#c.payer.refresh(this.#clientChannel(channelId), signal)
    if (channel.state === 'open') await this.#leave(channel, signal)
    else if (channel.state === 'closing') await this.#finish(channel, signal)
    return summary(await this.#readLanes(await this.#c.payer.refresh(channel, signal), signal), this.#c.clientBook)
  }

  /** What the chain has paid out of each row of a client's channel; its host is told that anyway. */
  async #readLanes(channel: ChannelRecord, signal: AbortSignal): Promise<ChannelRecord> {
    const { clientBook, chain } = this.#c
    const { channelId, claimed } = channel
    const rows = clientBook.rowsOf(channelId)
    if (rows.reduce((all, row) => all + sum(row.claimed), 0n) === claimed) return channel
    const changed: LiveRow[] = []
    for (const { taskId } of rows) {
      const paid = await chain.lane(channelId, taskId, signal)
      const row = clientBook.row(channelId, taskId)
      if (row === undefined) continue
      changed.push({ ...row, claimed: paid })
      clientBook.stageRow({ ...row, claimed: paid })
    }
    await clientBook.commit('claimed', { rows: changed })
    return channel
  }

  /** With the host's word in one transaction; without it by the delay that the channel names. */
  async #leave(channel: ChannelRecord, signal: AbortSignal): Promise<void> {
    try {
      const { claimed, signature } = await this.#c.client.session(channel).release(signal)
      failpoint('client.close-agreed')
      await this.#c.chain.release(channel.terms, claimed, signature, signal)
      failpoint('client.close-mined')
    } catch (error) {
      const away =
        error instanceof MecaError &&
        ['peer_unreachable', 'busy', 'refused', 'payment', 'unauthorized', 'timeout'].includes(error.code)
      if (!away) throw error
      await this.#c.chain.startClose(channel.terms, signal)
    }
  }

  async #finish(channel: ChannelRecord, signal: AbortSignal): Promise<void> {
    if (channel.closesAt === 0) return this.#leave(channel, signal)
    try {
      await this.#c.chain.finishClose(channel.terms, signal)
    } catch (error) {
      // The delay is not over by the chain's clock: nothing is wrong, and the answer says when it is.
      if (!(error instanceof MecaError && String(error.details?.['reason']).startsWith('NotYet'))) throw error
    }
  }

  async claim(options: { channel?: Hex }): Promise<ClaimReport> {
    const { settler } = this.#host()
    const { channel } = options
    if (channel !== undefined && !(await this.#c.hostBook()).channels.has(channel))
      throw new MecaError('not_found', `This node has no channel ${channel} as a host`, {
        cure: 'see meca channel list',
      })
    const claims = await settler.claim(channel)
    const own = this.#defaultToken()
    const sums = [...Map.groupBy(claims, ({ token }) => token)].map(([token, of]) => claimedIn(token, of))
    const main = sums.find(({ token }) => token === own) ?? sums[0] ?? claimedIn(own, [])
    return {
      tx: claims.find(({ tx }) => tx !== null)?.tx ?? null,
      gas: claims.reduce((all, c) => all + c.gasUsed, 0n).toString(),
      ...main,
      others: sums.filter((other) => other !== main),
    }
  }

  async withdraw(options: { token?: Hex }, signal: AbortSignal): Promise<WithdrawReport> {
    const token = options.token ?? this.#defaultToken()
    const done = await this.#c.chain.withdraw(token, signal)
    if (done === undefined) return { tx: null, gas: '0', amount: '0', to: this.#c.signer.address, token }
    return { tx: done.tx, gas: done.gasUsed.toString(), amount: done.amount.toString(), to: done.to, token }
  }

  async reconcile(signal: AbortSignal): Promise<ReconcileReport> {
    const lines: ReconcileReport['lines'] = []
    for (const [channel, book] of await this.#all()) {
      const state = await this.#c.chain.state(channel.channelId, signal)
      const rows = book.rowsOf(channel.channelId)
      for (const row of rows) {
        const lane = await this.#c.chain.lane(channel.channelId, row.taskId, signal)
        lines.push(
          line(channel, row, 'host', row.billed.hostAmount, lane.hostAmount),
          line(channel, row, 'developer', row.billed.developerAmount, lane.developerAmount),
        )
      }
      const paid = rows.length === 0 ? 0n : await this.#lanesSum(channel.channelId, rows, signal)
      lines.push({
        channel: channel.channelId,
        task: NO_TASK,
        token: channel.terms.token,
        what: 'paid out of the deposit',
        ledger: paid.toString(),
        chain: state.claimed.toString(),
        difference: (paid - state.claimed).toString(),
        ok: paid === state.claimed,
      })
    }
    return { ok: lines.every(({ ok }) => ok), lines }
  }

  async payout(to: Hex | undefined, signal: AbortSignal): Promise<PayoutReport> {
    if (to === NATIVE)
      throw new MecaError('bad_input', `Nobody has the address ${to}, so nothing is paid to it`, {
        cure: 'give an address that you hold the key of',
      })
    return this.#c.chain.payout(to, signal)
  }

  earnings(options: EarningsOptions, signal: AbortSignal): Promise<EarningsReport> {
    return this.#c.earnings.report(options, signal)
  }

  recover(signal: AbortSignal): Promise<RecoverReport> {
    return this.#c.recovery.run(signal)
  }

  async vouchers(): Promise<VoucherCopies> {
    const books = [this.#c.clientBook, await this.#c.hostBook()]
    return { lines: books.flatMap((book) => copiesOf(this.#c.domain, book, this.#c.signer)) }
  }

  async restore(
    lines: readonly string[],
    { highest = false }: { highest?: boolean },
    signal: AbortSignal,
  ): Promise<RestoreReport> {
    const judged = await this.#host().restorer.import(lines, highest, signal)
    const count = (outcome: Judged['outcome']) => judged.filter((one) => one.outcome === outcome).length
    return {
      adopted: count('adopted'),
      known: count('known'),
      collected: count('collected'),
      refused: count('refused'),
      rows: judged.map(restoredRow),
    }
  }

  #host(): NonNullable<MoneyComponents['host']> {
    if (this.#c.host !== undefined) return this.#c.host
    throw new MecaError('bad_input', 'This node is no host, so nobody vouched for anything to it', {
      cure: "give --home of a host's home folder, and let the host run",
    })
  }

  async #lanesSum(channelId: Hex, rows: readonly LiveRow[], signal: AbortSignal): Promise<bigint> {
    const lanes = await Promise.all(rows.map((row) => this.#c.chain.lane(channelId, row.taskId, signal)))
    return lanes.reduce((all, lane) => all + sum(lane), 0n)
  }

  async #all(): Promise<[ChannelRecord, Book][]> {
    const books = [this.#c.clientBook, await this.#c.hostBook()]
    return books.flatMap((book) => [...book.channels.values()].map((channel): [ChannelRecord, Book] => [channel, book]))
  }

  #locked(token: Hex): bigint {
    return [...this.#c.clientBook.channels.values()]
      .filter((c) => c.terms.token === token && c.state !== 'closed')
      .reduce((all, c) => all + c.deposit - c.claimed, 0n)
  }

  #clientChannel(channelId: Hex): ChannelRecord {
    const channel = this.#c.clientBook.channels.get(channelId)
    if (channel === undefined)
      throw new MecaError('not_found', `This node has no channel ${channelId} as a client`, {
        cure: 'see meca channel list',
      })
    return channel
  }

  #defaultToken(): Hex {
    const token = this.#c.tokens[0]
    if (token === undefined) throw new MecaError('internal', 'the market has no token')
    return token.address
  }
}

function claimedIn(token: Hex, claims: readonly Claimed[]): ClaimedIn {
  return {
    token,
    rows: claims.reduce((all, c) => all + c.rows, 0),
    host: claims.reduce((all, c) => all + c.hostAmount, 0n).toString(),
    developer: claims.reduce((all, c) => all + c.developerAmount, 0n).toString(),
  }
}

const NO_TASK: Hex = `0x${'00'.repeat(32)}`

/** What the chain paid may lag behind what was billed, and may never be more than that. */
function line(
  channel: ChannelRecord,
  row: LiveRow,
  what: string,
  billed: bigint,
  paid: bigint,
): ReconcileReport['lines'][number] {
  const difference = billed - paid
  const ok = channel.state === 'closed' ? difference === 0n : difference >= 0n
  return {
    channel: channel.channelId,
    task: row.taskId,
    token: channel.terms.token,
    what,
    ledger: billed.toString(),
    chain: paid.toString(),
    difference: difference.toString(),
    ok,
  }
}

function summary(channel: ChannelRecord, book: Book): ChannelSummary {
  const rows = book.rowsOf(channel.channelId)
  const vouched = rows.reduce((all, row) => all + sum(row.vouched), 0n)
  return {
    channel: channel.channelId,
    side: channel.side,
    client: channel.terms.client,
    host: channel.terms.host,
    token: channel.terms.token,
    state: channel.state,
    ...(channel.closesAt > 0 ? { closesAt: channel.closesAt * 1000 } : {}),
    deposit: channel.deposit.toString(),
    locked: (channel.state === 'closed' ? 0n : channel.deposit - channel.claimed).toString(),
    vouched: vouched.toString(),
    billed: rows.reduce((all, row) => all + sum(row.billed), 0n).toString(),
    claimed: channel.claimed.toString(),
    refundable: (channel.state === 'closed'
      ? 0n
      : channel.deposit - (vouched > channel.claimed ? vouched : channel.claimed)
    ).toString(),
    rows: rows.map(rowSummary),
  }
}

function restoredRow({ outcome, code, reason, voucher }: Judged): RestoredRow {
  return {
    outcome,
    ...(code === undefined ? {} : { code }),
    ...(reason === undefined ? {} : { reason }),
    ...(voucher === undefined
      ? {}
      : {
          channel: voucher.channelId,
          task: voucher.taskId,
          token: voucher.terms.token,
          host: voucher.hostAmount.toString(),
          developer: voucher.developerAmount.toString(),
        }),
  }
}

function rowSummary(row: LiveRow): ChannelRow {
  const plain = ({ jobs, hostAmount, developerAmount }: Totals) => ({
    jobs,
    host: hostAmount.toString(),
    developer: developerAmount.toString(),
  })
  return {
    task: row.taskId,
    cid: row.cid,
    vouched: plain(row.vouched),
    billed: plain(row.billed),
    claimed: plain(row.claimed),
  }
}
