/** The published schema's rules for a descriptor, those that it misses, and what a hostile one does. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cytomine } from '../../src/task/cytomine.ts'
import { memoryBytes } from '../../src/task/cytomine/memory.ts'
import { descriptor, folder } from './cytomine-kit.ts'

const GIB = 2 ** 30

function findings(text: string, level: 'error' | 'warning' = 'error'): string[] {
  const all = cytomine.check(folder({ 'descriptor.yml': text, 'image.tar': 'x' }))
  return all
    .filter((f) => f.level === level)
    .map(({ where, what }) => `${where.replace('descriptor.yml:', '')} ${what}`)
}

function wrong(change: Readonly<Record<string, unknown>>, what: RegExp) {
  const [first, ...more] = findings(descriptor({ input: 'string' }, {}, change))
  assert.match(first ?? 'nothing was found', what)
  assert.deepEqual(more, [])
}

/** One input of this shape has one fault. */
function wrongInput(param: unknown, what: RegExp) {
  const [first, ...more] = findings(descriptor({ p: param }, { o: 'string' }))
  assert.match(first ?? 'nothing was found', what)
  assert.deepEqual(more, [])
}

const CONFIG = { input_folder: '/inputs', output_folder: '/outputs' }

test('a whole descriptor has no findings, and unknown fields are tolerated', () => {
  const all = {
    external: { dois: ['x'], source_code: 'https://example.com', doi: ['https://doi.org/10.1/2'] },
    anything: { else: 1 },
  }
  assert.deepEqual(findings(descriptor({ input: 'string' }, { output: 'string' }, all)), [])
  assert.deepEqual(findings(descriptor({ input: 'string' }, { output: 'string' }, all), 'warning'), [])
})

test('what the schema refuses is refused', () => {
  wrong({ version: '1.0' }, /version is "1\.0", which is not a semantic version/)
  wrong({ version: '1.0.0-01' }, /version is "1\.0\.0-01", no semantic version/)
  wrong({ version: `1.0.0-${'a'.repeat(30)}` }, /version has 36 characters/)
  wrong({ namespace: 'single' }, /namespace is "single"/)
  wrong({ name: 'ab' }, /name has 2 characters/)
  wrong({ name: 'a/b/c' }, /name is "a\/b\/c"/)
  wrong({ description: 'x'.repeat(2049) }, /description has 2049 characters/)
  wrong({ $schema: undefined }, /\$schema is missing/)
  wrong({ $schema: 'no uri' }, /\$schema is "no uri"/)
  wrong({ authors: [] }, /authors is an empty list/)
  wrong({ authors: [{ first_name: 'A', last_name: 'B', email: 'a@b' }] }, /authors\.0\.organization is missing/)
  wrong({ configuration: undefined }, /configuration is missing/)
  wrong(
    { configuration: { ...CONFIG, input_folder: 'inputs' } },
    /configuration\.input_folder must be an absolute path/,
  )
  wrong({ configuration: { ...CONFIG, resources: { ram: '2048' } } }, /ram is "2048", no amount/)
  wrong({ configuration: { ...CONFIG, resources: { ram: '2g' } } }, /ram is "2g", no amount/)
  wrong({ inputs: undefined }, /inputs is missing/)
  wrong({ inputs: { 'a-b': { description: 'x', type: 'string' } } }, /inputs\.a-b is no name for a parameter/)
  wrong({ inputs: { a: { type: 'string' } } }, /inputs\.a\.description is missing/)
  wrongInput('enumeration', /type is the short form of enumeration/)
  wrongInput('array', /type is the short form of array/)
  wrongInput('wsi', /type is "wsi", no type/)
  wrongInput({ id: 'integer', gt: 0.5 }, /gt is the number 0\.5, not a whole number/)
  wrongInput({ type: 'integer', default: 'x' }, /default is "x", not a number/)
  wrongInput({ id: 'image', formats: ['gif'] }, /formats has "gif"/)
  wrongInput({ id: 'image', formats: [] }, /formats is an empty list/)
  wrongInput({ id: 'enumeration', values: [] }, /values is an empty list/)
  wrongInput({ id: 'enumeration', values: ['a\nb'] }, /values has "a\\nb"/)
})

