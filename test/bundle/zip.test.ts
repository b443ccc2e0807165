/** Zips of strangers: plain ones come out byte for byte; whatever lies, leaves, links or swells is refused by name. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { unzip } from '../../src/bundle/zip.ts'
import { MecaError } from '../../src/core/errors.ts'
import { openSource } from '../../src/role/bench-source.ts'
import { zipOf } from '../support/zip.ts'
import type { ZipEntry } from '../support/zip.ts'

const { signal } = new AbortController()
const text = (name: string, content = 'x', more: Partial<ZipEntry> = {}): ZipEntry => ({
  name,
  bytes: Buffer.from(content),
  ...more,
})

async function unpacked(t: TestContext, zip: Buffer, until = signal): Promise<{ root: string; out: string }> {
  const root = await mkdtemp(join(tmpdir(), 'meca-zip-test-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await writeFile(join(root, 'a.zip'), zip)
  const out = join(root, 'out')
  await mkdir(out)
  await unzip(join(root, 'a.zip'), out, until).catch(async (error: unknown) => {
    assert.deepEqual((await readdir(root)).sort(), ['a.zip', 'out'], 'something was written beside the folder')
    throw error
  })
  return { root, out }
}

test('stored and deflated entries and folders come out as they went in', async (t) => {
  const big = randomBytes(300_000)
  const zip = zipOf([
    text('descriptor.yml', 'name: a', { method: 'deflated' }),
    { name: 'sub/', bytes: Buffer.alloc(0) },
    { name: 'sub/image.tar', bytes: big },
    { name: 'deep/er/logo.png', bytes: big, method: 'deflated' },
  ])
  const { out } = await unpacked(t, zip)
  assert.equal(await readFile(join(out, 'descriptor.yml'), 'utf8'), 'name: a')
  assert.deepEqual(await readFile(join(out, 'sub/image.tar')), big)
  assert.deepEqual(await readFile(join(out, 'deep/er/logo.png')), big)
})

const ZEROS = Buffer.alloc(8 * 2 ** 20)
const HOSTILE: [string, Buffer, RegExp][] = [
  ['a name that leaves', zipOf([text('../evil')]), /\.\.|relative/],
  ['a name that leaves in the middle', zipOf([text('a/../../evil')]), /\.\.|relative/],
  ['a name that leaves the other way', zipOf([text('a\\..\\..\\evil')]), /backslash|invalid/],
  ['an absolute name', zipOf([text('/etc/evil')]), /absolute/],
  ['a drive', zipOf([text('C:/evil')]), /absolute/],
  ['a line break in a name', zipOf([text('a\nb', 'x', { flags: 0x800 })]), /control/],
  ['an empty name', zipOf([text('')]), /empty/],
  ['a name of 2,000 bytes', zipOf([text('a/'.repeat(1000) + 'b')]), /longer/],
  ['a link', zipOf([text('a', '/etc/passwd', { mode: 0o120777 })]), /link or a special/],
  ['a pipe', zipOf([text('a', '', { mode: 0o010644 })]), /link or a special/],
  ['a device', zipOf([text('a', '', { mode: 0o020644 })]), /link or a special/],
  ['a folder that says it is a link', zipOf([text('a/', '', { mode: 0o120777 })]), /link or a special/],
  ['a name twice', zipOf([text('a'), text('a', 'y')]), /twice/],
  ['a file and a folder of one name', zipOf([text('a'), text('a/', '')]), /twice/],
  ['a file that another lies in', zipOf([text('a'), text('a/b')]), /ENOTDIR|EEXIST|usable/],
  ['an encrypted entry', zipOf([text('a', 'x', { method: 'deflated', flags: 1 })]), /encrypted/],
  [
    'a size that is too small',
    zipOf([text('a', 'long text', { method: 'deflated', lies: { size: 2 } })]),
    /size|bytes/,
  ],
  [
    'a size that is too large',
    zipOf([text('a', 'text', { method: 'deflated', lies: { size: 2 ** 30 } })]),
    /size|bytes/,
  ],
  ['a stored entry of two sizes', zipOf([text('a', 'text', { lies: { size: 400 } })]), /size/],
  ['an entry that begins outside', zipOf([text('a', 'x', { lies: { offset: 2 ** 30 } })]), /usable/],
  ['an entry that begins in another', zipOf([text('a', 'x'.repeat(99), { lies: { offset: 40 } })]), /usable/],
  ['fewer entries than it says', zipOf([text('a')], 9), /usable/],
  ['a million entries', zipOf([text('a')], 0xfffe), /65534 entries/],
  ['a cut', zipOf([text('a', 'x'.repeat(500))]).subarray(0, 300), /usable/],
  ['nothing but its mark', Buffer.from('PK\u0003\u0004'), /usable/],
]

for (const [what, zip, message] of HOSTILE) {
  test(`${what} is refused`, async (t) => {
    const error = await unpacked(t, zip).then(
      () => assert.fail('it was taken'),
      (thrown: unknown) => thrown,
    )
    assert.ok(error instanceof MecaError, String(error))
    assert.ok(['invalid_task', 'too_large'].includes(error.code), error.code)
    assert.match(error.message, message)
  })
}

test('a bomb costs what its own size allows, and a zip in a zip stays one file', async (t) => {
  const inner = zipOf([{ name: 'zeros', bytes: ZEROS, method: 'deflated' }])
  const { out } = await unpacked(t, zipOf([{ name: 'inner.zip', bytes: inner }, text('b')]))
  assert.deepEqual((await readdir(out)).sort(), ['b', 'inner.zip'])
  // Says of itself that it is larger packed than it is, to be given more room.
  const lying = zipOf([{ name: 'zeros', bytes: ZEROS, method: 'deflated', lies: { compressedSize: 2 ** 31 } }])
  await assert.rejects(unpacked(t, lying), { code: 'invalid_task' })
})

test('who gives up ends the unpacking, and no folder of a refused bundle stays', async (t) => {
  const stop = AbortSignal.abort(new Error('enough'))
  await assert.rejects(unpacked(t, zipOf([text('a')]), stop), /enough/)
  const root = await mkdtemp(join(tmpdir(), 'meca-zip-test-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  await writeFile(join(root, 'evil.zip'), zipOf([text('ok'), text('../evil')]))
  const mine = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('meca-task-'))
  const before = await mine()
  await assert.rejects(
    openSource(join(root, 'evil.zip'), undefined, () => assert.fail('no engine is needed'), signal),
    { code: 'invalid_task' },
  )
  assert.deepEqual(
    (await mine()).filter((name) => !before.includes(name)),
    [],
  )
})
