/** Who is asked, in which order: fit, price, and all that speaks for or against a host. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { STRANGER } from '../../src/core/experience.ts'
import type { Offer } from '../../src/core/offer.ts'
import { NO_STANDING, rank } from '../../src/core/rank.ts'
import type { Standing, Wanted } from '../../src/core/rank.ts'
import { add } from '../../src/core/resources.ts'
import type { Resources } from '../../src/core/resources.ts'
import { priceFor, total } from '../../src/core/tariff.ts'
import { MAX_AMOUNT, NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { address } from './arbitraries.ts'
import { CID, NOW, OFFER, TOKEN } from './sample-offer.ts'
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

function met(answered: number, failed: number): Standing {
  return { ...NO_STANDING, past: { answered, failed, at: NOW } }
}

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
  const first = (answered: number, failed: number): Hex | undefined =>
    rank([OFFER, free], { ...WANTED, fee: 0n }, ({ host }) => (host === TOKEN ? met(answered, failed) : NO_STANDING))
      .candidates[0]?.offer.host
  assert.equal(first(0, 0), TOKEN)
  assert.equal(first(0, 3), OFFER.host)
  assert.equal(first(10, 3), TOKEN)
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

const someResources = fc.nat(8).map((n) => ({ cpuMillis: n * 1000, memoryBytes: n * 2 ** 30, gpus: 0 }))
const someStanding = fc.record({
  past: fc.record({ answered: fc.nat(20), failed: fc.nat(20), at: fc.constant(NOW) }),
  inFlight: someResources,
  sinceOffer: someResources,
  hasChannel: fc.boolean(),
})

/** A burst: each job goes to the best host as it stands with those that went before. Resolves to how many each got. */
function burst(offers: readonly Offer[], jobs: number, wanted: Wanted, channels: readonly Hex[] = []): number[] {
  const sent = new Map<Hex, number>()
  for (let i = 0; i < jobs; i++) {
    const { candidates } = rank(offers, wanted, ({ host }) => {
      const load = times(wanted.resources, sent.get(host) ?? 0)
      const hasChannel = channels.includes(host) || sent.has(host)
      return { past: STRANGER, inFlight: load, sinceOffer: load, hasChannel }
    })
    const best = candidates[0]?.offer.host
    assert.ok(best !== undefined)
    sent.set(best, (sent.get(best) ?? 0) + 1)
  }
  return offers.map(({ host }) => sent.get(host) ?? 0)
}

function times({ cpuMillis, memoryBytes, gpus }: Resources, n: number): Resources {
  return { cpuMillis: cpuMillis * n, memoryBytes: memoryBytes * n, gpus: gpus * n }
}

test('jobs of one burst see each other: equal hosts get equal parts, larger ones more', () => {
  const idle = { ...OFFER, free: OFFER.total }
  const [one, other] = [idle, { ...idle, host: TOKEN }]
  for (const takesFiles of [false, true]) {
    const wanted = { ...WANTED, takesFiles }
    assert.deepEqual(burst([one, other], 20, wanted, [one.host, other.host]), [10, 10])
    const [few, many] = burst([one, { ...other, ...twice(idle) }], 24, wanted, [one.host, other.host])
    assert.deepEqual([few, many], [8, 16])
  }
})

function twice({ total: whole }: Offer): Pick<Offer, 'total' | 'free'> {
  return { total: times(whole, 2), free: times(whole, 2) }
}

test('a channel is opened with a second host only when the first is at its limit', () => {
  const idle = { ...OFFER, free: OFFER.total }
  const other = { ...idle, host: TOKEN }
  const files = { ...WANTED, takesFiles: true }
  for (const channels of [[], [OFFER.host], [TOKEN]]) {
    assert.deepEqual(burst([idle, other], 4, files, channels).toSorted(), [0, 4], 'there is room for four')
    assert.deepEqual(burst([idle, other], 8, files, channels), [4, 4])
  }
})

test('a host that is much dearer gets nothing of a burst that a cheaper one can queue', () => {
  const [tariff] = OFFER.tariffs
  assert.ok(tariff !== undefined)
  const dear = { ...OFFER, host: TOKEN, tariffs: [{ ...tariff, perCpuSecond: tariff.perCpuSecond * 3n }] }
  assert.deepEqual(burst([OFFER, dear], 6, WANTED), [6, 0])
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
  const score = (offer: Offer, e: Standing, files = false): number =>
    rank([offer], { ...WANTED, takesFiles: files }, () => e).candidates[0]?.score ?? Infinity
  const asked = fc.bigInt({ min: 1n, max: 10n ** 20n })
  fc.assert(
    fc.property(someOffer, someStanding, asked, fc.boolean(), (offer, e, more, files) => {
      const { past } = e
      const base = score(offer, e, files)
      const [tariff] = offer.tariffs
      assert.ok(tariff !== undefined)
      assert.ok(score({ ...offer, tariffs: [{ ...tariff, perJob: tariff.perJob + more }] }, e, files) >= base)
      assert.ok(score({ ...offer, images: [] }, e, files) >= base)
      assert.ok(score({ ...offer, free: { ...offer.free, cpuMillis: 0 } }, e, files) >= base)
      const failed = { ...e, past: { ...past, failed: past.failed + 1 } }
      assert.ok(score(offer, failed, files) > base || base === Infinity)
      assert.ok(score(offer, { ...e, past: { ...past, answered: past.answered + 1 } }, files) <= base)
      assert.ok(score(offer, { ...e, hasChannel: true }, files) <= base)
      for (const one of ['inFlight', 'sinceOffer'] as const)
        assert.ok(score(offer, { ...e, [one]: add(e[one], WANTED.resources) }, files) >= base)
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
