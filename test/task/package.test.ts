import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FORMATS, formatManifest, parseManifest, zManifest, zTaskName, zVersion } from '../../src/task/package.ts'
import type { Manifest } from '../../src/task/package.ts'
import { NATIVE } from '../../src/core/units.ts'
import { amount, address } from '../core/arbitraries.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const GOOD: Manifest = {
  schemaVersion: 1,
  name: 'echo',
  version: '1.0.0',
  title: 'Echo',
  description: 'Answers what it was asked.\nNothing else.',
  format: 'meca',
  developer: `0x${'11'.repeat(20)}`,
  fee: 7n,
  token: NATIVE,
  image: { manifest: DIGEST, id: DIGEST, platform: 'linux/amd64', bytes: 1000 },
  resources: { cpuMillis: 1000, memoryBytes: 2 ** 27, gpus: 0 },
  determinism: 'exact',
  needsNetwork: false,
  descriptor: 'config.json',
  example: { input: 'example_input.bin', output: 'example_output.bin' },
}

function changed(change: object): string {
  return JSON.stringify({ ...GOOD, fee: '7', ...change })
}

test('a manifest reads back as it was written, with and without an example', () => {
  assert.deepEqual(parseManifest(formatManifest(GOOD)), GOOD)
  const { example: _, ...plain } = GOOD
  assert.deepEqual(parseManifest(formatManifest(plain)), plain)
  fc.assert(
    fc.property(
      amount,
      address,
      fc.string({ unit: 'grapheme', maxLength: 50 }),
      fc.constantFrom(...FORMATS),
      (fee, developer, title, format) => {
        const manifest = { ...GOOD, fee, developer, title, format }
        assert.deepEqual(parseManifest(formatManifest(manifest)), manifest)
      },
    ),
  )
})

test('the same manifest is the same text, so that it gets the same CID', () => {
  assert.equal(formatManifest(parseManifest(formatManifest(GOOD))), formatManifest(GOOD))
  assert.ok(formatManifest(GOOD).endsWith('}\n'))
})

test('the order of keys in a file does not matter to what is read', () => {
  const backwards = Object.fromEntries(Object.entries({ ...GOOD, fee: '7' }).reverse())
  assert.deepEqual(parseManifest(JSON.stringify(backwards)), GOOD)
})

test('whatever is wrong with a manifest is told as an invalid task', () => {
  const bad: [string, string][] = [
    ['nothing', ''],
    ['no JSON', '{'],
    ['null', 'null'],
    ['a list', '[]'],
    ['an unknown key', changed({ more: 1 })],
    ['a prototype', changed({}).replace('{', '{"__proto__":{"fee":"0"},')],
    ['another schema', changed({ schemaVersion: 2 })],
    ['a fee as a number', changed({ fee: 7 })],
    ['a fee of junk', changed({ fee: 'junk' })],
    ['a negative fee', changed({ fee: '-7' })],
    ['a fee over 2^96', changed({ fee: (2n ** 96n).toString() })],
    ['a developer in capitals', changed({ developer: `0x${'AA'.repeat(20)}` })],
    ['no developer', changed({ developer: undefined })],
    ['an unknown format', changed({ format: 'docker' })],
    ['a tag for a digest', changed({ image: { ...GOOD.image, manifest: 'latest' } })],
    ['a short digest', changed({ image: { ...GOOD.image, id: 'sha256:abc' } })],
    ['another digest kind', changed({ image: { ...GOOD.image, id: `sha512:${'a'.repeat(64)}` } })],
    ['a platform of one word', changed({ image: { ...GOOD.image, platform: 'linux' } })],
    ['negative bytes', changed({ image: { ...GOOD.image, bytes: -1 } })],
    ['half a CPU thousandth', changed({ resources: { ...GOOD.resources, cpuMillis: 0.5 } })],
    ['too many GPUs', changed({ resources: { ...GOOD.resources, gpus: 1025 } })],
    ['another determinism', changed({ determinism: 'maybe' })],
    ['a title that is too long', changed({ title: 'x'.repeat(201) })],
    ['a description that is too long', changed({ description: 'x'.repeat(10_001) })],
  ]
  for (const [what, text] of bad) assert.throws(() => parseManifest(text), { code: 'invalid_task' }, what)
})

test('several faults are told at once', () => {
  assert.throws(
    () => parseManifest(changed({ fee: 7, name: 'A B', format: 'x' })),
    (error: Error) => {
      return ['fee', 'name', 'format'].every((word) => error.message.includes(word))
    },
  )
})

test('no path in a manifest leaves the package', () => {
  const bad = [
    '/etc/passwd',
    '../x',
    'a/../../x',
    'a/..',
    '..',
    '.',
    './x',
    '',
    '-x',
    'a\\b',
    'a\u0000',
    'a b',
    'x'.repeat(201),
    '~',
    'file:x',
    'a/../b',
    '%2e%2e/x',
  ]
  for (const path of bad) {
    assert.equal(zManifest.safeParse(JSON.parse(changed({ descriptor: path }))).success, false, path)
    assert.equal(
      zManifest.safeParse(JSON.parse(changed({ example: { input: path, output: 'a' } }))).success,
      false,
      path,
    )
  }
  for (const path of ['config.json', 'a/b.c', 'a..b', 'example/input-1_x.bin']) {
    assert.equal(zManifest.safeParse(JSON.parse(changed({ descriptor: path }))).success, true, path)
  }
})

test('names and versions fit in a registry, a URL and `developer/name@version`', () => {
  for (const name of ['a', 'echo', 'knn-2', 'x'.repeat(63), '0'])
    assert.equal(zTaskName.safeParse(name).success, true, name)
  for (const name of ['', '-a', 'a-', 'A', 'a b', 'a/b', 'a@1', 'a.b', 'a_b', 'ä', 'x'.repeat(64), 'a\n'])
    assert.equal(zTaskName.safeParse(name).success, false, name)
  for (const version of ['1', '1.0.0', '2026.01.01', '1.0.0-rc.1+build', 'x'.repeat(32)])
    assert.equal(zVersion.safeParse(version).success, true, version)
  for (const version of ['', '.1', '1.', '-1', '1 0', '1/0', '1@0', 'x'.repeat(33), '1\n'])
    assert.equal(zVersion.safeParse(version).success, false, version)
})

test('arbitrary JSON is no manifest and no crash', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) =>
      assert.throws(() => parseManifest(text), { code: 'invalid_task' }),
    ),
    { numRuns: 500 },
  )
})
