/**
 * Streams one layer after another through everything that looks at it: its bytes' hash, the unpacker under the caps,
 * the unpacked bytes' hash, the walk. A layer is read once and never held.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { MecaError } from '../core/errors.ts'
import type { ImageCaps } from './caps.ts'
import { blobPath, MEDIA, type Descriptor, type Digest } from './layout.ts'
import { ImageWalk } from './walk.ts'

/** Streams one file of an image layout, like `blobs/sha256/…`; refuses one over `maxBytes`. */
export type ReadFile = (path: string, options: { signal: AbortSignal; maxBytes: number }) => AsyncIterable<Uint8Array>

export type VerifiedLayer = Descriptor & { diffId: Digest; unpackedBytes: number; entries: number }

export type LayerOptions = { signal: AbortSignal; onProgress?: (doneBytes: number, totalBytes: number) => void }

/** Goes through an image's layers in order and keeps what they add up to. */
export class LayerCheck {
  readonly #read: ReadFile
  readonly #caps: ImageCaps
  readonly #options: LayerOptions
  readonly #walk: ImageWalk
  readonly #totalBytes: number
  #doneBytes = 0
  #unpackedBytes = 0

  constructor(read: ReadFile, caps: ImageCaps, totalBytes: number, options: LayerOptions) {
    this.#read = read
    this.#caps = caps
    this.#options = options
    this.#totalBytes = totalBytes
    this.#walk = new ImageWalk(caps)
  }

  async layer(layer: Descriptor, diffId: Digest): Promise<VerifiedLayer> {
    const { signal } = this.#options
    signal.throwIfAborted()
    const packed = new Meter((bytes) => this.#options.onProgress?.((this.#doneBytes += bytes), this.#totalBytes))
    const unpacked = new Meter((bytes, total) => this.#requireFits(layer, (this.#unpackedBytes += bytes), total))
    const source = packed.through(this.#read(blobPath(layer.digest), { signal, maxBytes: layer.size }))
    const entries = await this.#walk.layer(layer.digest, unpacked.through(unpack(layer, packed, source, signal)))
    if (packed.total !== layer.size || packed.digest() !== layer.digest) {
      throw new MecaError('invalid_task', `The file of layer ${layer.digest} has other bytes than its name says`)
    }
    if (unpacked.digest() !== diffId) {
      throw new MecaError('invalid_task', `Layer ${layer.digest} unpacks to other bytes than the config's ${diffId}`)
    }
    return { ...layer, diffId, unpackedBytes: unpacked.total, entries }
  }

  #requireFits(layer: Descriptor, imageBytes: number, layerBytes: number): void {
    const { unpackedBytes, ratio, ratioFreeBytes } = this.#caps
    if (imageBytes > unpackedBytes) {
      throw new MecaError(
        'too_large',
        `At layer ${layer.digest} the image has more than ${unpackedBytes} unpacked bytes`,
      )
    }
    if (layerBytes > ratioFreeBytes && layerBytes > ratio * Math.max(1, layer.size)) {
      throw new MecaError(
        'too_large',
        `Layer ${layer.digest} of ${layer.size} bytes unpacks to more than ${ratio} times as many`,
      )
    }
  }
}

async function* unpack(
  layer: Descriptor,
  packed: Meter,
  source: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  if (layer.mediaType === MEDIA.layer) {
    yield* source
    return
  }
  signal.throwIfAborted()
  const input = Readable.from(source, { objectMode: false, highWaterMark: 2 ** 20 })
  const gunzip = createGunzip({ chunkSize: 2 ** 18 })
  input.on('error', (error) => gunzip.destroy(error))
  const abort = () => gunzip.destroy(new MecaError('cancelled', `Reading layer ${layer.digest} was cancelled`))
  signal.addEventListener('abort', abort, { once: true })
  try {
    for await (const chunk of input.pipe(gunzip) as AsyncIterable<Buffer>) yield chunk
    // zlib stops in silence at what is not another gzip member; an engine may not.
    if (gunzip.bytesWritten !== packed.total)
      throw new MecaError('invalid_task', `Layer ${layer.digest} has bytes after its end`)
  } catch (cause) {
    if (cause instanceof MecaError) throw cause
    throw new MecaError('invalid_task', `Layer ${layer.digest} is not gzip`, { cause })
  } finally {
    signal.removeEventListener('abort', abort)
    input.destroy()
    gunzip.destroy()
  }
}

/** Counts and hashes what flows through; `watch` may throw where it is too much. */
class Meter {
  total = 0
  readonly #hash = createHash('sha256')
  readonly #watch: (bytes: number, total: number) => void

  constructor(watch: (bytes: number, total: number) => void) {
    this.#watch = watch
  }

  async *through(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of source) {
      this.total += chunk.length
      this.#watch(chunk.length, this.total)
      this.#hash.update(chunk)
      yield chunk
    }
  }

  digest(): Digest {
    return `sha256:${this.#hash.digest('hex')}`
  }
}
