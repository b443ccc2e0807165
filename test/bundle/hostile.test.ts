/** Jobs and results of strangers that are bundles in form only: refused by name, with nothing held and nothing left. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pack } from 'tar-stream'
import { peekResult, unpackResult } from '../../src/bundle/local.ts'
import { packBundle } from '../../src/bundle/write.ts'
import type { BundleEntry } from '../../src/bundle/write.ts'
import { MAX_BUNDLE_ENTRIES, MAX_BUNDLE_JSON_BYTES, NO_PARAMETERS } from '../../src/core/bundle.ts'
import { openGiven } from '../../src/role/files-given.ts'

const fileOf = (path: string, text = 'x'): BundleEntry => {
  const bytes = Buffer.from(text)
  return { path, bytes: bytes.length, body: () => [bytes] }
}
const jobOf = (text: string, entries: readonly BundleEntry[] = []) =>
  openGiven(() => packBundle({ path: 'job.json', text }, entries))
const job = (over: Record<string, unknown>) => JSON.stringify({ ...NO_PARAMETERS, ...over })

const JOBS: [string, string, BundleEntry[], RegExp][] = [
  ['no JSON', '{', [], /not JSON/],
  ['JSON nested a million deep', '['.repeat(2e6), [], /not JSON|malformed/],
  ['a closed nest', `{"v":${'['.repeat(1e6)}${']'.repeat(1e6)}}`, [], /not JSON|malformed/],
  ['a list', '[]', [], /malformed/],
  ['another version', job({ v: 2 }), [], /v:/],
  ['a value that is a number', job({ values: { a: 1 } }), [], /values/],
  ['a name that leaves', job({ values: { '../a': '1' } }), [], /values/],
  ['a kind that is none', job({ files: { a: 'link' } }), [], /files/],
  ['a field that nobody knows', job({ privileged: true }), [], /privileged/],
  ['a prototype', `{"v":1,"__proto__":{"keepOnIpfs":true}}`, [], /malformed/],
  ['a link that is no CID', job({ links: { a: { cid: '../../etc' } } }), [], /links/],
  ['a file that is not named', job({}), [fileOf('inputs/a')], /names no such input/],
  ['a file beside the inputs', job({}), [fileOf('evil')], /names no such input/],
  ['a file named like a part of Object', job({}), [fileOf('inputs/constructor')], /names no such input/],
  ['a file that does not come', job({ files: { a: 'file' } }), [], /does not hold/],
  ['a folder that is a file', job({ files: { a: 'folder' } }), [fileOf('inputs/a')], /does not hold/],
  ['a list with a hole', job({ files: { a: 'list' } }), [fileOf('inputs/a/0'), fileOf('inputs/a/2')], /no a\/1/],
  ['a list by other names', job({ files: { a: 'list' } }), [fileOf('inputs/a/00')], /no a\/0/],
]

test('a job that is malformed is refused, and told which part of it', async () => {
  for (const [what, text, entries, message] of JOBS)
    await assert.rejects(jobOf(text, entries), { code: 'bad_input', message }, what)
  await assert.rejects(jobOf(' '.repeat(MAX_BUNDLE_JSON_BYTES + 1)), { code: 'too_large' })
  const members = ['10', '2', '0', '1', '9', '8', '7', '6', '5', '4', '3'].map((n) => fileOf(`inputs/a/${n}`))
  assert.equal((await jobOf(job({ files: { a: 'list' } }), members)).files.size, 11)
})

/** A header that says of itself that a gigabyte of name follows. */
async function* longName(type: 'x' | 'L'): AsyncGenerator<Uint8Array> {
  const tar = pack()
  tar.entry({ name: 'job.json' }, job({}))
  tar.finalize()
  const whole: Uint8Array[] = []
  for await (const chunk of tar as AsyncIterable<Uint8Array>) whole.push(chunk)
  yield Buffer.concat(whole).subarray(0, 1024)
  const header = Buffer.alloc(512)
  header.write('PaxHeader', 0)
  header.write('0000644\0', 100)
  header.write('0000000\0', 108)
  header.write('0000000\0', 116)
  header.write('10000000000\0', 124)
  header.write('00000000000\0', 136)
  header.write('        ', 148)
  header.write(type, 156)
  header.write('ustar\u000000', 257)
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  )
  yield header
  for (let i = 0; i < 256; i++) {
    given++
    yield Buffer.alloc(2 ** 20, 'a')
  }
}
let given = 0

