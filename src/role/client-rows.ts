/**
 * The money of one channel at its client: what is vouched for, what was billed, and which vouchers the host has. Rows are
 * staged in the book here; who calls writes them down before a voucher leaves.
 */
import { cidOf } from '../core/cid.ts'
import { MecaError } from '../core/errors.ts'
import {
  asTotals,
  covers,
  emptyRow,
  equal,
  nextVoucher,
  plus,
  reserve,
  settle,
  sum,
  totalsToWire,
  ZERO,
} from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { ClientJob } from '../core/records.ts'
import { recover } from '../core/signature.ts'
import { voucherDigest } from '../core/typed.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { HostMessage } from '../core/wire.ts'
import type { LiveRow } from './book.ts'
import type { ClientComponents } from './client-components.ts'

/** A host says more rows than this in several messages, and what it lost is known only when all have come. */
const WELCOME_ROWS = 400

/** What the chain paid was signed for, but the signature is not here. */
const UNSIGNED: Hex = `0x${'00'.repeat(65)}`

export class ClientRows {
  readonly #c: ClientComponents
  readonly #channelId: Hex
  /** Tasks whose voucher, and whose exact sums, went out on this stream: what went out before may never have come. */
  readonly #vouchersSent = new Set<Hex>()
  readonly #exactSent = new Map<Hex, Totals>()
  /** What the host said at its welcome that it was vouched for. */
  readonly #hostHas = new Map<Hex, Totals>()
  #heardAll = true

  constructor(c: ClientComponents, channelId: Hex) {
    this.#c = c
    this.#channelId = channelId
  }

