/**
 * Sequences of vouchers on several tasks of one channel, sound and not: what the host's own check takes for money is
 * paid by the contract to the last wei, and what it refuses would not have been paid in full.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MecaError } from '../../../src/core/errors.ts'
import { ZERO } from '../../../src/core/ledger.ts'
import type { Totals } from '../../../src/core/ledger.ts'
import type { ChannelRecord } from '../../../src/core/records.ts'
import { voucherDigest } from '../../../src/core/typed.ts'
import { Book } from '../../../src/role/book.ts'
import { Currencies } from '../../../src/role/currencies.ts'
import { takeVoucher } from '../../../src/role/host-vouchers.ts'
import type { SignedVoucher } from '../../../src/role/host-vouchers.ts'
import { openHome } from '../../../src/store/home.ts'
import { Store } from '../../../src/store/store.ts'
import { openTables } from '../../../src/wiring/tables.ts'
import type { PricedTask, Site } from './ground.ts'
import type { Random } from './random.ts'
import type { Tally } from './tally.ts'

const ROWS_A_CLAIM = 40
/** Reasons are not compared, only verdicts. */
const UNNAMED = new Currencies([])
const KIND = 'voucher in a sequence'

export async function compareClaims(site: Site, random: Random, rows: number, tally: Tally): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-differential-'))
  const home = await openHome(folder, { ballastBytes: 0, floorBytes: 0 })
  const store = await Store.open(home)
  try {
    // Nothing is ever committed, so that each sequence begins with an empty book, as the chain does.
    for (let done = 0; done < rows;) {
      const book = await Book.open(store, openTables(store), 'host')
      done += await compareClaim(site, book, random, Math.min(ROWS_A_CLAIM, rows - done), tally)
    }
  } finally {
    await store.close()
    await home.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** What the host's check said: `money` grew, or nothing changed, or it was refused. */
type Verdict = 'money' | 'nothing' | 'refused' | 'overdrawn'

/** Returns how many rows were compared. */
async function compareClaim(site: Site, book: Book, random: Random, count: number, tally: Tally): Promise<number> {
  const { market, terms, host, deposit, claimed } = site
  const channel = channelOf(site)
  const rows = makeRows(site, random, count)
  const outcomes = await market.channels.dryClaim(
    [{ terms, rows: rows.map(({ voucher }) => voucher) }],
    host.address,
    market.signal,
  )
  let left = deposit - claimed
  for (const [i, { move, voucher, task }] of rows.entries()) {
    const before = book.row(channel.channelId, voucher.taskId)?.vouched
    const verdict = judge(site, book, channel, voucher, task)
    const { skip = 'none', hostPaid = 0n, developerPaid = 0n } = outcomes[i] ?? {}
    const due =
      voucher.hostAmount + voucher.developerAmount - (before?.hostAmount ?? 0n) - (before?.developerAmount ?? 0n)
    const paid = hostPaid + developerPaid
    const agreed =
      verdict === 'money' ? skip === 'none' && paid === due : paid === 0n || (verdict === 'overdrawn' && paid === left)
    const damage = move === 'sound' ? undefined : { form: move, group: move }
    tally.count(
      KIND,
      damage,
      agreed,
      verdict === 'money',
      () => `${verdict}, the contract says ${skip} and pays ${paid} of ${due}`,
    )
    left -= paid
    // From here on the chain has paid what the book refused; their numbers have nothing more to do with each other.
    if (verdict === 'overdrawn') return i + 1
  }
  return count
}

function judge(
  { domain }: Site,
  book: Book,
  channel: ChannelRecord,
  voucher: SignedVoucher,
  task: PricedTask,
): Verdict {
  const before = book.row(channel.channelId, voucher.taskId)?.vouched
  const entry = { ...task, developer: NOBODY, payee: NOBODY, name: 'task', version: '1', retired: false }
  try {
    const row = takeVoucher(domain, book, channel, voucher, { cid: 'cid', taskId: task.taskId, entry }, UNNAMED)
    if (row === undefined) return 'nothing'
    if (amountOf(row.vouched) > amountOf(before ?? ZERO)) return 'money'
    // More jobs and no more money: good for a job that costs nothing, and nothing that the chain would ever hear of. The
    // host keeps to it and refuses fewer jobs later; forgotten here, so that both sides go on from the same numbers.
    book.stageRow({ ...row, vouched: before ?? ZERO })
    return 'nothing'
  } catch (error) {
    if (!(error instanceof MecaError) || error.code !== 'payment') throw error
    return error.details?.['deposit'] === undefined ? 'refused' : 'overdrawn'
  }
}

const NOBODY = `0x${'00'.repeat(19)}01` as const

type Made = { move: Move; voucher: SignedVoucher; task: PricedTask }

const MOVES = [
  'sound',
  'sound',
  'sound',
  'sound',
  'sound',
  'again',
  'jobs only',
  'fewer jobs',
  'less for the host',
] as const
const RARE = [
  'less for the developer',
  'the fee left out',
  'badly signed',
  'for another task',
  'above the deposit',
] as const
type Move = (typeof MOVES)[number] | (typeof RARE)[number]

function makeRows(site: Site, random: Random, count: number): Made[] {
  const last = new Map<PricedTask, Totals>()
  return Array.from({ length: count }, () => {
    const task = random.pick(site.tasks)
    const move = random.below(3) === 0 ? random.pick(RARE.slice(0, random.below(12) === 0 ? 5 : 4)) : random.pick(MOVES)
    const totals = moved(last.get(task) ?? ZERO, task, move, site, random)
    if (move === 'sound') last.set(task, totals)
    return { move, task, voucher: signed(site, task, totals, move, random) }
  })
}

function moved(last: Totals, { fee }: PricedTask, move: Move, { deposit }: Site, random: Random): Totals {
  const jobs = last.jobs + 1 + random.below(20)
  const due = BigInt(jobs) * fee
  const hostAmount = last.hostAmount + BigInt(random.below(random.pick([1, 1000, 2 ** 40])))
  const least = due > last.developerAmount ? due : last.developerAmount
  const next = { jobs, hostAmount, developerAmount: least + BigInt(random.below(3)) }
  if (move === 'again') return last
  if (move === 'jobs only') return { ...last, jobs }
  if (move === 'fewer jobs') return { ...next, jobs: Math.max(0, last.jobs - 1) }
  if (move === 'less for the host') return { ...next, hostAmount: last.hostAmount > 0n ? last.hostAmount - 1n : 0n }
  if (move === 'less for the developer') {
    return { ...next, developerAmount: last.developerAmount > 0n ? last.developerAmount - 1n : 0n }
  }
  if (move === 'the fee left out') return { ...next, developerAmount: due > 0n ? due - 1n : 0n }
  return move === 'above the deposit' ? { ...next, hostAmount: hostAmount + deposit } : next
}

function signed(
  { domain, channelId, signer, tasks }: Site,
  task: PricedTask,
  totals: Totals,
  move: Move,
  random: Random,
): SignedVoucher {
  const { taskId } = move === 'for another task' ? random.pick(tasks.filter((other) => other !== task)) : task
  const digest = voucherDigest(domain, { ...totals, channelId, taskId })
  const signature = signer.sign(move === 'badly signed' ? digest.map((byte) => byte ^ 1) : digest)
  return { ...totals, taskId: task.taskId, signature }
}

function amountOf({ hostAmount, developerAmount }: Totals): bigint {
  return hostAmount + developerAmount
}

function channelOf({ terms, channelId, deposit, claimed }: Site): ChannelRecord {
  const money = { deposit: deposit - claimed, claimed: 0n, closesAt: 0 }
  return { channelId, side: 'host', terms, state: 'open', createdAt: 0, ...money }
}
