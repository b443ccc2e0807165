/** What the walker lets through and what it refuses: the evil images of security.md 1.1.3, and bytes made at random. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { MecaError } from '../../src/core/errors.ts'
import { DEFAULT_CAPS } from '../../src/image/caps.ts'
import { TarReader } from '../../src/image/tar.ts'
import { verifyImage } from '../../src/image/verify.ts'
import { ImageWalk } from '../../src/image/walk.ts'
import { EVIL } from './evil.ts'
import { END, entry, header, layoutOf, pax, reader, soon, stream, tar } from './support.ts'

for (const { name, files, code, message, caps } of EVIL) {
  test(`G12 evil image: ${name}`, async () => {
    const verdict = verifyImage(reader(files), { signal: soon(), ...(caps === undefined ? {} : { caps }) })
    await assert.rejects(verdict, (error: unknown) => {
      assert.ok(error instanceof MecaError, String(error))
      assert.match(error.message, message)
      assert.equal(error.code, code)
      return true
    })
  })
}

test('G12 the corpus has at least 60 images, each with a name of its own', () => {
  assert.ok(EVIL.length >= 60, String(EVIL.length))
  assert.equal(new Set(EVIL.map(({ name }) => name)).size, EVIL.length)
})

test('ordinary images pass: links, whiteouts, long and strange names, setuid, several gzip members', async () => {
  const long = `${'deep/'.repeat(30)}file`
  const first = tar(
    { name: './', type: '5' },
    { name: './bin/', type: '5' },
    { name: 'bin/', type: '5' },
    { name: './bin/busybox', content: 'elf' },
    { name: 'bin/sh', type: '2', link: '/bin/busybox' },
    { name: 'bin/ls', type: '1', link: 'bin/busybox' },
    { name: 'lib64', type: '2', link: '../usr/lib' },
    { name: 'pipe', type: '6' },
    { name: 'old', type: '\0', content: 'v7' },
    { name: 'olddir/', type: '0' },
    { name: 'new\nline' },
    { name: 'latin\xe9' },
    pax({ comment: 'git' }, 'g'),
    pax({ path: long, mtime: '1.5', 'SCHILY.xattr.user.a': '\0\n=' }),
    { name: 'x', content: 'pax' },
    entry({ name: '././@LongLink', type: 'L', content: `${long}2\0` }),
    { name: 'x', content: 'gnu' },
  )
  const second = tar(
    { name: 'bin/.wh.ls' },
    { name: 'etc/.wh..wh..opq' },
    { name: 'lib64/', type: '5' },
    { name: 'lib64/so' },
  )
  const half = Math.floor(first.length / 2)
  const members = Buffer.concat([gzipSync(first.subarray(0, half)), gzipSync(first.subarray(half))])
  const files = layoutOf([first, second], {
    layers: [{ packed: members }, { packed: second, mediaType: 'application/vnd.oci.image.layer.v1.tar' }],
  })
  const image = await verifyImage(reader(files), { signal: soon() })
  assert.deepEqual(
    image.layers.map(({ entries }) => entries),
    [14, 4],
  )
  assert.equal(image.unpackedBytes, first.length + second.length)
  assert.equal(image.blobs.size, 4)
  assert.equal(
    [...image.blobs.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    image.bytes,
  )
})

test('an image for another processor is refused with the cure', async () => {
  const files = layoutOf([tar({ name: 'a' })])
  const other = process.arch === 'x64' ? 'arm64' : 'amd64'
  await assert.rejects(verifyImage(reader(files), { signal: soon(), platform: { os: 'linux', architecture: other } }), {
    code: 'invalid_task',
    cure: new RegExp(`linux/${other}`),
  })
})

test('a fired signal ends a check in the middle of a layer', async () => {
  const files = layoutOf([tar({ name: 'a', content: Buffer.alloc(4 * 2 ** 20, Math.PI.toString()) })])
  const stop = new AbortController()
  const verdict = verifyImage(reader(files), { signal: stop.signal, onProgress: () => stop.abort() })
  await assert.rejects(verdict, { code: 'cancelled' })
})

const walked = async (bytes: Uint8Array, chunk: number): Promise<string> => {
  try {
    return `${await new ImageWalk(DEFAULT_CAPS).layer('l', stream(bytes, chunk))} entries`
  } catch (error) {
    if (error instanceof MecaError) return error.message
    throw error
  }
}

const sample = Buffer.concat([
  tar({ name: 'd/', type: '5' }, { name: 'd/file', content: 'content' }, pax({ path: 'renamed', size: '3' }), {
    name: 'p',
    content: 'pax',
  }).subarray(0, -1024),
  entry({ name: 'L', type: 'L', content: `${'long/'.repeat(25)}name\0` }),
  entry({ name: 'gnu', content: 'gnu' }),
  entry({ name: 'link', type: '2', link: 'd/file' }),
  header({ name: 'd/.wh.gone' }),
  END,
])

const RUNS = Number(process.env['MECA_FUZZ_RUNS'] ?? 2_000)

test('G11 a layer with bytes changed, cut out or repeated is walked to its end or refused, never anything else', async () => {
  const edits = fc.array(
    fc.record({ at: fc.nat(sample.length), bytes: fc.uint8Array({ maxLength: 12 }), drop: fc.nat(600) }),
    { minLength: 1, maxLength: 4 },
  )
  await fc.assert(
    fc.asyncProperty(edits, async (list) => {
      let bytes = sample
      for (const { at, bytes: put, drop } of list) {
        bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + (drop > 300 ? drop : put.length))])
      }
      await walked(bytes, 512)
    }),
    { numRuns: RUNS },
  )
})

test('the verdict does not depend on how the bytes are cut into chunks', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.nat(sample.length),
      fc.nat(255),
      fc.integer({ min: 1, max: 2000 }),
      async (at, value, chunk) => {
        const bytes = Uint8Array.from(sample)
        bytes[at] = value
        assert.equal(await walked(bytes, chunk), await walked(bytes, bytes.length))
      },
    ),
    { numRuns: RUNS / 4 },
  )
})

test('what tar-stream packs, the reader reads back', async () => {
  const { pack } = await import('tar-stream')
  const name = fc.string({ minLength: 1, maxLength: 120, unit: fc.constantFrom('a', 'b', 'é', '-', '.x') })
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(name, fc.uint8Array({ maxLength: 1500 })), { maxLength: 6 }), async (files) => {
      const packer = pack()
      for (const [path, content] of files) packer.entry({ name: path }, Buffer.from(content))
      packer.finalize()
      const tarReader = new TarReader(packer as AsyncIterable<Buffer>)
      for (const [path, content] of files) {
        const found = await tarReader.next()
        assert.equal(Buffer.from(found?.path ?? '', 'latin1').toString(), path)
        const chunks: Uint8Array[] = []
        for await (const chunk of tarReader.body()) chunks.push(chunk)
        assert.ok(Buffer.concat(chunks).equals(content))
      }
      assert.equal(await tarReader.next(), undefined)
    }),
    { numRuns: 200 },
  )
})
