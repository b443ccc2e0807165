/**
 * Between bundles and this machine's folders: what the caller names goes in, what a host sent comes out. Links are never
 * followed on either way: on the way in a stranger's folder could point at our keys, on the way out at anything.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { MAX_BUNDLE_ENTRIES, OUTPUTS, parseResultFile, RESULT_FILE } from '../core/bundle.ts'
import type { ResultFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { headOf, readBundle } from './read.ts'
import type { ReadEntry } from './read.ts'
import { requirePath } from './paths.ts'
import type { BundleEntry } from './write.ts'

const MAX_DEPTH = 64

/** The entries for one file or folder of this machine, under `at` in the bundle. Throws `bad_input`. */
export async function entriesOf(place: string, at: string): Promise<BundleEntry[]> {
  const info = await lstat(place).catch((cause: unknown) => {
    throw new MecaError('bad_input', `${place} cannot be read`, { cause, cure: 'check its name and permissions' })
  })
  // What the caller named itself may be a link of the caller's own; what lies inside a folder may not.
  const real = info.isSymbolicLink() ? await stat(place) : info
  if (real.isFile()) return [file(place, at, real.size)]
  if (!real.isDirectory())
    throw new MecaError('bad_input', `${place} is neither a file nor a folder`, { cure: 'name a file or a folder' })
  const entries: BundleEntry[] = []
  await walk(place, at, 0, entries)
  return entries
}

function file(place: string, at: string, bytes: number): BundleEntry {
  return { path: requirePath(at), bytes, body: () => createReadStream(place) as AsyncIterable<Uint8Array> }
}

async function walk(folder: string, at: string, depth: number, entries: BundleEntry[]): Promise<void> {
  if (depth > MAX_DEPTH)
    throw new MecaError('bad_input', `${folder} is nested deeper than ${MAX_DEPTH} folders`, {
      cure: 'name the folder of the inputs itself',
    })
  entries.push({ path: requirePath(at), folder: true })
  if (entries.length > MAX_BUNDLE_ENTRIES)
    throw new MecaError('too_large', `${folder} has more than ${MAX_BUNDLE_ENTRIES} entries`, {
      cure: 'pack many small files into an archive of their own',
    })
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const place = join(folder, entry.name)
    if (entry.isDirectory()) await walk(place, `${at}/${entry.name}`, depth + 1, entries)
    else if (entry.isFile()) entries.push(file(place, `${at}/${entry.name}`, (await lstat(place)).size))
    else
      throw new MecaError('bad_input', `${place} is a link or a special file`, {
        cure: 'send regular files and folders only; copy what it points to',
      })
  }
}

/**
 * Writes a result's outputs (and what it printed) into `folder`, which is made; what is there under the same name is
 * replaced. Everything is written beside it first, so that a broken stream leaves nothing half.
 */
export async function unpackResult(
  source: AsyncIterable<Uint8Array>,
  folder: string,
): Promise<{ result: ResultFile; folder: string; names: string[] }> {
  const root = resolve(folder)
  await mkdir(root, { recursive: true })
  const beside = await mkdtemp(join(root, '.meca-'))
  try {
    const result = await writeAll(source, beside)
    const names = await moveUp(beside, root)
    return { result, folder: root, names }
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

/** What a result says of itself, without keeping the rest. */
export async function peekResult(source: AsyncIterable<Uint8Array>): Promise<ResultFile> {
  for await (const entry of readBundle(source)) return resultOf(entry)
  throw new MecaError('protocol', 'The result is empty')
}

async function writeAll(source: AsyncIterable<Uint8Array>, root: string): Promise<ResultFile> {
  let result: ResultFile | undefined
  for await (const entry of readBundle(source)) {
    if (result === undefined) result = await resultOf(entry)
    else await writeEntry(entry, root)
  }
  if (result === undefined) throw new MecaError('protocol', 'The result is empty')
  return result
}

async function resultOf(entry: ReadEntry): Promise<ResultFile> {
  if (entry.kind !== 'file' || entry.path !== RESULT_FILE)
    throw new MecaError('protocol', `A result begins with ${RESULT_FILE}, this one with ${entry.path}`)
  return parseResultFile(Buffer.from(await headOf(entry.body, entry.bytes)).toString('utf8'))
}

/** `outputs/NAME/…` becomes `NAME/…`; the console stays beside them. */
async function writeEntry(entry: ReadEntry, root: string): Promise<void> {
  const path = entry.path.startsWith(`${OUTPUTS}/`) ? entry.path.slice(OUTPUTS.length + 1) : entry.path
  if (path === OUTPUTS) return
  const place = join(root, requirePath(path))
  await mkdir(dirname(place), { recursive: true })
  if (entry.kind === 'folder') await mkdir(place, { recursive: true })
  else await pipeline(entry.body, createWriteStream(place, { flags: 'wx' }))
}

async function moveUp(from: string, root: string): Promise<string[]> {
  const names = await readdir(from)
  for (const name of names) {
    await rm(join(root, name), { recursive: true, force: true })
    await rename(join(from, name), join(root, name))
  }
  return names.sort()
}
