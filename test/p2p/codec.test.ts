import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MecaError } from '../../src/core/errors.ts'
import { encode, FrameParser, join } from '../../src/p2p/codec.ts'
import type { Frame, Header } from '../../src/p2p/codec.ts'
import { FRAME } from '../../src/p2p/limits.ts'

const LIMITS = { maxHeaderBytes: 4_096, maxFrameBytes: 65_536 }

type Message = { type: number; header: Header; attachments: Uint8Array[] }

const message: fc.Arbitrary<Message> = fc.record({
  type: fc.integer({ min: 1, max: 255 }),
  header: fc
    .dictionary(fc.string({ maxLength: 8 }), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 6 })
    .filter((h) => !Object.hasOwn(h, 'a') && !Object.hasOwn(h, '__proto__'))
    .filter((h) => JSON.stringify(h).length < 2_000),
  attachments: fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 4 }),
})

function bytesOf(messages: readonly Message[]): Buffer {
  return Buffer.concat(join(messages.map((m) => encode(m.type, m.header, m.attachments, LIMITS))))
}

function parseAll(chunks: readonly Uint8Array[]): Frame[] {
  const parser = new FrameParser(LIMITS)
  const frames: Frame[] = []
  for (const chunk of chunks) {
    parser.push(chunk)
    for (let f = parser.next(); f !== undefined; f = parser.next()) frames.push(f)
  }
  return frames
}

/** Splits at every position that `cuts` names. */
function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((c) => c % (bytes.length + 1)))].sort((a, b) => a - b)
  return [...at, bytes.length].map((end, i) => bytes.subarray(at[i - 1] ?? 0, end))
}

const plain = (m: Frame | Message): unknown => ({
  type: m.type,
  header: JSON.parse(JSON.stringify(m.header)) as unknown,
  attachments: m.attachments.map((a) => Buffer.from(a).toString('hex')),
})

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (error instanceof MecaError) return error.code
    throw error
  }
  return 'no error'
}

/** A frame by its raw parts, so that each can lie. */
function raw(json: string | Buffer, options: { length?: number; headerBytes?: number; tail?: Buffer } = {}): Buffer {
  const header = Buffer.from(json)
  const tail = options.tail ?? Buffer.alloc(0)
  const head = Buffer.alloc(9)
  head.writeUInt32BE(options.length ?? 5 + header.length + tail.length, 0)
  head.writeUInt8(1, 4)
  head.writeUInt32BE(options.headerBytes ?? header.length, 5)
  return Buffer.concat([head, header, tail])
}

test('what is encoded is parsed again, wherever the bytes are split', () => {
  fc.assert(
    fc.property(
      fc.array(message, { minLength: 1, maxLength: 5 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      (messages, cuts) => {
        assert.deepEqual(parseAll(split(bytesOf(messages), cuts)).map(plain), messages.map(plain))
      },
    ),
    { numRuns: 300 },
  )
})

test('frames fed one byte at a time come out whole', () => {
  const messages = [1, 2, 3].map((type) => ({
    type,
    header: { n: type, text: 'é☃' },
    attachments: [Buffer.from('abc')],
  }))
  const chunks = [...bytesOf(messages)].map((b) => Uint8Array.of(b))
  assert.deepEqual(parseAll(chunks).map(plain), messages.map(plain))
})

test('large attachments are sent as they are, not copied', () => {
  const large = Buffer.alloc(FRAME.copyBelowBytes, 7)
  const parts = join([encode(1, { x: 1 }, [large, Buffer.from('tail')], LIMITS), encode(2, {}, [], LIMITS)])
  assert.ok(parts.some((p) => p.buffer === large.buffer && p.byteOffset === large.byteOffset))
  assert.deepEqual(
    parseAll(parts).map((f) => f.attachments.map((a) => a.byteLength)),
    [[FRAME.copyBelowBytes, 4], []],
  )
})

test('junk never crashes the parser: it is refused as protocol, or more is awaited', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (junk) => {
      assert.ok(['no error', 'protocol'].includes(codeOf(() => parseAll([junk]))))
    }),
    { numRuns: 3_000 },
  )
})

test('a frame with one byte changed is refused, awaited or parsed, and never crashes', () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (m, position, flip) => {
      const bytes = bytesOf([m])
      const at = position % bytes.length
      bytes[at] = (bytes[at] ?? 0) ^ flip
      assert.ok(['no error', 'protocol'].includes(codeOf(() => parseAll([bytes]))))
    }),
    { numRuns: 3_000 },
  )
})

const lies: Record<string, Buffer> = {
  'a length over the cap, before its bytes arrive': raw('{}', { length: LIMITS.maxFrameBytes + 1 }).subarray(0, 4),
  'the largest length': raw('{}', { length: 0xffff_ffff }),
  'a length too short for a type and a header': raw('', { length: 4 }),
  'a header longer than the frame': raw('{}', { headerBytes: 3 }),
  'a header over its own cap': raw(`{"x":"${'y'.repeat(LIMITS.maxHeaderBytes)}"}`),
  'a header shorter than its JSON': raw('{"x":1}', { headerBytes: 3 }),
  'bytes after a header that names none': raw('{}', { tail: Buffer.from('x') }),
  'attachments longer than the frame': raw('{"a":[2]}', { tail: Buffer.from('x') }),
  'attachments shorter than the frame': raw('{"a":[1]}', { tail: Buffer.from('xy') }),
  'a negative attachment': raw('{"a":[-1,2]}', { tail: Buffer.from('x') }),
  'half a byte of attachment': raw('{"a":[0.5,0.5]}', { tail: Buffer.from('x') }),
  'a length in words': raw('{"a":["1"]}', { tail: Buffer.from('x') }),
  'lengths that are no list': raw('{"a":{"length":1}}', { tail: Buffer.from('x') }),
  'more attachments than allowed': raw(
    JSON.stringify({ a: Array.from({ length: FRAME.maxAttachments + 1 }, () => 0) }),
  ),
  'no JSON': raw('{'),
  'a list for a header': raw('[]'),
  'null for a header': raw('null'),
  'text that is not UTF-8': raw(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])),
  'brackets without end': raw('['.repeat(4_000)),
  'nesting past the cap': raw(`{"x":${'['.repeat(FRAME.maxHeaderDepth)}${']'.repeat(FRAME.maxHeaderDepth)}}`),
}

for (const [name, bytes] of Object.entries(lies)) {
  test(`refused as protocol: ${name}`, () => {
    assert.equal(
      codeOf(() => parseAll([bytes])),
      'protocol',
    )
  })
}

test('brackets inside of strings are not nesting', () => {
  const text = '[{'.repeat(FRAME.maxHeaderDepth) + '\\"]'
  assert.deepEqual(parseAll([raw(JSON.stringify({ text }))])[0]?.header, { text })
})

test('our own oversize is too_large with both numbers, and nothing is sent', () => {
  const attempt = (): unknown => encode(1, {}, [Buffer.alloc(LIMITS.maxFrameBytes)], LIMITS)
  assert.throws(attempt, (e: MecaError) => e.code === 'too_large' && e.message.includes(String(LIMITS.maxFrameBytes)))
  const header = (): unknown => encode(1, { x: 'y'.repeat(LIMITS.maxHeaderBytes) }, [], LIMITS)
  assert.throws(header, (e: MecaError) => e.code === 'too_large')
})