test('what the schema lets pass although it is wrong is refused', () => {
  wrong({ configuration: { ...CONFIG, resources: { ram: '2GiBxyz' } } }, /ram is "2GiBxyz", no amount/)
  wrong({ configuration: { ...CONFIG, resources: { ram: '1Gi', cpus: -3 } } }, /cpus is -3/)
  wrong({ configuration: { ...CONFIG, resources: { ram: '1Gi', gpus: 0.5 } } }, /gpus is the number 0\.5/)
  wrong({ namespace: '.a' }, /namespace is "\.a"/)
  wrongInput(
    { type: { id: 'enumeration', values: ['a'] }, default: 'b' },
    /default breaks its own type: it must be one of a/,
  )
  wrongInput({ type: { id: 'integer', leq: 3 }, default: 5 }, /default breaks its own type: it must be at most 3/)
  wrongInput({ id: 'integer', gt: 3, lt: 2 }, /limits that no integer keeps/)
  wrongInput({ id: 'array', subtype: 'string', min_size: 3, max_size: 2 }, /min_size is 3, over max_size 2/)
  wrongInput({ id: 'datetime', before: 'tomorrow' }, /before is "tomorrow", no instant/)
  wrongInput({ id: 'file', max_file_size: '10' }, /max_file_size is "10", no amount/)
  wrong({ configuration: { ...CONFIG, output_folder: '/inputs/out' } }, /one lies in the other/)
  wrong({ configuration: { ...CONFIG, input_folder: '/' } }, /must not be the root/)
  wrong({ configuration: { ...CONFIG, input_folder: '/proc/x' } }, /must not lie in \/proc/)
})

test('matching names arrays that exist, derived_from an input', () => {
  const array = { id: 'array', subtype: 'integer' }
  const matching = (ref: unknown, type: unknown = array) =>
    findings(descriptor({ a: { type, dependencies: { matching: ref } }, s: 'string' }, { b: array }))
  assert.deepEqual(matching(['outputs/b']), [])
  assert.match(matching(['outputs/c'])[0] ?? '', /matching names outputs\/c, which there is not/)
  assert.match(matching(['inputs/s'])[0] ?? '', /matching names inputs\/s, which is no array/)
  assert.match(matching(['b'])[0] ?? '', /matching names "b", which is no reference/)
  assert.match(matching(['outputs/b'], 'string')[0] ?? '', /matching is set, but a is no array/)
  assert.match(matching(5)[0] ?? '', /matching is the number 5, not a list/)
  const derived = (from: unknown) =>
    findings(descriptor({ a: 'string' }, { b: { type: 'string', dependencies: { derived_from: from } } }))
  assert.deepEqual(derived('inputs/a'), [])
  assert.match(derived('outputs/b')[0] ?? '', /derived_from names "outputs\/b", which is no input/)
  assert.match(derived(7)[0] ?? '', /derived_from names 7/)
})

test('oddities are warnings: no memory named, no inputs, a default where none is used', () => {
  const warnings = findings(descriptor({}, {}, { configuration: CONFIG }), 'warning')
  assert.match(warnings.join('\n'), /configuration\.resources\.ram is not set, so 1Gi counts/)
  assert.match(warnings.join('\n'), /inputs is empty/)
  const long = descriptor({ a: 'string' }, { b: 'string' }, { name: 'x'.repeat(47) })
  assert.match(findings(long, 'warning').join(), /name has 47 characters, the schema has room for 30/)
  assert.deepEqual(findings(long), [])
  assert.match(warnings.join('\n'), /outputs is empty/)
  const text = descriptor({ a: { type: { id: 'array', subtype: 'string' }, default: [] } }, { o: 'string' })
  assert.match(findings(text, 'warning').join(), /default is not used: array has no defaults/)
  assert.deepEqual(findings(text), [])
})

test('every finding is told at once, each with its line', () => {
  const text = 'name: x\nversion: 1\nauthors:\n  - first_name: A\ninputs:\n  p:\n    type: wsi\noutputs: []\n'
  const all = findings(text)
  assert.deepEqual(
    all.map((line) => line.split(' ').slice(0, 2).join(' ')).sort(),
    [
      '1 $schema',
      '1 configuration',
      '1 name',
      '1 namespace',
      '2 version',
      '4 authors.0.email',
      '4 authors.0.last_name',
      '4 authors.0.organization',
      '6 inputs.p.description',
      '7 inputs.p.type',
      '8 outputs',
    ].sort(),
  )
})

