import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  MAX_IMAGES,
  MAX_OFFER_TTL_MS,
  MAX_SKEW_MS,
  openOffer,
  rank,
  zOffer,
  zSignedOffer,
} from '../../src/core/offer.ts'
import type { Experience, Offer, SignedOffer, Wanted } from '../../src/core/offer.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { priceFor, total } from '../../src/core/tariff.ts'
import { keccak, makeDomain, offerDigest, quoteDigest } from '../../src/core/typed.ts'
import { MAX_AMOUNT, NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { toWire } from '../../src/core/wire.ts'
import { address } from './arbitraries.ts'

const DOMAIN = makeDomain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3')
const HOST = makeSigner(keccak(Buffer.from('host')))
const CID = `b${'a'.repeat(58)}`
const NOW = 1_800_000_000_000
const TOKEN: Hex = `0x${'cc'.repeat(20)}`

const OFFER: Offer = {
  v: 1,
  chainId: DOMAIN.chainId,
  channels: DOMAIN.channels,
  host: HOST.address,
  peerId: '12D3KooWGRUfDEcSqeqtGbE9kPRLb8QWtBcf8bTyPkYUBqNdZQXU',
  addresses: ['/ip4/127.0.0.1/tcp/4001'],
  sequence: 1,
  issuedAt: NOW - 1000,
  expiresAt: NOW + 60_000,
  tariffs: [{ token: NATIVE, perJob: 10n, perCpuSecond: 5n, perGibSecond: 1n, perGpuSecond: 100n }],
  platform: 'linux/amd64',
  total: { cpuMillis: 4000, memoryBytes: 2 ** 33, gpus: 0 },
  free: { cpuMillis: 2000, memoryBytes: 2 ** 32, gpus: 0 },
  queueFree: 10,
  formats: ['meca', 'cytomine'],
  runtimes: ['runc'],
  allowsNetwork: false,
  maxSeconds: 3600,
  maxInputBytes: 1000,
  maxOutputBytes: 1000,
  minCloseDelaySeconds: 3600,
  images: [CID],
}

const WANTED: Wanted = {
  task: CID,
  format: 'meca',
  token: NATIVE,
  fee: 7n,
  resources: { cpuMillis: 1000, memoryBytes: 2 ** 30, gpus: 0 },
  platform: 'linux/amd64',
  maxSeconds: 60,
  inputBytes: 100,
  needsNetwork: false,
  closeDelaySeconds: 86_400,
}

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

test('every refusal has a code and, where numbers decide, both of them', () => {
  const rows: [Partial<Offer>, Partial<Wanted>, string, string[]][] = [
    [{}, { resources: { ...WANTED.resources, cpuMillis: 8000 } }, 'capacity', ['8 CPUs', '4 there']],
    [{}, { resources: { ...WANTED.resources, memoryBytes: 2 ** 34 } }, 'capacity', ['16384 MiB', '8192 there']],
    [{}, { resources: { ...WANTED.resources, gpus: 1 } }, 'capacity', ['1 GPUs', '0 there']],
    [{}, { format: 'kaapana' }, 'format', ['meca, cytomine', 'kaapana']],
    [{}, { platform: 'linux/arm64' }, 'platform', ['linux/amd64', 'linux/arm64']],
    [{}, { runtime: 'runsc' }, 'runtime', ['runc', 'runsc']],
    [{}, { needsNetwork: true }, 'network', ['no network']],
    [{}, { maxSeconds: 3601 }, 'time', ['3600 s', '3601 s']],
    [{}, { inputBytes: 1001 }, 'input', ['1000 bytes', '1001']],
    [{}, { closeDelaySeconds: 3599 }, 'close_delay', ['3600 s', '3599 s']],
    [{ queueFree: 0 }, { resources: { ...WANTED.resources, cpuMillis: 3000 } }, 'busy', ['3 CPUs', '2 there', 'queue']],
    [{}, { token: TOKEN }, 'token', [TOKEN]],
    [{}, { maxPrice: 376n }, 'price', ['377', '376']],
  ]
  for (const [offer, wanted, code, parts] of rows) {
    const { candidates, refusals } = rank([{ ...OFFER, ...offer }], { ...WANTED, ...wanted })
    assert.equal(candidates.length, 0, code)
    assert.equal(refusals[0]?.code, code)
    assert.equal(refusals[0].host, OFFER.host)
    for (const part of parts) assert.ok(refusals[0].reason.includes(part), `${code}: ${refusals[0].reason}`)
  }
  assert.equal(rank([OFFER], { ...WANTED, maxPrice: 377n }).candidates.length, 1)
})

test('one hostile offer cannot spoil the choice among the others', () => {
  const dear = {
    ...OFFER,
    host: TOKEN,
    tariffs: [
      {
        token: NATIVE,
        perJob: MAX_AMOUNT,
        perCpuSecond: MAX_AMOUNT,
        perGibSecond: MAX_AMOUNT,
        perGpuSecond: MAX_AMOUNT,
      },
    ],
  }
  for (const maxPrice of [undefined, 2n ** 200n]) {
    const { candidates, refusals } = rank([dear, OFFER], { ...WANTED, ...(maxPrice === undefined ? {} : { maxPrice }) })
    assert.deepEqual(
      candidates.map((c) => c.offer.host),
      [OFFER.host],
    )
    assert.deepEqual(
      refusals.map((r) => r.code),
      ['price'],
    )
  }
})

test('a host that takes money for nothing loses its place at the front, even at a price of zero', () => {
  const free = {
    ...OFFER,
    host: TOKEN,
    tariffs: [{ token: NATIVE, perJob: 0n, perCpuSecond: 0n, perGibSecond: 0n, perGpuSecond: 0n }],
  }
  const first = (past: Experience): Hex | undefined =>
    rank([OFFER, free], { ...WANTED, fee: 0n }, (host) => (host === TOKEN ? past : { answered: 0, failed: 0 }))
      .candidates[0]?.offer.host
  assert.equal(first({ answered: 0, failed: 0 }), TOKEN)
  assert.equal(first({ answered: 0, failed: 3 }), OFFER.host)
  assert.equal(first({ answered: 10, failed: 3 }), TOKEN)
})

const someOffer = fc
  .record({
    host: address,
    perJob: fc.bigInt({ min: 0n, max: 20n }),
    image: fc.boolean(),
    free: fc.boolean(),
    sequence: fc.nat(3),
    queueFree: fc.nat(1),
  })
  .map(({ host, perJob, image, free, sequence, queueFree }): Offer => {
    const [tariff] = OFFER.tariffs
    assert.ok(tariff !== undefined)
    return {
      ...OFFER,
      host,
      sequence,
      queueFree,
      images: image ? [CID] : [],
      free: free ? OFFER.free : { ...OFFER.free, cpuMillis: 0 },
      tariffs: [{ ...tariff, perJob }],
    }
  })

test('the rank is the same in whatever order the offers were heard, and each offer is in it once', () => {
  fc.assert(
    fc.property(
      fc
        .array(someOffer, { maxLength: 12 })
        .chain((offers) => fc.tuple(fc.constant(offers), fc.shuffledSubarray(offers, { minLength: offers.length }))),
      ([offers, shuffled]) => {
        const [a, b] = [rank(offers, WANTED), rank(shuffled, WANTED)]
        const key = (o: Offer): string => `${o.host} ${o.sequence}`
        if (new Set(offers.map(key)).size === offers.length) assert.deepEqual(a.candidates, b.candidates)
        assert.equal(a.candidates.length + a.refusals.length, offers.length)
        const scores = a.candidates.map((c) => c.score)
        assert.deepEqual(
          scores,
          [...scores].sort((x, y) => x - y),
        )
      },
    ),
    { numRuns: 1000 },
  )
})

test('of two offers of one host that are worth the same, the newer one is first', () => {
  const newer = { ...OFFER, sequence: 2 }
  for (const offers of [
    [OFFER, newer],
    [newer, OFFER],
  ]) {
    assert.deepEqual(
      rank(offers, WANTED).candidates.map((c) => c.offer.sequence),
      [2, 1],
    )
  }
})

test('dearer, colder, busier or less reliable never ranks better', () => {
  const past = fc.record({ answered: fc.nat(20), failed: fc.nat(20) })
  const score = (offer: Offer, e: Experience): number => rank([offer], WANTED, () => e).candidates[0]?.score ?? Infinity
  fc.assert(
    fc.property(someOffer, past, fc.bigInt({ min: 1n, max: 10n ** 20n }), (offer, e, more) => {
      const base = score(offer, e)
      const [tariff] = offer.tariffs
      assert.ok(tariff !== undefined)
      assert.ok(score({ ...offer, tariffs: [{ ...tariff, perJob: tariff.perJob + more }] }, e) >= base)
      assert.ok(score({ ...offer, images: [] }, e) >= base)
      assert.ok(score({ ...offer, free: { ...offer.free, cpuMillis: 0 } }, e) >= base)
      assert.ok(score(offer, { ...e, failed: e.failed + 1 }) > base || base === Infinity)
      assert.ok(score(offer, { ...e, answered: e.answered + 1 }) <= base)
    }),
    { numRuns: 1000 },
  )
})

test('a candidate carries the price that its tariff makes, for the token asked', () => {
  const two = {
    ...OFFER,
    tariffs: [...OFFER.tariffs, { token: TOKEN, perJob: 1n, perCpuSecond: 0n, perGibSecond: 0n, perGpuSecond: 0n }],
  }
  const [native] = rank([two], WANTED).candidates
  const [other] = rank([two], { ...WANTED, token: TOKEN }).candidates
  const [tariff] = OFFER.tariffs
  assert.ok(tariff !== undefined && native !== undefined && other !== undefined)
  assert.deepEqual(native.price, priceFor(tariff, WANTED.resources, WANTED.maxSeconds, WANTED.fee))
  assert.deepEqual([total(other.price), other.price.token], [8n, TOKEN])
})
