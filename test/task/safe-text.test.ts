import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MecaError } from '../../src/core/errors.ts'
import { jsonItems } from '../../src/task/json-scan.ts'
import { MAX_TEXT_CHARS, readJson, readYaml } from '../../src/task/safe-text.ts'

const DEEP = 1_000_000
const AS = { what: 'it' }

/** A fault that a text must have, told at once: seconds are for a busy machine, what is not stopped takes minutes. */
function refuses(read: () => unknown, what: RegExp) {
  const began = performance.now()
  assert.throws(read, (e) => {
    assert.ok(e instanceof MecaError && e.code === 'invalid_task', String(e))
    assert.match(e.message, what)
    return true
  })
  assert.ok(performance.now() - began < 10_000, `took ${performance.now() - began} ms`)
}

test('YAML becomes plain values, with the place of each', () => {
  const read = readYaml('a: 1\nb:\n  - x\n  - {c: 2.5, d: no}\n"e": ~\n', AS)
  assert.deepEqual(read.value, { a: 1, b: ['x', { c: 2.5, d: 'no' }], e: null })
  assert.deepEqual(read.placeOf(['a']), { line: 1, column: 1 })
  assert.deepEqual(read.placeOf(['b', 1, 'd']), { line: 4, column: 14 })
  assert.deepEqual(read.placeOf(['b', 1, 'missing', 'x']), { line: 4, column: 5 })
  assert.deepEqual(read.placeOf([]), { line: 1, column: 1 })
  assert.equal(readYaml('a: {b: 1.50}', AS).spellingOf(['a', 'b']), '1.50')
})

test('JSON becomes plain values, with the place of each', () => {
  const read = readJson('{"a": [1,\n  {"b": "}]\\""}],\n "c": null}', AS)
  assert.deepEqual(read.value, { a: [1, { b: '}]"' }], c: null })
  assert.deepEqual(read.placeOf(['a', 1, 'b']), { line: 2, column: 4 })
  assert.deepEqual(read.placeOf(['a', 1]), { line: 2, column: 3 })
  assert.deepEqual(read.placeOf(['c']), { line: 3, column: 2 })
  assert.deepEqual(readJson(' 12 ', AS).value, 12)
})

