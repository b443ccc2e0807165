import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  formatDecimal,
  MAX_AMOUNT,
  MAX_DURATION_MS,
  parseAddress,
  parseAmount,
  parseBytes,
  parseDecimal,
  parseDuration,
  quote,
  zAddress,
  zAmount,
  zCid,
  zCount,
  zHash,
  zJobId,
  zSignature,
} from '../../src/core/units.ts'
import { amount } from './arbitraries.ts'

/** What the platform's own conversions take for a number, and a few things that they do not. */
const TRAPS = [
  '',
  ' ',
  ' 1',
  '1 ',
  '1\n',
  '\t1',
  '+1',
  '-1',
  '-0',
  '00',
  '01',
  '0x10',
  '0b1',
  '0o7',
  '1e3',
  '1E3',
  '1.0',
  '1.',
  '.1',
  '1_000',
  '1,000',
  '1n',
  'NaN',
  'Infinity',
  'null',
  '１',
  '١',
  '1\u0000',
  '\ufeff1',
  MAX_AMOUNT.toString() + '0',
  (MAX_AMOUNT + 1n).toString(),
  '9'.repeat(30),
  '9'.repeat(1_000_000),
] as const

const code = (wanted: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === wanted

test('an amount is a plain decimal of at most 2^96 - 1, and nothing that BigInt or Number would also take', () => {
  for (const text of TRAPS) {
    assert.throws(() => parseAmount(text), code('bad_input'), JSON.stringify(text.slice(0, 40)))
    assert.equal(zAmount.safeParse(text).success, false, JSON.stringify(text.slice(0, 40)))
  }
  for (const text of ['0', '1', '10', MAX_AMOUNT.toString()]) {
    assert.equal(parseAmount(text), BigInt(text))
    assert.equal(zAmount.parse(text), BigInt(text))
  }
})

test('an amount schema refuses every value of another type without throwing', () => {
  for (const junk of [1, 1n, 0, null, undefined, true, [], ['1'], {}, { toString: () => '1' }, NaN]) {
    assert.equal(zAmount.safeParse(junk).success, false)
  }
  fc.assert(
    fc.property(
      fc.anything(),
      (junk) =>
        zAmount.safeParse(junk).success ===
        (typeof junk === 'string' && /^(0|[1-9]\d{0,28})$/.test(junk) && BigInt(junk) <= MAX_AMOUNT),
    ),
    { numRuns: 5000 },
  )
})

test('a refused amount says what was refused, and shortens it', () => {
  assert.throws(
    () => parseAmount('9'.repeat(1_000_000), 'fee'),
    (error: Error) => error.message.length < 200 && error.message.startsWith('fee'),
  )
})

test('amount → text → amount is the same for every amount', () => {
  fc.assert(
    fc.property(
      amount,
      (value) => parseAmount(value.toString()) === value && zAmount.parse(value.toString()) === value,
    ),
  )
})

test('decimals: every amount survives format and parse at every number of places', () => {
  fc.assert(
    fc.property(
      amount,
      fc.integer({ min: 0, max: 36 }),
      (value, places) => parseDecimal(formatDecimal(value, places), places) === value,
    ),
    { numRuns: 5000 },
  )
})

test('decimals: format drops no digit and adds none', () => {
  const rows: [bigint, number, string][] = [
    [0n, 18, '0'],
    [1n, 18, '0.000000000000000001'],
    [1_500_000_000_000_000_000n, 18, '1.5'],
    [10n ** 18n, 18, '1'],
    [-1n, 2, '-0.01'],
    [-150n, 2, '-1.5'],
    [123n, 0, '123'],
    [0n, 0, '0'],
    [MAX_AMOUNT, 6, '79228162514264337593543.950335'],
  ]
  for (const [value, places, text] of rows) assert.equal(formatDecimal(value, places), text)
})

test('decimals: what would lose a digit, or is no plain number, is refused', () => {
  const refused: [string, number][] = [
    ['0.1234567', 6],
    ['1.01', 1],
    ['1.1', 0],
    ['', 18],
    ['.5', 18],
    ['5.', 18],
    ['-1', 18],
    ['+1', 18],
    ['1e3', 18],
    ['1,5', 18],
    ['1 ', 18],
    ['0x1', 18],
    ['1.2.3', 18],
    ['Infinity', 18],
    ['1'.repeat(30), 0],
    ['79228162515', 18],
    [`0.${'0'.repeat(37)}`, 18],
  ]
  for (const [text, places] of refused) assert.throws(() => parseDecimal(text, places), code('bad_input'), text)
  assert.equal(parseDecimal('0.1230000', 3), 123n, 'zeros at the end are no digits')
  assert.equal(parseDecimal('007.5', 1), 75n, 'people may pad')
})

test('sizes are powers of 1024, and odd spellings are refused', () => {
  const rows: [string, number][] = [
    ['0', 0],
    ['1024', 1024],
    ['10b', 10],
    ['1k', 1024],
    ['1K', 1024],
    ['1kb', 1024],
    ['1KiB', 1024],
    ['512M', 512 * 2 ** 20],
    ['2g', 2 ** 31],
    ['1Gi', 2 ** 30],
    ['1TB', 2 ** 40],
  ]
  for (const [text, bytes] of rows) assert.equal(parseBytes(text), bytes, text)
  for (const text of [
    '',
    'k',
    '-1',
    '1.5g',
    '1 g',
    '5i',
    '5ib',
    '1p',
    '1e3',
    '0x10',
    '9'.repeat(16),
    '999999999999999t',
  ]) {
    assert.throws(() => parseBytes(text), code('bad_input'), text)
  }
})

test('durations have a unit and end before a timer would overflow', () => {
  const rows: [string, number][] = [
    ['250ms', 250],
    ['90s', 90_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
    ['24d', 24 * 86_400_000],
    ['0s', 0],
  ]
  for (const [text, ms] of rows) assert.equal(parseDuration(text), ms, text)
  for (const text of [
    '',
    '90',
    's',
    '1.5h',
    '-1s',
    '1 s',
    '1S',
    '1w',
    '1e3s',
    '25d',
    '999999999d',
    '9'.repeat(10) + 'ms',
  ]) {
    assert.throws(() => parseDuration(text), code('bad_input'), text)
  }
  fc.assert(
    fc.property(fc.nat(999_999_999), fc.constantFrom('ms', 's', 'm', 'h', 'd'), (n, unit) => {
      try {
        return parseDuration(`${n}${unit}`) <= MAX_DURATION_MS
      } catch (error) {
        return code('bad_input')(error)
      }
    }),
  )
})

test('hashes, addresses and signatures are lower-case hex of the exact length', () => {
  const rows = [
    [zHash, 64],
    [zAddress, 40],
    [zSignature, 130],
  ] as const
  for (const [schema, digits] of rows) {
    assert.equal(schema.safeParse(`0x${'a'.repeat(digits)}`).success, true)
    for (const bad of [
      `0x${'A'.repeat(digits)}`,
      `0x${'a'.repeat(digits - 1)}`,
      `0x${'a'.repeat(digits + 1)}`,
      `0X${'a'.repeat(digits)}`,
      'a'.repeat(digits),
      `0x${'g'.repeat(digits)}`,
      `0x${'a'.repeat(digits)}\n`,
      '',
      null,
      0,
      [`0x${'a'.repeat(digits)}`],
    ]) {
      assert.equal(schema.safeParse(bad).success, false, String(bad))
    }
  }
})

test('an address of any case becomes lower-case, anything else is refused', () => {
  assert.equal(parseAddress(`0x${'Ab'.repeat(20)}`), `0x${'ab'.repeat(20)}`)
  for (const bad of [
    '',
    '0x',
    'ab'.repeat(20),
    `0x${'ab'.repeat(21)}`,
    `0x${'zz'.repeat(20)}`,
    ` 0x${'ab'.repeat(20)}`,
    'vitalik.eth',
  ]) {
    assert.throws(() => parseAddress(bad), code('bad_input'), bad)
  }
})

test('a job id cannot name a path, be empty, or carry what a shell or a log would read', () => {
  for (const good of ['a', 'A1', 'job-1', '2026-01-01T00.00_x', 'x'.repeat(64)])
    assert.equal(zJobId.safeParse(good).success, true, good)
  for (const bad of [
    '',
    '.',
    '..',
    '.a',
    '-a',
    '_a',
    'a/b',
    'a\\b',
    'a b',
    'a\n',
    'ä',
    'a\u0000',
    'x'.repeat(65),
    '%2e',
    1,
    null,
  ]) {
    assert.equal(zJobId.safeParse(bad).success, false, String(bad))
  }
})

test('a CID is base32 of version 1, a count is a safe whole number', () => {
  for (const bad of [
    '',
    'b',
    'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
    'B' + 'a'.repeat(58),
    'b' + 'a'.repeat(121),
    'b' + '1'.repeat(58),
    `b${'a'.repeat(58)}/x`,
  ]) {
    assert.equal(zCid.safeParse(bad).success, false, bad)
  }
  for (const bad of [-1, 0.5, NaN, Infinity, 2 ** 53, '1', 1n, null])
    assert.equal(zCount.safeParse(bad).success, false, String(bad))
  assert.equal(zCount.parse(Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER)
})

test('a quoted text is short and draws nothing that it should not', () => {
  assert.equal(quote('a"b'), '"a\\"b"')
  assert.equal(quote('x'.repeat(100)).length, 82)
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(quote(text))))
  assert.equal(quote('\u001b[31m\u009b\u202e'), '"\\u001b[31m\\u{9b}\\u{202e}"')
})
