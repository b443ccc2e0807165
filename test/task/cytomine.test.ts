/** The conformance cases of Cytomine's App Engine, as far as a plan and a verdict decide them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import { cytomine } from '../../src/task/cytomine.ts'
import { descriptor, folder, given, judge, jobOf, plan, staged, tree } from './cytomine-kit.ts'
import type { Params } from './cytomine-kit.ts'

/** Input and output of one type, as the reference's dummy tasks have them. */
function identity(type: unknown): string {
  return descriptor({ input: type }, { output: type })
}

/** Refused before the start, with the parameter in the message. */
function refused(act: () => unknown, message: RegExp, code = 'bad_input') {
  assert.throws(act, (e) => {
    assert.ok(e instanceof MecaError, String(e))
    assert.equal(e.code, code)
    assert.match(e.message, message)
    assert.ok((e.cure ?? '').length > 0, 'a cure')
    return true
  })
}

/** Answered with exactly these outputs. */
function answers(verdict: ReturnType<typeof judge>, outputs: readonly string[] = ['output']) {
  assert.equal(verdict.problem?.message, undefined)
  assert.equal(verdict.status, 'answered')
  assert.deepEqual(verdict.outputs, outputs)
}

function fails(verdict: ReturnType<typeof judge>, message: RegExp) {
  assert.equal(verdict.status, 'task_failed')
  assert.match(verdict.problem?.message ?? '', message)
  assert.deepEqual(verdict.outputs, [])
}

const POLYGON = '{"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}'
const PNG = new Uint8Array([
  0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 9, 0, 0, 0, 7,
])

test('C-01 a string goes in byte for byte, with its lines and accents, and comes back', () => {
  const text = identity('string')
  const value = 'héllo\nx'
  assert.deepEqual(staged(text, given({ input: value })), { '/inputs/input': value })
  answers(judge(text, given({ input: value }), { output: value }))
})

test('C-02 an integer is a file of its digits without a newline', () => {
  const text = identity('integer')
  assert.deepEqual(staged(text, given({ input: '42' })), { '/inputs/input': '42' })
  assert.deepEqual(staged(text, given({}, { input: '42\n' })), { '/inputs/input': '42' })
  answers(judge(text, given({ input: '42' }), { output: '42' }))
  answers(judge(text, given({ input: '42' }), { output: '42\n' }))
})

test('C-03 a boolean is true or false', () => {
  const text = identity('boolean')
  assert.deepEqual(staged(text, given({ input: 'false' })), { '/inputs/input': 'false' })
  answers(judge(text, given({ input: 'false' }), { output: 'false' }))
  answers(judge(text, given({ input: 'false' }), { output: 'False\n' }))
  refused(() => plan(text, given({ input: 'no' })), /input must be true or false, got "no"/)
  fails(judge(text, given({ input: 'false' }), { output: 'maybe' }), /output output must be true or false/)
})

const INTEGERS = descriptor(
  {
    a: { id: 'integer', lt: 0 },
    b: { id: 'integer', gt: -2 },
    c: { id: 'integer', geq: 2 },
    d: { id: 'integer', leq: 0 },
  },
  { sum: 'integer' },
)

test('C-04 integer constraints hold before the start, all faults at once', () => {
  const values = { a: '-1', b: '0', c: '2', d: '0' }
  assert.equal(Object.keys(staged(INTEGERS, given(values))).length, 4)
  answers(judge(INTEGERS, given(values), { sum: '1' }), ['sum'])
  refused(() => plan(INTEGERS, given({ ...values, a: '0' })), /a must be less than 0, got "0"/)
  refused(() => plan(INTEGERS, given({ a: '1', b: '-2', c: '1', d: '1' })), /a must .*b must .*c must .*d must/)
})

const NUMBERS = descriptor(
  {
    a: { id: 'number', lt: 0, geq: -10 },
    b: { id: 'number', gt: 2 },
    c: { id: 'number', leq: 300 },
    d: { id: 'number', nan_allowed: true, infinity_allowed: true },
  },
  { sum: 'number', undefined: { id: 'number', nan_allowed: true, infinity_allowed: true } },
)