  /** Stages rows that cover the jobs; `fresh` are the vouchers that the host may not have. */
  vouch(batch: readonly ClientJob[]): { rows: LiveRow[]; fresh: LiveRow[] } {
    const rows: LiveRow[] = []
    const fresh: LiveRow[] = []
    for (const jobs of Map.groupBy(batch, ({ taskId }) => taskId).values()) {
      const [first] = jobs
      if (first === undefined) continue
      const before = this.of(first)
      const prices = jobs.map(({ price }) => price)
      const token = this.#c.book.channels.get(this.#channelId)?.terms.token ?? NATIVE
      const vouched = nextVoucher(before, prices, (amount) => this.#c.currencies.show(amount, token))
      const reserved = prices.map(asTotals).reduce(plus, before.reserved)
      const isFresh = !equal(vouched, before.vouched) || before.vouchedSignature === UNSIGNED
      this.#requireDeposit(before, vouched)
      const row = {
        ...before,
        vouched,
        reserved,
        vouchedSignature: isFresh ? this.#sign(before.taskId, vouched) : before.vouchedSignature,
      }
      this.#c.book.stageRow(row)
      rows.push(row)
      if (isFresh || !this.#vouchersSent.has(row.taskId)) fresh.push(row)
    }
    return { rows, fresh }
  }

  of({ taskId, cid }: ClientJob): LiveRow {
    return (
      this.#c.book.row(this.#channelId, taskId) ?? {
        channelId: this.#channelId,
        taskId,
        cid,
        ...emptyRow(),
        vouchedSignature: UNSIGNED,
        claimed: ZERO,
      }
    )
  }

  /** The vouchers as they go out on this stream. */
  sending(rows: readonly LiveRow[]) {
    for (const { taskId } of rows) this.#vouchersSent.add(taskId)
    return rows.map((row) => ({ taskId: row.taskId, ...totalsToWire(row.vouched), signature: row.vouchedSignature }))
  }

  /** Signatures over what is owed to the last unit, where this stream has not carried them yet. */
  sendingExact() {
    return this.#c.book.rowsOf(this.#channelId).flatMap((row) => {
      const sent = this.#exactSent.get(row.taskId)
      if ((sent !== undefined && equal(sent, row.billed)) || sum(row.billed) === 0n) return []
      const signature = this.#sign(row.taskId, row.billed)
      this.#exactSent.set(row.taskId, row.billed)
      return [{ taskId: row.taskId, ...totalsToWire(row.billed), signature }]
    })
  }

  /** On a new stream nothing was sent. */
  forgetSent(): void {
    this.#vouchersSent.clear()
    this.#exactSent.clear()
  }

  /** Nothing ran: the price is free again. */
  free(job: ClientJob): LiveRow {
    // Whoever refuses a job may not have looked at the voucher beside it, such as a host whose disk is full.
    this.#vouchersSent.delete(job.taskId)
    const row = this.of(job)
    const freed = { ...row, ...settle(row, job.price, ZERO) }
    this.#c.book.stageRow(freed)
    return freed
  }

  /** What was reserved becomes what was billed; `freed` where it was no longer reserved. */
  bill(job: ClientJob, bill: Totals, freed: boolean): LiveRow {
    const row = this.of(job)
    const held = freed ? { ...row, ...reserve(row, job.price) } : row
    const settled: LiveRow = { ...held, ...settle(held, job.price, bill) }
    this.#c.book.stageRow(settled)
    return settled
  }

  /** The first that a host says on a new stream. */
  welcomed(message: HostMessage<'welcome'>): Promise<void> {
    this.#hostHas.clear()
    this.#heardAll = message.rows.length < WELCOME_ROWS
    return this.restore(message)
  }

  /** Vouchers that the host lost: what it said at its welcome is lower. */
  lostByHost(): LiveRow[] {
    if (!this.#heardAll) return []
    const rows = this.#c.book.rowsOf(this.#channelId)
    return rows.filter(
      ({ taskId, vouched, vouchedSignature }) =>
        vouchedSignature !== UNSIGNED && sum(vouched) > 0n && !covers(this.#hostHas.get(taskId) ?? ZERO, vouched),
    )
  }

  /** A client that lost its records takes from the host what it signed itself, and nothing else. */
  async restore({ rows }: HostMessage<'welcome'>): Promise<void> {
    const restored: LiveRow[] = []
    for (const row of rows) {
      this.#hostHas.set(row.taskId, row.vouched)
      const mine = this.#c.book.row(this.#channelId, row.taskId)
      if (mine !== undefined && (covers(mine.vouched, row.vouched) || !covers(row.vouched, mine.vouched))) continue
      const digest = voucherDigest(this.#c.domain, { channelId: this.#channelId, taskId: row.taskId, ...row.vouched })
      if (recover(digest, row.signature) !== this.#c.signer.address) continue
      restored.push({
        channelId: this.#channelId,
        taskId: row.taskId,
        cid: cidOf(row.taskId),
        reserved: ZERO,
        claimed: ZERO,
        ...mine,
        vouched: row.vouched,
        vouchedSignature: row.signature,
        // More than was told here before, and what the chain paid, was billed in any case.
        billed: mine === undefined || covers(row.billed, mine.billed) ? row.billed : mine.billed,
      })
    }
    for (const row of restored) this.#c.book.stageRow(row)
    if (restored.length > 0) await this.#c.book.commit('restored', { rows: restored })
  }

  /** The contract would pay in proportion where vouchers exceed the deposit; an honest client never signs that. */
  #requireDeposit(before: LiveRow, vouched: Totals): void {
    const channel = this.#c.book.channels.get(this.#channelId)
    const deposit = channel?.deposit ?? 0n
    const after = this.#c.book.vouchedOn(this.#channelId) - sum(before.vouched) + sum(vouched)
    if (after > deposit) {
      const show = (amount: bigint) => this.#c.currencies.show(amount, channel?.terms.token ?? NATIVE)
      throw new MecaError(
        'insufficient_funds',
        `The channel holds ${show(deposit)}, the vouchers would reach ${show(after)}`,
        {
          cure: 'try again: the channel is topped up first',
        },
      )
    }
  }

  #sign(taskId: Hex, totals: Totals): Hex {
    return this.#c.signer.sign(voucherDigest(this.#c.domain, { channelId: this.#channelId, taskId, ...totals }))
  }
}
