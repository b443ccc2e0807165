import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { hostJobKey, rowKey, zChannelRecord, zRowRecord } from '../../src/core/records.ts'
import type { RowRecord } from '../../src/core/records.ts'
import { NATIVE, zJobId } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { toWire } from '../../src/core/wire.ts'
import { address, amount, count, hash, totals } from './arbitraries.ts'

const CID = `b${'a'.repeat(58)}`
const SIGNATURE: Hex = `0x${'ef'.repeat(65)}`

function over(value: unknown): unknown {
  return JSON.parse(JSON.stringify(toWire(value)))
}

test('a row of money reads back from its text as it was, to the last unit', () => {
  fc.assert(
    fc.property(hash, hash, totals, totals, fc.boolean(), (channelId, taskId, vouched, billed, settled) => {
      const row: RowRecord = {
        channelId,
        taskId,
        cid: CID,
        vouched,
        vouchedSignature: SIGNATURE,
        billed,
        claimed: billed,
        ...(settled ? { exact: { totals: billed, signature: SIGNATURE } } : {}),
      }
      assert.deepEqual(zRowRecord.parse(over(row)), row)
    }),
  )
})

test('a channel reads back as it was', () => {
  fc.assert(
    fc.property(hash, address, amount, amount, count, (channelId, party, deposit, claimed, at) => {
      const terms = {
        client: party,
        signer: party,
        host: party,
        token: NATIVE,
        closeDelaySeconds: 900,
        salt: channelId,
      }
      const channel = {
        channelId,
        side: 'host' as const,
        terms,
        state: 'open' as const,
        deposit,
        claimed,
        closesAt: at,
        createdAt: at,
      }
      assert.deepEqual(zChannelRecord.parse(over(channel)), channel)
    }),
  )
})

test('keys of different things are different, whatever the client called its job', () => {
  const id = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/)
  fc.assert(
    fc.property(address, address, id, id, (a, b, one, other) => {
      assert.ok(zJobId.safeParse(one).success)
      assert.equal(hostJobKey(a, one) === hostJobKey(b, other), a === b && one === other)
    }),
  )
  fc.assert(
    fc.property(hash, hash, hash, hash, (a, b, c, d) => (rowKey(a, b) === rowKey(c, d)) === (a === c && b === d)),
  )
})
