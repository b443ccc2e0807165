/**
 * Brings an image archive into the engine without the names inside it: an archive that says it is `node:22` would take
 * that name from the image which has it. What an OCI archive lacks for older engines, the list of its layers, is added.
 */
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import type Docker from 'dockerode'
import { extract, pack } from 'tar-stream'
import type { Header, Pack } from 'tar-stream'
import { MecaError } from '../core/errors.ts'
import { cancelled, isGone, reasonOf, translate } from './client.ts'
import type { ImageId } from './engine.ts'

/** Documents of an image are a few KiB; those of the largest real ones some hundred. */
const MAX_DOCUMENT_BYTES = 4 * 2 ** 20
/** An archive's documents in all, kept until it is known which of them is the image's. */
const MAX_DOCUMENTS_BYTES = 32 * 2 ** 20
/** Gives an image its name, or several. */
const NAMES_FILE = 'repositories'
const BLOB = /^blobs\/sha256\/[0-9a-f]{64}$/

/** The caller's signal is the end: an archive takes as long as it takes. Throws `invalid_task` for what is no image. */
export async function loadImage(
  docker: Docker,
  archive: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<ImageId> {
  if (signal.aborted) throw cancelled('load the image', signal.reason)
  const clean = pack()
  clean.on('error', () => undefined) // Told by whichever of the two below fails.
  const stop = () => clean.destroy(cancelled('load the image'))
  signal.addEventListener('abort', stop, { once: true })
  const body = Readable.from(clean as AsyncIterable<Uint8Array>, { objectMode: false })
  const cleaning = copyWithoutNames(archive, clean)
  cleaning.catch((error: unknown) => clean.destroy(error instanceof Error ? error : new Error(String(error))))
  const loading = answerOf(docker, body, signal)
  loading.catch((error: unknown) => clean.destroy(error instanceof Error ? error : new Error(String(error))))
  const [cleaned, loaded] = await Promise.allSettled([cleaning, loading])
  signal.removeEventListener('abort', stop)
  if (signal.aborted) throw cancelled('load the image', signal.reason)
  if (cleaned.status === 'rejected' && cleaned.reason instanceof MecaError) throw cleaned.reason
  if (loaded.status === 'rejected') throw refused(loaded.reason)
  if (cleaned.status === 'rejected') throw refused(cleaned.reason)
  return loaded.value
}

async function answerOf(docker: Docker, body: Readable, signal: AbortSignal): Promise<ImageId> {
  const answer = await docker.loadImage(body, { quiet: true, abortSignal: signal })
  let text = ''
  for await (const chunk of answer) text = (text + String(chunk)).slice(-MAX_DOCUMENT_BYTES)
  const id = /Loaded image ID: (sha256:[0-9a-f]{64})/.exec(text)?.[1]
  if (id !== undefined) return id
  throw notAnImage(`the engine answered ${JSON.stringify(text.trim().slice(-300))}`)
}

async function copyWithoutNames(archive: AsyncIterable<Uint8Array>, clean: Pack): Promise<void> {
  const tar = extract()
  const source = Readable.from(unzipped(archive), { objectMode: false })
  source.on('error', (error) => tar.destroy(error)).pipe(tar)
  const documents = new Documents()
  try {
    for await (const stream of tar) {
      const { header } = stream
      const path = header.name.replace(/^\.\//, '')
      const bytes = stream as AsyncIterable<Uint8Array>
      if (path === 'manifest.json') await add(clean, { name: path }, documents.list(await all(bytes, header)))
      else if (path === NAMES_FILE) stream.resume()
      else if (documents.wants(path, header)) await add(clean, header, documents.keep(path, await all(bytes, header)))
      else await copy(clean, header, bytes)
    }
    const made = documents.manifestFile()
    if (made !== undefined) await add(clean, { name: 'manifest.json' }, made)
    clean.finalize()
  } finally {
    source.destroy()
    tar.destroy()
  }
}

/** The small ones, among which an OCI archive's manifest is found once its index is known. */
class Documents {
  readonly #kept = new Map<string, Buffer>()
  #bytes = 0
  #listed = false

  wants(path: string, { type, size }: Header): boolean {
    if (path === 'index.json') return true
    return type === 'file' && BLOB.test(path) && size <= MAX_DOCUMENT_BYTES && this.#bytes + size <= MAX_DOCUMENTS_BYTES
  }

  keep(path: string, bytes: Buffer): Buffer {
    this.#bytes += bytes.length
    if (bytes[0] === 0x7b) this.#kept.set(path, bytes)
    return bytes
  }

  /** The archive has the list that engines read. */
  list(manifest: Buffer): Buffer {
    this.#listed = true
    return nameless(manifest)
  }

  /** Undefined where the archive has one, or is none of OCI's. */
  manifestFile(): Buffer | undefined {
    const index = this.#kept.get('index.json')
    if (this.#listed || index === undefined) return undefined
    const manifest = this.#imageIn(JSON.parse(index.toString()) as Document, 0)
    if (manifest?.config === undefined) throw notAnImage('its index leads to no image for this machine')
    const entry = { Config: blobOf(manifest.config), RepoTags: null, Layers: (manifest.layers ?? []).map(blobOf) }
    return Buffer.from(JSON.stringify([entry]))
  }

  /** Indexes may name indexes, and beside the image what attests to it. */
  #imageIn(document: Document, depth: number): Document | undefined {
    if (document.config !== undefined) return document
    if (depth > 3) return undefined
    for (const row of document.manifests ?? []) {
      if (!fitsHere(row)) continue
      const bytes = this.#kept.get(blobOf(row))
      const found = bytes && this.#imageIn(JSON.parse(bytes.toString()) as Document, depth + 1)
      if (found !== undefined) return found
    }
    return undefined
  }
}

type Row = { digest?: string; platform?: { os?: string; architecture?: string } }
type Document = { config?: Row; layers?: Row[]; manifests?: Row[] }

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

function fitsHere({ platform }: Row): boolean {
  if (platform === undefined) return true
  return platform.os === 'linux' && platform.architecture === (ARCHITECTURES[process.arch] ?? process.arch)
}

function blobOf({ digest = '' }: Row): string {
  const path = `blobs/${digest.replace(':', '/')}`
  if (!BLOB.test(path)) throw notAnImage(`it names a part ${JSON.stringify(digest.slice(0, 100))}`)
  return path
}

/** Also makes sure that it is one image: which of several is meant, nobody could say. */
function nameless(manifest: Buffer): Buffer {
  const images = JSON.parse(manifest.toString()) as Record<string, unknown>[]
  if (!Array.isArray(images) || images.length !== 1) throw notAnImage(`it holds ${images.length} images, not one`)
  return Buffer.from(JSON.stringify(images.map((image) => ({ ...image, RepoTags: null }))))
}

async function all(bytes: AsyncIterable<Uint8Array>, { name, size }: Header): Promise<Buffer> {
  if (size > MAX_DOCUMENT_BYTES) throw notAnImage(`${name} has ${size} bytes, at most ${MAX_DOCUMENT_BYTES} are read`)
  const chunks: Uint8Array[] = []
  for await (const chunk of bytes) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function add(clean: Pack, { name }: Pick<Header, 'name'>, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    clean.entry({ name, mode: 0o644 }, bytes, (error) => (error ? reject(error) : resolve()))
  })
}

async function copy(clean: Pack, header: Header, bytes: AsyncIterable<Uint8Array>): Promise<void> {
  const { name, type, size, linkname } = header
  const done = Promise.withResolvers<void>()
  done.promise.catch(() => undefined) // Told below, or by the error that came before it.
  const sink = clean.entry({ name, type, size, linkname, mode: 0o755 }, (error) =>
    error ? done.reject(error) : done.resolve(),
  )
  // The same error ends the whole archive, and is told there.
  sink.on('error', () => undefined)
  for await (const chunk of bytes) {
    if (!sink.write(chunk))
      await Promise.race([new Promise<void>((resolve) => sink.once('drain', resolve)), done.promise])
  }
  sink.end(undefined)
  await done.promise
}

/** Archives are often packed whole; the first two bytes tell. */
async function* unzipped(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = archive[Symbol.asyncIterator]()
  const first = await source.next()
  if (first.done === true) throw notAnImage('it is empty')
  const whole = (async function* () {
    yield first.value
    for (let next = await source.next(); next.done !== true; next = await source.next()) yield next.value
  })()
  if (first.value[0] !== 0x1f || first.value[1] !== 0x8b) return yield* whole
  const packed = Readable.from(whole, { objectMode: false })
  const plain = createGunzip()
  packed.on('error', (error) => plain.destroy(error)).pipe(plain)
  yield* plain as AsyncIterable<Uint8Array>
}

function refused(error: unknown): MecaError {
  if (isGone(error)) return translate(error, 'load the image')
  return notAnImage(reasonOf(error).slice(0, 500), error)
}

function notAnImage(why: string, cause?: unknown): MecaError {
  return new MecaError('invalid_task', `The archive is no image that this engine can load: ${why}`, {
    cause,
    cure: 'Make it with `docker save IMAGE -o image.tar`.',
  })
}