test('C-05 numbers reach the task in the form that the caller gave', () => {
  const values = { a: '-1', b: '3', c: '2', d: 'nan' }
  assert.deepEqual(staged(NUMBERS, given(values)), {
    '/inputs/a': '-1',
    '/inputs/b': '3',
    '/inputs/c': '2',
    '/inputs/d': 'nan',
  })
  assert.equal(staged(NUMBERS, given({ ...values, c: '2.50', d: '-inf' }))['/inputs/c'], '2.50')
  answers(judge(NUMBERS, given(values), { sum: '2\n', undefined: 'NaN' }), ['sum', 'undefined'])
})

test('C-06 nan where it is not allowed is refused before the start', () => {
  refused(() => plan(NUMBERS, given({ a: '-1', b: '3', c: 'nan', d: 'nan' })), /c must be a number, nan is not allowed/)
  refused(() => plan(NUMBERS, given({ a: '-1', b: 'inf', c: '2', d: 'nan' })), /b must be finite/)
})

const COLLECTION = identity({ id: 'array', min_size: 1, max_size: 5, subtype: { id: 'integer', geq: 0, leq: 300.0 } })

test('C-07 an array is a folder with array.yml and a file for each item', () => {
  assert.deepEqual(staged(COLLECTION, given({ input: '[4, 1, 300]' })), {
    '/inputs/input': '<empty>',
    '/inputs/input/array.yml': 'size: 3\n',
    '/inputs/input/0': '4',
    '/inputs/input/1': '1',
    '/inputs/input/2': '300',
  })
  const left = { 'output/array.yml': 'size: 3', 'output/0': '4', 'output/1': '1', 'output/2': '300\n' }
  answers(judge(COLLECTION, given({ input: '[4, 1, 300]' }), left))
  refused(() => plan(COLLECTION, given({ input: '[]' })), /input must have at least 1 items, has 0/)
  refused(() => plan(COLLECTION, given({ input: '[1, 2, 3, 4, 5, 6]' })), /input must have at most 5 items, has 6/)
  refused(() => plan(COLLECTION, given({ input: '[1, 301]' })), /input\/1 must be at most 300, got "301"/)
})

test('C-08 files of a collection keep their bytes and their order', () => {
  const text = identity({ id: 'array', subtype: 'file' })
  const files = { 'input/0': new Uint8Array([0, 255]), 'input/1': new Uint8Array([254, 0]) }
  const what = given({}, files, { files: { input: 'list' } })
  assert.deepEqual(staged(text, what), { '/inputs/input': '<inputs/input>', '/inputs/input/array.yml': 'size: 2\n' })
  answers(
    judge(text, what, { 'output/array.yml': 'size: 2\n', 'output/0': files['input/0'], 'output/1': files['input/1'] }),
  )
})

test('C-09 a Polygon is a geometry, a FeatureCollection is refused before the start', () => {
  const text = identity('geometry')
  assert.deepEqual(staged(text, given({ input: POLYGON })), { '/inputs/input': POLYGON })
  answers(judge(text, given({ input: POLYGON }), { output: `${POLYGON}\n` }))
  const collection = '{"type": "FeatureCollection", "features": []}'
  refused(() => plan(text, given({ input: collection })), /input must be a Point, .* or a Feature around one/)
  fails(judge(text, given({ input: POLYGON }), { output: collection }), /output output must be a Point/)
})

test("C-10 what is not among an enumeration's values is refused before the start", () => {
  const text = identity({ id: 'enumeration', values: ['A', 'B', 'C'] })
  assert.deepEqual(staged(text, given({ input: 'B' })), { '/inputs/input': 'B' })
  refused(() => plan(text, given({ input: 'D' })), /input must be one of A, B, C, got "D"/)
  fails(judge(text, given({ input: 'B' }), { output: 'b' }), /output output must be one of A, B, C/)
})

test('C-11 a datetime goes through as it is', () => {
  const text = identity('datetime')
  const value = '2024-01-01T00:00:00Z'
  assert.deepEqual(staged(text, given({ input: value })), { '/inputs/input': value })
  answers(judge(text, given({ input: value }), { output: value }))
  refused(() => plan(text, given({ input: '2024-02-30T00:00:00Z' })), /input must be an instant/)
})

