/** When a host claims, and which of its vouchers. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import pino from 'pino'
import { ZERO } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { ChannelRecord } from '../../src/core/records.ts'
import { channelIdOf, makeDomain } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import type { LiveRow } from '../../src/role/book.ts'
import { inClaims, Settler, voucherToClaim } from '../../src/role/settle.ts'
import type { ClaimGroup, ClaimRow } from '../../src/role/settle.ts'
import { eventually } from './stage.ts'
import { openBook, word } from './home.ts'

const TASK = word(1)
const HIGH: Hex = `0x${'aa'.repeat(65)}`
const EXACT: Hex = `0x${'bb'.repeat(65)}`
const totals = (jobs: number, hostAmount: bigint, developerAmount = 0n): Totals => ({
  jobs,
  hostAmount,
  developerAmount,
})

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

const exact = (t: Totals) => ({ totals: t, signature: EXACT })

const table: [string, LiveRow, boolean, 'nothing' | 'exact' | 'highest'][] = [
  ['an exact voucher over all that was billed', row({ exact: exact(totals(1, 60n)) }), false, 'exact'],
  ['the same, urgent: still no more than was billed', row({ exact: exact(totals(1, 60n)) }), true, 'exact'],
  ['the same, claimed already', row({ exact: exact(totals(1, 60n)), claimed: totals(1, 60n) }), true, 'nothing'],
  ['an exact voucher over a part', row({ exact: exact(totals(1, 40n)) }), false, 'exact'],
  ['the same, urgent: the rest would stay unpaid', row({ exact: exact(totals(1, 40n)) }), true, 'highest'],
  [
    'an exact voucher over a part, that part claimed',
    row({ exact: exact(totals(1, 40n)), claimed: totals(1, 40n) }),
    false,
    'nothing',
  ],
  ['no exact voucher', row(), false, 'nothing'],
  ['no exact voucher, urgent', row(), true, 'highest'],
  ['no exact voucher, urgent, nothing billed', row({ billed: ZERO }), true, 'nothing'],
  ['no exact voucher, urgent, all claimed', row({ claimed: totals(1, 60n) }), true, 'nothing'],
  [
    'more claimed than billed, by somebody with the highest voucher',
    row({ claimed: totals(2, 100n) }),
    true,
    'nothing',
  ],
]

describe('the voucher that is claimed', () => {
  for (const [name, of, urgent, expected] of table) {
    test(name, () => {
      const claim = voucherToClaim(of, urgent)
      assert.equal(claim === undefined ? 'nothing' : claim.signature === EXACT ? 'exact' : 'highest', expected)
    })
  }
})

test('rows go into claims of at most a hundred, in order, none lost', () => {
  const groups = fc.array(fc.integer({ min: 1, max: 350 }), { maxLength: 12 }).map((sizes) =>
    sizes.map((size, g): ClaimGroup => {
      const terms = { client: NATIVE, signer: NATIVE, host: NATIVE, token: NATIVE, closeDelaySeconds: g, salt: word(g) }
      const rows = Array.from({ length: size }, (_, i): ClaimRow => ({
        taskId: word(g * 1000 + i),
        ...ZERO,
        signature: HIGH,
      }))
      return { terms, rows }
    }),
  )
  const flat = (all: readonly ClaimGroup[]) =>
    all.flatMap(({ terms, rows }) => rows.map((r) => `${terms.salt}${r.taskId}`))
  fc.assert(
    fc.property(groups, (all) => {
      const claims = inClaims(all)
      for (const claim of claims) {
        const rows = claim.reduce((sum, group) => sum + group.rows.length, 0)
        assert.ok(rows > 0 && rows <= 100)
      }
      assert.deepEqual(claims.flatMap(flat), flat(all))
    }),
    { numRuns: 50 },
  )
})

test('a client that never says what it owes exactly is claimed from in the end, however busy the others are', async (t) => {
  const { book } = await openBook(t, 'host')
  let now = 1_000_000
  const claims: ClaimGroup[][] = []
  const ending = new AbortController()
  t.after(() => ending.abort())
  const lanes = new Map<Hex, Totals>()
  const settler = new Settler({
    book,
    state: () => Promise.resolve({ deposit: 1000n, claimed: 0n, closesAt: 0, closed: false }),
    lane: (channelId) => Promise.resolve(lanes.get(channelId) ?? ZERO),
    claim: (groups) => {
      claims.push([...groups])
      for (const { terms, rows } of groups)
        for (const { jobs, hostAmount, developerAmount } of rows)
          lanes.set(channelIdOf(DOMAIN, terms), { jobs, hostAmount, developerAmount })
      return Promise.resolve({ tx: word(9), gasUsed: 1n })
    },
    claimThreshold: 50n,
    claimEveryMs: 60_000,
    watchEveryMs: 5,
    log: pino({ level: 'silent' }),
    signal: ending.signal,
    wallNow: () => now,
  })
  const [silent, open] = [channel(1), channel(2)]
  for (const c of [silent, open]) book.stageChannel(c)
  book.stageRow(row({ channelId: silent.channelId }))
  settler.start()
  t.after(() => settler.stop())
  const said = (c: ChannelRecord) => claims.flat().filter(({ terms }) => terms.salt === c.terms.salt)
  for (let i = 1; i <= 5; i++) {
    now += 13_000
    const billed = totals(i, 100n * BigInt(i))
    book.stageRow(
      row({
        channelId: open.channelId,
        vouched: billed,
        billed,
        exact: exact(billed),
        claimed: lanes.get(open.channelId) ?? ZERO,
      }),
    )
    await eventually(`claim ${i}`, () => said(open).length >= i)
    if (i < 5) assert.equal(said(silent).length, 0, 'the slack of a voucher is not claimed before its time')
  }
  await eventually('the silent one', () => said(silent).length === 1)
  assert.equal(said(silent)[0]?.rows[0]?.signature, HIGH)
})

const DOMAIN = makeDomain(1, `0x${'cc'.repeat(20)}`)

function channel(n: number): ChannelRecord {
  const terms = {
    client: word(n).slice(0, 42) as Hex,
    signer: NATIVE,
    host: NATIVE,
    token: NATIVE,
    closeDelaySeconds: 1,
    salt: word(n),
  }
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
