/**
 * A client and a host on one row, with a network between them that delays, repeats, reorders and loses. Both sides do
 * what design.md 5 says, on src/core/ledger.ts; after every step the bounds of design.md 2.2 are held against the state.
 */
import assert from 'node:assert/strict'
import {
  admit,
  covers,
  emptyRow,
  equal,
  highest,
  minus,
  nextVoucher,
  plus,
  requireClaimable,
  reserve,
  settle,
  withVoucher,
  ZERO,
} from '../../src/core/ledger.ts'
import type { Row, Totals } from '../../src/core/ledger.ts'
import { billOf, STATUS } from '../../src/core/receipt.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { Price } from '../../src/core/tariff.ts'
import type { Receipt } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'

/** `pick` chooses among what is there: a message, a job. */
export type Step =
  | { do: 'submit'; prices: readonly bigint[] }
  | { do: 'resend'; pick: number }
  | { do: 'deliver'; pick: number; keep: boolean; busy: boolean }
  | { do: 'lose'; pick: number }
  | { do: 'finish'; pick: number; status: keyof typeof STATUS; share: number }
  | { do: 'restartHost' }

type Bill = Pick<Receipt, 'status' | 'hostAmount' | 'developerAmount'>
type Message =
  | { to: 'host'; voucher: Totals; jobs: readonly { id: number; price: Price }[] }
  | { to: 'client'; id: number; bill: Bill | 'refused' }

type ClientJob = { price: Price; state: 'sent' | 'refused' | 'done' }
type HostJob = { price: Price; bill?: Bill }

const BLANK = `0x${'0'.repeat(64)}` as const

export class World {
  readonly fee: bigint
  client: Row = emptyRow()
  host: Row = emptyRow()
  readonly net: Message[] = []
  readonly signed: Totals[] = []
  readonly clientJobs = new Map<number, ClientJob>()
  readonly hostJobs = new Map<number, HostJob>()
  /** The most that was ever reserved at once: the quotes in flight that bound the client's loss. */
  inFlightMost: Totals = ZERO
  /** Jobs that the host refused because its voucher did not cover them. */
  unpaid = 0

  constructor(fee: bigint) {
    this.fee = fee
  }

  step(step: Step): void {
    if (step.do === 'submit') this.#submit(step.prices)
    else if (step.do === 'resend') this.#resend(step.pick)
    else if (step.do === 'deliver') this.#deliver(step.pick, step.keep, step.busy)
    else if (step.do === 'lose') this.#take(step.pick)
    else if (step.do === 'finish') this.#finish(step.pick, STATUS[step.status], step.share)
    else this.#restartHost()
    this.check()
  }

