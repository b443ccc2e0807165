/**
 * Turns an image archive (`docker save` of any age, or an OCI archive; plain or gzipped) into an OCI image layout on
 * disk, without tags and for one platform. The config stays byte for byte, because its hash is the image id. Layers are
 * compressed in one fixed way, so that a layer published again is the same blob and is not stored or sent again.
 * Nothing larger than a document is held in memory; everything is written below the given work folder.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MecaError } from '../core/errors.ts'
import { findImage, spool } from './archive.ts'
import * as layout from './layout.ts'
import type { Descriptor, Digest, Platform } from './layout.ts'
import { Press } from './press.ts'

/** Layers compressed at once; each is one core's work. */
const AT_ONCE = 2

/** The largest archive taken: twice what a host takes unpacked by default, as a mistyped path may be any file. */
const MAX_ARCHIVE_BYTES = 80 * 2 ** 30

type LayoutFile = { path: string; content: { file: string } }

export type ImageLayout = {
  /** Every file of the layout, with paths as in a layout (`index.json`, `blobs/sha256/…`), sorted. */
  files: readonly LayoutFile[]
  manifestDigest: Digest
  imageId: Digest
  platform: Platform
  /** Everything that travels: manifest, config and layers. */
  bytes: number
  layers: readonly Descriptor[]
}

type ConvertOptions = {
  /** An empty folder on a disk with room for the archive and the layers; the caller removes it. */
  workFolder: string
  signal: AbortSignal
  maxBytes?: number
  onProgress?: (layersDone: number, layersTotal: number) => void
}

export async function archiveToLayout(
  archive: AsyncIterable<Uint8Array>,
  options: ConvertOptions,
): Promise<ImageLayout> {
  const { workFolder, signal, onProgress } = options
  await mkdir(join(workFolder, 'layout', 'blobs', 'sha256'), { recursive: true })
  const spooled = await spool(archive, join(workFolder, 'archive'), options.maxBytes ?? MAX_ARCHIVE_BYTES, signal)
  const found = await findImage(spooled)
  const configBytes = await readFile(found.config)
  const config = layout.parseDocument(layout.zConfig, configBytes, "The image's config")
  const diffIds = config.rootfs.diff_ids
  if (diffIds.length !== found.layers.length) {
    throw new MecaError('invalid_task', `The archive has ${found.layers.length} layers, its config ${diffIds.length}`)
  }
  const press = new Press(join(workFolder, 'layout'), signal)
  let done = 0
  const layers = await pooled(diffIds, async (diffId, i) => {
    const layer = await press.layer(found.layers[i] ?? '', diffId)
    onProgress?.(++done, diffIds.length)
    return layer
  })
  const platform: Platform = { os: 'linux', architecture: config.architecture }
  return await writeLayout(workFolder, configBytes, layers, platform)
}

async function writeLayout(
  workFolder: string,
  configBytes: Uint8Array,
  layers: readonly Descriptor[],
  platform: Platform,
): Promise<ImageLayout> {
  const config = { mediaType: layout.MEDIA.config, digest: layout.digestOf(configBytes), size: configBytes.length }
  const { manifest, index, manifestDigest } = layout.describeImage(config, layers, platform)
  const root = join(workFolder, 'layout')
  await writeFile(join(root, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeFile(join(root, 'index.json'), index)
  await writeFile(join(root, layout.blobPath(config.digest)), configBytes)
  await writeFile(join(root, layout.blobPath(manifestDigest)), manifest)
  const digests = [...new Set([config.digest, manifestDigest, ...layers.map(({ digest }) => digest)])]
  const paths = ['index.json', 'oci-layout', ...digests.map(layout.blobPath)].sort()
  const bytes = manifest.length + config.size + layers.reduce((sum, { size }) => sum + size, 0)
  await rm(join(workFolder, 'archive'), { recursive: true, force: true })
  const files = paths.map((path) => ({ path, content: { file: join(root, path) } }))
  return { files, manifestDigest, imageId: config.digest, platform, bytes, layers }
}

/** Like `map`, with AT_ONCE under way. */
async function pooled<T, R>(items: readonly T[], act: (item: T, i: number) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  const queue = items.entries()
  const work = async (): Promise<void> => {
    for (const [i, item] of queue) results[i] = await act(item, i)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return results
}