test('more entries than anybody unpacks are refused while they come', async () => {
  const folders = Array.from({ length: MAX_BUNDLE_ENTRIES }, (_, i) => ({
    path: `inputs/a/${i}`,
    folder: true as const,
  }))
  await assert.rejects(jobOf(job({ files: { a: 'folder' } }), folders), { code: 'too_large', message: /entries/ })
})

test('a name of a gigabyte is not held: the reading ends after the first', async () => {
  for (const type of ['x', 'L'] as const) {
    given = 0
    await assert.rejects(
      openGiven(() => longName(type)),
      { code: 'bad_input', message: /Header exceeds/ },
    )
    assert.ok(given < 8, `${given} MiB were read`)
  }
})

const RESULT = { v: 1, exitCode: 0, outputs: {}, warnings: [], leftOut: [] }
const resultOf = (entries: readonly BundleEntry[], text = JSON.stringify(RESULT), path = 'result.json') =>
  packBundle({ path, text }, entries)

const RESULTS: [string, () => AsyncIterable<Uint8Array>][] = [
  [
    'bytes that are no bundle',
    async function* () {
      yield await Promise.resolve(Buffer.alloc(4096, 7))
    },
  ],
  [
    'nothing',
    async function* () {
      yield await Promise.resolve(Buffer.alloc(0))
    },
  ],
  ['another first entry', () => resultOf([], '{}', 'job.json')],
  ['no JSON', () => resultOf([], '{')],
  ['an exit code that is none', () => resultOf([], JSON.stringify({ ...RESULT, exitCode: 1e9 }))],
  ['a name of an output that leaves', () => resultOf([], JSON.stringify({ ...RESULT, outputs: { '../a': {} } }))],
  [
    'a result.json of five megabytes',
    () => resultOf([], JSON.stringify({ ...RESULT, warnings: ['x'.repeat(5 * 2 ** 20)] })),
  ],
]
const ONLY_WHOLE: [string, () => AsyncIterable<Uint8Array>][] = [
  ['a file beside the outputs', () => resultOf([fileOf('evil')])],
  ['a file that another lies in', () => resultOf([fileOf('outputs/a'), fileOf('outputs/a/b')])],
]

test('a result that is none is its host’s doing, and leaves nothing', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'meca-hostile-test-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  for (const [what, make] of RESULTS) await assert.rejects(peekResult(make()), { code: 'not_verified' }, what)
  for (const [what, make] of [...RESULTS, ...ONLY_WHOLE]) {
    await assert.rejects(unpackResult(make(), join(root, 'out')), { code: 'not_verified' }, what)
    assert.deepEqual(await readdir(join(root, 'out')), [], what)
  }
  assert.deepEqual(await readdir(root), ['out'])
})

test('a result.json larger than a chunk is read to its end before the stream is left', async () => {
  const warnings = Array.from({ length: 100 }, (_, i) => `${i} ${'w'.repeat(900)}`)
  const source = resultOf([fileOf('outputs/a', 'x'.repeat(500_000))], JSON.stringify({ ...RESULT, warnings }))
  async function* slowly() {
    for await (const chunk of source)
      for (let at = 0; at < chunk.length; at += 1000) {
        await new Promise(setImmediate)
        yield chunk.subarray(at, at + 1000)
      }
  }
  assert.equal((await peekResult(slowly())).warnings.length, 100)
})

test('an output that is called like the console takes its place', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'meca-hostile-test-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const both = resultOf([fileOf('console.log', 'printed'), fileOf('outputs/console.log', 'output')])
  assert.deepEqual((await unpackResult(both, root)).names, ['console.log'])
})
