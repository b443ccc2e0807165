import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { findingsOf, printable } from '../../src/core/text.ts'

test('printable text cannot steer a terminal, whatever it says', () => {
  const rows: [string, string][] = [
    ['plain äöü 漢字 🙂', 'plain äöü 漢字 🙂'],
    ['two\nlines\tand a tab', 'two\nlines\tand a tab'],
    ['\u001b]0;title\u0007', '\\u{1b}]0;title\\u{7}'],
    ['\u009b2J', '\\u{9b}2J'],
    ['a\rb', 'a\\u{d}b'],
    ['user\u202egnp.exe', 'user\\u{202e}gnp.exe'],
    ['\ud800', '\\u{d800}'],
    ['\u2028', '\\u{2028}'],
  ]
  for (const [text, shown] of rows) assert.equal(printable(text), shown)
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      (text) => !/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(printable(text).replace(/[\n\t]/g, '')),
    ),
    { numRuns: 2000 },
  )
})

test('printable is its own fixed point: what was escaped once is not escaped again', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => printable(printable(text)) === printable(text)))
})

test("a schema's findings name the place, fit on a line, and escape the stranger's own keys", () => {
  const schema = z.strictObject({ a: z.object({ b: z.number() }) })
  const one = schema.safeParse({ a: { b: 'x' } })
  assert.match(findingsOf(one.error ?? new z.ZodError([])), /^a\.b: /)
  const many = schema.safeParse(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`\u001b[2J${i}\n`, i])))
  const text = findingsOf(many.error ?? new z.ZodError([]))
  assert.ok(text.length <= 500 && !text.includes('\u001b') && !text.includes('\n'), text)
})
