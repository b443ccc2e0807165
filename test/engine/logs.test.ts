/** The attach stream's parser against every way to cut, flood and disguise a log. */
import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import type { LogLine } from '../../src/core/plan.ts'
import { LogBook } from '../../src/engine/log-book.ts'
import { Demultiplexer, LineCutter, TextFinder, printable } from '../../src/engine/logs.ts'

function frame(stream: 1 | 2, payload: string | Buffer): Buffer {
  const bytes = Buffer.from(payload)
  const header = Buffer.from([stream, 0, 0, 0, 0, 0, 0, 0])
  header.writeUInt32BE(bytes.length, 4)
  return Buffer.concat([header, bytes])
}

/** The same bytes, cut at arbitrary places. */
const pieces = (bytes: Buffer) =>
  fc.array(fc.integer({ min: 1, max: 20 })).map((sizes) => {
    const out: Buffer[] = []
    let at = 0
    for (const size of sizes) if (at < bytes.length) out.push(bytes.subarray(at, (at += size)))
    return [...out, bytes.subarray(at)]
  })

test('frames come apart the same however the stream is cut', () => {
  const frames = fc.array(fc.tuple(fc.constantFrom<1 | 2>(1, 2), fc.uint8Array({ maxLength: 50 })))
  fc.assert(
    fc.property(
      frames.chain((list) =>
        fc.tuple(fc.constant(list), pieces(Buffer.concat(list.map(([s, b]) => frame(s, Buffer.from(b)))))),
      ),
      ([list, chunks]) => {
        const got = { stdout: '', stderr: '' }
        const split = new Demultiplexer((stream, bytes) => (got[stream] += bytes.toString('hex')))
        for (const chunk of chunks) split.push(chunk)
        const wanted = (wantedStream: 1 | 2) =>
          list
            .filter(([s]) => s === wantedStream)
            .map(([, b]) => Buffer.from(b).toString('hex'))
            .join('')
        assert.deepEqual(got, { stdout: wanted(1), stderr: wanted(2) })
      },
    ),
  )
})

test('the ready text is found exactly where it is, however it is cut', () => {
  fc.assert(
    fc.property(
      fc
        .string({ unit: fc.constantFrom('m', 'e', 'ca') })
        .chain((s) => fc.tuple(fc.constant(s), pieces(Buffer.from(s)))),
      ([text, chunks]) => {
        const finder = new TextFinder('meca')
        for (const chunk of chunks) finder.push(chunk)
        assert.equal(finder.found, text.includes('meca'))
      },
    ),
  )
})

test('an endless line is handed on in pieces of 8 KiB and nothing is lost', () => {
  const lines: string[] = []
  const cutter = new LineCutter((text) => lines.push(text))
  for (let i = 0; i < 30; i++) cutter.push(Buffer.alloc(1000, 97))
  cutter.flush()
  assert.ok(lines.every((line) => line.length <= 8192))
  assert.equal(lines.join('').length, 30_000)
})

test('control characters are shown and not obeyed', () => {
  assert.equal(printable('a\u001b[31mred\tb\u0000\u009b\u2028'), 'a\\u001b[31mred\tb\\u0000\\u009b\\u2028')
  assert.equal(printable('windows\r'), 'windows')
})

function book(ready = 'ready', budgetBytes = 1_000) {
  const stream = new PassThrough()
  const lines: LogLine[] = []
  const log = new LogBook(ready, budgetBytes, (line) => lines.push(line))
  log.read(stream)
  return { stream, lines, log }
}

async function state(promise: Promise<void>): Promise<'settled' | 'open'> {
  return Promise.race([
    promise.then(() => 'settled' as const),
    new Promise<'open'>((r) => setTimeout(() => r('open'), 20)),
  ])
}

test('the marker counts on stdout, in pieces too, and not on stderr', async () => {
  const { stream, log } = book()
  stream.write(frame(2, 'ready\n'))
  assert.equal(await state(log.announced), 'open')
  stream.write(frame(1, 'we are rea'))
  stream.write(frame(2, 'noise'))
  stream.write(frame(1, 'dy now\n'))
  assert.equal(await state(log.announced), 'settled')
})

test('without a ready text the port alone decides', async () => {
  assert.equal(await state(book('').log.announced), 'settled')
})

test('the budget counts both streams, ends at the first byte over it, and is renewed by a job', async () => {
  const { stream, log } = book('x', 100)
  stream.write(frame(1, 'a'.repeat(60)))
  stream.write(frame(2, 'b'.repeat(40)))
  assert.equal(await state(log.overBudget), 'open')
  log.renewBudget()
  stream.write(frame(1, 'c'.repeat(100)))
  assert.equal(await state(log.overBudget), 'open')
  stream.write(frame(1, 'd'))
  assert.equal(await state(log.overBudget), 'settled')
})

test('the tail is the last 4 KiB', async () => {
  const { stream, log } = book('x', 2 ** 20)
  for (let i = 0; i < 5_000; i++) stream.write(frame(1, `line ${i}\n`))
  stream.end()
  await log.drained
  assert.ok(log.tail.length <= 4096)
  assert.ok(log.tail.endsWith('line 4999\n'))
})

test('a last line without a newline is a line', async () => {
  const { stream, lines, log } = book()
  stream.end(frame(1, 'unfinished'))
  await log.drained
  assert.deepEqual(lines, [{ stream: 'stdout', text: 'unfinished' }])
})
