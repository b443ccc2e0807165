/** The registry's door: who may ask, for what, and how much of it. `pull.test.ts` has a real engine at it. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test, type TestContext } from 'node:test'
import { blobPath, type Digest } from '../../src/image/layout.ts'
import { startRegistry, type Allowed, type OpenBlob } from '../../src/image/registry.ts'
import { verifyImage } from '../../src/image/verify.ts'
import { layoutOf, soon, stream, tar } from './support.ts'
import { reader } from './support.ts'

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'

type Answer = { status: number; headers: NodeJS.Dict<string | string[]>; body: string }

async function start(t: TestContext, override?: OpenBlob) {
  const files = layoutOf([tar({ name: 'a', content: 'x' })])
  const image = await verifyImage(reader(files), { signal: soon() })
  const fromFiles: OpenBlob = (_cid, digest, { offset }) =>
    stream((files.get(blobPath(digest)) ?? new Uint8Array()).subarray(offset))
  const registry = await startRegistry(override ?? fromFiles)
  t.after(() => registry.close())
  const allowed: Allowed = registry.allow(CID, image)
  const ask = (path: string, options: { method?: string; headers?: Record<string, string> } = {}): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const [host, port] = registry.address.split(':')
      const call = request({ host, port, path, agent: false, ...options }, (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
        response.on('error', reject)
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
      })
      call.on('error', reject)
      call.end()
    })
  const blob = (digest: Digest) => `/v2/${CID}/blobs/${digest}`
  return { files, image, registry, allowed, ask, blob, layer: image.layers[0]?.digest ?? 'sha256:' }
}

test('an allowed image is served: base, manifest by digest, blobs, HEAD, and the rest of a broken blob', async (t) => {
  const { files, image, ask, blob, layer, allowed, registry } = await start(t)
  assert.match(registry.address, /^127\.0\.0\.1:\d+$/)
  assert.equal(allowed.reference, `${registry.address}/${CID}@${image.manifestDigest}`)
  assert.equal((await ask('/v2/')).status, 200)
  const manifest = await ask(`/v2/${CID}/manifests/${image.manifestDigest}`)
  assert.equal(manifest.headers['content-type'], 'application/vnd.oci.image.manifest.v1+json')
  assert.equal(manifest.headers['docker-content-digest'], image.manifestDigest)
  const bytes = Buffer.from(files.get(blobPath(layer)) ?? []).toString('latin1')
  assert.equal((await ask(blob(layer))).body, bytes)
  const head = await ask(blob(layer), { method: 'HEAD' })
  assert.deepEqual([head.status, head.headers['content-length'], head.body], [200, String(bytes.length), ''])
  const rest = await ask(blob(layer), { headers: { range: 'bytes=7-' } })
  assert.deepEqual([rest.status, rest.body], [206, bytes.slice(7)])
  assert.equal(rest.headers['content-range'], `bytes 7-${bytes.length - 1}/${bytes.length}`)
  assert.deepEqual(allowed.served.get(layer), { requests: 2, bytes: 2 * bytes.length - 7 })
})

test('nothing else is: other images, other digests, tags, lists, writes, strange ranges', async (t) => {
  const { ask, blob, layer, image } = await start(t)
  const none: Digest = `sha256:${'0'.repeat(64)}`
  const other = 'bafybeibt3xl6ydsmcyfufnufsavjnwewhatr6g4u4t2awdaqoejafsj2gi'
  for (const path of [
    blob(none), `/v2/${other}/blobs/${layer}`, `/v2/${CID}/manifests/latest`, `/v2/${CID}/manifests/${layer}`,
    `/v2/${CID}/blobs/${image.manifestDigest}`, `/v2/${CID}/tags/list`, '/v2/_catalog', '/', `/v2/${CID}/blobs/../../etc/passwd`,
    `/v2/${CID}/blobs/${layer}?x=1`, `/v2/__proto__/blobs/${layer}`,
  ]) {
    assert.equal((await ask(path)).status, 404, path)
  } // prettier-ignore
  for (const method of ['PUT', 'POST', 'PATCH', 'DELETE'])
    assert.equal((await ask(blob(layer), { method })).status, 405, method)
  for (const range of ['bytes=0-1', 'bytes=-5', 'bytes=999999-', 'bytes=0-1,3-', 'lines=1-']) {
    assert.equal((await ask(blob(layer), { headers: { range } })).status, 416, range)
  }
})

test('a web page is turned away: another Host, or an Origin', async (t) => {
  const { ask, registry, blob, layer } = await start(t)
  const port = registry.address.split(':')[1] ?? ''
  for (const host of [`localhost:${port}`, 'attacker.example', `127.0.0.1.nip.io:${port}`, '127.0.0.1']) {
    assert.equal((await ask(blob(layer), { headers: { host } })).status, 403, host)
  }
  assert.equal((await ask(blob(layer), { headers: { origin: 'http://attacker.example' } })).status, 403)
})

test('an image is served for as long as one of its pulls lasts', async (t) => {
  const { ask, blob, layer, registry, image, allowed } = await start(t)
  const second = registry.allow(CID, image)
  allowed.end()
  allowed.end()
  assert.equal((await ask(blob(layer))).status, 200)
  second.end()
  assert.equal((await ask(blob(layer))).status, 404)
})

test('a blob that cannot be read is an error before its first byte, a cut connection after it', async (t) => {
  const fail = new Error('disk')
  const { ask, blob, layer } = await start(t, async function* () {
    yield await Promise.resolve(Buffer.from('ab'))
    throw fail
  })
  await assert.rejects(ask(blob(layer)), /aborted|socket hang up|ECONNRESET/)
})

test('close ends requests under way', async (t) => {
  const opened = Promise.withResolvers<AbortSignal>()
  const { ask, blob, layer, registry } = await start(t, async function* (_cid, _digest, { signal }) {
    yield await Promise.resolve(Buffer.from('a'))
    opened.resolve(signal)
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
  })
  const cut = assert.rejects(ask(blob(layer)))
  const signal = await opened.promise
  await registry.close()
  await cut
  assert.equal(signal.aborted, true)
})
