/** The ways to name a task. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidOf } from '../../src/core/cid.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { Tasks } from '../../src/role/tasks.ts'
import { formatManifest } from '../../src/task/package.ts'
import type { Manifest } from '../../src/task/package.ts'

const LATEST: Hex = `0x${'ab'.repeat(32)}`
const FIRST: Hex = `0x${'cd'.repeat(32)}`
const WHO = `0x${'11'.repeat(20)}`
const signal = new AbortController().signal

const tasks = new Tasks(
  {
    read: async () => new Uint8Array(),
    entry: async () => undefined,
    latest: async (_developer, name) => (name === 'words' ? LATEST : undefined),
    version: async (_developer, _name, version) => (version === '1.0.0' ? FIRST : undefined),
  },
  () => 0,
)

test('a task is named by CID, by its id on chain, by its name, or by name and version', async () => {
  assert.equal(await tasks.resolve(cidOf(LATEST), signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(LATEST, signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(LATEST.toUpperCase().replace('0X', '0x'), signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(`${WHO}/words`, signal), cidOf(LATEST))
  assert.equal(await tasks.resolve(`${WHO}/words@1.0.0`, signal), cidOf(FIRST))
})

for (const ref of ['nope', '', '0x12', '/', 'a/b/c', 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG']) {
  test(`${JSON.stringify(ref)} names no task, and the cure says what does`, () =>
    assert.rejects(tasks.resolve(ref, signal), { code: 'bad_input', cure: /developer\/name.*CID/ }))
}

test('a name that nobody published is not found', () =>
  assert.rejects(tasks.resolve(`${WHO}/other`, signal), { code: 'not_found' }))

const DIGEST = `sha256:${'a'.repeat(64)}`
const MANIFEST: Manifest = {
  schemaVersion: 1,
  name: 'words',
  version: '1.0.0',
  title: 'Words',
  description: '',
  format: 'meca',
  developer: WHO as Hex,
  fee: 7n,
  token: NATIVE,
  image: { manifest: DIGEST, id: DIGEST, platform: 'linux/amd64', bytes: 1000 },
  resources: { cpuMillis: 1000, memoryBytes: 2 ** 27, gpus: 0 },
  determinism: 'exact',
  needsNetwork: false,
  descriptor: 'config.json',
}

/** A package whose first `slow` reads never come, until who asked gives up. */
function published(slow: number) {
  const reads: string[] = []
  const { developer, fee, token, name, version } = MANIFEST
  const source = new Tasks(
    {
      read: async (path, { signal: stop }) => {
        reads.push(path)
        if (reads.length <= slow)
          await new Promise((_, reject) => stop.addEventListener('abort', () => reject(stop.reason)))
        return Buffer.from(path.endsWith('task.json') ? formatManifest(MANIFEST) : '{}')
      },
      entry: async (taskId) => ({ taskId, developer, payee: developer, fee, token, name, version, retired: false }),
      latest: async () => LATEST,
      version: async () => FIRST,
    },
    () => 0,
  )
  return { source, reads }
}

test('twenty jobs at once on a new task fetch its package once', async () => {
  const { source, reads } = published(0)
  const found = await Promise.all(Array.from({ length: 20 }, () => source.get(cidOf(LATEST), signal)))
  assert.equal(reads.length, 2)
  assert.equal(new Set(found.map(({ cid }) => cid)).size, 1)
})

test('who gives up waiting stops alone, and whose fetch was given up does not take the others with it', async () => {
  const { source, reads } = published(1)
  const [first, second] = [new AbortController(), new AbortController()]
  const stopped = source.get(cidOf(LATEST), first.signal)
  const left = source.get(cidOf(LATEST), second.signal)
  const other = source.get(cidOf(LATEST), signal)
  await new Promise((resolve) => setImmediate(resolve))
  second.abort(new Error('second'))
  await assert.rejects(left, /second/)
  assert.equal(reads.length, 1)
  first.abort(new Error('first'))
  await assert.rejects(stopped, /first/)
  assert.equal((await other).cid, cidOf(LATEST))
})
