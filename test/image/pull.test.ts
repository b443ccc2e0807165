/** An image from `docker save` through our layout and our registry into the engine: real daemon, nothing in between. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { archiveToLayout, type ImageLayout } from '../../src/image/oci.ts'
import { startRegistry, type OpenBlob } from '../../src/image/registry.ts'
import { blobPath } from '../../src/image/layout.ts'
import { verifyImage } from '../../src/image/verify.ts'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import * as s from './support.ts'

const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const OTHER = 'bafybeibt3xl6ydsmcyfufnufsavjnwewhatr6g4u4t2awdaqoejafsj2gi'

function opener(layouts: ReadonlyMap<string, ImageLayout>): OpenBlob {
  return (cid, digest, { offset }) => {
    const file = layouts.get(cid)?.files.find(({ path }) => path === blobPath(digest))?.content.file ?? ''
    return createReadStream(file, { start: offset })
  }
}

test(
  'docker pulls a bare image whole and of its next version only the new layer',
  { skip: s.noDocker, timeout: 120_000 },
  async () => {
    await using work = s.tempFolder()
    const base = s.random(300_000)
    const ids = [
      await s.buildImage({ base, greeting: Buffer.from('one') }),
      await s.buildImage({ base, greeting: Buffer.from('two') }),
    ]
    const layouts = new Map<string, ImageLayout>()
    for (const [i, cid] of [CID, OTHER].entries()) {
      const workFolder = join(work.path, String(i))
      layouts.set(cid, await archiveToLayout(await s.save(ids[i] ?? ''), { workFolder, signal: s.soon() }))
    }
    for (const id of ids) await s.forget(id)
    const registry = await startRegistry(opener(layouts))
    const pulled: string[] = []
    try {
      for (const [i, [cid, layout]] of [...layouts].entries()) {
        const verified = await verifyImage(s.readerOf(layout), { signal: s.soon() })
        assert.equal(verified.imageId, ids[i], 'the config stayed byte for byte')
        const allowed = registry.allow(cid, verified)
        pulled.push(allowed.reference)
        await s.pull(allowed.reference)
        assert.equal(await s.imageId(allowed.reference), verified.imageId)
        assert.equal(await s.run(verified.imageId), i === 0 ? 'one' : 'two')
        const asked = verified.layers.filter(({ digest }) => allowed.served.has(digest))
        const fresh = i === 0 ? verified.layers : verified.layers.slice(-1)
        assert.deepEqual(
          asked.map(({ digest }) => digest),
          fresh.map(({ digest }) => digest),
        )
        for (const { digest, size } of asked) assert.deepEqual(allowed.served.get(digest), { requests: 1, bytes: size })
        allowed.end()
      }
    } finally {
      await registry.close()
      for (const reference of pulled) await s.forget(reference)
      for (const id of ids) await s.forget(id)
    }
  },
)
