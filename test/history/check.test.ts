/** The judge itself on trial: it passes histories that are right, and finds every one that was made wrong in one place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { minus, plus } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { checkHistory } from './check.ts'
import type { Rule } from './check.ts'
import type { Bill, ChannelFacts, Ended, History, Line } from './history.ts'
import { aHistory } from './made.ts'

const ONE: Totals = { jobs: 0, hostAmount: 1n, developerAmount: 0n }

test('G17 a history in which everything is right has no finding', () => {
  fc.assert(
    fc.property(aHistory, (history) => {
      assert.deepEqual(checkHistory(history), [])
    }),
    { numRuns: 300 },
  )
})

test('G17 the same history before it is settled has none either', () => {
  fc.assert(
    fc.property(aHistory, (history) => {
      const { chain } = history
      const open = chain.channels.map((channel) => ({ ...channel, refunded: undefined }))
      const left = chain.channels.reduce((all, { refunded = 0n }) => all + refunded, 0n)
      const unsettled = { ...history, settled: false, chain: { ...chain, channels: open, balance: left } }
      assert.deepEqual(checkHistory(unsettled), [])
    }),
    { numRuns: 100 },
  )
})

/** What is made wrong, and the rule that must say so; it is told a copy of a history that is right. */
const WRONG: [what: string, rule: Rule, spoil: (history: History) => void][] = [
  ['a job that nobody asked for is billed', 'charged iff answered', (h) => h.asked.shift()],
  ['another input was run', 'charged iff answered', (h) => (first(h.asked).inputHash = OTHER)],
  ['another task was run', 'charged iff answered', (h) => (first(h.asked).task = OTHER)],
  ['a lost job is billed', 'charged iff answered', (h) => (billOf(h, 'host_failed').host = 1n)],
  ['a failed task earns the developer’s fee', 'charged iff answered', (h) => (billOf(h, 'task_failed').developer = 7n)],
  ['an answer earns the developer nothing', 'charged iff answered', (h) => (billOf(h, 'answered').developer = 0n)],
  ['an answer earns the host nothing', 'charged iff answered', (h) => (billOf(h, 'answered').host = 0n)],
  ['more is billed than agreed', 'charged iff answered', (h) => (billOf(h, 'answered').host += 1000n)],
  ['a job id ran twice', 'one receipt per job', (h) => h.ended.push(other(first(h.ended)))],
  [
    'host and client keep different receipts',
    'one receipt per job',
    (h) => (last(h.ended).bill = { ...last(h.ended).bill, digest: 'x' }),
  ],
  [
    'a job id ran at two hosts',
    'one receipt per job',
    (h) => h.ended.push({ ...other(first(h.ended)), by: { side: 'host', who: OTHER } }),
  ],
  ['vouched falls', 'numbers never fall', (h) => h.lines.push({ ...lineOf(h, 'host'), vouched: ONE })],
  ['billed falls', 'numbers never fall', (h) => h.lines.push({ ...lineOf(h, 'client'), billed: ONE })],
  ['claimed falls', 'numbers never fall', (h) => h.lines.push({ ...lineOf(h, 'host'), claimed: ONE })],
  ['the exact voucher falls', 'numbers never fall', (h) => h.lines.push({ ...lineOf(h, 'host'), exact: ONE })],
  ['billed falls for whoever asks', 'numbers never fall', (h) => h.shown.push({ ...lineOf(h, 'host'), billed: ONE })],
  ['an old book after a restart', 'nothing acknowledged is missing', (h) => h.lines.splice(1)],
  [
    'a book without a row',
    'nothing acknowledged is missing',
    (h) => (h.lines = h.lines.filter(({ by }) => by.side === 'client')),
  ],
  ['more billed than vouched', 'vouched ≥ billed ≥ claimed', (h) => raise(h, 'host', 'billed')],
  ['more claimed than billed', 'vouched ≥ billed ≥ claimed', (h) => raise(h, 'host', 'claimed')],
  ['an exact voucher over more than was billed', 'vouched ≥ billed ≥ claimed', (h) => (lineOf(h, 'host').exact = MUCH)],
  [
    'a bill without its receipt',
    'receipts add up to the bill',
    (h) => (h.ended = h.ended.filter((one) => one.job !== 'job-0')),
  ],
  [
    'a receipt that is not in the bill',
    'receipts add up to the bill',
    (h) => h.ended.push({ ...first(h.ended), job: 'job-x' }),
  ],
  [
    'a receipt on no row',
    'receipts add up to the bill',
    (h) => h.ended.push({ ...first(h.ended), job: 'job-x', task: OTHER }),
  ],
  ['a voucher that its client never signed', 'vouchers are the client’s', (h) => raise(h, 'host', 'vouched')],
  [
    'a channel that its client does not know',
    'vouchers are the client’s',
    (h) => (h.lines = h.lines.filter(({ by }) => by.side === 'host')),
  ],
  [
    'the client counts one unit less',
    'both books agree',
    (h) => (lineOf(h, 'client').billed = minus(lineOf(h, 'client').billed, ONE)),
  ],
  ['the chain paid more than was billed', 'the chain paid what was claimed', (h) => (first(h.chain.claims).host += 1n)],
  [
    'a claim that the host forgot',
    'the chain paid what was claimed',
    (h) => (lineOf(h, 'host').claimed = minus(lineOf(h, 'host').claimed, ONE)),
  ],
  ['work that was never claimed', 'the chain paid what was claimed', (h) => (first(h.chain.lanes).claimed = ONE)],
  ['a wei is lost at the refund', 'deposit = claimed + refunded + left', (h) => loseWei(first(h.chain.channels))],
  [
    'more is paid than was deposited',
    'deposit = claimed + refunded + left',
    (h) => (first(h.chain.channels).deposits = [1n]),
  ],
  [
    'a channel is left open',
    'deposit = claimed + refunded + left',
    (h) => (first(h.chain.channels).refunded = undefined),
  ],
  ['a wei is withdrawn twice', 'credited = withdrawn + left', (h) => (h.chain.withdrawn += 1n)],
  ['the contract owns too little', 'credited = withdrawn + left', (h) => (h.chain.balance -= 1n)],
  ['credit is left behind', 'credited = withdrawn + left', (h) => ((h.chain.credit += 1n), (h.chain.withdrawn -= 1n))],
  [
    'the host lost a paid result',
    'no result lost',
    (h) => (h.ended = h.ended.filter((one) => one.job !== 'job-0' || one.by.side !== 'host')),
  ],
  [
    'the client lost a paid result',
    'no result lost',
    (h) => (h.ended = h.ended.filter((one) => one.job !== 'job-0' || one.by.side !== 'client')),
  ],
  ['asked again, another receipt came', 'no result lost', (h) => (last(h.told).digest = 'another')],
  ['other bytes than the receipt’s', 'no result lost', (h) => (first(h.told).bytesHash = OTHER)],
  [
    'a caller that never heard of its job again',
    'no job without an end',
    (h) => (h.told = h.told.filter(({ job }) => job !== 'job-0')),
  ],
  [
    'a job that was refused and charged',
    'no job without an end',
    (h) => h.refused.push({ client: first(h.told).client, job: 'job-0', code: 'busy' }),
  ],
]