test('C-12 an image lies under its bare name', () => {
  const text = identity({ id: 'image', formats: ['png'], max_width: 9, max_height: 7 })
  assert.deepEqual(staged(text, given({}, { input: PNG })), { '/inputs/input': '<inputs/input>' })
  answers(judge(text, given({}, { input: PNG }), { output: PNG }))
  refused(() => plan(text, given({}, { input: 'hello' })), /input must be png, its first bytes/)
  refused(() => plan(text, given({ input: 'scan.png' })), /input takes an image, not a value/)
})

test('C-13 a missing output fails the run, whatever else is there', () => {
  const text = descriptor({ a: 'integer', b: 'integer' }, { out: 'integer' })
  const values = given({ a: '1', b: '2' })
  assert.deepEqual(plan(text, values).exchange.kind === 'files' && plan(text, values).exchange, {
    kind: 'files',
    mounts: [
      { path: '/inputs', writable: true, sizeBytes: 10 * 2 ** 20 },
      { path: '/outputs', writable: true, sizeBytes: 10 * 2 ** 20 },
    ],
    stage: [
      { kind: 'text', path: '/inputs/a', text: '1' },
      { kind: 'text', path: '/inputs/b', text: '2' },
    ],
    collect: [{ name: 'out', path: '/outputs/out', folder: false }],
  })
  fails(judge(text, values, { sum: '3' }), /output out is missing/)
})

const OPTIONAL = descriptor(
  { geometry_input: { type: 'geometry', optional: true }, input: 'string' },
  { output: 'string' },
)

test('C-14 an optional input that is not given has no file, and a non-zero exit fails whatever was written', () => {
  assert.deepEqual(staged(OPTIONAL, given({ input: 'x' })), { '/inputs/input': 'x' })
  assert.deepEqual(staged(OPTIONAL, given({ input: 'x', geometry_input: 'null' })), { '/inputs/input': 'x' })
  fails(judge(OPTIONAL, given({ input: 'x' }), { output: 'x' }, { end: { exitCode: 1 } }), /exit code 1/)
})

test('C-15 with the optional input the run counts, and a file nobody declared is no fault', () => {
  const what = given({ input: 'x', geometry_input: POLYGON })
  assert.deepEqual(staged(OPTIONAL, what), { '/inputs/geometry_input': POLYGON, '/inputs/input': 'x' })
  answers(judge(OPTIONAL, what, { output: 'x', geometry_output: POLYGON }))
})

const TEXT = identity('string')

test('C-16 the image is an archive of the folder and never a name inside it', () => {
  const described = cytomine.describe(
    folder({ 'descriptor.yml': TEXT, 'com.example.test-1.0.0.tar': 'x', 'other.tar': 'y' }),
  )
  assert.deepEqual(described.image, { kind: 'archive', path: 'com.example.test-1.0.0.tar' })
  assert.equal(JSON.stringify(described).includes('local-image-name'), false)
})

const CONFIG = { input_folder: '/inputs', output_folder: '/outputs', resources: { ram: '256Mi' } }

test('C-17 image.tar is found without image.file, and with it', () => {
  const without = folder({ 'descriptor.yml': TEXT, 'image.tar': 'x', 'b.tar': 'y' })
  assert.deepEqual(cytomine.describe(without).image, { kind: 'archive', path: 'image.tar' })
  const named = descriptor({}, {}, { configuration: { ...CONFIG, image: { file: '/image.tar' } } })
  const both = folder({ 'descriptor.yml': named, 'image.tar': 'x', 'com.example.test-1.0.0.tar': 'y' })
  assert.deepEqual(cytomine.describe(both).image, { kind: 'archive', path: 'image.tar' })
})