test("resources: the schema's 1Gi where none are named, amounts exactly, internet as declared", () => {
  const described = (resources: unknown) =>
    cytomine.describe(
      folder({ 'descriptor.yml': descriptor({}, {}, { configuration: { ...CONFIG, resources } }), 'image.tar': 'x' }),
    )
  assert.deepEqual(described(undefined).resources, { cpuMillis: 1000, memoryBytes: GIB, gpus: 0 })
  assert.deepEqual(described({ ram: '2Gi', cpus: 3, gpus: 1 }).resources, {
    cpuMillis: 3000,
    memoryBytes: 2 * GIB,
    gpus: 1,
  })
  assert.equal(described({ ram: '1 GiB' }).resources.memoryBytes, GIB)
  assert.equal(described({ ram: '1k' }).resources.memoryBytes, 6 * 2 ** 20)
  assert.equal(described({ ram: '1Gi', internet: true }).needsNetwork, true)
  assert.equal(described({ ram: '1Gi' }).needsNetwork, false)
})

test('amounts of memory are those of the documentation', () => {
  assert.equal(memoryBytes('25KiB'), 25_600)
  assert.equal(memoryBytes('25Kib'), 3200)
  assert.equal(memoryBytes('25kB'), 25_000)
  assert.equal(memoryBytes('2.25455 Kib'), 289)
  assert.equal(memoryBytes('100 MiB'), 100 * 2 ** 20)
  assert.equal(memoryBytes('1Q'), Number.MAX_SAFE_INTEGER)
  for (const bad of ['', '10', 'Gi', '-1Gi', '1gi', '1GiX', '01Gi', `${'9'.repeat(30)}Gi`, '1e3M'])
    assert.equal(memoryBytes(bad), undefined, bad)
})

test('what is published besides goes along: logo, descriptor, example', () => {
  const files = {
    'descriptor.yml': descriptor({ input: 'string' }, {}),
    'Logo.PNG': 'x',
    'image.tar': 'x',
    'other.txt': 'x',
    'example/job.json': '{}',
    'example/inputs/input': 'x',
    'example/outputs/o': 'y',
  }
  const { files: packed, example, title, version } = cytomine.describe(folder(files))
  assert.deepEqual([...packed].sort(), [
    'Logo.PNG',
    'descriptor.yml',
    'example/inputs/input',
    'example/job.json',
    'example/outputs/o',
  ])
  assert.deepEqual(example, { input: 'example/inputs', output: 'example/outputs' })
  assert.deepEqual([title, version], ['Test task', '1.0.0'])
})

test('an image that is there already needs no archive and no Dockerfile', () => {
  const given = {
    ...folder({ 'descriptor.yml': descriptor({ a: 'string' }, { b: 'string' }) }),
    imageGiven: true as const,
  }
  assert.deepEqual(cytomine.check(given), [])
  assert.deepEqual(cytomine.describe(given).image, { kind: 'build', context: [] })
})

test('several archives of no expected name are refused by their names', () => {
  const text = descriptor({ a: 'string' }, { b: 'string' })
  const [found] = cytomine.check(folder({ 'descriptor.yml': text, 'a.tar': 'x', 'b.tar': 'x' }))
  assert.match(found?.what ?? '', /2 archives and none of the expected name: a\.tar, b\.tar/)
  const named = descriptor({}, {}, { configuration: { ...CONFIG, image: { file: '../../etc/passwd.tar' } } })
  const out = cytomine.check(folder({ 'descriptor.yml': named })).filter(({ level }) => level === 'error')
  assert.deepEqual(
    out.map(({ what }) => what),
    ['has no image'],
  )
})

test('hostile descriptors are findings, in milliseconds', () => {
  const began = performance.now()
  for (const [text, what] of [
    ['['.repeat(100_000), /nests deeper/],
    ['a: &x [*x]', /alias/],
    ['a: 1\na: 2', /repeats the key/],
    ['a: !!js/function x', /tag/i],
    ['- a', /not a mapping/],
    ['', /not a mapping/],
    ['a: "', /line|quote/i],
    [Array.from({ length: 50_000 }, (_, i) => `k${i}: 1`).join('\n'), /tokens/],
    ['x'.repeat(600_000), /characters, the most is/],
  ] as const) {
    const all = findings(text)
    assert.match(all.join('\n'), what)
  }
  assert.ok(performance.now() - began < 20_000, `took ${performance.now() - began} ms`)
})
