/**
 * Reads a whole image once, before any engine is told of it, and compares everything with everything: index with
 * manifest, manifest with config, each layer's bytes with its digest, its unpacked bytes with the config's diff id,
 * and its content with the rules of `walk.ts`. What passes is exactly what the registry may serve.
 */
import { MecaError } from '../core/errors.ts'
import { DEFAULT_CAPS, MAX_DOCUMENT_BYTES, type ImageCaps } from './caps.ts'
import { LayerCheck, type LayerOptions, type ReadFile, type VerifiedLayer } from './layer.ts'
import * as layout from './layout.ts'
import type { Descriptor, Digest, ImageConfig, Manifest, Platform } from './layout.ts'

export type VerifiedImage = {
  manifestDigest: Digest
  /** The digest of the config, which docker calls the image id. */
  imageId: Digest
  platform: Platform
  /** Everything that travels: manifest, config and layers. */
  bytes: number
  unpackedBytes: number
  layers: readonly VerifiedLayer[]
  config: ImageConfig
  /** What a registry may hand out for this image. */
  blobs: ReadonlyMap<Digest, { bytes: number; mediaType: string }>
}

type VerifyOptions = LayerOptions & { caps?: ImageCaps; platform?: Platform }

export async function verifyImage(read: ReadFile, options: VerifyOptions): Promise<VerifiedImage> {
  const caps = options.caps ?? DEFAULT_CAPS
  const { entry, manifest, config } = await readDocuments(read, options)
  requirePlatform(config, entry.platform, options.platform ?? layout.thisPlatform())
  const sizes = requireSizes(manifest, config, caps)
  const check = new LayerCheck(read, caps, sizes, options)
  const layers: VerifiedLayer[] = []
  for (const [i, layer] of manifest.layers.entries()) {
    layers.push(await check.layer(layer, config.rootfs.diff_ids[i] ?? layer.digest))
  }
  const parts = [entry, manifest.config, ...layers]
  return {
    manifestDigest: entry.digest,
    imageId: manifest.config.digest,
    platform: entry.platform,
    bytes: sum(parts.map(({ size }) => size)),
    unpackedBytes: sum(layers.map(({ unpackedBytes }) => unpackedBytes)),
    layers,
    config,
    blobs: new Map(parts.map(({ digest, size, mediaType }) => [digest, { bytes: size, mediaType }])),
  }
}

async function readDocuments(read: ReadFile, { signal }: VerifyOptions) {
  const limits = { signal, maxBytes: MAX_DOCUMENT_BYTES }
  const marker = await collect(read('oci-layout', limits))
  if (!/^\{\s*"imageLayoutVersion"\s*:\s*"1\.0\.0"\s*\}\s*$/.test(Buffer.from(marker).toString())) {
    throw new MecaError('invalid_task', 'The file oci-layout does not name image layout version 1.0.0')
  }
  const index = layout.parseDocument(layout.zIndex, await collect(read('index.json', limits)), 'The image index')
  const [entry] = index.manifests
  const manifest = layout.parseDocument(layout.zManifest, await readBlob(read, entry, signal), 'The image manifest')
  const config = layout.parseDocument(layout.zConfig, await readBlob(read, manifest.config, signal), 'The image config')
  return { entry, manifest, config }
}

async function readBlob(read: ReadFile, blob: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
  if (blob.size > MAX_DOCUMENT_BYTES) {
    throw new MecaError(
      'too_large',
      `Document ${blob.digest} has ${blob.size} bytes, ${MAX_DOCUMENT_BYTES} are allowed`,
    )
  }
  const bytes = await collect(read(layout.blobPath(blob.digest), { signal, maxBytes: blob.size }))
  if (bytes.length === blob.size && layout.digestOf(bytes) === blob.digest) return bytes
  throw new MecaError('invalid_task', `The file of ${blob.digest} has other bytes than its name says`)
}

function requirePlatform(config: ImageConfig, declared: Platform, wanted: Platform): void {
  if (config.architecture !== declared.architecture) {
    throw new MecaError('invalid_task', `The index says ${declared.architecture}, the config ${config.architecture}`)
  }
  if (declared.architecture === wanted.architecture) return
  throw new MecaError(
    'invalid_task',
    `The image is for ${declared.architecture}, this host runs ${wanted.architecture}`,
    {
      cure: `Build and publish it for linux/${wanted.architecture}.`,
    },
  )
}

/** Everything that can be refused by declared sizes alone; returns the layers' bytes together. */
function requireSizes(manifest: Manifest, config: ImageConfig, caps: ImageCaps): number {
  const count = manifest.layers.length
  if (count > caps.layers) throw new MecaError('too_large', `The image has ${count} layers, ${caps.layers} are allowed`)
  if (config.rootfs.diff_ids.length !== count) {
    throw new MecaError('invalid_task', `The manifest has ${count} layers, the config ${config.rootfs.diff_ids.length}`)
  }
  const bytes = sum(manifest.layers.map(({ size }) => size))
  if (bytes <= caps.compressedBytes) return bytes
  throw new MecaError('too_large', `The image's layers have ${bytes} bytes, ${caps.compressedBytes} are allowed`)
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}
