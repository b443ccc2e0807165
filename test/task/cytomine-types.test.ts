/** Each type's values: the documented spellings, the constraints, and shapes and images by what they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FileFacts } from '../../src/core/bundle.ts'
import { judgeEntry } from '../../src/task/cytomine/entry.ts'
import { seeImage } from '../../src/task/cytomine/image.ts'
import { instantOf } from '../../src/task/cytomine/instant.ts'
import type { Type } from '../../src/task/cytomine/types.ts'
import { inputFault, valueFault } from '../../src/task/cytomine/values.ts'
import { descriptor, given, judge, plan, staged, tree } from './cytomine-kit.ts'

const INTEGER = { id: 'integer', bounds: {} } as const
const NUMBER = { id: 'number', bounds: {}, infinity: true, nan: true } as const

function allOf(
  type: Extract<Type, { id: 'integer' | 'number' | 'geometry' | 'datetime' | 'boolean' }>,
  good: string[],
  bad: string[],
) {
  for (const text of good) assert.equal(valueFault(type, text), undefined, text)
  for (const text of bad) assert.notEqual(valueFault(type, text), undefined, `${text} was accepted`)
}

test('integers in every documented base, of any size', () => {
  const good = [
    '42',
    '-1',
    '0',
    '+7',
    '3735931646',
    '0b1101',
    '0xDEADCAFE',
    '033653345376',
    '-0b1_0',
    '1_000',
    '08',
    '0X1f',
  ]
  allOf(INTEGER, good, [
    '',
    'abc',
    '1.0',
    '1e3',
    '0b',
    '0b2',
    '0x',
    '0xg',
    '_1',
    '--1',
    '1 ',
    ' 1',
    '0b_',
    '9'.repeat(1001),
    '１',
  ])
  const between = { id: 'integer', bounds: { geq: 8, leq: 8 } } as const
  assert.equal(valueFault(between, '010'), undefined)
  assert.equal(valueFault(between, '0b1000'), undefined)
  assert.match(valueFault(between, '10') ?? '', /at most 8/)
  assert.match(valueFault({ id: 'integer', bounds: { lt: 2 ** 53 } }, `${2n ** 53n}`) ?? '', /less than/)
})

test('numbers in the documented spellings and the plain ones', () => {
  allOf(
    NUMBER,
    [
      '685230.15',
      '6.8523015e+5',
      '685.23015e+03',
      '-inf',
      'NaN',
      '5',
      '-1',
      '.5',
      '5.',
      '1e-05',
      '+1',
      'nan',
      'INF',
      '-Infinity',
      '+inf',
    ],
    ['', '.', 'e5', '1e', '1.2.3', '0x10', '5f', '1,5', 'infinite', 'nanx', ' 1', '1 ', '9'.repeat(1001), '1e1234567'],
  )
  const plain = { id: 'number', bounds: { gt: 0 }, infinity: false, nan: false } as const
  assert.match(valueFault(plain, '1e999') ?? '', /must be finite/)
  assert.match(valueFault(plain, 'nan') ?? '', /nan is not allowed/)
  assert.match(valueFault(plain, '0.0') ?? '', /greater than 0/)
  assert.equal(valueFault({ ...plain, nan: true }, 'nan'), undefined)
})

test('booleans go in as true or false, and come back in any case', () => {
  allOf({ id: 'boolean' }, ['true', 'FALSE'], ['', '1', 'yes', 'true '])
  assert.equal(inputFault({ id: 'boolean' }, 'true'), undefined)
  assert.notEqual(inputFault({ id: 'boolean' }, 'True'), undefined)
})

test('strings are counted in UTF-16 units', () => {
  const type = { id: 'string', minLength: 2, maxLength: 3 } as const
  assert.equal(valueFault(type, '😀'), undefined)
  assert.match(valueFault(type, 'a') ?? '', /at least 2 characters, has 1/)
  assert.match(valueFault(type, '😀😀') ?? '', /at most 3 characters, has 4/)
})

test('instants: offsets, fractions, days that there are; before and after mean what they say', () => {
  assert.equal(instantOf('1970-01-01T00:00:00.000000001Z'), 1n)
  assert.equal(instantOf('1970-01-01T01:00:00+01:00'), 0n)
  const bad = [
    '2024-01-01',
    '2024-01-01T00:00:00',
    '2024-02-30T00:00:00Z',
    '2024-01-01T24:00:00Z',
    '2024-13-01T00:00:00Z',
    'now',
    '2024-01-01T00:00:00+19:00',
  ]
  for (const text of bad) assert.equal(instantOf(text), undefined, text)
  const limit = (text: string) => instantOf(text) ?? 0n
  const type = { id: 'datetime', after: limit('2024-01-01T00:00:00Z'), before: limit('2025-01-01T00:00:00Z') } as const
  assert.equal(valueFault(type, '2024-06-01T00:00:00Z'), undefined)
  assert.match(valueFault(type, '2025-01-01T00:00:00Z') ?? '', /must lie before 2025-01-01T00:00:00\.000Z/)
  assert.match(valueFault(type, '2023-12-31T23:59:59.999999999Z') ?? '', /must lie after 2024/)
})

function polygon(...rings: number[][][]): string {
  return JSON.stringify({ type: 'Polygon', coordinates: rings })
}

function multi(...polygons: number[][][][]): string {
  return JSON.stringify({ type: 'MultiPolygon', coordinates: polygons })
}

function square(x: number, y: number, size: number): number[][] {
  return [
    [x, y],
    [x + size, y],
    [x + size, y + size],
    [x, y + size],
    [x, y],
  ]
}

const GEOMETRY = { id: 'geometry' } as const

test('geometries of every allowed kind', () => {
  const feature = (geometry: unknown, properties: unknown = {}) =>
    JSON.stringify({ type: 'Feature', geometry, properties })
  const point = { type: 'Point', coordinates: [1, 2.5] }
  allOf(
    GEOMETRY,
    [
      JSON.stringify(point),
      '{"type": "MultiPoint", "coordinates": [[1, 2], [3, 4]]}',
      '{"type": "LineString", "coordinates": [[1, 2], [3, 4]]}',
      '{"type": "MultiLineString", "coordinates": [[[1, 2], [3, 4]], [[0, 0], [1, 1]]]}',
      polygon(square(0, 0, 10)),
      polygon(square(0, 0, 10), square(1, 1, 3), square(5, 5, 3)),
      multi([square(0, 0, 1)], [square(2, 2, 1)]),
      feature(point),
      feature(point, { name: 'kept', subClass: 1 }),
      feature(point, null),
      feature(point, { subType: 'Circle', radius: 100 }),
      feature(JSON.parse(polygon(square(0, 0, 2))), { subType: 'Rectangle' }),
    ],
    [
      '',
      '[]',
      '{',
      'null',
      '{"type": "GeometryCollection", "geometries": []}',
      '{"type": "FeatureCollection", "features": []}',
      '{"type": "Point"}',
      '{"type": "Point", "coordinates": [1]}',
      '{"type": "Point", "coordinates": ["1", "2"]}',
      '{"type": "Point", "coordinates": [1e999, 2]}',
      '{"type": "LineString", "coordinates": [[1, 2]]}',
      '{"type": "LineString", "coordinates": [[1, 2], [1, 2]]}',
      '{"type": "__proto__", "coordinates": []}',
      feature({ type: 'GeometryCollection', geometries: [] }),
      feature(null),
      feature(point, { subType: 'Circle' }),
      feature(point, { subType: 'Rectangle' }),
      feature(point, 'x'),
    ],
  )
})

test('polygons that are no valid shapes are refused, valid ones that touch in points are not', () => {
  const bad: [string, RegExp][] = [
    [
      polygon([
        [0, 0],
        [1, 0],
        [1, 1],
        [0, 1],
      ]),
      /closed rings/,
    ],
    [
      polygon([
        [0, 0],
        [1, 1],
        [2, 2],
        [0, 0],
      ]),
      /area|cross/,
    ],
    [
      polygon([
        [0, 0],
        [2, 2],
        [2, 0],
        [0, 2],
        [0, 0],
      ]),
      /area|cross themselves/,
    ],
    [
      polygon([
        [0, 0],
        [4, 0],
        [4, 4],
        [2, -1],
        [0, 4],
        [0, 0],
      ]),
      /cross themselves/,
    ],
    [polygon(square(0, 0, 10), square(20, 20, 1)), /holes inside/],
    [polygon(square(0, 0, 10), square(8, 8, 5)), /cross each other/],
    [polygon(square(0, 0, 10), square(1, 1, 6), square(2, 2, 1)), /holes that lie beside/],
    [polygon(square(0, 0, 10), square(0, 2, 3)), /cross each other/],
    [multi([square(0, 0, 4)], [square(2, 2, 4)]), /cross each other/],
    [multi([square(0, 0, 9)], [square(2, 2, 1)]), /do not overlap/],
    [multi([square(0, 0, 1)], [square(1, 0, 1)]), /cross each other/],
    [
      polygon([
        [0, 0],
        [4, 0],
        [2, 2],
        [4, 4],
        [0, 4],
        [2, 2],
        [0, 0],
      ]),
      /cross themselves/,
    ],
  ]
  for (const [text, what] of bad) assert.match(valueFault(GEOMETRY, text) ?? 'accepted', what, text)
  const good = [
    polygon(square(0, 0, 10), [
      [0, 5],
      [2, 4],
      [2, 6],
      [0, 5],
    ]),
    multi([square(0, 0, 1)], [square(1, 1, 1)]),
    multi([square(0, 0, 9), square(1, 1, 6)], [square(2, 2, 1)]),
    polygon([
      [0, 0],
      [4, 0],
      [4, 0],
      [4, 4],
      [0, 4],
      [0, 0],
    ]),
    polygon(square(1e9, 1e9, 0.5)),
  ]
  for (const text of good) assert.equal(valueFault(GEOMETRY, text), undefined, text)
})

test('a large circle is checked, and shapes made to be slow are not slow', () => {
  const points = (n: number, wave: (i: number) => number) => {
    const ring = Array.from({ length: n }, (_, i) => {
      const turn = (2 * Math.PI * i) / n
      return [wave(i) * Math.cos(turn), wave(i) * Math.sin(turn)]
    })
    return [...ring, ring[0] ?? []]
  }
  assert.equal(valueFault(GEOMETRY, polygon(points(5000, () => 100))), undefined)
  const began = performance.now()
  valueFault(GEOMETRY, polygon(Array.from({ length: 20_000 }, (_, i) => [i % 2 === 0 ? 0 : 1e6, i]).concat([[0, 0]])))
  valueFault(GEOMETRY, multi(...Array.from({ length: 15_000 }, (_, i) => [square(i * 2, 0, 1)])))
  valueFault(GEOMETRY, polygon(square(-1, -1, 1e6), ...Array.from({ length: 15_000 }, (_, i) => square(i * 2, 0, 1))))
  const hole = points(12_000, () => 100).map(([x = 0, y = 0]) => [x / 2, y / 2])
  valueFault(
    GEOMETRY,
    polygon(
      points(12_000, () => 100),
      hole,
    ),
  )
  const tookMs = performance.now() - began
  assert.ok(tookMs < 20_000, `took ${tookMs} ms`)
})

const be16 = (n: number) => [n >> 8, n & 255]
const le16 = (n: number) => [n & 255, n >> 8]

function tiff(tags: [number, number][], little = true): Uint8Array {
  const s = little ? le16 : be16
  const l = (n: number) =>
    little ? [...le16(n & 0xffff), ...le16(n >>> 16)] : [...be16(n >>> 16), ...be16(n & 0xffff)]
  const mark = little ? [0x49, 0x49, 0x2a, 0] : [0x4d, 0x4d, 0, 0x2a]
  const entries = tags.flatMap(([tag, value]) => [...s(tag), ...s(3), ...l(1), ...s(value), 0, 0])
  return new Uint8Array([...mark, ...l(8), ...s(tags.length), ...entries, 0, 0, 0, 0])
}

function see(bytes: Uint8Array) {
  return seeImage({ bytes: bytes.length, head: bytes })
}

const RGB: [number, number][] = [
  [256, 30],
  [257, 20],
  [277, 3],
]

test('images are told apart by their first bytes, with their size where it is there', () => {
  const jpeg = new Uint8Array([
    0xff,
    0xd8,
    0xff,
    0xe0,
    0,
    4,
    1,
    2,
    0xff,
    0xc4,
    0,
    3,
    9,
    0xff,
    0xc2,
    0,
    17,
    8,
    ...be16(20),
    ...be16(30),
    3,
  ])
  assert.deepEqual(see(jpeg), { format: 'jpeg', plain: true, size: { width: 30, height: 20 } })
  assert.deepEqual(see(tiff(RGB)), { format: 'tiff', plain: true, size: { width: 30, height: 20 } })
  assert.deepEqual(see(tiff(RGB, false)), { format: 'tiff', plain: true, size: { width: 30, height: 20 } })
  assert.equal(
    see(
      tiff([
        [256, 3],
        [257, 2],
        [277, 1],
      ]),
    ).plain,
    false,
  )
  assert.equal(see(tiff([...RGB, [322, 256]])).plain, false)
  assert.deepEqual(see(tiff(RGB).subarray(0, 20)), { format: 'tiff', plain: true })
  const dicom = new Uint8Array(200)
  dicom.set(Buffer.from('DICM'), 128)
  assert.equal(see(dicom).format, 'dicom')
  assert.equal(see(Buffer.from('GIF89a\x05\x00\x06\x00')).size?.width, 5)
  assert.equal(see(Buffer.from('PK\x03\x04')).format, 'zip')
  assert.equal(see(Buffer.from('II')).format, undefined)
  assert.equal(see(new Uint8Array(0)).format, undefined)
})

function image(type: Record<string, unknown>): string {
  return descriptor({ i: { id: 'image', ...type } }, { o: { type: 'image', optional: true } })
}

test('images are held to format, size and extent before the start', () => {
  const refused = (type: Record<string, unknown>, files: Parameters<typeof given>[1], what: RegExp) =>
    assert.throws(() => plan(image(type), given({}, files)), { code: 'bad_input', message: what })
  const jpegHead = new Uint8Array([0xff, 0xd8, 0xff, 0xe0])
  refused({ formats: ['png', 'tiff'] }, { i: jpegHead }, /i must be png or tiff, its first bytes are those of jpeg/)
  refused(
    { formats: ['tiff'] },
    {
      i: tiff([
        [256, 3],
        [257, 2],
        [277, 1],
      ]),
    },
    /three samples a pixel/,
  )
  refused({ max_width: 29 }, { i: tiff(RGB) }, /i must be at most 29 pixels wide, is 30/)
  refused({ max_height: 19 }, { i: tiff(RGB) }, /i must be at most 19 pixels high, is 20/)
  refused({ max_height: 19 }, { i: 'hello' }, /width and height can be told/)
  refused({ max_file_size: '1 kB' }, { i: new Uint8Array(1001) }, /at most 1000 bytes, has 1001/)
  refused({}, { i: 'PK\x03\x04' }, /i is a zip/)
  refused({ formats: ['png'] }, { 'i/a.dcm': 'x' }, /i is a folder where png is expected/)
  refused({ formats: ['wsidicom'] }, { 'i/a.dcm': 'x' }, /DICOM files only, a\.dcm is none/)
  assert.deepEqual(staged(image({}), given({}, { i: 'any bytes' })), { '/inputs/i': '<inputs/i>' })
  assert.deepEqual(staged(image({ max_width: 30 }), given({}, { i: tiff(RGB) })), { '/inputs/i': '<inputs/i>' })
})

test('a whole slide image is a folder of DICOM files, in and out', () => {
  const dicom = new Uint8Array(200)
  dicom.set(Buffer.from('DICM'), 128)
  const wsi = { id: 'image', formats: ['wsidicom'] }
  const text = descriptor({ i: wsi, all: { id: 'array', subtype: wsi } }, { o: wsi })
  const files = { 'i/a.dcm': dicom, 'i/b.dcm': dicom, 'all/0/a.dcm': dicom, 'all/1/a.dcm': dicom }
  const what = given({}, files, { files: { i: 'folder', all: 'list' } })
  assert.deepEqual(staged(text, what), {
    '/inputs/i': '<inputs/i>',
    '/inputs/all': '<inputs/all>',
    '/inputs/all/array.yml': 'size: 2\n',
  })
  assert.equal(judge(text, what, { 'o/x.dcm': dicom }).status, 'answered')
  assert.match(judge(text, what, { 'o/x.dcm': 'x' }).problem?.message ?? '', /output o must hold DICOM files only/)
})

test('files are held to their size and, where text is asked, to being text', () => {
  const text = descriptor({ f: { id: 'file', max_file_size: '2kB', formats: ['text'] } }, {})
  assert.deepEqual(staged(text, given({}, { f: 'héllo' })), { '/inputs/f': '<inputs/f>' })
  assert.throws(() => plan(text, given({}, { f: new Uint8Array([0xff]) })), /f must be text/)
  assert.throws(() => plan(text, given({}, { f: 'a\u0000' })), /f must be text/)
  assert.throws(() => plan(text, given({}, { f: 'x'.repeat(2001) })), /f must have at most 2000 bytes/)
  assert.throws(() => plan(text, given({ f: 'notes.txt' })), /f takes a file, not a value/)
  assert.throws(() => plan(text, given({}, { 'f/a': 'x' })), /f is a folder where a file is expected/)
  assert.throws(() => plan(text, given({}, { 'f/0': 'x' }, { files: { f: 'list' } })), /f takes one value/)
})

const NESTED = descriptor(
  { a: { id: 'array', max_size: 2, subtype: { id: 'array', subtype: 'number' } } },
  { o: { id: 'array', subtype: { id: 'array', subtype: 'geometry' } } },
)

test('nested arrays repeat the layout, with numbers in their own spelling', () => {
  assert.deepEqual(staged(NESTED, given({ a: '[[5.0, 1e3], []]' })), {
    '/inputs/a': '<empty>',
    '/inputs/a/array.yml': 'size: 2\n',
    '/inputs/a/0': '<empty>',
    '/inputs/a/0/array.yml': 'size: 2\n',
    '/inputs/a/0/0': '5.0',
    '/inputs/a/0/1': '1e3',
    '/inputs/a/1': '<empty>',
    '/inputs/a/1/array.yml': 'size: 0\n',
  })
  const wrong = (value: string, what: RegExp) =>
    assert.throws(() => plan(NESTED, given({ a: value })), { code: 'bad_input', message: what })
  wrong('[1]', /a\/0 must be an array, got "1"/)
  wrong('[[true]]', /a\/0\/0 must be a number, got "true"/)
  wrong('[[null]]', /a\/0\/0 must be a number, got "null"/)
  wrong('{}', /a must be an array/)
  wrong('[1', /a must be a JSON array/)
  wrong('[[], [], []]', /a must have at most 2 items, has 3/)
  wrong('['.repeat(100_000), /nests deeper/)
})

test('arrays of texts take JSON strings; a file may hold the whole array', () => {
  const text = descriptor({ s: { id: 'array', subtype: 'string' }, n: { id: 'array', subtype: 'number' } }, {})
  const there = staged(text, given({ s: '["a\\nb", "c"]' }, { n: '[1.50, 2]\n' }))
  assert.equal(there['/inputs/s/0'], 'a\nb')
  assert.equal(there['/inputs/n/0'], '1.50')
  assert.throws(() => plan(text, given({ s: '[1]', n: '[]' })), /s\/0 must be a string, got "1"/)
  assert.throws(() => plan(text, given({ s: '[]', n: '["nan"]' })), /n\/0 must be a number, nan is not allowed/)
})

test('a folder in the array layout is checked and taken as it is; array.yml is made where it is missing', () => {
  const text = descriptor({ a: { id: 'array', subtype: 'integer', min_size: 1 } }, {})
  const folder = (files: Record<string, string>) => given({}, files)
  assert.deepEqual(staged(text, folder({ 'a/array.yml': 'size: 2\n', 'a/0': '1', 'a/1': '2' })), {
    '/inputs/a': '<inputs/a>',
  })
  assert.deepEqual(staged(text, folder({ 'a/0': '1', 'a/1': '2\n' })), {
    '/inputs/a': '<inputs/a>',
    '/inputs/a/array.yml': 'size: 2\n',
  })
  const wrong = (files: Record<string, string>, what: RegExp) => assert.throws(() => plan(text, folder(files)), what)
  wrong({ 'a/x.txt': '1' }, /a lacks item 0 of 1/)
  wrong({ 'a/array.yml': 'size: 2', 'a/0': '1' }, /a lacks item 1 of 2/)
  wrong({ 'a/0': 'x' }, /a\/0 must be a whole number/)
})

test('a single file is an array of one', () => {
  const text = descriptor({ a: { id: 'array', subtype: 'image' } }, {})
  assert.deepEqual(staged(text, given({}, { a: 'bytes' })), {
    '/inputs/a': '<empty>',
    '/inputs/a/array.yml': 'size: 1\n',
    '/inputs/a/0': '<inputs/a>',
  })
})

test('matching arrays have one size: in both directions, over several steps, before and after the run', () => {
  const array = { id: 'array', subtype: 'integer' }
  const matching = (...refs: string[]) => ({ type: array, dependencies: { matching: refs } })
  const text = descriptor(
    { a: matching('outputs/x'), b: array, c: matching('inputs/b') },
    { x: matching('inputs/b'), y: array },
  )
  const what = given({ a: '[1, 2]', b: '[1, 2]', c: '[3, 4]' })
  assert.throws(
    () => plan(text, given({ a: '[1, 2]', b: '[1, 2]', c: '[3]' })),
    /as many items as it is matched with: .*inputs\/c has 1/,
  )
  assert.throws(() => plan(text, given({ a: '[1]', b: '[1, 2]', c: '[3, 4]' })), /inputs\/a has 1/)
  const y = { 'y/array.yml': 'size: 0' }
  const x = { 'x/array.yml': 'size: 2', 'x/0': '1', 'x/1': '2' }
  assert.equal(judge(text, what, { ...x, ...y }).status, 'answered')
  const one = judge(text, what, { 'x/array.yml': 'size: 1', 'x/0': '1', ...y })
  assert.match(one.problem?.message ?? '', /output x must have as many items.*outputs\/x has 1/)
})

test('output arrays: gaps, items too many, sizes beyond all reason and strange files', () => {
  const text = descriptor({ i: 'string' }, { o: { id: 'array', subtype: 'number', min_size: 1, max_size: 3 } })
  const message = (files: Record<string, string>) => judge(text, given({ i: 'x' }), files).problem?.message ?? ''
  assert.equal(message({ 'o/array.yml': 'size: 1', 'o/0': 'nan' }).includes('nan is not allowed'), true)
  assert.match(message({ 'o/array.yml': 'size: 2', 'o/0': '1', 'o/2': '1' }), /has an item 2.*says size 2/)
  assert.match(message({ 'o/array.yml': 'size: 2', 'o/1': '1' }), /lacks item 0 of 2/)
  assert.match(message({ 'o/array.yml': 'size: 900000000000', 'o/0': '1' }), /at most 3 items, has 900000000000/)
  assert.match(message({ 'o/array.yml': 'size: 0' }), /at least 1 items/)
  assert.match(message({ 'o/array.yml': 'size: -1' }), /without a size that is a whole number/)
  assert.match(message({ 'o/array.yml': '[]' }), /without a size/)
  assert.match(message({ 'o/array.yml': `size: ${'['.repeat(3000)}` }), /cannot be read/)
  assert.match(message({ 'o/array.yml': 'x'.repeat(5000) }), /no short text/)
  assert.equal(message({ 'o/array.yml': 'size: 1\n', 'o/0': '1.5\n', 'o/notes.txt': 'x', 'o/00': 'x' }), '')
})

test('inputs longer than what is looked at: texts and shapes are judged by their beginning', () => {
  const entryOf = (content: string) => ({ file: tree({ i: content }).get('i') as FileFacts, children: new Map() })
  const string = { id: 'string', minLength: 0, maxLength: 5 } as const
  assert.match(
    judgeEntry(string, entryOf('x'.repeat(70_000)), 'i').faults[0]?.what ?? '',
    /at most 5 characters, has at/,
  )
  const long = { ...string, maxLength: Infinity }
  assert.match(judgeEntry(long, entryOf('é'.repeat(50_000)), 'i').warnings.join(), /in its first 32768 characters/)
  const geometry = { id: 'geometry' } as const
  const open = entryOf(`{"type": "Point"${' '.repeat(70_000)}`)
  assert.match(judgeEntry(geometry, open, 'i').warnings.join(), /only that its beginning is an object/)
  assert.match(judgeEntry(geometry, entryOf('x'.repeat(70_000)), 'i').faults[0]?.what ?? '', /one GeoJSON object/)
  assert.match(judgeEntry(INTEGER, entryOf('1'.repeat(70_000)), 'i').faults[0]?.what ?? '', /which no integer is/)
})

test('files beyond the budget of heads are not looked at, which is told', () => {
  const unseen = { bytes: 500, head: new Uint8Array(0) }
  const entry = { file: unseen, children: new Map() }
  const image = { id: 'image', maxBytes: Infinity, formats: ['png'], maxWidth: 1, maxHeight: 1 } as const
  for (const type of [INTEGER, image]) {
    const { faults, warnings } = judgeEntry(type, entry, 'o')
    assert.deepEqual([faults, warnings], [[], ['o was not looked at: there are too many files']])
  }
  assert.match(
    judgeEntry(INTEGER, { file: { bytes: 0, head: new Uint8Array(0) }, children: new Map() }, 'o').faults[0]?.what ??
      '',
    /blank/,
  )
})

test('output text that is not UTF-8 is refused', () => {
  const text = descriptor({ i: 'string' }, { o: 'string' })
  assert.match(judge(text, given({ i: 'x' }), { o: new Uint8Array([0xff, 0xfe]) }).problem?.message ?? '', /not UTF-8/)
})
