/** Short form of `npm run crash`: a market of processes, killed at random under load, judged at the end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { dockerMissing } from '../support/images.ts'
import { crashRun } from './run.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()

test('G3 kill -9 of host, client or both under load: nothing lost, nothing charged twice', { skip }, async () => {
  const seed = Date.now() % 2 ** 31
  const { findings, kills, ended } = await crashRun({ count: 3, seed, side: 'both', hosts: 1 })
  assert.deepEqual(findings, [], `seed ${seed}`)
  assert.ok(kills >= 3)
  assert.ok((ended['answered'] ?? 0) > 0, `nothing was answered, so nothing was tried (seed ${seed})`)
})
