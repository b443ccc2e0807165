/** Archives of every shape become the same kind of layout, byte for byte the same each time. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { digestOf, type Digest } from '../../src/image/layout.ts'
import { archiveToLayout } from '../../src/image/oci.ts'
import { verifyImage } from '../../src/image/verify.ts'
import * as s from './support.ts'

const base = s.tar({ name: 'base', content: Buffer.from(s.random(200_000)).toString('base64') })
const top = s.tar({ name: 'top', content: 'top' })
const hex = (digest: Digest) => digest.slice('sha256:'.length)
const architecture = process.arch === 'x64' ? 'amd64' : 'arm64'

function configOf(...layers: Uint8Array[]): Buffer {
  const rootfs = { type: 'layers', diff_ids: layers.map(digestOf) }
  return Buffer.from(
    JSON.stringify({ architecture, os: 'linux', docker_version: 'any', config: { Cmd: ['x'] }, rootfs }, null, 1),
  )
}

/** As engines before 25 write it, with the second of two equal layers as a link. */
function legacy(layers: readonly Uint8Array[], tags: unknown = ['other-task:latest']): Buffer {
  const config = configOf(...layers)
  const name = `${hex(digestOf(config))}.json`
  const paths = layers.map((_, i) => `id${i}/layer.tar`)
  const files = layers.map((layer, i) => {
    const twin = layers.indexOf(layer)
    return twin < i
      ? { name: `id${i}/layer.tar`, type: '2', link: `../id${twin}/layer.tar` }
      : { name: `id${i}/layer.tar`, content: layer }
  })
  const manifest = JSON.stringify([{ Config: name, RepoTags: tags, Layers: paths }])
  return s.tar(
    { name: 'id0/', type: '5' },
    { name: 'id0/VERSION', content: '1.0' },
    ...files,
    { name, content: config },
    { name: 'manifest.json', content: manifest },
  )
}

/** As skopeo writes it: only an index. */
function oci(
  layers: readonly Uint8Array[],
  change: (index: { manifests: object[] }) => object = (index) => index,
): Buffer {
  const config = configOf(base, top)
  const blob = (bytes: Uint8Array) => ({ digest: digestOf(bytes), size: bytes.length })
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, config: blob(config), layers: layers.map(blob) }))
  const index = JSON.stringify(
    change({ manifests: [{ ...blob(manifest), mediaType: 'application/vnd.oci.image.manifest.v1+json' }] }),
  )
  const blobs = [config, manifest, ...layers].map((bytes) => ({
    name: `blobs/sha256/${hex(digestOf(bytes))}`,
    content: bytes,
  }))
  return s.tar(
    { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
    { name: 'index.json', content: index },
    ...blobs,
  )
}

async function convert(archive: Uint8Array, chunk = 65_536) {
  await using work = s.tempFolder()
  const layout = await archiveToLayout(s.stream(archive, chunk), { workFolder: join(work.path, 'w'), signal: s.soon() })
  const verified = await verifyImage(s.readerOf(layout), { signal: s.soon() })
  assert.equal(verified.manifestDigest, layout.manifestDigest)
  assert.equal(verified.imageId, layout.imageId)
  assert.equal(verified.bytes, layout.bytes)
  const contents = await Promise.all(layout.files.map(({ content }) => readFile(content.file)))
  return { layout, verified, contents }
}

test('docker save of old and new engines, OCI archives and gzipped archives give the same image id', async () => {
  const plain = await convert(legacy([base, top]))
  const repeated = await convert(oci([base, top]))
  const whole = await convert(gzipSync(legacy([base, top])))
  assert.equal(plain.layout.imageId, digestOf(configOf(base, top)))
  assert.equal(repeated.layout.manifestDigest, plain.layout.manifestDigest)
  assert.equal(whole.layout.manifestDigest, plain.layout.manifestDigest)
  assert.deepEqual(
    plain.layout.files.map(({ path }) => path),
    plain.layout.files.map(({ path }) => path).toSorted(),
  )
})

test('the same layers give the same bytes again, however the archive is cut and whatever tag it carries', async () => {
  const one = await convert(legacy([base, top]))
  const two = await convert(legacy([base, top], null), 1_237)
  assert.deepEqual(one.contents, two.contents)
  assert.ok(!Buffer.concat(one.contents.filter((c) => c.length < 5_000)).includes('other-task'), 'no tag travels')
})

test('a new version shares the blobs of the layers that did not change', async () => {
  const one = await convert(legacy([base, top]))
  const two = await convert(legacy([base, s.tar({ name: 'top', content: 'new' })]))
  assert.deepEqual(two.layout.layers[0], one.layout.layers[0])
  assert.notDeepEqual(two.layout.layers[1], one.layout.layers[1])
})

test('a layer that stands twice is one blob, and links in the archive are followed', async () => {
  const { layout } = await convert(legacy([base, base]))
  assert.deepEqual(layout.layers[0], layout.layers[1])
  assert.equal(layout.files.length, 5)
})

test('layers that are gzipped already stay as they are', async () => {
  const packed = gzipSync(base, { level: 9 })
  const { layout } = await convert(oci([packed, top]))
  assert.equal(layout.layers[0]?.digest, digestOf(packed))
})

test('an attestation beside the image is no second image', async () => {
  const attest = {
    digest: digestOf(base),
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    platform: { os: 'unknown', architecture: 'unknown' },
  }
  const { layout } = await convert(oci([base, top], (index) => ({ manifests: [...index.manifests, attest] })))
  assert.equal(layout.layers.length, 2)
})

const bad: [string, RegExp, Uint8Array][] = [
  ['nothing', /is empty/, new Uint8Array()],
  ['a file system, not an image', /neither manifest\.json nor index\.json/, base],
  ['two images', /has 2 images/, oci([base, top], (index) => ({ manifests: [...index.manifests, ...index.manifests] }))],
  ['a layer that is missing', /does not have it/, s.tar({ name: 'manifest.json', content: JSON.stringify([{ Config: 'c', Layers: ['../../etc/passwd'] }]) })],
  ['other layers than the config says', /says sha256/, oci([top, base])],
  ['fewer layers than the config says', /1 layers, its config 2/, oci([base])],
  ['a zstd layer', /zstd/, oci([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 0]), top])],
  ['an archive that is cut', /not usable/, legacy([base, top]).subarray(0, 100_000)],
] // prettier-ignore

for (const [name, message, archive] of bad) {
  test(`an archive is refused with ${name}`, async () => {
    await assert.rejects(convert(archive), (error: Error) => message.test(error.message) || assert.fail(error))
  })
}

test('an archive over the cap is refused while it is read', async () => {
  await using work = s.tempFolder()
  const options = { workFolder: work.path, signal: s.soon(), maxBytes: 1000 }
  await assert.rejects(archiveToLayout(s.stream(legacy([base])), options), { code: 'too_large' })
})

test(
  "this engine's own archive converts to the engine's own image id",
  { skip: s.noDocker, timeout: 60_000 },
  async () => {
    const id = await s.buildImage({ greeting: s.random(2_000) })
    try {
      await using work = s.tempFolder()
      const layout = await archiveToLayout(await s.save(id), { workFolder: work.path, signal: s.soon() })
      assert.equal(layout.imageId, id)
    } finally {
      await s.forget(id)
    }
  },
)
