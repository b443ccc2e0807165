/** Random histories in which everything is right, made by playing a market with the real ledger arithmetic. */
import fc from 'fast-check'
import { emptyRow, minus, nextVoucher, reserve, settle, sum, withVoucher, ZERO } from '../../src/core/ledger.ts'
import type { Row, Totals } from '../../src/core/ledger.ts'
import type { JobStatus } from '../../src/core/receipt.ts'
import type { Hex } from '../../src/core/units.ts'
import type { Bill, ChainFacts, History, Line, Party } from './history.ts'

type Step = { host: number; task: number; price: bigint; usedPercent: number; status: JobStatus | 'refused' }

/** Both books of one row, and what the chain paid on it. */
type Play = { channel: Hex; task: Hex; payee: Hex; client: Row; host: Row; claimed: Totals }

const CLIENT = hexOf('c1', 20)
const HOSTS = [hexOf('a1', 20), hexOf('a2', 20)]
const TASKS = [hexOf('71', 32), hexOf('72', 32)]
const FEE = 7n
const SLACK = 10n ** 6n

/** Settled, with at least one job that was answered, one refused, and a claim between. */
export const aHistory: fc.Arbitrary<History> = fc
  .array(
    fc.record<Step>({
      host: fc.nat(HOSTS.length - 1),
      task: fc.nat(TASKS.length - 1),
      price: fc.bigInt(2n, 10n ** 18n),
      usedPercent: fc.nat(100),
      status: fc.constantFrom('answered', 'answered', 'task_failed', 'host_failed', 'cancelled', 'refused'),
    }),
    { maxLength: 30 },
  )
  .map((steps) => play([...FIRST, ...steps]))

const FIRST: readonly Step[] = (['answered', 'task_failed', 'host_failed', 'refused', 'answered'] as const).map(
  (status) => ({ host: 0, task: 0, price: 1000n, usedPercent: 50, status }),
)

function play(steps: readonly Step[]): History {
  const history = emptyHistory()
  const plays = new Map<string, Play>()
  steps.forEach((step, i) => {
    const one = playOf(plays, step)
    playJob(history, one, step, `job-${i}`)
    if (i % 4 === 3) claim(history, one)
  })
  for (const one of plays.values()) claim(history, one)
  return { ...history, chain: chainOf(history, [...plays.values()]) }
}

function playOf(plays: Map<string, Play>, { host, task }: Step): Play {
  const [payee = CLIENT, taskId = CLIENT] = [HOSTS[host], TASKS[task]]
  const channel = hexOf(`c${host}`, 32)
  const key = `${channel}/${taskId}`
  const one = plays.get(key) ?? { channel, task: taskId, payee, client: emptyRow(), host: emptyRow(), claimed: ZERO }
  plays.set(key, one)
  return one
}

function playJob(history: History, one: Play, { status, ...step }: Step, job: string): void {
  const price = { token: CLIENT, hostAmount: step.price, developerAmount: FEE, maxSeconds: 60 }
  const inputHash = hexOf('11', 32)
  history.asked.push({ client: CLIENT, job, task: one.task, inputHash })
  one.client = reserve({ ...one.client, vouched: nextVoucher(one.client, [price]) }, price)
  record(history, one, 'client')
  one.host = reserve(withVoucher(one.host, one.client.vouched), price)
  record(history, one, 'host')
  const totals = status === 'refused' ? ZERO : totalsFor(status, step)
  ;[one.client, one.host] = [settle(one.client, price, totals), settle(one.host, price, totals)]
  for (const side of ['host', 'client'] as const) record(history, one, side)
  if (status === 'refused') return void history.refused.push({ client: CLIENT, job, code: 'busy' })
  const bill: Bill = {
    status,
    agreed: { host: step.price, developer: FEE },
    host: totals.hostAmount,
    developer: totals.developerAmount,
    inputHash,
    outputHash: hexOf('22', 32),
    digest: `receipt of ${job}`,
  }
  for (const by of [partyOf(one, 'host'), partyOf(one, 'client')])
    history.ended.push({ by, client: CLIENT, channel: one.channel, task: one.task, job, bill })
  const told = { client: CLIENT, job, digest: bill.digest, outputHash: bill.outputHash }
  history.told.push({ ...told, bytesHash: bill.outputHash }, { ...told, bytesHash: undefined })
}

function totalsFor(status: JobStatus, { price, usedPercent }: Omit<Step, 'status'>): Totals {
  const used = (price * BigInt(usedPercent)) / 100n
  if (status === 'host_failed') return ZERO
  if (status !== 'answered') return { jobs: 0, hostAmount: used, developerAmount: 0n }
  return { jobs: 1, hostAmount: used > 0n ? used : 1n, developerAmount: FEE }
}

/** Written into the book, and shown to somebody who asks. */
function record(history: History, one: Play, side: Party['side']): void {
  const { vouched, billed } = one[side]
  const { channel, task, claimed } = one
  const line: Line = {
    by: partyOf(one, side),
    channel,
    task,
    vouched,
    billed,
    claimed: side === 'host' ? claimed : ZERO,
  }
  history.lines.push(sum(billed) > 0n ? { ...line, exact: billed } : line)
  history.shown.push(line)
}

function claim(history: History, one: Play): void {
  const won = minus(one.host.billed, one.claimed)
  if (sum(won) === 0n) return
  one.claimed = one.host.billed
  history.chain.claims.push({
    channel: one.channel,
    task: one.task,
    host: won.hostAmount,
    developer: won.developerAmount,
  })
  record(history, one, 'host')
}

function chainOf({ chain }: History, plays: readonly Play[]): ChainFacts {
  const channels = [...Map.groupBy(plays, ({ channel }) => channel)].map(([channel, own]) => {
    const claimed = own.reduce((all, one) => all + sum(one.claimed), 0n)
    const host = own[0]?.payee ?? CLIENT
    return { channel, client: CLIENT, host, deposits: [claimed, SLACK], claimed, refunded: SLACK }
  })
  const lanes = plays.map(({ channel, task, claimed }) => ({ channel, task, claimed }))
  return { ...chain, channels, lanes, withdrawn: channels.reduce((all, { claimed }) => all + claimed, 0n) }
}

function partyOf({ payee }: Play, side: Party['side']): Party {
  return { side, who: side === 'client' ? CLIENT : payee }
}

function emptyHistory(): History {
  const chain = { channels: [], claims: [], lanes: [], withdrawn: 0n, credit: 0n, balance: 0n }
  return { asked: [], told: [], refused: [], lines: [], shown: [], ended: [], chain, settled: true }
}

function hexOf(byte: string, bytes: number): Hex {
  return `0x${byte.repeat(bytes)}`
}
