import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { z } from 'zod'
import { PHASES } from '../../src/core/job.ts'
import { signReceipts } from '../../src/core/receipt.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { keccak, makeDomain } from '../../src/core/typed.ts'
import { MAX_AMOUNT, NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import {
  CLIENT_MESSAGES,
  decode,
  FRAME,
  HOST_MESSAGES,
  MAX_BATCH,
  toWire,
  zDataHeader,
  zQuote,
  zQuoteRequest,
  zSignedQuote,
} from '../../src/core/wire.ts'
import { receipt as anyReceipt } from './arbitraries.ts'

const HASH: Hex = `0x${'ab'.repeat(32)}`
const ADDRESS: Hex = `0x${'cd'.repeat(20)}`
const SIGNATURE: Hex = `0x${'ef'.repeat(65)}`
const CID = `b${'a'.repeat(58)}`
const RESOURCES = { cpuMillis: 1000, memoryBytes: 2 ** 30, gpus: 0 }
const TERMS = { client: ADDRESS, signer: ADDRESS, host: ADDRESS, token: NATIVE, closeDelaySeconds: 3600, salt: HASH }
const TOTALS = { jobs: 1, hostAmount: 5n, developerAmount: 7n }
const VOUCHED = { ...TOTALS, taskId: HASH, signature: SIGNATURE }
const PHASE_TIMES = { queuedMs: 0, fetchMs: 0, startMs: 0.5, runMs: 1, deliverMs: 0, totalMs: 1.5 }
const [SIGNED] = signReceipts(makeDomain(1, ADDRESS), makeSigner(keccak(Buffer.from('h'))), [
  {
    channelId: HASH,
    jobHash: HASH,
    taskId: HASH,
    inputHash: HASH,
    outputHash: HASH,
    status: 1,
    hostAmount: 5n,
    developerAmount: 7n,
    startedAt: 1,
    endedAt: 2,
  },
])
const JOB = {
  id: 'job-1',
  task: CID,
  inputHash: HASH,
  inputBytes: 10,
  inline: 0,
  price: { token: NATIVE, hostAmount: 5n, developerAmount: 7n, maxSeconds: 60 },
  basis: { offer: 1 },
  resources: RESOURCES,
  providers: [],
}

/** One good value of every message, so that a new message without a row here fails to compile. */
const CLIENT: { [K in keyof typeof CLIENT_MESSAGES]: z.infer<(typeof CLIENT_MESSAGES)[K]> } = {
  hello: { terms: TERMS, issuedAt: 1, signature: SIGNATURE },
  submit: {
    channelId: HASH,
    vouchers: [VOUCHED],
    jobs: [JOB, { ...JOB, basis: { quote: { text: '{}', signature: SIGNATURE } } }],
  },
  ack: { channelId: HASH, ids: ['job-1'], vouchers: [VOUCHED] },
  cancel: { channelId: HASH, id: 'job-1' },
  attach: { channelId: HASH, ids: ['job-1'] },
  release: { channelId: HASH },
}
const HOST: { [K in keyof typeof HOST_MESSAGES]: z.infer<(typeof HOST_MESSAGES)[K]> } = {
  welcome: { channelId: HASH, rows: [{ taskId: HASH, vouched: TOTALS, billed: TOTALS, signature: SIGNATURE }] },
  event: {
    channelId: HASH,
    id: 'job-1',
    phase: 'running',
    at: 1,
    progress: { doneBytes: 1, totalBytes: 2 },
    logs: [{ stream: 'stdout', text: 'x' }],
  },
  results: {
    channelId: HASH,
    results:
      SIGNED === undefined
        ? []
        : [
            {
              id: 'job-1',
              signed: { ...SIGNED, proof: [...SIGNED.proof] },
              outcome: { warm: true, phases: PHASE_TIMES, outputBytes: 3 },
              inline: 0,
            },
          ],
  },
  refused: { channelId: HASH, id: 'job-1', problem: { code: 'busy', message: 'full', details: { numbers: [1, 2] } } },
  released: { channelId: HASH, claimed: 5n, signature: SIGNATURE },
}

const ALL: [string, z.ZodType, unknown][] = [
  ...Object.entries(CLIENT_MESSAGES).map(([name, schema]): [string, z.ZodType, unknown] => [
    name,
    schema,
    CLIENT[name as keyof typeof CLIENT],
  ]),
  ...Object.entries(HOST_MESSAGES).map(([name, schema]): [string, z.ZodType, unknown] => [
    name,
    schema,
    HOST[name as keyof typeof HOST],
  ]),
  ['quote request', zQuoteRequest, { task: CID, token: NATIVE, resources: RESOURCES, maxSeconds: 60, inputBytes: 1 }],
  [
    'quote',
    zQuote,
    {
      v: 1,
      host: ADDRESS,
      task: CID,
      token: NATIVE,
      hostAmount: 5n,
      developerAmount: 7n,
      maxSeconds: 60,
      resources: RESOURCES,
      nonce: HASH,
      expiresAt: 1,
    },
  ],
  ['signed quote', zSignedQuote, { text: '{}', signature: SIGNATURE }],
  ['data header', zDataHeader, { op: 'put', channelId: HASH, id: 'job-1', offset: 0 }],
]

/** As it arrives: parsed from text. */
function over(value: unknown): unknown {
  return JSON.parse(JSON.stringify(toWire(value)))
}

test('every message says the same after the wire as before it', () => {
  for (const [name, schema, value] of ALL) assert.deepEqual(decode(schema, over(value), name), value, name)
})

test('every message refuses an unknown key and a missing one, at every level, as a broken protocol', () => {
  let tried = 0
  for (const [name, schema, value] of ALL) {
    for (const place of objectsIn(over(value))) {
      if (place.path.includes('details')) continue
      for (const changed of mutantsOf(over(value), place)) {
        assert.throws(() => decode(schema, changed.value, name), { code: 'protocol' }, `${name}: ${changed.what}`)
        tried++
      }
    }
  }
  assert.ok(tried > 170, `${tried} were tried`)
})

test('every amount on the wire is a decimal string, and nothing else gets through in its place', () => {
  const junk = [
    5,
    -5,
    5.5,
    '5.0',
    '-5',
    '05',
    '0x5',
    '',
    ' 5',
    '5\n',
    'junk',
    '1e3',
    'NaN',
    (MAX_AMOUNT + 1n).toString(),
    '9'.repeat(100_000),
    null,
    true,
    [],
    ['5'],
    {},
    undefined,
  ]
  let places = 0
  for (const [name, schema, value] of ALL) {
    for (const path of amountsIn(value)) {
      places++
      for (const bad of junk) {
        const message = over(value)
        put(message, path, bad)
        assert.throws(
          () => decode(schema, message, name),
          { code: 'protocol' },
          `${name} ${path.join('.')} = ${JSON.stringify(bad)?.slice(0, 20)}`,
        )
      }
    }
  }
  assert.ok(places >= 15, `${places} places hold an amount`)
})

test('every whole number on the wire is a safe one', () => {
  for (const [name, schema, value] of ALL) {
    for (const path of leavesIn(over(value))
      .filter(({ leaf, path: p }) => typeof leaf === 'number' && !p.includes('details'))
      .map(({ path: p }) => p)) {
      for (const bad of [-1, NaN, Infinity, -Infinity, '1', null, [1]]) {
        const message = over(value)
        put(message, path, bad)
        assert.throws(
          () => decode(schema, message, name),
          { code: 'protocol' },
          `${name} ${path.join('.')} = ${String(bad)}`,
        )
      }
    }
  }
})

test('arbitrary JSON is refused by every message, never by a crash', () => {
  for (const [name, schema] of ALL) {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), fc.anything()), (junk) => {
        assert.throws(() => decode(schema, junk, name), { code: 'protocol' })
      }),
      { numRuns: 300 },
    )
  }
})