  /** Everybody resends until everything is known on both sides. */
  settleDown(): void {
    for (let round = 0; round < 4; round++) {
      for (const [id] of this.#open()) this.#send([id])
      while (this.net.length > 0) this.#deliver(0, false)
      while (this.#running().length > 0) this.#finish(0, STATUS.answered, 500)
      while (this.net.length > 0) this.#deliver(0, false)
      this.check()
    }
  }

  /**
   * Bills of jobs that ran although the client was told that they were refused: a copy of the request came through
   * later, and its receipt was lost. All that the two books may differ by.
   */
  unheard(): Totals {
    const ran = [...this.hostJobs].filter(([id]) => this.#clientJob(id).state === 'refused')
    return ran
      .flatMap(([, { price, bill }]) => (bill === undefined ? [] : [billOf({ ...NO_RECEIPT, ...bill }, price)]))
      .reduce(plus, ZERO)
  }

  check(): void {
    const { client, host, signed } = this
    assert.ok(covers(host.vouched, plus(host.billed, host.reserved)), 'the host works only for money that it holds')
    assert.ok(
      equal(host.vouched, ZERO) || signed.some((v) => equal(v, host.vouched)),
      'the host holds a voucher that the client signed',
    )
    assert.ok(covers(client.vouched, host.vouched), 'nobody vouches for the client')
    assert.ok(
      covers(this.inFlightMost, minus(client.vouched, client.billed)),
      'the client can lose the quotes in flight, no more',
    )
    assert.ok(covers(client.reserved, ZERO) && covers(host.reserved, ZERO), 'a reservation ends once')
    assert.ok(covers(host.billed, client.billed), 'the client counts only what the host billed')
  }

  #submit(amounts: readonly bigint[]): void {
    const ids = amounts.map((hostAmount) => {
      const id = this.clientJobs.size
      this.clientJobs.set(id, {
        price: { token: NATIVE, hostAmount, developerAmount: this.fee, maxSeconds: 1 },
        state: 'sent',
      })
      return id
    })
    const prices = ids.map((id) => this.#clientJob(id).price)
    this.#sign(nextVoucher(this.client, prices))
    for (const price of prices) this.client = reserve(this.client, price)
    assert.ok(
      covers(this.client.vouched, plus(this.client.billed, this.client.reserved)),
      'a voucher covers all that is in flight',
    )
    this.inFlightMost = highest(this.inFlightMost, this.client.reserved)
    this.#send(ids)
  }

  #sign(voucher: Totals): void {
    const before = this.signed.at(-1) ?? ZERO
    assert.ok(covers(voucher, before), 'cumulative numbers never fall')
    assert.equal(voucher.developerAmount, BigInt(voucher.jobs) * this.fee, 'what is signed can be claimed')
    this.signed.push(voucher)
    this.client = { ...this.client, vouched: voucher }
  }

  #send(ids: readonly number[]): void {
    this.net.push({
      to: 'host',
      voucher: this.client.vouched,
      jobs: ids.map((id) => ({ id, price: this.#clientJob(id).price })),
    })
  }

  #resend(pick: number): void {
    const open = this.#open()
    const job = open[pick % Math.max(1, open.length)]
    if (job !== undefined) this.#send([job[0]])
  }

  #deliver(pick: number, keep: boolean, busy = false): void {
    const message = this.#take(pick)
    if (message === undefined) return
    if (keep) this.net.push(message)
    if (message.to === 'host') this.#atHost(message, busy)
    else this.#atClient(message)
  }

  /** A busy host keeps the voucher and refuses what is new to it. */
  #atHost({ voucher, jobs }: Extract<Message, { to: 'host' }>, busy: boolean): void {
    requireClaimable(voucher, this.fee)
    this.host = withVoucher(this.host, voucher)
    for (const { id, price } of jobs) {
      const known = this.hostJobs.get(id)
      if (known?.bill !== undefined) this.net.push({ to: 'client', id, bill: known.bill })
      else if (known === undefined && busy) this.#refuse(id)
      else if (known === undefined) this.#admit(id, price)
    }
  }

  #admit(id: number, price: Price): void {
    try {
      this.host = admit(this.host, price)
      this.hostJobs.set(id, { price })
    } catch (error) {
      assert.ok(error instanceof MecaError && error.code === 'payment')
      this.unpaid++
      this.#refuse(id)
    }
  }

  #refuse(id: number): void {
    this.net.push({ to: 'client', id, bill: 'refused' })
  }

  #finish(pick: number, status: number, share: number): void {
    const running = this.#running()
    const found = running[pick % Math.max(1, running.length)]
    if (found === undefined) return
    const [id, { price }] = found
    const hostAmount = status === STATUS.host_failed ? 0n : (price.hostAmount * BigInt(share)) / 1000n
    const bill = { status, hostAmount, developerAmount: status === STATUS.answered ? price.developerAmount : 0n }
    this.host = settle(this.host, price, billOf({ ...NO_RECEIPT, ...bill }, price))
    this.hostJobs.set(id, { price, bill })
    this.net.push({ to: 'client', id, bill })
  }

  /** A refusal frees the price; a receipt that comes after all, because a copy of the request ran, counts as billed. */
  #atClient({ id, bill }: Extract<Message, { to: 'client' }>): void {
    const job = this.#clientJob(id)
    if (job.state === 'done' || (bill === 'refused' && job.state === 'refused')) return
    if (job.state === 'refused') this.client = reserve(this.client, job.price)
    this.client = settle(
      this.client,
      job.price,
      bill === 'refused' ? ZERO : billOf({ ...NO_RECEIPT, ...bill }, job.price),
    )
    job.state = bill === 'refused' ? 'refused' : 'done'
  }

  /** Rows are on disk, reservations are made again from the jobs that had not ended. */
  #restartHost(): void {
    this.host = { ...this.host, reserved: ZERO }
    for (const [, job] of this.#running()) this.host = reserve(this.host, job.price)
  }

  #take(pick: number): Message | undefined {
    return this.net.splice(pick % Math.max(1, this.net.length), 1)[0]
  }

  #open(): [number, ClientJob][] {
    return [...this.clientJobs].filter(([, job]) => job.state === 'sent')
  }

  #running(): [number, HostJob][] {
    return [...this.hostJobs].filter(([, job]) => job.bill === undefined)
  }

  #clientJob(id: number): ClientJob {
    const job = this.clientJobs.get(id)
    assert.ok(job !== undefined)
    return job
  }
}

const NO_RECEIPT: Receipt = {
  channelId: BLANK,
  jobHash: BLANK,
  taskId: BLANK,
  inputHash: BLANK,
  outputHash: BLANK,
  status: 1,
  hostAmount: 0n,
  developerAmount: 0n,
  startedAt: 0,
  endedAt: 0,
}
