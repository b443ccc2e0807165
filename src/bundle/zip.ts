/**
 * Unpacks a stranger's zip (a Cytomine bundle) into a new folder: regular files and folders only, names that stay inside,
 * nothing beyond the ceilings, counted by what really comes out and not by what the zip says of itself.
 */
import { createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { openPromise } from 'yauzl'
import type { Entry, ZipFile } from 'yauzl'
import { MecaError } from '../core/errors.ts'
import { faultOf } from './paths.ts'
import { quote } from '../core/units.ts'

/** A descriptor, an image archive and a logo; a few more are nobody's business. */
const MAX_ENTRIES = 10_000
/** An image archive of 20 GiB is the largest that a host takes. */
const MAX_TOTAL_BYTES = 24 * 2 ** 30
/** Deflate reaches 1032; what promises more is a bomb. */
const MAX_RATIO = 1100

/** Unix file type bits of an entry's mode. */
const TYPE_MASK = 0o170000
const REGULAR = 0o100000
const FOLDER = 0o040000

/** Throws `invalid_task` for anything that is no such zip; `folder` must be empty. */
export async function unzip(file: string, folder: string, signal: AbortSignal): Promise<void> {
  const zip = await openPromise(file, { lazyEntries: true, strictFileNames: true, validateEntrySizes: true }).catch(
    (cause: unknown) => {
      throw broken(file, cause)
    },
  )
  let left = MAX_TOTAL_BYTES
  const seen = new Set<string>()
  try {
    if (zip.entryCount > MAX_ENTRIES)
      throw new MecaError('too_large', `${file} has ${zip.entryCount} entries, at most ${MAX_ENTRIES} are unpacked`)
    for await (const entry of zip.eachEntry()) {
      signal.throwIfAborted()
      left -= await place(zip, entry, folder, seen, left, signal)
    }
  } catch (error) {
    throw error instanceof MecaError || signal.aborted ? error : broken(file, error)
  } finally {
    zip.close()
  }
}

async function place(
  zip: ZipFile,
  entry: Entry,
  folder: string,
  seen: Set<string>,
  leftBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const isFolder = entry.fileName.endsWith('/')
  const name = isFolder ? entry.fileName.slice(0, -1) : entry.fileName
  requirePlain(entry, name, isFolder, seen)
  const target = join(folder, name)
  await mkdir(isFolder ? target : dirname(target), { recursive: true })
  if (isFolder) return 0
  const cap = Math.min(leftBytes, Math.max(2 ** 20, entry.compressedSize * MAX_RATIO))
  return write(zip, entry, target, cap, signal)
}

function requirePlain(
  { externalFileAttributes, generalPurposeBitFlag }: Entry,
  name: string,
  isFolder: boolean,
  seen: Set<string>,
): void {
  const type = (externalFileAttributes >>> 16) & TYPE_MASK
  const isPlain = type === 0 || type === (isFolder ? FOLDER : REGULAR)
  const fault =
    faultOf(name) ??
    (isPlain ? undefined : 'is a link or a special file') ??
    ((generalPurposeBitFlag & 1) === 0 ? undefined : 'is encrypted') ??
    (seen.has(name) ? 'is there twice' : undefined)
  if (fault !== undefined)
    throw new MecaError('invalid_task', `The entry ${quote(name)} of the zip ${fault}`, {
      cure: 'pack plain files under plain names',
    })
  seen.add(name)
}

async function write(
  zip: ZipFile,
  entry: Entry,
  target: string,
  capBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const source = await zip.openReadStreamPromise(entry)
  let bytes = 0
  const counted = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      bytes += chunk.length
      if (bytes > capBytes)
        throw new MecaError(
          'too_large',
          `The entry ${quote(entry.fileName)} of the zip unpacks to more than ${capBytes} bytes`,
        )
      yield chunk
    }
  }
  await pipeline(source, counted, createWriteStream(target, { flags: 'wx', mode: 0o600 }), { signal })
  return bytes
}

function broken(file: string, cause: unknown): MecaError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new MecaError('invalid_task', `${file} is no usable zip: ${why}`, { cause, cure: 'pack it again' })
}
