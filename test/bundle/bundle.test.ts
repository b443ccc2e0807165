/** Bundles: one form, and nothing in a stranger's that could touch anything else. */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { pack } from 'tar-stream'
import type { Header } from 'tar-stream'
import { MecaError } from '../../src/core/errors.ts'
import { HEAD_BYTES } from '../../src/core/bundle.ts'
import { entriesOf, unpackResult } from '../../src/bundle/local.ts'
import { indexBundle, readBundle } from '../../src/bundle/read.ts'
import { packBundle } from '../../src/bundle/write.ts'
import type { BundleEntry } from '../../src/bundle/write.ts'

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function* once(bytes: Uint8Array, step = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step)
}

function fileOf(path: string, text: string): BundleEntry {
  const bytes = Buffer.from(text)
  return { path, bytes: bytes.length, body: () => [bytes] }
}

const JOB = { path: 'job.json', text: '{"v":1}' }

async function folder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'meca-bundle-'))
}

test('the same entries give the same bytes in every order, long names too', async () => {
  const long = `inputs/${'a'.repeat(120)}/${'b'.repeat(120)}`
  const entries = [fileOf('inputs/b', 'two'), { path: 'inputs', folder: true as const }, fileOf(long, 'x')]
  const one = await bytesOf(packBundle(JOB, entries))
  const other = await bytesOf(packBundle(JOB, entries.toReversed()))
  assert.deepEqual(one, other)
  const { text, files, folders } = await indexBundle(once(one), 'job.json')
  assert.equal(text, JOB.text)
  assert.deepEqual([...files.keys()], [long, 'inputs/b'].sort())
  assert.deepEqual([...folders], ['inputs'])
  assert.equal(Buffer.from(files.get('inputs/b')?.head ?? []).toString(), 'two')
})

test('an entry is carried byte for byte, its head is bounded, and who reads half of it still gets the next', async () => {
  const big = Buffer.alloc(3 * HEAD_BYTES, 7)
  const entries: BundleEntry[] = [
    { path: 'inputs/big', bytes: big.length, body: () => once(big, 65_536) },
    fileOf('inputs/z', 'end'),
  ]
  const bundle = await bytesOf(packBundle(JOB, entries))
  const index = await indexBundle(once(bundle, 4096), 'job.json')
  assert.equal(index.files.get('inputs/big')?.head.length, HEAD_BYTES)
  const seen: string[] = []
  for await (const entry of readBundle(once(bundle))) {
    seen.push(entry.path)
    if (entry.kind === 'file') for await (const chunk of entry.body) if (chunk.length > 0) break
  }
  assert.deepEqual(seen, ['job.json', 'inputs/big', 'inputs/z'])
})

test('a file that changed its size while it was packed is told, and nothing hangs', async () => {
  for (const actual of ['longer than said', 'x']) {
    const entry: BundleEntry = { path: 'inputs/a', bytes: 5, body: () => [Buffer.from(actual)] }
    await assert.rejects(bytesOf(packBundle(JOB, [entry])), { code: 'bad_input', message: /inputs\/a changed/ })
  }
})

async function hostile(headers: (Partial<Header> & { name: string })[]): Promise<Buffer> {
  const tar = pack()
  tar.entry({ name: 'job.json' }, '{}')
  for (const header of headers) tar.entry(header, header.type === undefined || header.type === 'file' ? 'evil' : '')
  tar.finalize()
  return bytesOf(tar as AsyncIterable<Uint8Array>)
}

const HOSTILE: [string, (Partial<Header> & { name: string })[]][] = [
  ['a name that leaves', [{ name: '../evil' }]],
  ['a name that leaves in the middle', [{ name: 'inputs/../../evil' }]],
  ['an absolute name', [{ name: '/etc/evil' }]],
  ['a newline', [{ name: 'inputs/a\nb' }]],
  ['a backslash', [{ name: 'inputs\\a' }]],
  ['an empty part', [{ name: 'inputs//a' }]],
  ['a symbolic link', [{ name: 'inputs/a', type: 'symlink', linkname: '/etc/passwd' }]],
  ['a hard link', [{ name: 'inputs/a', type: 'link', linkname: 'job.json' }]],
  ['a device', [{ name: 'inputs/a', type: 'character-device' }]],
  ['a pipe', [{ name: 'inputs/a', type: 'fifo' }]],
  ['a name twice', [{ name: 'inputs/a' }, { name: 'inputs/a' }]],
  ['a name too long', [{ name: `inputs/${'a/'.repeat(600)}b` }]],
]

