/** Images that come as archives: of every shape, without the names in them, and never what is no image. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { loadImage } from '../../src/wiring/load-image.ts'
import { NEVER, TestEngine, failure } from '../support/engine.ts'
import { busyboxImage, dockerMissing } from '../support/images.ts'
import { filesPlan } from '../support/plans.ts'

const skip = await dockerMissing()
const t = new TestEngine(0)
const { engine } = t
const made = new Set<string>()
let base = ''

before(async () => {
  if (skip === false) base = await busyboxImage()
})
after(async () => {
  for (const id of made) await engine.remove(id, NEVER)
  if (skip === false) await t.end()
})

async function load(archive: AsyncIterable<Uint8Array>): Promise<string> {
  const id = await loadImage(engine, archive, NEVER)
  made.add(id)
  return id
}

const sha = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

async function tarOf(files: Readonly<Record<string, string | Buffer>>): Promise<Buffer> {
  const archive = pack()
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, content)
  archive.finalize()
  return buffer(archive as AsyncIterable<Uint8Array>)
}

/** An image of one file, `/mark`, that is different every time. */
async function parts() {
  const layer = await tarOf({ mark: randomBytes(8).toString('hex') })
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: { Env: ['A=1', 'B=x=y', 'C'], Labels: { maker: 'us' } },
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha(layer)}`] },
    }),
  )
  return { layer, config, id: `sha256:${sha(config)}` }
}

/** As `skopeo copy … oci-archive:` and buildx make them: an index that leads to the manifest, and no list of layers. */
async function ociArchive({ layer, config }: { layer: Buffer; config: Buffer }, zipLayer = false): Promise<Buffer> {
  const blobs: Record<string, Buffer> = {}
  const blob = (bytes: Buffer) => {
    blobs[`blobs/sha256/${sha(bytes)}`] = bytes
    return { digest: `sha256:${sha(bytes)}`, size: bytes.length }
  }
  const manifest = Buffer.from(
    JSON.stringify({ schemaVersion: 2, config: blob(config), layers: [blob(zipLayer ? gzipSync(layer) : layer)] }),
  )
  const index = JSON.stringify({
    schemaVersion: 2,
    manifests: [
      {
        ...blob(manifest),
        platform: { os: 'linux', architecture: 'amd64' },
        annotations: { 'org.opencontainers.image.ref.name': 'stolen:latest' },
      },
    ],
  })
  return tarOf({ 'oci-layout': '{"imageLayoutVersion":"1.0.0"}', 'index.json': index, ...blobs })
}

function dockerArchive({ layer, config }: { layer: Buffer; config: Buffer }, tag: string): Promise<Buffer> {
  const manifest = [{ Config: 'config.json', RepoTags: [tag], Layers: ['a/layer.tar'] }]
  const [name = '', version = ''] = tag.split(':')
  return tarOf({
    'a/layer.tar': layer,
    'config.json': config,
    repositories: JSON.stringify({ [name]: { [version]: 'a' } }),
    'manifest.json': JSON.stringify(manifest),
  })
}

test('an archive becomes an image by its id and takes no name, gzipped or not', { skip }, async () => {
  const [repo, version] = ['meca-test/victim', randomBytes(6).toString('hex')]
  const tag = `${repo}:${version}`
  const victim = await parts()
  const id = await load(Readable.from([await dockerArchive(victim, tag)]))
  await t.docker.getImage(id).tag({ repo, tag: version })
  for (const wrap of [(bytes: Buffer) => bytes, gzipSync]) {
    const image = await parts()
    const loaded = await load(Readable.from([wrap(await dockerArchive(image, tag))]))
    assert.equal(loaded, image.id)
    assert.equal(await engine.resolve(tag, NEVER), victim.id, 'the name is where it was')
    assert.equal(await engine.resolve(loaded, NEVER), loaded)
  }
  assert.equal(await engine.resolve('meca-test/no-such:image', NEVER), undefined)
})

test('an OCI archive is loaded too, also with packed layers', { skip }, async () => {
  for (const zipped of [false, true]) {
    const image = await parts()
    assert.equal(await load(Readable.from([await ociArchive(image, zipped)])), image.id)
  }
})

test('what the engine saved is loaded as the same image', { skip }, async () => {
  assert.equal(await loadImage(engine, await engine.save(base, NEVER), NEVER), base)
})

test('what is no image of one is refused, with the reason', { skip }, async () => {
  const image = await parts()
  const two = JSON.stringify([{ Config: 'a' }, { Config: 'b' }])
  const whole = await dockerArchive(image, 'x:y')
  const bad: [string, Buffer][] = [
    ['nothing', Buffer.alloc(0)],
    ['noise', randomBytes(4096)],
    ['a tar of something else', await tarOf({ hello: 'x' })],
    ['two images', await tarOf({ 'manifest.json': two })],
    ['a manifest that is no JSON', await tarOf({ 'manifest.json': '{' })],
    ['an archive that breaks off', whole.subarray(0, 1800)],
    ['an index that leads nowhere', await tarOf({ 'index.json': '{"manifests":[]}' })],
    ['an index of odd digests', await tarOf({ 'index.json': '{"manifests":[{"digest":"sha256:../../x"}]}' })],
  ]
  for (const [what, bytes] of bad) {
    const error = await failure('invalid_task', loadImage(engine, Readable.from([bytes]), NEVER))
    assert.ok(error.message.length > 10, what)
  }
})

test('an image that was loaded runs', { skip }, async () => {
  const archive = await engine.save(base, NEVER)
  assert.equal((await t.files(await loadImage(engine, archive, NEVER), filesPlan('echo it runs'))).console, 'it runs\n')
})
