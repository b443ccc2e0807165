import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { CollectedEntry, FilesRun } from '../../src/engine/engine.ts'
import { gather, look } from '../../src/role/files-result.ts'
import type { Look } from '../../src/task/format.ts'

const NEVER = new AbortController().signal
let scratch = ''

before(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'meca-test-'))
})
after(() => rm(scratch, { recursive: true, force: true }))

function runOf(entries: () => AsyncGenerator<CollectedEntry>): FilesRun {
  return {
    end: { exitCode: 0, outOfMemory: false, logTail: '' },
    timings: {},
    console: new Uint8Array(0),
    outputs: entries,
    dispose: () => Promise.resolve(),
  }
}

async function* body(...chunks: string[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(Buffer.from(chunk))
}

test('each of many small outputs keeps its head, so that its format can judge it', async () => {
  const run = runOf(async function* () {
    for (let i = 0; i < 1100; i++)
      yield await Promise.resolve({
        kind: 'file',
        name: 'o',
        path: String(i),
        bytes: 3,
        body: body(`${i % 1000}`, '\n'),
      })
  })
  const gathered = await gather(run, scratch, NEVER)
  assert.equal(gathered.files.size, 1100)
  for (const [path, { bytes, head }] of gathered.files) assert.equal(head.length, bytes, path)
  assert.equal(Buffer.from(gathered.files.get('o/1099')?.head ?? []).toString(), '99\n')
  await gathered.dispose()
  assert.deepEqual(await readdir(scratch), [])
})

test('of large outputs only the first 64 KiB are kept in memory', async () => {
  const run = runOf(async function* () {
    const large = 'x'.repeat(50_000)
    yield await Promise.resolve({ kind: 'file', name: 'o', path: '', bytes: 150_000, body: body(large, large, large) })
  })
  const gathered = await gather(run, scratch, NEVER)
  assert.deepEqual([gathered.files.get('o')?.bytes, gathered.files.get('o')?.head.length], [150_000, 65_536])
  await gathered.dispose()
})

test('what a format must see whole is read from where it was gathered, and no further than it wants', async () => {
  const run = runOf(async function* () {
    const large = 'x'.repeat(1_500_000)
    for (const name of ['whole', 'start'])
      yield await Promise.resolve({ kind: 'file', name, path: '', bytes: 3_000_000, body: body(large, large) })
  })
  const gathered = await gather(run, scratch, NEVER)
  const seen = { whole: 0, start: 0 }
  const counting = (name: 'whole' | 'start', wanted: number): Look => ({
    take: ({ length }) => (seen[name] += length) < wanted,
    end: () => ({ text: String(seen[name]) }),
  })
  const looks = new Map([
    ['whole', counting('whole', Infinity)],
    ['start', counting('start', 1)],
    ['nothing', counting('whole', Infinity)],
  ])
  const noted = await look(looks, gathered, NEVER)
  assert.deepEqual([...noted.keys()], ['whole', 'start'])
  assert.deepEqual(noted.get('whole'), { text: '3000000' })
  assert.ok(seen.start < 3_000_000)
  assert.deepEqual(await look(undefined, gathered, NEVER), new Map())
  await gathered.dispose()
})
