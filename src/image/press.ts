/**
 * Makes blobs of layers. A plain layer is gzipped with one fixed setting, a gzipped one is taken as it is; either way
 * its unpacked bytes must be those that the config names.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, open, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createGzip } from 'node:zlib'
import { MecaError } from '../core/errors.ts'
import { blobPath, MEDIA, type Descriptor, type Digest } from './layout.ts'

/**
 * Of zlib's levels on a program's files: 1 leaves 41 % at 103 MB/s, 4 leaves 38 % at 79, 6 leaves 37 % at 45.
 * Changing it changes every layer's digest, so that the next publish of every task stores all its layers anew.
 */
const GZIP = { level: 4, memLevel: 8, chunkSize: 2 ** 18 }

const READ = { highWaterMark: 2 ** 20 }

export class Press {
  readonly #layoutRoot: string
  readonly #signal: AbortSignal
  /** By diff id: the empty layer stands in many images several times. */
  readonly #made = new Map<string, Promise<Descriptor>>()

  constructor(layoutRoot: string, signal: AbortSignal) {
    this.#layoutRoot = layoutRoot
    this.#signal = signal
  }

  /** The blob of the layer in a file, written into the layout. */
  layer(file: string, diffId: Digest): Promise<Descriptor> {
    const made = this.#made.get(diffId) ?? this.#make(file, diffId)
    this.#made.set(diffId, made)
    return made
  }

  async #make(file: string, diffId: Digest): Promise<Descriptor> {
    const blob = join(this.#layoutRoot, `layer-${diffId.slice('sha256:'.length)}`)
    const packed = hasher()
    const unpacked = hasher()
    if (await isGzip(file)) {
      await copyFile(file, blob)
      await pipeline(createReadStream(file, READ), packed.stream, createGunzip(), unpacked.stream, nowhere(), {
        signal: this.#signal,
      })
    } else {
      const output = createWriteStream(blob)
      await pipeline(createReadStream(file, READ), unpacked.stream, createGzip(GZIP), packed.stream, output, {
        signal: this.#signal,
      })
    }
    if (unpacked.digest() !== diffId) {
      throw new MecaError(
        'invalid_task',
        `A layer of the archive unpacks to ${unpacked.digest()}, its config says ${diffId}`,
      )
    }
    const digest = packed.digest()
    await rename(blob, join(this.#layoutRoot, blobPath(digest)))
    return { mediaType: MEDIA.layerGzip, digest, size: (await stat(join(this.#layoutRoot, blobPath(digest)))).size }
  }
}

async function isGzip(file: string): Promise<boolean> {
  const handle = await open(file)
  try {
    const { buffer } = await handle.read(Buffer.alloc(4), 0, 4, 0)
    if (buffer.readUInt32LE() === 0xfd2fb528) {
      throw new MecaError('invalid_task', 'A layer of the archive is compressed with zstd', {
        cure: 'Save the image with gzip or plain layers; older Docker engines cannot read zstd.',
      })
    }
    return buffer.readUInt16BE() === 0x1f8b
  } finally {
    await handle.close()
  }
}

/** Passes bytes on and hashes them. */
function hasher(): { stream: Transform; digest: () => Digest } {
  const hash = createHash('sha256')
  const stream = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk)
      done(null, chunk)
    },
  })
  let digest: Digest | undefined
  return { stream, digest: () => (digest ??= `sha256:${hash.digest('hex')}`) }
}

/** The end of a pipeline whose bytes are only hashed. */
function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() })
}
