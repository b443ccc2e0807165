/** Random values of the market for property tests, with the edges that matter more often than chance would bring them. */
import fc from 'fast-check'
import { toHex } from '../../src/core/typed.ts'
import type { ChannelTerms, Receipt, Voucher } from '../../src/core/typed.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { Resources } from '../../src/core/resources.ts'
import type { Tariff } from '../../src/core/tariff.ts'
import { MAX_AMOUNT } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'

const GIB = 2 ** 30
/** Records as our own code makes them, so that they compare deeply equal. */
const PLAIN = { noNullPrototype: true } as const

function hex(bytes: number): fc.Arbitrary<Hex> {
  const edges = [new Uint8Array(bytes), new Uint8Array(bytes).fill(255)].map((b) => fc.constant(b))
  return fc.oneof({ weight: 20, arbitrary: fc.uint8Array({ minLength: bytes, maxLength: bytes }) }, ...edges).map(toHex)
}

export const hash = hex(32)
export const address = hex(20)

export const amount = fc.oneof(
  fc.bigInt({ min: 0n, max: MAX_AMOUNT }),
  fc.bigInt({ min: 0n, max: 1000n }),
  fc.constantFrom(0n, 1n, 2n ** 53n, 2n ** 64n, MAX_AMOUNT),
)

export const count = fc.oneof(fc.maxSafeNat(), fc.nat(1000), fc.constantFrom(0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER))

export const voucher: fc.Arbitrary<Voucher> = fc.record(
  {
    channelId: hash,
    taskId: hash,
    jobs: count,
    hostAmount: amount,
    developerAmount: amount,
  },
  PLAIN,
)

export const totals: fc.Arbitrary<Totals> = fc.record(
  { jobs: fc.nat(2 ** 50), hostAmount: amount, developerAmount: amount },
  PLAIN,
)

export const terms: fc.Arbitrary<ChannelTerms> = fc.record(
  {
    client: address,
    signer: address,
    host: address,
    token: address,
    closeDelaySeconds: count,
    salt: hash,
  },
  PLAIN,
)

export const receipt: fc.Arbitrary<Receipt> = fc.record(
  {
    channelId: hash,
    jobHash: hash,
    taskId: hash,
    inputHash: hash,
    outputHash: hash,
    status: fc.integer({ min: 1, max: 4 }),
    hostAmount: amount,
    developerAmount: amount,
    startedAt: count,
    endedAt: count,
  },
  PLAIN,
)

export const resources: fc.Arbitrary<Resources> = fc.record(
  {
    cpuMillis: fc.oneof(fc.nat(4_096_000), fc.constantFrom(0, 1, 1000, 1500)),
    memoryBytes: fc.oneof(
      fc.maxSafeNat().map((n) => n % 2 ** 46),
      fc.constantFrom(0, 1, GIB / 2, GIB, 2 ** 46),
    ),
    gpus: fc.nat(1024),
  },
  PLAIN,
)

/** Prices small enough that a quote stays in the contracts' range. */
export const tariff: fc.Arbitrary<Tariff> = fc.record(
  {
    token: address,
    perJob: fc.bigInt({ min: 0n, max: 2n ** 60n }),
    perCpuSecond: fc.bigInt({ min: 0n, max: 2n ** 50n }),
    perGibSecond: fc.bigInt({ min: 0n, max: 2n ** 40n }),
    perGpuSecond: fc.bigInt({ min: 0n, max: 2n ** 50n }),
  },
  PLAIN,
)
