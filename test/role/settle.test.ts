/** When a host claims, what it does where the chain goes back or contradicts itself, and when it raises an alarm. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import pino from 'pino'
import { sum, ZERO } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { ChannelRecord } from '../../src/core/records.ts'
import { channelIdOf, makeDomain } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Alarms } from '../../src/role/alarms.ts'
import type { LiveRow } from '../../src/role/book.ts'
import type { ClaimGroup } from '../../src/role/claims.ts'
import { Settler } from '../../src/role/settle.ts'
import type { SettleComponents } from '../../src/role/settle.ts'
import { openBook, word } from './home.ts'
import { eventually } from './stage.ts'

const TASK = word(1)
const HIGH: Hex = `0x${'aa'.repeat(65)}`
const EXACT: Hex = `0x${'bb'.repeat(65)}`
const DOMAIN = makeDomain(1, `0x${'cc'.repeat(20)}`)
const DELAY = 3600
const totals = (jobs: number, hostAmount: bigint): Totals => ({ jobs, hostAmount, developerAmount: 0n })
const exact = (t: Totals) => ({ totals: t, signature: EXACT })

const worth = (amount: bigint) => new Map([[NATIVE, amount]])

function row(over: Partial<LiveRow> = {}): LiveRow {
  return {
    channelId: word(2),
    taskId: TASK,
    cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
    vouched: totals(2, 100n),
    vouchedSignature: HIGH,
    billed: totals(1, 60n),
    claimed: ZERO,
    reserved: ZERO,
    ...over,
  }
}

function channel(n: number): ChannelRecord {
  const client = word(n).slice(0, 42) as Hex
  const terms = { client, signer: NATIVE, host: NATIVE, token: NATIVE, closeDelaySeconds: DELAY, salt: word(n) }
  return {
    channelId: channelIdOf(DOMAIN, terms),
    side: 'host',
    terms,
    state: 'open',
    deposit: 1000n,
    claimed: 0n,
    closesAt: 0,
    createdAt: 0,
  }
}

/** A chain of one's own: what it shows of channels and lanes, its time, and what was claimed. */
async function open(t: TestContext, over: Partial<SettleComponents> = {}) {
  const { book } = await openBook(t, 'host')
  const ending = new AbortController()
  const chain = {
    time: 1_000_000,
    now: 0,
    closesAt: 0,
    closed: false,
    deposit: 1000n,
    down: false,
    lanes: new Map<Hex, Totals>(),
    claims: [] as ClaimGroup[][],
  }
  const alarms = new Alarms(pino({ level: 'silent' }), () => chain.now)
  const paid = (channelId: Hex) => sum(chain.lanes.get(channelId) ?? ZERO)
  const settler = new Settler({
    book,
    look: () => (chain.down ? Promise.reject(new Error('down')) : Promise.resolve(chain.time)),
    state: (id) =>
      Promise.resolve({
        deposit: chain.deposit,
        claimed: paid(id),
        closesAt: chain.closed ? 0 : chain.closesAt,
        closed: chain.closed,
      }),
    lane: (channelId) => Promise.resolve(chain.lanes.get(channelId) ?? ZERO),
    claim: (groups) => {
      chain.claims.push([...groups])
      for (const { terms, rows } of groups)
        for (const { jobs, hostAmount, developerAmount } of rows)
          chain.lanes.set(channelIdOf(DOMAIN, terms), { jobs, hostAmount, developerAmount })
      return Promise.resolve({ tx: word(9), gasUsed: 1n })
    },
    claimThreshold: worth(50n),
    claimEveryMs: 60_000,
    watchEveryMs: 5,
    alarms,
    tell: (amount) => `${amount} wei`,
    log: pino({ level: 'silent' }),
    signal: ending.signal,
    wallNow: () => 1e12 + chain.now,
    now: () => chain.now,
    ...over,
  })
  t.after(() => {
    ending.abort()
    return settler.stop()
  })
  const add = (n: number, of: Partial<LiveRow>) => {
    const one = channel(n)
    book.stageChannel(one)
    book.stageRow(row({ channelId: one.channelId, ...of }))
    return one
  }
  const said = (c: ChannelRecord) => chain.claims.flat().filter(({ terms }) => terms.salt === c.terms.salt)
  return { book, chain, alarms, settler, add, said }
}

