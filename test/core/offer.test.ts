import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_IMAGES, MAX_OFFER_TTL_MS, MAX_SKEW_MS, openOffer, zOffer, zSignedOffer } from '../../src/core/offer.ts'
import type { SignedOffer } from '../../src/core/offer.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { keccak, makeDomain, offerDigest, quoteDigest } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import { toWire } from '../../src/core/wire.ts'
import { CID, DOMAIN, HOST, NOW, OFFER, TOKEN } from './sample-offer.ts'
function signed(offer: object, signer = HOST, domain = DOMAIN): SignedOffer {
  const text = JSON.stringify(toWire(offer))
  return { text, signature: signer.sign(offerDigest(domain, text)) }
}

test('a signed offer opens to what was signed', () => {
  assert.deepEqual(openOffer(DOMAIN, signed(OFFER), NOW), OFFER)
  assert.equal(zSignedOffer.safeParse(signed(OFFER)).success, true)
})

test('an offer of another key, chain, contract or time is refused with the reason', () => {
  const rows: [object, RegExp][] = [
    [{ host: makeSigner(keccak(Buffer.from('other'))).address }, /not signed by/],
    [{ chainId: 1 }, /another market/],
    [{ channels: TOKEN }, /another market/],
    [{ issuedAt: NOW + MAX_SKEW_MS + 1, expiresAt: NOW + MAX_SKEW_MS + 2 }, /from the future/],
    [{ expiresAt: NOW - 1000 + MAX_OFFER_TTL_MS + 1 }, /lives too long/],
    [{ issuedAt: NOW - 10_000, expiresAt: NOW - 1 }, /has expired/],
    [{ issuedAt: NOW + 1000, expiresAt: NOW + 999 }, /expires before it begins/],
  ]
  for (const [change, message] of rows) {
    assert.throws(
      () => openOffer(DOMAIN, signed({ ...OFFER, ...change }), NOW),
      { code: 'not_verified', message },
      JSON.stringify(change),
    )
  }
  for (const change of [
    { issuedAt: NOW + MAX_SKEW_MS },
    { expiresAt: NOW },
    { expiresAt: NOW - 1000 + MAX_OFFER_TTL_MS },
  ]) {
    openOffer(DOMAIN, signed({ ...OFFER, ...change }), NOW)
  }
})

test('a signature over another domain, over a quote of the same text, or over nearly the same text is refused', () => {
  const good = signed(OFFER)
  const bad: SignedOffer[] = [
    signed(OFFER, HOST, makeDomain(1, DOMAIN.channels)),
    { text: good.text, signature: HOST.sign(quoteDigest(DOMAIN, good.text)) },
    { text: `${good.text} `, signature: good.signature },
    { text: good.text.replace('"queueFree":10', '"queueFree":11'), signature: good.signature },
    { text: good.text, signature: `0x${'00'.repeat(65)}` },
  ]
  for (const one of bad) assert.throws(() => openOffer(DOMAIN, one, NOW), { code: 'not_verified' })
})

test('a text that is no offer is a broken protocol, not a crash', () => {
  const wire = toWire(OFFER) as object
  const bad: string[] = [
    '',
    'null',
    '[]',
    '{',
    '"x"',
    JSON.stringify({ ...wire, more: 1 }),
    JSON.stringify({ ...wire, v: 2 }),
    JSON.stringify({ ...wire, sequence: -1 }),
    JSON.stringify({ ...wire, maxSeconds: 2_592_000 }),
    JSON.stringify({ ...wire, host: OFFER.host.toUpperCase() }),
    JSON.stringify({ ...wire, tariffs: [] }),
    JSON.stringify({
      ...wire,
      tariffs: [{ token: NATIVE, perJob: 'junk', perCpuSecond: '', perGibSecond: '1e9', perGpuSecond: '-1' }],
    }),
    JSON.stringify({ ...wire, platform: '\u001b[2J' }),
    JSON.stringify({ ...wire, formats: ['meca\n'] }),
    JSON.stringify({ ...wire, runtimes: ['\u202e'] }),
    JSON.stringify({ ...wire, addresses: ['/ip4/1.2.3.4\u0000'] }),
    JSON.stringify({ ...wire, images: Array.from({ length: MAX_IMAGES + 1 }, () => CID) }),
    JSON.stringify(wire).replace('"queueFree":10', '"queueFree":1e400'),
    JSON.stringify(wire).replace('{', '{"__proto__":{"free":1},'),
    '['.repeat(20_000) + ']'.repeat(20_000),
  ]
  for (const text of bad) {
    const one = { text, signature: HOST.sign(offerDigest(DOMAIN, text)) }
    assert.throws(() => openOffer(DOMAIN, one, NOW), { code: 'protocol' }, text.slice(0, 80))
  }
  fc.assert(
    fc.property(fc.jsonValue(), (json) => !zOffer.safeParse(json).success),
    { numRuns: 500 },
  )
})

test('the largest offer fits in what the wire takes', () => {
  const widest = {
    ...OFFER,
    images: Array.from({ length: MAX_IMAGES }, () => CID),
    addresses: Array.from({ length: 16 }, () => 'x'.repeat(300)),
  }
  assert.equal(zSignedOffer.safeParse(signed(widest)).success, true)
  openOffer(DOMAIN, signed(widest), NOW)
})
