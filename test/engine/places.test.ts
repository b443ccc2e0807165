/** Where mounts live and what is a path inside one: pure decisions, tried with whatever a stranger's descriptor may say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FilesExchange } from '../../src/core/plan.ts'
import { isPlainPath, mountOf, placesOf, readVolume, taskMount } from '../../src/engine/places.ts'

const MIB = 2 ** 20

function places(mounts: FilesExchange['mounts'], stage: FilesExchange['stage'] = []) {
  return placesOf({ kind: 'files', mounts, stage, collect: [] }, 'job')
}

test('a read-only mount lies on disk, one that is written in memory, one that is both on both', () => {
  const made = places(
    [
      { path: '/ro', writable: false, sizeBytes: 0 },
      { path: '/out', writable: true, sizeBytes: 5 * MIB },
      { path: '/values', writable: true, sizeBytes: 0 },
      { path: '/rw', writable: true, sizeBytes: MIB },
    ],
    [
      { kind: 'folder', path: '/ro', from: 'a' },
      { kind: 'text', path: '/values/n', text: 'x'.repeat(10_000) },
      { kind: 'folder', path: '/values/empty' },
      { kind: 'file', path: '/rw/deep/x', from: 'b' },
    ],
  )
  assert.deepEqual(
    made.map((p) => [p.path, p.kind, p.writable]),
    [
      ['/ro', 'disk', false],
      ['/out', 'memory', true],
      ['/values', 'memory', true],
      ['/rw', 'layered', true],
    ],
  )
  assert.deepEqual(made.map(readVolume), ['job-0-disk', 'job-1-memory', 'job-2-memory', 'job-3-joined'])
  assert.equal(made[1]?.sizeBytes, 5 * MIB + 65_536)
  assert.ok((made[2]?.sizeBytes ?? 0) > 10_000 + 65_536, 'the texts have room')
  assert.deepEqual(made.map(taskMount)[3], { path: '/rw', volume: 'job-3-joined', writable: true })
})

test('a path belongs to the innermost mount, and to none beside them', () => {
  const mounts = [{ path: '/a' }, { path: '/a/b' }, { path: '/ab' }]
  const of = (path: string) => mountOf(mounts, path)?.path
  assert.deepEqual(['/a', '/a/x', '/a/b', '/a/b/c', '/a/bc', '/ab/x', '/abc', '/', ''].map(of), [
    '/a',
    '/a',
    '/a/b',
    '/a/b',
    '/a',
    '/ab',
    undefined,
    undefined,
    undefined,
  ])
})

const ODD = [
  '',
  '/',
  '/a/',
  'a',
  './a',
  '/a//b',
  '/a/./b',
  '/a/../b',
  '/..',
  '/a\nb',
  '/a\0',
  '/a\uFFFD',
  `/${'x'.repeat(1000)}`,
]

test('paths that can be read in two ways are not plain', () => {
  for (const path of ODD) assert.equal(isPlainPath(path), false, JSON.stringify(path))
  for (const path of ['/a', '/a b/c.d', '/ä/日本', '/-rf', '/...', `/${'x'.repeat(999)}`])
    assert.equal(isPlainPath(path), true, path)
})

test('whatever a path is, a plain one below a mount stays below it', () => {
  const segments = fc.array(fc.oneof(fc.constantFrom('..', '.', '', 'a', '..a'), fc.string()), { maxLength: 6 })
  fc.assert(
    fc.property(segments, (parts) => {
      const path = `/in/${parts.join('/')}`
      if (isPlainPath(path)) assert.equal(new URL(`file://${encodeURI(path)}`).pathname.startsWith('/in/'), true)
    }),
    { numRuns: 2_000 },
  )
})

test('more mounts than 64 are refused', () => {
  const many = Array.from({ length: 65 }, (_, i) => ({ path: `/m${i}`, writable: true, sizeBytes: 1 }))
  assert.throws(() => places(many), { code: 'invalid_task' })
  assert.equal(places(many.slice(1)).length, 64)
})
