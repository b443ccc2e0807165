/**
 * The whole way of an image, all parts real: built by an engine, saved, converted, added to the developer's node, fetched
 * by the host's over the marketplace's own libp2p peers, verified, served, pulled by the engine, run.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { ReadFile } from '../../src/image/layer.ts'
import { archiveToLayout, type ImageLayout } from '../../src/image/oci.ts'
import { blobPath } from '../../src/image/layout.ts'
import { startRegistry } from '../../src/image/registry.ts'
import { verifyImage } from '../../src/image/verify.ts'
import { openHelia } from '../../src/ipfs/helia.ts'
import type { Ipfs } from '../../src/ipfs/store.ts'
import { generateIdentity } from '../../src/p2p/identity.ts'
import { createPeer } from '../../src/p2p/peer.ts'
import * as s from './support.ts'

async function node(t: TestContext): Promise<{ ipfs: Ipfs; address: string }> {
  const work = s.tempFolder()
  t.after(() => work[Symbol.asyncDispose]())
  const peer = await createPeer({ identity: await generateIdentity() })
  t.after(() => peer.close())
  const ipfs = await openHelia({ libp2p: peer.libp2p, home: work.path })
  t.after(() => ipfs.close())
  return { ipfs, address: peer.addrs()[0] ?? '' }
}

const GREETINGS = ['one', 'two']

/** Two versions of an image as layouts. Both are built before the engine forgets any, as it would on one machine. */
async function versions(workFolder: string): Promise<ImageLayout[]> {
  const base = s.random(3_000_000)
  const ids: string[] = []
  const layouts: ImageLayout[] = []
  try {
    for (const greeting of GREETINGS) ids.push(await s.buildImage({ base, greeting: Buffer.from(greeting) }))
    for (const id of ids) {
      const options = { workFolder: join(workFolder, String(layouts.length)), signal: s.soon() }
      layouts.push(await archiveToLayout(await s.save(id), options))
    }
    assert.deepEqual(layouts.map(({ imageId }) => imageId), ids) // prettier-ignore
    return layouts
  } finally {
    for (const id of ids) await s.forget(id)
  }
}

const title = 'an image travels from the developer to the host and runs; its next version costs one layer'

test(title, { skip: s.noDocker, timeout: 180_000 }, async (t) => {
  await using work = s.tempFolder()
  const layouts = await versions(work.path)
  const [developer, host] = await Promise.all([node(t), node(t)])
  const registry = await startRegistry((cid, digest, options) =>
    host.ipfs.cat(`${cid}/image/${blobPath(digest)}`, { ...options, maxBytes: 2 ** 30 }),
  )
  t.after(() => registry.close())
  for (const [i, layout] of layouts.entries()) {
    const entries = layout.files.map(({ path, content }) => ({ path: `image/${path}`, content }))
    const task = await developer.ipfs.addFolder(entries, { signal: s.soon() })
    const fetched = await host.ipfs.fetch(task.cid, { signal: s.soon(), providers: [developer.address] })
    assert.equal(fetched.fetchedBytes, fetched.streamedBytes, 'all came as one stream')
    const read: ReadFile = (path, options) => host.ipfs.cat(`${task.cid}/image/${path}`, options)
    const image = await verifyImage(read, { signal: s.soon() })
    assert.equal(image.imageId, layout.imageId)
    const allowed = registry.allow(task.cid, image)
    t.after(() => s.forget(image.imageId))
    await s.pull(allowed.reference)
    assert.equal(await s.run(image.imageId), GREETINGS[i])
    const pulled = image.layers.filter(({ digest }) => allowed.served.has(digest))
    allowed.end()
    if (i === 0) assert.equal(pulled.length, image.layers.length)
    else {
      const [top] = pulled
      assert.equal(pulled.length, 1)
      // The layer, and the small documents that name it: folders, index, manifest, config.
      const most = (top?.size ?? 0) + 16_384
      assert.ok(
        task.newBytes < most && fetched.fetchedBytes < most,
        `${task.newBytes} added, ${fetched.fetchedBytes} fetched`,
      )
    }
  }
})
