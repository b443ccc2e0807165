/** Which of its vouchers a host claims, and in how many transactions. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { ZERO } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import type { LiveRow } from '../../src/role/book.ts'
import { inClaims, voucherToClaim } from '../../src/role/claims.ts'
import type { ClaimGroup, ClaimRow } from '../../src/role/claims.ts'
import { word } from './home.ts'

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
