/** Images: built from a folder, saved, removed, and pulled by digest from a registry on loopback. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { extract, pack } from 'tar-stream'
import type { PullProgress } from '../../src/engine/engine.ts'
import { NEVER, TestEngine, failure } from '../support/engine.ts'
import { BUSYBOX_PATH, busyboxImage, dockerMissing } from '../support/images.ts'

const skip = await dockerMissing()
const t = new TestEngine(0)
const { engine } = t
const made = new Set<string>()
let folder = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'meca-images-'))
})
after(async () => {
  for (const id of made) await engine.remove(id, NEVER)
  await rm(folder, { recursive: true, force: true })
  if (skip === false) await t.end()
})

async function context(dockerfile: string): Promise<string> {
  const path = await mkdtemp(join(folder, 'context-'))
  await mkdir(join(path, 'src'))
  await cp(BUSYBOX_PATH, join(path, 'src/busybox'))
  await writeFile(join(path, 'src/secret.key'), 'do not ship')
  await writeFile(join(path, '.dockerignore'), '**/*.key\n')
  await writeFile(join(path, 'Dockerfile'), dockerfile)
  return path
}

test(
  'M-06 a folder with Dockerfile and src builds; what .dockerignore names stays out; build arguments arrive',
  { skip },
  async () => {
    const path = await context(
      'FROM scratch\nCOPY /src /src\nARG WHO\nRUN ["/src/busybox", "sh", "-c", "/src/busybox ls /src; echo hello $WHO"]\n',
    )
    const log: string[] = []
    const id = await engine.build(path, { WHO: 'world' }, NEVER, (line) => log.push(line))
    made.add(id)
    assert.match(id, /^sha256:[0-9a-f]{64}$/)
    assert.ok(
      log.some((line) => line.includes('hello world')),
      log.join('\n'),
    )
    assert.ok(!log.some((line) => line.includes('secret.key')))
    assert.equal(await engine.has(id, NEVER), true)
  },
)

test('a Dockerfile that fails is the task’s fault, in the builder’s words', { skip }, async () => {
  const error = await failure('invalid_task', engine.build(await context('FROM scratch\nCOPY nothing /\n'), {}, NEVER))
  assert.match(error.message, /nothing/)
})

test('a build ends when its caller leaves', { skip }, async () => {
  const path = await context('FROM scratch\nCOPY src /src\nRUN ["/src/busybox", "sleep", "60"]\n')
  const began = Date.now()
  await failure('cancelled', engine.build(path, {}, AbortSignal.timeout(1_500)))
  assert.ok(Date.now() - began < 30_000, 'it did not wait for the build')
})

test('a saved image is an archive with its configuration inside', { skip }, async () => {
  const id = await busyboxImage()
  const names: string[] = []
  const reader = extract()
  reader.on('entry', (header, stream, next) => {
    names.push(header.name)
    stream.on('end', next).resume()
  })
  const archive = await engine.save(id, NEVER)
  archive.pipe(reader)
  await once(reader, 'finish')
  assert.ok(names.includes('manifest.json'))
  assert.ok(names.some((name) => name.includes(id.slice('sha256:'.length))))
})

test('an image that is not there: has is false, save and start say so, remove is content', { skip }, async () => {
  const absent = `sha256:${'0'.repeat(64)}`
  assert.equal(await engine.has(absent, NEVER), false)
  await engine.remove(absent, NEVER)
  await failure('not_found', engine.save(absent, NEVER))
})

const sha = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** One image of one layer, and a server of the distribution protocol for it. */
async function registry(mark: string) {
  const archive = pack()
  archive.entry({ name: 'busybox', mode: 0o755 }, readFileSync(BUSYBOX_PATH))
  archive.entry({ name: 'mark' }, mark)
  archive.finalize()
  const parts: Buffer[] = []
  for await (const chunk of archive) parts.push(chunk as Buffer)
  const layer = Buffer.concat(parts)
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: [sha(layer)] },
    }),
  )
  const type = 'application/vnd.docker.distribution.manifest.v2+json'
  const describe = (mediaType: string, bytes: Buffer) => ({ mediaType, size: bytes.length, digest: sha(bytes) })
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: type,
      config: describe('application/vnd.docker.container.image.v1+json', config),
      layers: [describe('application/vnd.docker.image.rootfs.diff.tar', layer)],
    }),
  )
  const blobs = new Map([layer, config, manifest].map((bytes) => [sha(bytes), bytes]))
  const server = createServer((request, reply) => {
    const bytes = blobs.get(request.url?.split('/').at(-1) ?? '')
    if (request.url === '/v2/') return void reply.end('{}')
    if (bytes === undefined)
      return void reply.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"not here"}]}')
    reply.writeHead(200, {
      'content-type': bytes === manifest ? type : 'application/octet-stream',
      'content-length': bytes.length,
      'docker-content-digest': sha(bytes),
    })
    reply.end(request.method === 'HEAD' ? undefined : bytes)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { server, reference: `127.0.0.1:${port}/bafytest@${sha(manifest)}`, imageId: sha(config), port }
}

test('an image is pulled by digest with progress, and a second pull asks nobody', { skip }, async () => {
  const { server, reference, imageId } = await registry('one')
  const progress: PullProgress[] = []
  assert.equal(await engine.pull({ reference, imageId }, NEVER, (p) => progress.push(p)), imageId)
  made.add(imageId)
  assert.ok(progress.length > 0)
  server.close()
  assert.equal(await engine.pull({ reference, imageId }, NEVER), imageId)
  const { RepoTags } = await t.docker.getImage(imageId).inspect()
  assert.deepEqual(RepoTags, [], 'no tag is made')
})

test('an image that becomes something else than the task says is refused and removed', { skip }, async () => {
  const { server, reference, imageId } = await registry('two')
  const error = await failure('invalid_task', engine.pull({ reference, imageId: `sha256:${'1'.repeat(64)}` }, NEVER))
  assert.match(error.message, new RegExp(imageId))
  assert.equal(await engine.has(imageId, NEVER), false)
  server.close()
})

test('an image that the registry does not have cannot be fetched', { skip }, async () => {
  const { server, port } = await registry('three')
  const reference = `127.0.0.1:${port}/bafytest@sha256:${'2'.repeat(64)}`
  await failure('ipfs_unreachable', engine.pull({ reference, imageId: `sha256:${'3'.repeat(64)}` }, NEVER))
  server.close()
})
