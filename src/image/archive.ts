/**
 * Reads an image archive's tar stream onto disk and finds the one image in it. Three shapes are known: `docker save` of
 * engines before 25 (`<id>/layer.tar`), of later ones (`blobs/sha256/…` with `manifest.json`), and an OCI archive (only
 * `index.json`). Names and tags inside are looked at for nothing else: they could claim to be another's.
 */
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, stat } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { MAX_DOCUMENT_BYTES } from './caps.ts'
import { blobPath, parseDocument, zDigest, type Digest } from './layout.ts'
import { TarReader } from './tar.ts'

/** Paths in the archive → files on disk, and the archive's own links between paths. */
type Spooled = { files: ReadonlyMap<string, string>; links: ReadonlyMap<string, string> }

/** A few files for every layer of an image; beyond it this is no image archive. */
const MAX_FILES = 4096

export async function spool(
  archive: AsyncIterable<Uint8Array>,
  folder: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Spooled> {
  await mkdir(folder, { recursive: true })
  const files = new Map<string, string>()
  const links = new Map<string, string>()
  const tar = new TarReader(await plain(archive))
  let bytes = 0
  for (let entry = await tar.next(); entry !== undefined; entry = await tar.next()) {
    const path = posix.normalize(entry.path)
    bytes += entry.bytes
    if (bytes > maxBytes) throw new MecaError('too_large', `The archive has more than ${maxBytes} bytes`)
    if (files.size + links.size > MAX_FILES)
      throw new MecaError('too_large', `The archive has more than ${MAX_FILES} files`)
    if (entry.kind === 'symlink') links.set(path, posix.join(posix.dirname(path), entry.link))
    if (entry.kind === 'hardlink') links.set(path, posix.normalize(entry.link))
    if (entry.kind !== 'file') continue
    const file = join(folder, String(files.size))
    await pipeline(tar.body(), createWriteStream(file), { signal })
    files.set(path, file)
  }
  return { files, links }
}

/** The archive unpacked, if somebody gzipped it whole. */
async function plain(archive: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const source = archive[Symbol.asyncIterator]()
  const first = await source.next()
  if (first.done === true) throw new MecaError('invalid_task', 'The image archive is empty')
  const whole = (async function* () {
    yield first.value
    for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value
  })()
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) return whole
  const input = Readable.from(whole, { objectMode: false })
  const gunzip = createGunzip()
  input.on('error', (error) => gunzip.destroy(error))
  return input.pipe(gunzip)
}

type FoundImage = { config: string; layers: readonly string[] }

const zLegacy = z.array(z.looseObject({ Config: z.string(), Layers: z.array(z.string()) }))
const zBlob = z.looseObject({ digest: zDigest, mediaType: z.string().optional() })
const zPlatform = z.looseObject({ os: z.string(), architecture: z.string() })
const zLooseIndex = z.looseObject({ manifests: z.array(zBlob.extend({ platform: zPlatform.nullish() })) })
const zLooseManifest = z.looseObject({ config: zBlob, layers: z.array(zBlob) })

/** The files of the archive's image. Throws `invalid_task` where there is none, or more than one. */
export async function findImage(spooled: Spooled): Promise<FoundImage> {
  if (spooled.files.has('manifest.json')) {
    const images = parseDocument(zLegacy, await document(spooled, 'manifest.json'), "The archive's manifest.json")
    const [image] = images
    if (image === undefined || images.length > 1) throw severalImages(images.length)
    return { config: fileOf(spooled, image.Config), layers: image.Layers.map((path) => fileOf(spooled, path)) }
  }
  if (!spooled.files.has('index.json')) {
    throw new MecaError('invalid_task', 'The archive has neither manifest.json nor index.json', {
      cure: 'Make it with `docker save IMAGE`, `podman save` or `skopeo copy … oci-archive:FILE`.',
    })
  }
  const digest = await pickManifest(spooled, await document(spooled, 'index.json'))
  const manifest = parseDocument(zLooseManifest, await document(spooled, blobPath(digest)), "The archive's manifest")
  const blob = (d: Digest) => fileOf(spooled, blobPath(d))
  return { config: blob(manifest.config.digest), layers: manifest.layers.map((layer) => blob(layer.digest)) }
}

/** Build tools put attestations (platform `unknown`) beside the image, and wrap it in an index of its own. */
async function pickManifest(spooled: Spooled, index: Uint8Array, nested = false): Promise<Digest> {
  const { manifests } = parseDocument(zLooseIndex, index, "The archive's index")
  const images = manifests.filter(({ platform }) => platform?.os !== 'unknown')
  const [image] = images
  if (image === undefined || images.length > 1) throw severalImages(images.length)
  if (image.mediaType?.includes('index') !== true && image.mediaType?.includes('list') !== true) return image.digest
  if (nested) throw new MecaError('invalid_task', "The archive's indexes are nested more than once")
  return await pickManifest(spooled, await document(spooled, blobPath(image.digest)), true)
}

function severalImages(count: number): MecaError {
  return new MecaError('invalid_task', `The archive has ${count} images, one is needed`, {
    cure: 'Save one image for one platform.',
  })
}

async function document(spooled: Spooled, path: string): Promise<Uint8Array> {
  const file = fileOf(spooled, path)
  const { size } = await stat(file)
  if (size <= MAX_DOCUMENT_BYTES) return await readFile(file)
  throw new MecaError('too_large', `${path} of the archive has ${size} bytes, ${MAX_DOCUMENT_BYTES} are allowed`)
}

function fileOf({ files, links }: Spooled, path: string): string {
  const plainPath = posix.normalize(path)
  const file = files.get(plainPath) ?? files.get(links.get(plainPath) ?? '')
  if (file !== undefined) return file
  throw new MecaError('invalid_task', `The archive names ${JSON.stringify(path.slice(0, 120))} and does not have it`)
}
