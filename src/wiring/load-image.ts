/**
 * A finished image from an archive into the engine, by the same way that a host takes it: laid out without its tags, walked
 * by our own checks, and pulled by digest. A tag inside an archive could claim to be another's.
 */
import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cidOf } from '../core/cid.ts'
import type { Engine, ImageId } from '../engine/engine.ts'
import { blobPath } from '../image/layout.ts'
import { archiveToLayout } from '../image/oci.ts'
import { startRegistry } from '../image/registry.ts'
import { verifyImage } from '../image/verify.ts'
import type { ReadFile } from '../image/layer.ts'

/** Throws `invalid_task` for an archive that holds no image, `too_large` beyond a host's caps. */
export async function loadImage(
  engine: Pick<Engine, 'pull'>,
  archive: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<ImageId> {
  const workFolder = await mkdtemp(join(tmpdir(), 'meca-load-'))
  try {
    const layout = await archiveToLayout(archive, { workFolder, signal })
    const files = new Map(layout.files.map(({ path, content }) => [path, content.file]))
    const read: ReadFile = (path) => createReadStream(files.get(path) ?? '')
    const image = await verifyImage(read, { signal })
    const registry = await startRegistry((_cid, digest, { offset }) =>
      createReadStream(files.get(blobPath(digest)) ?? '', { start: offset }),
    )
    try {
      const allowed = registry.allow(cidOf(`0x${layout.manifestDigest.slice('sha256:'.length)}`), image)
      return await engine.pull({ reference: allowed.reference, imageId: image.imageId }, signal)
    } finally {
      await registry.close()
    }
  } finally {
    await rm(workFolder, { recursive: true, force: true })
  }
}