test('one value anywhere in a good message replaced by anything is refused or still valid, never a crash', () => {
  const lies = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom(Infinity, -0, 2 ** 53, '\ud800', '__proto__', '\u001b[2J', '9'.repeat(40)),
  )
  for (const [name, schema, value] of ALL) {
    const leaves = leavesIn(over(value))
    fc.assert(
      fc.property(fc.nat(leaves.length - 1), lies, (at, lie) => {
        const message = over(value)
        put(message, leaves[at]?.path ?? [], lie)
        try {
          decode(schema, message, name)
        } catch (error) {
          assert.ok(error instanceof Error && 'code' in error && error.code === 'protocol', String(error))
          assert.ok(error.message.length < 700 && !error.message.includes('\u001b'))
        }
      }),
      { numRuns: 300 },
    )
  }
})

test('a __proto__ key changes no prototype and is refused where a message is strict', () => {
  for (const [name, schema, value] of ALL) {
    const text = JSON.stringify(toWire(value)).replace('{', '{"__proto__":{"polluted":true},')
    assert.throws(() => decode(schema, JSON.parse(text), name), { code: 'protocol' }, name)
  }
  const text =
    '{"channelId":"' + HASH + '","problem":{"code":"x","message":"y","details":{"__proto__":{"polluted":true},"n":1}}}'
  const refused = decode(HOST_MESSAGES.refused, JSON.parse(text), 'refused')
  assert.equal(refused.problem.details?.['polluted'], undefined)
  assert.equal(({} as { polluted?: boolean }).polluted, undefined)
})

test('JSON that is deep enough to break a recursive reader is refused in time', () => {
  const deep: unknown = JSON.parse('['.repeat(100_000) + ']'.repeat(100_000))
  const started = process.hrtime.bigint()
  for (const [name, schema, value] of ALL) {
    for (const { path } of leavesIn(over(value)).filter((l) => !l.path.includes('details'))) {
      const message = over(value)
      put(message, path, deep)
      assert.throws(() => decode(schema, message, name), { code: 'protocol' })
    }
    assert.throws(() => decode(schema, deep, name), { code: 'protocol' })
  }
  assert.ok(process.hrtime.bigint() - started < 5_000_000_000n)
})

