/**
 * P5 I10 I22: what TypeScript takes for a signature, a channel's id or money is what the contracts take, over random
 * messages and every damage of differential/damage.ts. DIFFERENTIAL_ROWS makes it longer, DIFFERENTIAL_SEED another one;
 * `npm run differential` is the same from the command line.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { recover } from '../../src/core/signature.ts'
import { fromHex, releaseDigest, toHex } from '../../src/core/typed.ts'
import { ORDER } from './differential/damage.ts'
import { openSite } from './differential/ground.ts'
import type { Site } from './differential/ground.ts'
import type { Kind } from './differential/kind.ts'
import { PAYMENT_KINDS } from './differential/payments.ts'
import { makeRandom } from './differential/random.ts'
import { compareAll, compareKind } from './differential/run.ts'
import { Tally } from './differential/tally.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const ROWS = Number(process.env['DIFFERENTIAL_ROWS'] ?? 2000)
const SEED = process.env['DIFFERENTIAL_SEED'] ?? '1'
const random = makeRandom(SEED)

let site: Site
before(async () => {
  if (skip === false) site = await openSite(random.fork('site'))
})
after(async () => {
  if (skip === false) await site.market.close()
})

test(`P5 P22 I10 I22 TypeScript and the contracts agree, at least ${ROWS} rows (seed ${SEED})`, { skip }, async (t) => {
  const tally = new Tally()
  await compareAll(site, ROWS, random, tally)
  t.diagnostic(`${tally.rows} rows\n${tally.toString()}`)
  assert.deepEqual(tally.disagreements, [])
  for (const [kind, { accepted, refused }] of tally.byKind) {
    const { seen, all } = tally.forms(kind)
    assert.equal(seen, all, `${kind}: every form of damage had its turn`)
    assert.ok(accepted >= 20 && refused >= 20, `${kind}: ${accepted} accepted, ${refused} refused`)
  }
})

test('I22 a check that takes a high s, or v 0 and 1, is noticed', { skip }, async () => {
  const release = PAYMENT_KINDS.find(({ name }) => name === 'release')
  assert.ok(release)
  for (const loosen of [withLowS, withV27]) {
    const loose: Kind = {
      ...release,
      here: (ground, { fields, signature }) => {
        const digest = releaseDigest(ground.domain, ground.channelId, BigInt(fields['claimed'] ?? 0))
        return recover(digest, toHex(loosen(signature))) === ground.host.address
      },
    }
    const tally = new Tally()
    await compareKind(site, loose, random.fork('loose'), 2000, tally)
    assert.ok(tally.disagreed > 0)
  }
})

function withLowS(signature: Buffer): Buffer {
  if (signature.length !== 65) return signature
  const s = BigInt(toHex(signature.subarray(32, 64)))
  if (s <= ORDER / 2n || s >= ORDER) return signature
  const low = fromHex(`0x${(ORDER - s).toString(16).padStart(64, '0')}`)
  return Buffer.concat([signature.subarray(0, 32), low, Buffer.from([55 - (signature[64] ?? 0)])])
}

function withV27(signature: Buffer): Buffer {
  const v = signature[64] ?? 0
  return signature.length === 65 && v < 2
    ? Buffer.concat([signature.subarray(0, 64), Buffer.from([27 + v])])
    : signature
}
