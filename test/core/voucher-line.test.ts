/** A voucher as a line: it reads back as itself, and what is anything else is refused with the field that does not fit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MecaError } from '../../src/core/errors.ts'
import { MAX_AMOUNT } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { formatVoucherLine, MAX_VOUCHER_LINE, parseVoucherLine } from '../../src/core/voucher-line.ts'
import type { VoucherLine } from '../../src/core/voucher-line.ts'

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((b): Hex => `0x${Buffer.from(b).toString('hex')}`)
const amount = fc.bigInt({ min: 0n, max: MAX_AMOUNT })
const voucher: fc.Arbitrary<VoucherLine> = fc
  .record({
    version: fc.constant(1 as const),
    chainId: fc.nat(),
    channels: hex(20),
    channelId: hex(32),
    terms: fc.record({
      client: hex(20),
      signer: hex(20),
      host: hex(20),
      token: hex(20),
      closeDelaySeconds: fc.nat(),
      salt: hex(32),
    }),
    taskId: hex(32),
    jobs: fc.nat(),
    hostAmount: amount,
    developerAmount: amount,
    signature: hex(65),
  })
  .chain((one) => fc.constantFrom<VoucherLine>(one, { ...one, exact: true }))

test('a voucher reads back as itself, on one line', () => {
  fc.assert(
    fc.property(voucher, (one) => {
      const line = formatVoucherLine(one)
      assert.doesNotMatch(line, /\n/)
      assert.ok(line.length < MAX_VOUCHER_LINE)
      assert.deepEqual(parseVoucherLine(line), structuredClone(one))
    }),
  )
})

test('whatever else a line holds is bad input, and nothing but that', () => {
  const damaged = fc.tuple(voucher, fc.nat(), fc.string({ minLength: 1, maxLength: 3 })).map(([one, at, put]) => {
    const line = formatVoucherLine(one)
    const i = at % line.length
    return line.slice(0, i) + put + line.slice(i + 1)
  })
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json(), damaged), (text) => {
      try {
        assert.deepEqual(parseVoucherLine(formatVoucherLine(parseVoucherLine(text))), parseVoucherLine(text))
      } catch (error) {
        assert.ok(error instanceof MecaError && error.code === 'bad_input', String(error))
      }
    }),
    { numRuns: 500 },
  )
})

for (const [name, text, why] of [
  ['nothing', '', /not JSON/],
  ['too long a line', `"${'x'.repeat(MAX_VOUCHER_LINE)}"`, /longer than/],
  ['a prototype', '{"__proto__":{"version":1}}', /version|Unrecognized|Invalid/i],
] as const) {
  test(`${name}: says why`, () => {
    assert.throws(() => parseVoucherLine(text), why)
  })
}