test('a host cannot tell a client that lost its records that more was billed than the client ever vouched for', () => {
  const row = { taskId: HASH, vouched: TOTALS, billed: TOTALS, signature: SIGNATURE }
  for (const change of [{ jobs: 2 }, { hostAmount: 6n }, { developerAmount: MAX_AMOUNT }]) {
    const message = over({ channelId: HASH, rows: [{ ...row, billed: { ...TOTALS, ...change } }] })
    assert.throws(() => decode(HOST_MESSAGES.welcome, message, 'welcome'), {
      code: 'protocol',
      message: /more is billed than vouched/,
    })
  }
})

test('lists have their ceilings', () => {
  const jobs = (n: number): unknown => over({ ...CLIENT.submit, jobs: Array.from({ length: n }, () => JOB) })
  decode(CLIENT_MESSAGES.submit, jobs(MAX_BATCH), 'submit')
  assert.throws(() => decode(CLIENT_MESSAGES.submit, jobs(MAX_BATCH + 1), 'submit'), { code: 'protocol' })
  const ids = (n: number): unknown => over({ ...CLIENT.ack, ids: Array.from({ length: n }, () => 'x') })
  decode(CLIENT_MESSAGES.ack, ids(4 * MAX_BATCH), 'ack')
  assert.throws(() => decode(CLIENT_MESSAGES.ack, ids(4 * MAX_BATCH + 1), 'ack'), { code: 'protocol' })
})

test('receipts of every value survive the wire', () => {
  const signer = makeSigner(keccak(Buffer.from('wire')))
  fc.assert(
    fc.property(fc.array(anyReceipt, { minLength: 1, maxLength: 5 }), (receipts) => {
      const results = signReceipts(makeDomain(1, ADDRESS), signer, receipts).map((signed, i) => ({
        id: `job-${i}`,
        signed: { ...signed, proof: [...signed.proof] },
        outcome: { warm: false, phases: PHASE_TIMES, outputBytes: i },
      }))
      const message = { channelId: HASH, results }
      assert.deepEqual(decode(HOST_MESSAGES.results, over(message), 'results'), message)
    }),
    { numRuns: 200 },
  )
})

test('toWire changes bigints and nothing else', () => {
  assert.deepEqual(toWire({ a: 1n, b: [2n, { c: 3n }], d: null, e: 'x', f: 1.5, g: false }), {
    a: '1',
    b: ['2', { c: '3' }],
    d: null,
    e: 'x',
    f: 1.5,
    g: false,
  })
  fc.assert(fc.property(fc.jsonValue(), (json) => assert.deepEqual(JSON.stringify(toWire(json)), JSON.stringify(json))))
})

test('frame types are told apart, and every message has one', () => {
  const numbers = Object.values(FRAME)
  assert.equal(new Set(numbers).size, numbers.length)
  assert.deepEqual(Object.keys(FRAME).sort(), [...Object.keys(CLIENT_MESSAGES), ...Object.keys(HOST_MESSAGES)].sort())
  assert.ok(numbers.every((n) => Number.isInteger(n) && n > 0 && n < 256))
  assert.ok(PHASES.every((phase) => HOST_MESSAGES.event.safeParse({ ...HOST.event, phase }).success))
})

type Path = (string | number)[]

function leavesIn(value: unknown, path: Path = []): { path: Path; leaf: unknown }[] {
  if (value === null || typeof value !== 'object') return [{ path, leaf: value }]
  return Object.entries(value).flatMap(([key, v]) => leavesIn(v, [...path, key]))
}

function amountsIn(value: unknown): Path[] {
  return leavesIn(value)
    .filter(({ leaf }) => typeof leaf === 'bigint')
    .map(({ path }) => path)
}

function objectsIn(value: unknown, path: Path = []): { path: Path; keys: string[] }[] {
  if (value === null || typeof value !== 'object') return []
  const below = Object.entries(value).flatMap(([key, v]) => objectsIn(v, [...path, key]))
  return Array.isArray(value) ? below : [{ path, keys: Object.keys(value) }, ...below]
}

const OPTIONAL = ['inline', 'progress', 'logs', 'details']

/** The message with one more key at a place, and without each key that is not optional there (a refusal may name no job). */
function mutantsOf(
  message: unknown,
  { path, keys }: { path: Path; keys: string[] },
): { what: string; value: unknown }[] {
  const one = (what: string, change: (at: Record<string, unknown>) => void): { what: string; value: unknown } => {
    const value: unknown = structuredClone(message)
    change(at(value, path) as Record<string, unknown>)
    return { what: `${what} at ${path.join('.')}`, value }
  }
  const without = keys
    .filter((key) => !OPTIONAL.includes(key) && !(key === 'id' && keys.includes('problem')))
    .map((key) => one(`without ${key}`, (o) => delete o[key]))
  return [one('with another key', (o) => (o['another'] = 1)), ...without]
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((v, key) => (v as Record<string, unknown>)[key], value)
}

function put(message: unknown, path: Path, value: unknown): void {
  const key = path.at(-1)
  if (key !== undefined) (at(message, path.slice(0, -1)) as Record<string, unknown>)[key] = value
}
