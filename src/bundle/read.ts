/**
 * Reads bundles of strangers: regular files and folders only, each name once, everything under a ceiling. Holds one chunk
 * in memory; who wants the bytes of an entry reads them before asking for the next.
 */
import { extract } from 'tar-stream'
import type { Header } from 'tar-stream'
import { Readable } from 'node:stream'
import { HEAD_BYTES, MAX_BUNDLE_ENTRIES, MAX_BUNDLE_JSON_BYTES } from '../core/bundle.ts'
import type { FileFacts } from '../core/bundle.ts'
import { asMecaError, MecaError } from '../core/errors.ts'
import { requirePath } from './paths.ts'

export type ReadEntry =
  { kind: 'folder'; path: string } | { kind: 'file'; path: string; bytes: number; body: AsyncIterable<Uint8Array> }

/** Heads kept of one bundle in all: what a format looks at is the start of a few files, not of a hundred thousand. */
const MAX_HEADS_BYTES = 64 * 2 ** 20

/** Throws `bad_input` for anything that is no bundle. */
export async function* readBundle(source: AsyncIterable<Uint8Array>): AsyncGenerator<ReadEntry> {
  const seen = new Set<string>()
  const tar = extract()
  const input = Readable.from(source, { objectMode: false })
  // An end inside an entry ends the loop below without a word.
  let failure: Error | undefined
  tar.on('error', (error: Error) => (failure ??= error))
  input.on('error', (error) => tar.destroy(error)).pipe(tar)
  try {
    for await (const stream of tar) {
      const entry = check(stream.header, seen)
      const bytes = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
      const counted = { bytes: 0 }
      yield entry.kind === 'folder' ? entry : { ...entry, body: bodyOf(bytes, counted) }
      const rest = bodyOf(bytes, counted)
      while ((await rest.next()).done !== true) continue
      if (entry.kind === 'file' && counted.bytes !== entry.bytes)
        throw new MecaError('bad_input', `The bundle ends inside ${entry.path}`, { cure: 'send it whole' })
    }
    if (failure !== undefined) throw failure
  } catch (error) {
    throw asBundleError(error)
  } finally {
    input.destroy()
    tar.destroy()
  }
}

/** One who stops reading leaves the stream as it is: the rest is skipped, not torn down. */
async function* bodyOf(bytes: AsyncIterator<Uint8Array>, counted: { bytes: number }): AsyncGenerator<Uint8Array> {
  try {
    for (let next = await bytes.next(); next.done !== true; next = await bytes.next()) {
      counted.bytes += next.value.length
      yield next.value
    }
  } catch (error) {
    throw asBundleError(error)
  }
}

type Checked = { kind: 'folder'; path: string } | { kind: 'file'; path: string; bytes: number }

function check({ name, type, size }: Header, seen: Set<string>): Checked {
  const path = requirePath(type === 'directory' ? name.replace(/\/$/, '') : name)
  if (type !== 'file' && type !== 'directory') {
    throw new MecaError('bad_input', `${path} in the bundle is a ${type}`, {
      cure: 'send regular files and folders only',
    })
  }
  if (seen.has(path)) throw new MecaError('bad_input', `${path} is twice in the bundle`)
  seen.add(path)
  if (seen.size > MAX_BUNDLE_ENTRIES) {
    throw new MecaError('too_large', `The bundle has more than ${MAX_BUNDLE_ENTRIES} entries`, {
      cure: 'pack many small files into an archive of their own',
    })
  }
  return type === 'directory' ? { kind: 'folder', path } : { kind: 'file', path, bytes: size }
}

/** The library says "Invalid tar header" and the like, which is the sender's doing. */
function asBundleError(error: unknown): MecaError {
  if (
    error instanceof Error &&
    /tar|header|end of data|base64|size/i.test(error.message) &&
    !(error instanceof MecaError)
  )
    return new MecaError('bad_input', `This is no bundle: ${error.message}`, { cause: error })
  return asMecaError(error)
}

export type BundleIndex = { text: string; files: Map<string, FileFacts>; folders: Set<string> }

/** Everything that a format needs to know of a bundle, in one pass; `first` is the name that must lead it. */
export async function indexBundle(source: AsyncIterable<Uint8Array>, first: string): Promise<BundleIndex> {
  const index: BundleIndex = { text: '', files: new Map(), folders: new Set() }
  let heads = 0
  let leads = true
  for await (const entry of readBundle(source)) {
    if (leads) index.text = await textOf(entry, first)
    else if (entry.kind === 'folder') index.folders.add(entry.path)
    else {
      const head = await headOf(entry.body, Math.min(HEAD_BYTES, MAX_HEADS_BYTES - heads))
      heads += head.length
      index.files.set(entry.path, { bytes: entry.bytes, head })
    }
    leads = false
  }
  if (leads) throw new MecaError('bad_input', 'The bundle is empty', { cure: `it begins with ${first}` })
  return index
}

async function textOf(entry: ReadEntry, first: string): Promise<string> {
  if (entry.kind !== 'file' || entry.path !== first)
    throw new MecaError('bad_input', `A bundle begins with ${first}, this one with ${entry.path}`)
  if (entry.bytes > MAX_BUNDLE_JSON_BYTES)
    throw new MecaError('too_large', `${first} has ${entry.bytes} bytes, at most ${MAX_BUNDLE_JSON_BYTES} are read`)
  const chunks: Uint8Array[] = []
  for await (const chunk of entry.body) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

/** At most `limit` bytes from the start; the rest is skipped by the reader. */
export async function headOf(body: AsyncIterable<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    const part = chunk.subarray(0, Math.max(0, limit - bytes))
    if (part.length > 0) chunks.push(Uint8Array.from(part))
    bytes += part.length
  }
  return Buffer.concat(chunks)
}