test('nothing but plain files and folders under plain names is taken', async () => {
  for (const [what, headers] of HOSTILE) {
    const bundle = await hostile(headers)
    await assert.rejects(indexBundle(once(bundle), 'job.json'), { code: 'bad_input' }, what)
  }
})

test('what is no bundle is said to be none: noise, a cut, another first entry, nothing', async () => {
  const whole = await bytesOf(packBundle(JOB, [fileOf('inputs/a', 'x'.repeat(2000))]))
  const cases: [string, Buffer][] = [
    ['noise', Buffer.alloc(4096, 0xa5)],
    ['cut', whole.subarray(0, 2000)],
    ['other first', await bytesOf(packBundle({ path: 'result.json', text: '{}' }, []))],
    ['nothing', Buffer.alloc(0)],
  ]
  for (const [what, bytes] of cases) {
    const error = await indexBundle(once(bytes), 'job.json').then(
      () => undefined,
      (e: unknown) => e,
    )
    assert.ok(error instanceof MecaError, what)
    assert.equal(error.code, 'bad_input', what)
  }
})

test('a folder of this machine goes in as it is; a link inside it is refused, a special file too', async () => {
  const root = await folder()
  try {
    await mkdir(join(root, 'in/sub'), { recursive: true })
    await writeFile(join(root, 'in/sub/a.txt'), 'A')
    await writeFile(join(root, 'secret'), 'key')
    const entries = await entriesOf(join(root, 'in'), 'inputs/x')
    assert.deepEqual(entries.map(({ path }) => path).sort(), ['inputs/x', 'inputs/x/sub', 'inputs/x/sub/a.txt'])
    await symlink(join(root, 'secret'), join(root, 'in/link'))
    await assert.rejects(entriesOf(join(root, 'in'), 'inputs/x'), { code: 'bad_input', message: /link/ })
    await assert.rejects(entriesOf('/dev/null', 'inputs/x'), { code: 'bad_input' })
  } finally {
    await rm(root, { recursive: true })
  }
})

const RESULT = { v: 1, exitCode: 0, outputs: {}, warnings: [], leftOut: [] }

test('a result is unpacked beside and moved in whole; a hostile one leaves nothing', async () => {
  const root = await folder()
  try {
    const good = packBundle({ path: 'result.json', text: JSON.stringify(RESULT) }, [
      fileOf('outputs/sum', '3'),
      fileOf('outputs/list/0', 'zero'),
      fileOf('console.log', 'hello'),
    ])
    const { names } = await unpackResult(good, join(root, 'out'))
    assert.deepEqual(names, ['console.log', 'list', 'sum'])
    assert.equal(await readFile(join(root, 'out/list/0'), 'utf8'), 'zero')
    const bad = await hostile([{ name: 'outputs/ok' }, { name: 'outputs/../../evil' }])
    await assert.rejects(unpackResult(once(bad), join(root, 'bad')))
    assert.deepEqual(await readdir(join(root, 'bad')), [])
    assert.deepEqual((await readdir(root)).sort(), ['bad', 'out'])
  } finally {
    await rm(root, { recursive: true })
  }
})

test('a link that waits where an output goes is replaced, not followed', async () => {
  const root = await folder()
  try {
    await mkdir(join(root, 'out'))
    await writeFile(join(root, 'target'), 'mine')
    await symlink(join(root, 'target'), join(root, 'out/sum'))
    const bundle = packBundle({ path: 'result.json', text: JSON.stringify(RESULT) }, [fileOf('outputs/sum', '3')])
    await unpackResult(bundle, join(root, 'out'))
    assert.equal(await readFile(join(root, 'target'), 'utf8'), 'mine')
    assert.equal(await readFile(join(root, 'out/sum'), 'utf8'), '3')
  } finally {
    await rm(root, { recursive: true })
  }
})
