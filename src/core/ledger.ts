/**
 * The arithmetic of a channel's rows, on both sides. A row is one task on one channel; its numbers only grow.
 *
 * The bounds of design.md 2 are kept here. Client: what it can lose is `vouched - billed`, and `nextVoucher` never
 * vouches for more than what was billed plus the quotes in flight (or what it has already signed, which it cannot take
 * back). Host: `admit` starts a job only where its quote fits in `vouched - billed - reserved`, so no work is unpaid.
 */
import { MecaError } from './errors.ts'
import type { Show } from './money.ts'
import type { Price } from './tariff.ts'
import { MAX_AMOUNT } from './units.ts'

/** Cumulative numbers of one row: jobs with a fee, the host's part, the developers' part. */
export type Totals = { jobs: number; hostAmount: bigint; developerAmount: bigint }

/** `vouched` is the highest voucher; `billed` what receipts say; `reserved` the prices of jobs under way. */
export type Row = { vouched: Totals; billed: Totals; reserved: Totals }

export const ZERO: Totals = { jobs: 0, hostAmount: 0n, developerAmount: 0n }

export function emptyRow(): Row {
  return { vouched: ZERO, billed: ZERO, reserved: ZERO }
}

export function plus(a: Totals, b: Totals): Totals {
  return {
    jobs: a.jobs + b.jobs,
    hostAmount: a.hostAmount + b.hostAmount,
    developerAmount: a.developerAmount + b.developerAmount,
  }
}

export function minus(a: Totals, b: Totals): Totals {
  return {
    jobs: a.jobs - b.jobs,
    hostAmount: a.hostAmount - b.hostAmount,
    developerAmount: a.developerAmount - b.developerAmount,
  }
}

/** Component by component: what a voucher must be to replace another whatever order they arrive in. */
export function highest(a: Totals, b: Totals): Totals {
  return {
    jobs: Math.max(a.jobs, b.jobs),
    hostAmount: a.hostAmount > b.hostAmount ? a.hostAmount : b.hostAmount,
    developerAmount: a.developerAmount > b.developerAmount ? a.developerAmount : b.developerAmount,
  }
}

export function covers(a: Totals, b: Totals): boolean {
  return a.jobs >= b.jobs && a.hostAmount >= b.hostAmount && a.developerAmount >= b.developerAmount
}

export function equal(a: Totals, b: Totals): boolean {
  return covers(a, b) && covers(b, a)
}

export function sum(t: Totals): bigint {
  return t.hostAmount + t.developerAmount
}

export function asTotals(price: Price): Totals {
  return { jobs: 1, hostAmount: price.hostAmount, developerAmount: price.developerAmount }
}

/**
 * Client: what the next voucher must say so that the jobs in flight and `prices` are all covered. Throws `payment`
 * where that leaves the contracts' range, which only a hostile price can bring about.
 */
export function nextVoucher(row: Row, prices: readonly Price[], show: Show = String): Totals {
  const next = highest(row.vouched, plus(plus(row.billed, row.reserved), prices.map(asTotals).reduce(plus, ZERO)))
  if (sum(next) > MAX_AMOUNT)
    throw new MecaError(
      'payment',
      `The voucher would say ${show(sum(next))}, the largest amount is ${show(MAX_AMOUNT)}`,
    )
  return next
}

/**
 * Host: a voucher that the contract would skip is worth nothing, however high it is: it pays only where the developers'
 * part covers the fee of every job named. Throws `payment`.
 */
export function requireClaimable(voucher: Totals, fee: bigint, show: Show = String): void {
  const due = BigInt(voucher.jobs) * fee
  if (voucher.developerAmount >= due) return
  throw new MecaError(
    'payment',
    `The voucher has ${show(voucher.developerAmount)} for the developer, ${voucher.jobs} jobs of ${show(fee)} need ${show(due)}`,
    {
      details: { voucher: totalsToWire(voucher), fee: fee.toString() },
      cure: 'raise the number of jobs and the developer amount together',
    },
  )
}

/**
 * Host: a release ends the channel with what the chain has paid, so a chain that went back behind the last claim must be
 * waited for. Throws `busy`.
 */
export function requirePaid(rows: readonly Pick<Row, 'billed'>[], claimed: bigint, show: Show = String): void {
  const billed = rows.reduce((sum, { billed }) => sum + billed.hostAmount + billed.developerAmount, 0n)
  if (claimed >= billed) return
  throw new MecaError('busy', `The chain shows ${show(claimed)} as claimed, ${show(billed)} was billed`, {
    details: { claimed: claimed.toString(), billed: billed.toString() },
    cure: 'ask again in a minute: the claim is made again where the chain has lost it',
  })
}

/** Host: the row with this voucher counted in. A voucher that is not higher changes nothing. */
export function withVoucher(row: Row, voucher: Totals): Row {
  if (covers(row.vouched, voucher)) return row
  if (!covers(voucher, row.vouched)) {
    throw new MecaError('payment', 'The voucher is higher in one number and lower in another than the one before', {
      details: { before: totalsToWire(row.vouched), now: totalsToWire(voucher) },
      cure: 'sign cumulative numbers that never fall',
    })
  }
  return { ...row, vouched: voucher }
}

/** Both sides: the row with one more job under way. */
export function reserve(row: Row, price: Price): Row {
  return { ...row, reserved: plus(row.reserved, asTotals(price)) }
}

/** Host: refuses (`payment`) where the balance does not hold the price. */
export function admit(row: Row, price: Price, show: Show = String): Row {
  const balance = minus(minus(row.vouched, row.billed), row.reserved)
  const need = asTotals(price)
  if (!covers(balance, need)) {
    throw new MecaError(
      'payment',
      `The balance does not cover the job: ${show(sum(need))} needed, ${show(sum(balance))} vouched and unused`,
      {
        details: { balance: totalsToWire(balance), need: totalsToWire(need) },
        cure: 'send a voucher that covers the agreed total plus the quote',
      },
    )
  }
  return reserve(row, price)
}

/** Both sides: a job ended; its reservation goes and its bill stays. */
export function settle(row: Row, price: Price, bill: Totals): Row {
  return { ...row, reserved: minus(row.reserved, asTotals(price)), billed: plus(row.billed, bill) }
}

export type WireTotals = { jobs: number; hostAmount: string; developerAmount: string }

export function totalsToWire(t: Totals): WireTotals {
  return { jobs: t.jobs, hostAmount: t.hostAmount.toString(), developerAmount: t.developerAmount.toString() }
}