test('C-18 an archive of any name is found through image.file, beside a descriptor.yaml', () => {
  const named = descriptor({}, {}, { configuration: { ...CONFIG, image: { file: '/app_exp-0.1.4.tar' } } })
  const bundle = folder({
    'descriptor.yaml': named,
    'app_exp-0.1.4.tar': 'x',
    'image.tar': 'y',
    'com.example.test-1.0.0.tar': 'z',
  })
  const { image, descriptor: file } = cytomine.describe(bundle)
  assert.deepEqual([file, image], ['descriptor.yaml', { kind: 'archive', path: 'app_exp-0.1.4.tar' }])
  const only = folder({ 'DESCRIPTOR.YML': TEXT, 'anything.tar': 'x' })
  assert.deepEqual(cytomine.describe(only).image, { kind: 'archive', path: 'anything.tar' })
  assert.deepEqual(cytomine.describe(folder({ 'descriptor.yml': TEXT, Dockerfile: 'FROM x', 'run.sh': '' })).image, {
    kind: 'build',
    context: ['descriptor.yml', 'Dockerfile', 'run.sh'],
  })
})

test('C-19 malformed outputs fail the run, naming the parameter', () => {
  const one = (type: unknown) => descriptor({ input: 'string' }, { out: type })
  const what = given({ input: 'x' })
  fails(judge(one('integer'), what, { out: 'abc' }), /output out must be a whole number, got "abc"/)
  fails(judge(one('string'), what, { out: '' }), /output out is blank/)
  fails(judge(one('string'), what, { out: ' \n' }), /output out is blank/)
  fails(judge(one({ id: 'array', subtype: 'integer' }), what, { 'out/0': '1' }), /output out has no array\.yml/)
  fails(
    judge(one({ id: 'array', subtype: 'integer' }), what, { out: '[1]' }),
    /output out is a file, not an array folder/,
  )
  fails(judge(one('string'), what, { 'out/x': '1' }), /output out is a folder where a file is expected/)
  const empty = { folders: ['out'] }
  fails(judge(one('string'), what, {}, empty), /output out is a folder where a file is expected/)
  fails(judge(one('image'), what, {}, empty), /output out is an empty folder/)
  fails(judge(one({ id: 'array', subtype: 'integer' }), what, {}, empty), /output out has no array\.yml/)
})

test('C-20 a bundle without descriptor, without image or with a wrong version is refused, each in its own words', () => {
  const at = (files: Params) =>
    cytomine.check(folder(files as Record<string, string>)).filter((f) => f.level === 'error')
  assert.deepEqual(
    at({ 'image.tar': 'x' }).map(({ where, what }) => `${where} ${what}`),
    ['descriptor.yml is missing'],
  )
  assert.deepEqual(
    at({ 'descriptor.yml': TEXT }).map(({ what }) => what),
    ['has no image'],
  )
  const wrong = descriptor({ input: 'string' }, {}, { version: 1.0 })
  const [version] = at({ 'descriptor.yml': wrong, 'image.tar': 'x' })
  assert.match(`${version?.where} ${version?.what}`, /descriptor\.yml:5 version is the number 1, not a text/)
  assert.deepEqual(
    at({ 'descriptor.yml': TEXT, 'descriptor.yaml': TEXT, 'image.tar': 'x' }).map(({ what }) => what),
    ['is a second descriptor beside descriptor.yml'],
  )
  refused(
    () => cytomine.describe(folder({ 'descriptor.yml': wrong })),
    /version is the number 1.*has no image/,
    'invalid_task',
  )
})

test('a job is held to what the task takes: unknown names, both ways at once, variables, templates and commands', () => {
  const text = identity('string')
  refused(() => plan(text, given({ input: 'x', other: 'y' })), /no input "other"/)
  refused(() => plan(text, given({})), /input is missing/)
  refused(() => plan(text, given({ input: 'x' }, { input: 'y' })), /"input" is given twice/)
  refused(() => plan(text, given({ input: 'x' }, {}, { env: { A: 'b' } })), /takes no variable A/)
  refused(() => plan(text, given({ input: 'x' }, {}, { template: 't' })), /takes no template/)
  refused(() => plan(text, given({ input: 'x' }, {}, { command: ['sh'] })), /takes no command/)
})