test('a client that never says what it owes exactly is claimed from in the end, however busy the others are', async (t) => {
  const { book, chain, settler, add, said } = await open(t)
  const silent = add(1, {})
  const busy = add(2, { billed: ZERO, vouched: ZERO })
  settler.start()
  for (let i = 1; i <= 5; i++) {
    chain.now += 13_000
    const billed = totals(i, 100n * BigInt(i))
    const before = book.row(busy.channelId, TASK) ?? row()
    book.stageRow({ ...before, vouched: billed, billed, exact: exact(billed) })
    await eventually(`claim ${i}`, () => said(busy).length >= i)
    if (i < 5) assert.equal(said(silent).length, 0, 'the slack of a voucher is not claimed before its time')
  }
  await eventually('the silent one', () => said(silent).length === 1)
  assert.equal(said(silent)[0]?.rows[0]?.signature, HIGH)
})

test('a clock that is set an hour back or forth neither delays a claim nor hurries one', async (t) => {
  let hour = 0
  const { chain, settler, add, said } = await open(t, { wallNow: () => 1e12 + hour * 3_600_000 })
  const one = add(1, {})
  settler.start()
  for (hour of [1, -1, 1000, -1000]) await new Promise((resolve) => setTimeout(resolve, 15))
  assert.equal(said(one).length, 0)
  chain.now += 60_000
  await eventually('the claim in its time', () => said(one).length === 1)
})

test('P-reorg a claim that the chain has taken back is made again at once, and once', async (t) => {
  const { book, chain, settler, add, said } = await open(t, { claimThreshold: worth(60n), claimEveryMs: 1e9 })
  const one = add(1, { exact: exact(totals(1, 60n)) })
  settler.start()
  await eventually('the claim', () => book.row(one.channelId, TASK)?.claimed.hostAmount === 60n)
  // Below the threshold by then, so only its vanishing can bring it back.
  chain.lanes.set(one.channelId, totals(1, 50n))
  await eventually('the second claim', () => said(one).length === 2)
  await eventually('it is in the book', () => book.row(one.channelId, TASK)?.claimed.hostAmount === 60n)
  assert.equal(said(one).length, 2)
})

test('tasks that were paid more than their channel are a contradiction: an alarm, and nothing written down', async (t) => {
  const { book, chain, alarms, settler, add } = await open(t, {
    lane: () => Promise.resolve(totals(9, 10n ** 18n)),
    claimEveryMs: 1e9,
  })
  const one = add(1, { claimed: ZERO })
  chain.lanes.set(one.channelId, totals(1, 10n))
  settler.start()
  await eventually('the alarm', () => alarms.list().some(({ name }) => name === `answers ${one.channelId}`))
  assert.deepEqual(book.row(one.channelId, TASK)?.claimed, ZERO)
})

test('a close is claimed from at once, with the highest voucher where no exact one says as much', async (t) => {
  const { chain, settler, add, said } = await open(t, { claimThreshold: worth(1_000_000n), claimEveryMs: 1e9 })
  const one = add(1, {})
  chain.closesAt = chain.time + DELAY
  settler.start()
  await eventually('the claim', () => said(one).length === 1)
  assert.equal(said(one)[0]?.rows[0]?.signature, HIGH)
})