for (const [name, text] of Object.entries({
  'flow lists': '['.repeat(DEEP),
  'closed flow lists': '['.repeat(DEEP / 4) + ']'.repeat(DEEP / 4),
  'flow maps': '{a: '.repeat(DEEP / 8),
  'block lists': '- '.repeat(DEEP / 4),
  'complex keys': '? '.repeat(DEEP / 4),
  'keys on one line': 'a: '.repeat(DEEP / 8),
  stairs: Array.from({ length: 700 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''),
})) {
  test(`YAML of ${name} without end is refused in milliseconds`, () => {
    refuses(() => readYaml(text, AS), /nests deeper|characters, the most is/)
    refuses(() => readYaml(text.slice(0, MAX_TEXT_CHARS), AS), /nests deeper/)
  })
}

test('JSON nested a million deep is refused in milliseconds', () => {
  refuses(() => readJson('['.repeat(DEEP), { ...AS, maxChars: 2 * DEEP }), /line 1, column 65: nests deeper than 64/)
  refuses(() => readJson('{"a":'.repeat(DEEP), { ...AS, maxChars: 9 * DEEP }), /nests deeper than 64/)
  refuses(() => readJson('['.repeat(DEEP), AS), /1000000 characters, the most is 524288/)
  assert.ok(Array.isArray(readJson('['.repeat(64) + ']'.repeat(64), AS).value))
})

test('a repeated key is refused with its line', () => {
  refuses(() => readYaml('a: 1\nb: 2\na: 3\n', AS), /line 3, column 1: repeats the key "a"/)
  refuses(() => readYaml('x: {b: 1, "b": 2}', AS), /line 1, column 11: repeats the key "b"/)
  refuses(() => readJson('{"a": 1,\n "\\u0061": 2}', AS), /line 2, column 2: repeats the key "a"/)
  assert.deepEqual(readJson('{"a": {"a": [{"a": 1}, {"a": 2}]}}', AS).value, { a: { a: [{ a: 1 }, { a: 2 }] } })
})

test('every repeated key of a YAML text is told at once', () => {
  assert.throws(
    () => readYaml('a: 1\na: 2\nb: {c: 1, c: 2}\n', AS),
    (e) => e instanceof MecaError && Array.isArray(e.details?.faults) && e.details.faults.length === 2,
  )
})

test('40,000 keys cost a typed error, not a minute', () => {
  refuses(() => readYaml(Array.from({ length: 40_000 }, (_, i) => `k${i}: 1`).join('\n'), AS), /more than 50000 tokens/)
})

test('a few aliases are what they stand for; many, cyclic and lost ones are refused', () => {
  assert.deepEqual(readYaml('a: &x [1, 2]\nb: *x\n', AS).value, { a: [1, 2], b: [1, 2] })
  refuses(
    () => readYaml(`a: &x 1\nb: [${'*x, '.repeat(40)}]`, AS),
    /an alias beyond the 32 that are followed \(8 times/,
  )
  refuses(() => readYaml('a: &x [*x]', AS), /alias to itself/)
  refuses(() => readYaml('a: *nobody', AS), /line 1/)
  const laughs = ['a0: &a0 [x, x, x, x, x, x, x, x, x]']
  for (let i = 1; i < 9; i++) laughs.push(`a${i}: &a${i} [${`*a${i - 1}, `.repeat(9)}]`)
  refuses(() => readYaml(laughs.join('\n'), AS), /an alias beyond|a value beyond/)
})

test('tags that are not of YAML itself, several documents and odd keys are refused', () => {
  assert.deepEqual(readYaml('a: !!str 1.0', AS).value, { a: '1.0' })
  refuses(() => readYaml('a: !!js/function "x"', AS), /tag/)
  refuses(() => readYaml('a: !mine {b: 1}', AS), /tag/)
  refuses(() => readYaml('a: !!binary aGk=', AS), /tag/)
  refuses(() => readYaml('a: 1\n---\nb: 2\n', AS), /documents/)
  refuses(() => readYaml('? [a]\n: 1\n', AS), /key that is not a plain text/)
  refuses(() => readYaml('__proto__: {x: 1}', AS), /__proto__/)
  refuses(() => readJson('{"__proto__": 1}', AS), /__proto__/)
})

test('what is no YAML or no JSON at all is refused with its line', () => {
  refuses(() => readYaml('a: [1\nb: 2\n', AS), /not usable YAML: line [12]/)
  refuses(() => readJson('{"a": 1,\n oops}', AS), /not usable JSON: line 2, column 2/)
  refuses(() => readJson('', AS), /not usable JSON/)
})

test('readJson agrees with JSON.parse wherever no key is repeated', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = JSON.stringify(value)
      if (text.includes('__proto__')) return
      assert.deepEqual(readJson(text, AS).value, JSON.parse(text))
    }),
  )
})

test('jsonItems gives the items of an array in their own spelling', () => {
  assert.deepEqual(jsonItems('[ 5.0, -1e3 ,"a,]\\"", [1, [2]], {"b": [3]} ]'), [
    '5.0',
    '-1e3',
    '"a,]\\""',
    '[1, [2]]',
    '{"b": [3]}',
  ])
  assert.deepEqual(jsonItems(' [ ] '), [])
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 3 })), (items) => {
      assert.deepEqual(
        jsonItems(JSON.stringify(items, null, 1)).map((text) => JSON.parse(text) as unknown),
        JSON.parse(JSON.stringify(items)),
      )
    }),
  )
})

test('no text makes the readers throw anything but their own error', () => {
  const read = (text: string) => {
    for (const reader of [readYaml, readJson]) {
      try {
        reader(text, AS)
      } catch (error) {
        assert.ok(error instanceof MecaError, String(error))
      }
    }
  }
  const piece = fc.constantFrom(
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '- ',
    '? ',
    '&a ',
    '*a',
    '!t ',
    '"',
    "'",
    '|',
    '>',
    '\n',
    ' ',
    'a',
    '1',
    '#',
    '%',
    '---\n',
    '\t',
    '\\',
    '\u0000',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) => read(pieces.join(''))),
    { numRuns: 1000 },
  )
  fc.assert(fc.property(fc.string({ unit: 'binary' }), read))
})
