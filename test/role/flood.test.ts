/**
 * G2 I8: a flood of forged vouchers costs the host little and an honest client nothing. The figures depend on the machine
 * and are told, not asserted; `npm run bench -- flood` measures longer.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { describeFlood, flood } from './flood.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const SECONDS = Number(process.env['FLOOD_SECONDS'] ?? 4)

test('1,000 forged vouchers a second: the flooder is thrown out, honest jobs are answered', { skip }, async (t) => {
  const result = await flood(SECONDS)
  t.diagnostic(describeFlood(result))
  assert.ok(result.flooder.thrownOut > 0, 'the flooder was thrown out')
  assert.ok(result.honest.sent > 0)
  assert.equal(result.honest.answered, result.honest.sent)
})
