/**
 * Between bundles and this machine's folders: what the caller names goes in, what a host sent comes out. Links are never
 * followed on either way: on the way in a stranger's folder could point at our keys, on the way out at anything.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { lstat, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import {
  CONSOLE_FILE,
  MAX_BUNDLE_ENTRIES,
  MAX_BUNDLE_JSON_BYTES,
  OUTPUTS,
  parseResultFile,
  RESULT_FILE,
} from '../core/bundle.ts'
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
 * replaced. Everything is written beside it first, so that a broken stream leaves nothing half. Throws `not_verified`
 * where a host delivered what is no result.
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
  } catch (error) {
    throw asHostFault(error)
  } finally {
    await rm(beside, { recursive: true, force: true })
  }
}

/** What a result says of itself, without keeping the rest. Throws `not_verified`. */
export async function peekResult(source: AsyncIterable<Uint8Array>): Promise<ResultFile> {
  try {
    // Read before the loop is left, which ends the stream.
    for await (const entry of readBundle(source)) return await resultOf(entry)
    throw new MecaError('bad_input', 'The result is empty')
  } catch (error) {
    throw asHostFault(error)
  }
}

/** The bytes are those of the receipt, so whatever is wrong with them its host has signed. */
function asHostFault(error: unknown): unknown {
  if (!(error instanceof MecaError) || (error.code !== 'bad_input' && error.code !== 'too_large')) return error
  return new MecaError('not_verified', `The host delivered what is no result: ${error.message}`, {
    cause: error,
    cure: 'the job has ended and was billed; run it again under another id with another host',
  })
}

async function writeAll(source: AsyncIterable<Uint8Array>, root: string): Promise<ResultFile> {
  let result: ResultFile | undefined
  for await (const entry of readBundle(source)) {
    if (result === undefined) result = await resultOf(entry)
    else await writeEntry(entry, root)
  }
  if (result === undefined) throw new MecaError('bad_input', 'The result is empty')
  return result
}

async function resultOf(entry: ReadEntry): Promise<ResultFile> {
  if (entry.kind !== 'file' || entry.path !== RESULT_FILE)
    throw new MecaError('bad_input', `A result begins with ${RESULT_FILE}, this one with ${entry.path}`)
  if (entry.bytes > MAX_BUNDLE_JSON_BYTES)
    throw new MecaError(
      'too_large',
      `${RESULT_FILE} has ${entry.bytes} bytes, at most ${MAX_BUNDLE_JSON_BYTES} are read`,
    )
  return parseResultFile(Buffer.from(await headOf(entry.body, entry.bytes)).toString('utf8'))
}

/** `outputs/NAME/…` becomes `NAME/…`; the console stays beside them, unless an output has its name. */
async function writeEntry(entry: ReadEntry, root: string): Promise<void> {
  if (entry.path === OUTPUTS && entry.kind === 'folder') return
  if (entry.path !== CONSOLE_FILE && !entry.path.startsWith(`${OUTPUTS}/`))
    throw new MecaError('bad_input', `${entry.path} is neither below ${OUTPUTS} nor ${CONSOLE_FILE}`)
  const path = entry.path === CONSOLE_FILE ? CONSOLE_FILE : entry.path.slice(OUTPUTS.length + 1)
  const place = join(root, requirePath(path))
  if (entry.path === `${OUTPUTS}/${CONSOLE_FILE}`) await rm(place, { force: true })
  await mkdir(dirname(place), { recursive: true }).catch(notAFolder(path))
  if (entry.kind === 'folder') await mkdir(place, { recursive: true }).catch(notAFolder(path))
  else await pipeline(entry.body, createWriteStream(place, { flags: 'wx' })).catch(notAFolder(path))
}

/** One entry is a file, and another lies below it, or is a folder of that name. */
function notAFolder(path: string): (error: unknown) => never {
  return (error) => {
    const clashes = error instanceof Error && 'code' in error && /^(ENOTDIR|EEXIST|EISDIR)$/.test(String(error.code))
    throw clashes ? new MecaError('bad_input', `${path} is both a file and a folder in the result`) : error
  }
}

async function moveUp(from: string, root: string): Promise<string[]> {
  const names = await readdir(from)
  for (const name of names) {
    await rm(join(root, name), { recursive: true, force: true })
    await rename(join(from, name), join(root, name))
  }
  return names.sort()
}
