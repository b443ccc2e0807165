/** Outputs longer than what is kept of their beginning are judged whole, like those that are short. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { judgeEntry } from '../../src/task/cytomine/entry.ts'
import { looksAt } from '../../src/task/cytomine/look.ts'
import { treeOf } from '../../src/task/cytomine/tree.ts'
import type { Type } from '../../src/task/cytomine/types.ts'
import { descriptor, given, judge, read, tree } from './cytomine-kit.ts'
import type { Content } from './cytomine-kit.ts'

const WHAT = given({ i: 'x' })
const message = (type: unknown, files: Readonly<Record<string, Content>>) => {
  const { problem, warnings } = judge(descriptor({ i: 'string' }, { o: type }), WHAT, files)
  return problem?.message ?? warnings.join()
}
const LONG = 'x'.repeat(200_000)

/** A ring of so many points around a circle, closed. */
function ring(points: number): number[][] {
  const all = Array.from({ length: points }, (_, i) => {
    const angle = (2 * Math.PI * i) / points
    return [1000 * Math.cos(angle), 1000 * Math.sin(angle)]
  })
  return [...all, all[0] ?? []]
}
const polygon = (rings: number[][][]) => JSON.stringify({ type: 'Polygon', coordinates: rings })

test('a long string counts every character between the blanks around it', () => {
  const limited = { id: 'string', min_length: 199_990, max_length: 200_000 }
  assert.equal(message(limited, { o: LONG }), '')
  assert.equal(message(limited, { o: ` \n${'x'.repeat(199_989)} \t${'x'.repeat(5)}${' \n'.repeat(90_000)}` }), '')
  assert.match(message(limited, { o: `${LONG}x` }), /at most 200000 characters, has 200001/)
  assert.match(message(limited, { o: `${' '.repeat(70_000)}${'x'.repeat(199_000)}` }), /at least 199990.*has 199000/)
  assert.match(message('string', { o: ' '.repeat(100_000) }), /o is blank/)
  assert.match(message('string', { o: Buffer.concat([Buffer.from(LONG), Buffer.from([0xff])]) }), /o is not UTF-8 text/)
  assert.match(message('string', { o: Buffer.from(`${LONG}é`).subarray(0, -1) }), /o is not UTF-8 text/)
})

test('a number keeps its meaning whatever blanks are around it, and no number is long', () => {
  assert.equal(message('integer', { o: `${'\n'.repeat(70_000)}42${'\n'.repeat(70_000)}` }), '')
  assert.match(message('integer', { o: `${'\n'.repeat(70_000)}4 2` }), /must be a whole number, got "4 2"/)
  assert.match(message('integer', { o: '1'.repeat(70_000) }), /is 70000 characters long, which no integer is/)
  assert.match(message({ id: 'number', lt: 5 }, { o: `${' '.repeat(70_000)}7` }), /must be less than 5/)
  assert.match(
    message({ id: 'enumeration', values: ['a'] }, { o: `b${' '.repeat(70_000)}` }),
    /must be one of a, got "b"/,
  )
})

test('a large geometry is parsed to its end, and its shape is looked at', () => {
  const large = polygon([ring(20_000)])
  assert.ok(large.length > 500_000)
  assert.equal(message('geometry', { o: large }), '')
  assert.match(message('geometry', { o: large.slice(0, -1) }), /must be GeoJSON/)
  assert.match(message('geometry', { o: polygon([ring(20_000).slice(0, -1)]) }), /closed rings/)
  assert.match(message('geometry', { o: `x${large}` }), /must be GeoJSON/)
  const tooLarge = `{"type": "Point", "coordinates": [1, 2], "more": "${'x'.repeat(17 * 2 ** 20)}"}`
  assert.match(message('geometry', { o: tooLarge }), /only that it is text and begins as an object/)
  assert.match(message('geometry', { o: `[${tooLarge}` }), /one GeoJSON object/)
})

test('a file that must be text is text to its end', () => {
  const type = { id: 'file', formats: ['text'] }
  assert.equal(message(type, { o: LONG }), '')
  assert.match(message(type, { o: `${LONG}\0` }), /must be text/)
  assert.match(message(type, { o: Buffer.concat([Buffer.from(LONG), Buffer.from([0xc3])]) }), /must be text/)
  assert.match(message({ ...type, max_file_size: '100kB' }, { o: LONG }), /at most 100000 bytes/)
})

test('items of arrays are judged whole, and their sizes are read beyond the budget of heads too', () => {
  const text = descriptor({ i: 'string' }, { o: { id: 'array', subtype: { id: 'array', subtype: 'integer' } } })
  const files = { 'o/array.yml': 'size: 1', 'o/0/array.yml': 'size: 2', 'o/0/0': '1', 'o/0/1': '2' }
  const unseen = { headBytes: 0 }
  assert.equal(judge(text, WHAT, files, unseen).status, 'answered')
  assert.deepEqual(judge(text, WHAT, files, unseen).warnings, [])
  const wrong = judge(text, WHAT, { ...files, 'o/0/1': 'two' }, unseen)
  assert.match(wrong.problem?.message ?? '', /output o\/0\/1 must be a whole number/)
  const short = judge(text, WHAT, { ...files, 'o/0/array.yml': 'size: 3' }, unseen)
  assert.match(short.problem?.message ?? '', /output o\/0 lacks item 2 of 3/)
})

const TYPES: readonly Type[] = [
  { id: 'string', minLength: 0, maxLength: 3 },
  { id: 'integer', bounds: {} },
  { id: 'number', bounds: {}, infinity: true, nan: false },
  { id: 'boolean' },
  { id: 'datetime' },
  { id: 'geometry' },
]

/** As an output `o` of which so many bytes are kept, the rest read in pieces. */
function judged(type: Type, bytes: Uint8Array, headBytes: number, pieceBytes = 1) {
  const left = treeOf(tree({ o: bytes }, headBytes))
  const looks = [...looksAt([{ name: 'o', type }], left)]
  const notes = new Map(looks.map(([path, look]) => [path, read(look, bytes, pieceBytes)]))
  const entry = left.children.get('o')
  assert.ok(entry)
  return judgeEntry(type, entry, 'o', notes)
}

test('what is judged in pieces is judged as it would be at once', () => {
  const blanks = fc.array(fc.constantFrom(' ', '\n', '\u00a0', '\ufeff', '\t')).map((all) => all.join(''))
  const body = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('true', '42', '4.5e3', 'nan', '2024-01-01T00:00:00Z', '{"type":"Point","coordinates":[1,2]}', ''),
  )
  const content = fc.oneof(
    fc.tuple(blanks, body, blanks, body, blanks).map((parts) => Buffer.from(parts.join(''))),
    fc.uint8Array({ maxLength: 20 }),
  )
  fc.assert(
    fc.property(fc.constantFrom(...TYPES), content, fc.integer({ min: 1, max: 5 }), (type, bytes, pieceBytes) => {
      assert.deepEqual(judged(type, bytes, 0, pieceBytes), judged(type, bytes, Infinity))
    }),
    { numRuns: 600 },
  )
})