test('a default is written in its own spelling where nothing is given; null gives nothing', () => {
  const number = { type: 'number', optional: true, default: 0.5 }
  const text = descriptor({ a: number, b: { type: 'boolean', default: true }, c: { type: 'string', default: 'x' } }, {})
  assert.deepEqual(staged(text, given({})), { '/inputs/a': '0.5', '/inputs/b': 'true', '/inputs/c': 'x' })
  assert.deepEqual(staged(text.replace('0.5', '1.0'), given({}))['/inputs/a'], '1.0')
  assert.equal(staged(text, given({ a: 'null' }))['/inputs/a'], undefined)
  assert.equal(staged(text, given({ c: 'null' }))['/inputs/c'], 'null')
  refused(() => plan(text, given({ b: 'null' })), /b is null, and the task needs it/)
})

test('the container gets nothing but two writable folders: no variables, no command, its own user, its root writable', () => {
  const made = plan(identity('string'), given({ input: 'x' }))
  assert.deepEqual([made.env, made.user, made.writableRoot, made.command], [{}, 'image', true, undefined])
  const exchange = made.exchange
  assert.ok(exchange.kind === 'files' && exchange.mounts.every((mount) => mount.writable))
  assert.equal(exchange.entrypoint, undefined)
})

test('time, memory and the console tell why a run failed', () => {
  const end = (change: Parameters<typeof judge>[3]) =>
    judge(TEXT, given({ input: 'x' }), { output: 'x' }, change).problem
  assert.equal(end({ end: { exitCode: 137, killedFor: 'time limit' } })?.code, 'run_timeout')
  assert.match(end({ end: { exitCode: 137, outOfMemory: true } })?.message ?? '', /out of memory/)
  assert.match(end({ end: { exitCode: 137, killedFor: 'log budget' } })?.message ?? '', /printed too much/)
  assert.match(end({ end: { exitCode: 137, killedFor: 'stopped' } })?.message ?? '', /stopped/)
  assert.match(end({ end: { exitCode: 3 } })?.message ?? '', /exit code 3/)
})

test('an output that was left out says why', () => {
  const leftOut = [{ path: 'output', why: 'a link' }]
  fails(judge(TEXT, given({ input: 'x' }), {}, { leftOut }), /output output is missing \(output was left out: a link\)/)
})

test('optional outputs may be missing, but not wrong', () => {
  const text = descriptor({ input: 'string' }, { out: { type: 'integer', optional: true } })
  answers(judge(text, given({ input: 'x' }), {}), [])
  fails(judge(text, given({ input: 'x' }), { out: 'x' }), /output out must be a whole number/)
})

test("resources are the descriptor's, and a caller may ask for more of each", () => {
  const task = { cpuMillis: 1000, memoryBytes: 100, gpus: 0 }
  assert.deepEqual(cytomine.resources(TEXT, task, given({})), task)
  const more = given({}, {}, { resources: { memoryBytes: 200, cpuMillis: 10 } })
  assert.deepEqual(cytomine.resources(TEXT, task, more), { ...task, memoryBytes: 200 })
})

test('parameters say what a caller may give and will get', () => {
  const text = descriptor(
    { size: { type: { id: 'integer', gt: 0 }, default: 5 }, kind: { id: 'enumeration', values: ['a', 'b'] } },
    { shapes: { id: 'array', subtype: 'geometry' } },
  )
  assert.deepEqual(cytomine.parameters(text), [
    {
      name: 'size',
      side: 'input',
      kind: 'integer',
      required: false,
      default: '5',
      description: 'size: the size (> 0)',
    },
    {
      name: 'kind',
      side: 'input',
      kind: 'enumeration',
      required: true,
      choices: ['a', 'b'],
      description: 'kind: the kind',
    },
    { name: 'shapes', side: 'output', kind: 'array of geometry', required: true, description: 'shapes: the shapes' },
  ])
})

test('a verdict never throws, whatever the descriptor is', () => {
  fails(judge('][', given({}), {}), /descriptor is not usable/)
  assert.equal(cytomine.judge('', jobOf(given({})), { ...RAN, files: tree({}) }).status, 'task_failed')
})

const RAN = {
  end: { exitCode: 0, outOfMemory: false, logTail: '' },
  startedAt: 0,
  endedAt: 1,
  image: '',
  console: new Uint8Array(0),
  folders: new Set<string>(),
  noted: new Map(),
  leftOut: [],
}