for (const [what, rule, spoil] of WRONG) {
  test(`G17 found: ${what}`, () => {
    fc.assert(
      fc.property(aHistory, (right) => {
        const history = structuredClone(right)
        spoil(history)
        const rules = checkHistory(history).map((finding) => finding.rule)
        assert.ok(rules.includes(rule), `found was only: ${rules.join(', ') || 'nothing'}`)
      }),
      { numRuns: 20 },
    )
  })
}

const OTHER = `0x${'99'.repeat(32)}` as const
const MUCH: Totals = { jobs: 0, hostAmount: 10n ** 30n, developerAmount: 0n }

function first<T>(list: readonly T[]): T {
  const [one] = list
  assert.ok(one !== undefined)
  return one
}

function last<T>(list: readonly T[]): T {
  const one = list.at(-1)
  assert.ok(one !== undefined)
  return one
}

function billOf(history: History, status: Bill['status']): Bill {
  const end = history.ended.find(({ bill }) => bill.status === status)
  assert.ok(end !== undefined)
  return end.bill
}

function other(end: Ended): Ended {
  return { ...end, bill: { ...end.bill, digest: 'another' } }
}

/** The last line of the row that the first jobs were on. */
function lineOf(history: History, side: 'client' | 'host'): Line {
  const { channel, task } = first(history.lines)
  const line = history.lines.findLast((one) => one.by.side === side && one.channel === channel && one.task === task)
  assert.ok(line !== undefined)
  return line
}

function raise(history: History, side: 'client' | 'host', name: 'vouched' | 'billed' | 'claimed'): void {
  const line = lineOf(history, side)
  line[name] = plus(line[name], MUCH)
}

function loseWei(channel: ChannelFacts): void {
  if (channel.refunded !== undefined) channel.refunded -= 1n
}