test('a close whose claim fails is an alarm with the sum and the time, worse when half of it is gone, over when paid', async (t) => {
  let fails = true
  const lanes = new Map<Hex, Totals>()
  const world = await open(t, {
    state: (id) =>
      Promise.resolve({
        deposit: 1000n,
        claimed: sum(lanes.get(id) ?? ZERO),
        closesAt: 1_000_000 + DELAY,
        closed: false,
      }),
    lane: (id) => Promise.resolve(lanes.get(id) ?? ZERO),
    claim: ([group]) => {
      if (fails) return Promise.reject(new Error('the fee is over the cap'))
      if (group !== undefined) lanes.set(channelIdOf(DOMAIN, group.terms), totals(2, 100n))
      return Promise.resolve({ tx: word(9), gasUsed: 1n })
    },
  })
  const { chain, alarms, settler, add } = world
  const one = add(1, {})
  const closing = () => alarms.list().find(({ name }) => name === `channel ${one.channelId}`)
  settler.start()
  await eventually('the alarm', () => closing() !== undefined)
  assert.equal(closing()?.level, 'warning')
  assert.match(closing()?.detail ?? '', /^60 wei are not claimed .* can finish it in 60 min$/)
  assert.match(alarms.list().find(({ name }) => name === 'claim')?.detail ?? '', /the fee is over the cap/)
  chain.time += DELAY / 2 + 1
  await eventually('it is worse', () => closing()?.level === 'error')
  fails = false
  await eventually('it is over', () => alarms.list().length === 0)
})

test('a close that ended before the claim says how much was lost, for as long as it is true', async (t) => {
  const { chain, book, alarms, settler, add, said } = await open(t)
  const one = add(1, { exact: exact(totals(1, 60n)) })
  chain.closed = true
  settler.start()
  await eventually('the alarm', () => alarms.list().length === 1)
  assert.match(alarms.list()[0]?.detail ?? '', /^60 wei were lost: channel/)
  assert.equal(said(one).length, 0)
  // The chain goes back behind the end: there is something to claim again.
  chain.closed = false
  await eventually('the claim', () => said(one).length === 1)
  await eventually('no alarm', () => alarms.list().length === 0)
  assert.equal(book.channels.get(one.channelId)?.state, 'open')
})

test('a channel that was released stays closing whatever the chain says', async (t) => {
  const { book, settler, add } = await open(t)
  const one = add(1, { billed: ZERO })
  book.stageChannel({ ...one, state: 'closing', released: true })
  settler.start()
  await eventually('a look', () => book.channels.get(one.channelId) !== undefined)
  await new Promise((resolve) => setTimeout(resolve, 30))
  assert.equal(book.channels.get(one.channelId)?.state, 'closing')
})

test('a deposit that is gone is an alarm', async (t) => {
  const { chain, alarms, settler, add } = await open(t, { claimThreshold: worth(1_000_000n), claimEveryMs: 1e9 })
  add(1, {})
  chain.deposit = 0n
  settler.start()
  await eventually('the alarm', () => /whose deposit the chain does not have now/.test(alarms.list()[0]?.detail ?? ''))
})

test('a chain that cannot be seen is an alarm within a minute, with what hangs on it', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { chain, alarms, settler, add } = await open(t)
  add(1, {})
  chain.down = true
  settler.start()
  chain.now = 39_000
  t.mock.timers.tick(5_000)
  assert.deepEqual(alarms.list(), [])
  chain.now = 44_000
  t.mock.timers.tick(5_000)
  assert.match(alarms.list()[0]?.detail ?? '', /could not be looked at for 44 s; 60 wei is unclaimed/)
  chain.down = false
  await eventually('it is over', () => alarms.list().length === 0)
})

test('P-reorg a claim that vanished is made again by what was billed, not by the slack of the highest voucher', async (t) => {
  const { chain, settler, add, said } = await open(t, { claimThreshold: new Map(), claimEveryMs: 1e9 })
  // A job has ended whose exact voucher is still on its way.
  const one = add(1, { billed: totals(2, 70n), exact: exact(totals(1, 60n)), claimed: totals(1, 60n) })
  chain.lanes.set(one.channelId, totals(1, 10n))
  settler.start()
  await eventually('the claim', () => said(one).length === 1)
  assert.equal(said(one)[0]?.rows[0]?.signature, EXACT)
})
