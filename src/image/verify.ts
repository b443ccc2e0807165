/**
 * Reads a whole image once, before any engine is told of it, and compares everything with everything: index with
 * manifest, manifest with config, each layer's bytes with its digest, its unpacked bytes with the config's diff id,
 * and its content with the rules of `walk.ts`. What passes is exactly what the registry may serve.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { MecaError } from '../core/errors.ts'
import { DEFAULT_CAPS, MAX_DOCUMENT_BYTES, type ImageCaps } from './caps.ts'
import * as layout from './layout.ts'
import type { Descriptor, Digest, ImageConfig, Manifest, Platform } from './layout.ts'
import { ImageWalk } from './walk.ts'

/** Streams one file of an image layout, like `blobs/sha256/…`; refuses one over `maxBytes`. */
export type ReadFile = (path: string, options: { signal: AbortSignal; maxBytes: number }) => AsyncIterable<Uint8Array>

export type VerifiedLayer = Descriptor & { diffId: Digest; unpackedBytes: number; entries: number }

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

export type VerifyOptions = {
  signal: AbortSignal
  caps?: ImageCaps
  platform?: Platform
  onProgress?: (doneBytes: number, totalBytes: number) => void
}

export async function verifyImage(read: ReadFile, options: VerifyOptions): Promise<VerifiedImage> {
  const caps = options.caps ?? DEFAULT_CAPS
  const { entry, manifest, config } = await readDocuments(read, options)
  requirePlatform(config, entry.platform, options.platform ?? layout.thisPlatform())
  const sizes = requireSizes(manifest, config, caps)
  const layers = await verifyLayers(read, manifest, config, caps, sizes, options)
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
    throw new MecaError('too_large', `Document ${blob.digest} has ${blob.size} bytes, ${MAX_DOCUMENT_BYTES} are allowed`)
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
  throw new MecaError('invalid_task', `The image is for ${declared.architecture}, this host runs ${wanted.architecture}`, {
    cure: `Build and publish it for linux/${wanted.architecture}.`,
  })
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

async function verifyLayers(
  read: ReadFile,
  manifest: Manifest,
  config: ImageConfig,
  caps: ImageCaps,
  totalBytes: number,
  { signal, onProgress }: VerifyOptions,
): Promise<VerifiedLayer[]> {
  const walk = new ImageWalk(caps)
  const verified: VerifiedLayer[] = []
  let done = 0
  let unpacked = 0
  for (const [i, layer] of manifest.layers.entries()) {
    signal.throwIfAborted()
    const diffId = config.rootfs.diff_ids[i] ?? layer.digest
    const progress = (bytes: number) => onProgress?.((done += bytes), totalBytes)
    const result = await verifyLayer(read, layer, diffId, walk, caps, unpacked, signal, progress)
    unpacked += result.unpackedBytes
    verified.push(result)
  }
  return verified
}

async function verifyLayer(
  read: ReadFile,
  layer: Descriptor,
  diffId: Digest,
  walk: ImageWalk,
  caps: ImageCaps,
  unpackedBefore: number,
  signal: AbortSignal,
  progress: (bytes: number) => void,
): Promise<VerifiedLayer> {
  const packed = new Meter((bytes) => {
    progress(bytes)
    return undefined
  })
  const unpacked = new Meter((_, total) => tooMuch(layer, unpackedBefore + total, total, caps))
  const source = packed.through(read(layout.blobPath(layer.digest), { signal, maxBytes: layer.size }))
  const entries = await walk.layer(layer.digest, unpacked.through(unpack(layer, source, signal)))
  if (packed.total !== layer.size || packed.digest() !== layer.digest) {
    throw new MecaError('invalid_task', `The file of layer ${layer.digest} has other bytes than its name says`)
  }
  if (unpacked.digest() !== diffId) {
    throw new MecaError('invalid_task', `Layer ${layer.digest} unpacks to other bytes than the config's ${diffId}`)
  }
  return { ...layer, diffId, unpackedBytes: unpacked.total, entries }
}

function tooMuch(layer: Descriptor, unpackedAll: number, unpacked: number, caps: ImageCaps): string | undefined {
  if (unpackedAll > caps.unpackedBytes) return `it brings the image over ${caps.unpackedBytes} unpacked bytes`
  const ratio = unpacked / Math.max(1, layer.size)
  if (unpacked <= caps.ratioFreeBytes || ratio <= caps.ratio) return undefined
  return `its ${layer.size} bytes unpack to more than ${caps.ratio} times as many`
}

async function* unpack(layer: Descriptor, source: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  if (layer.mediaType === layout.MEDIA.layer) return yield* source
  const input = Readable.from(source, { objectMode: false, highWaterMark: 2 ** 20 })
  const gunzip = createGunzip({ chunkSize: 2 ** 18 })
  input.on('error', (error) => gunzip.destroy(error))
  const abort = () => gunzip.destroy(new MecaError('cancelled', `Reading layer ${layer.digest} was cancelled`))
  signal.addEventListener('abort', abort, { once: true })
  try {
    for await (const chunk of input.pipe(gunzip)) yield chunk
    // zlib stops in silence at what is not another gzip member; an engine may not.
    if (gunzip.bytesWritten !== layer.size) throw new MecaError('invalid_task', `Layer ${layer.digest} has bytes after its end`)
  } catch (cause) {
    if (cause instanceof MecaError) throw cause
    throw new MecaError('invalid_task', `Layer ${layer.digest} is not gzip`, { cause })
  } finally {
    signal.removeEventListener('abort', abort)
    input.destroy()
    gunzip.destroy()
  }
}

/** Counts and hashes what flows through; `check` may say why there is too much. */
class Meter {
  total = 0
  readonly #hash = createHash('sha256')
  readonly #check: (bytes: number, total: number) => string | undefined

  constructor(check: (bytes: number, total: number) => string | undefined) {
    this.#check = check
  }

  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.total += chunk.length
      const why = this.#check(chunk.length, this.total)
      if (why !== undefined) throw new MecaError('too_large', `A layer is refused: ${why}`)
      this.#hash.update(chunk)
      yield chunk
    }
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest('hex')}`
  }
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0)
}
