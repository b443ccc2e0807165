/** A developer's folder on disk as the task formats see it, with ceilings: a mistyped path may be a whole home folder. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { MecaError } from '../core/errors.ts'
import type { Folder } from '../task/format.ts'
import { formatOf, FORMAT_NAMES } from '../task/format.ts'

const MAX_FILES = 20_000
const MAX_DEPTH = 32
/** Descriptors and texts are read whole; larger ones are not descriptors. */
const MAX_TEXT_BYTES = 512 * 1024
const SKIPPED = new Set(['node_modules', '.git'])

/** Throws `not_found` or `bad_input`. Links are followed by nobody: they are left out. */
export async function readFolder(dir: string): Promise<Folder> {
  try {
    return await read(dir)
  } catch (error) {
    throw readable(dir, error)
  }
}

/** What the file system refuses is the caller's to mend, not a fault of the program. */
function readable(dir: string, error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error && 'syscall' in error)) return error
  return new MecaError('bad_input', `The folder ${dir} cannot be read: ${error.message}`, {
    cause: error,
    cure: 'let this user read every file and folder in it, or give another folder',
  })
}

async function read(dir: string): Promise<Folder> {
  await requireFolder(dir)
  const files = new Map<string, { bytes: number }>()
  await walk(dir, '', 0, files)
  const wanted = new Set(FORMAT_NAMES.flatMap((name) => formatOf(name).reads))
  const texts = new Map<string, string>()
  for (const path of wanted) {
    if ((files.get(path)?.bytes ?? Infinity) <= MAX_TEXT_BYTES) texts.set(path, await readFile(join(dir, path), 'utf8'))
  }
  return { files, texts }
}

async function requireFolder(dir: string): Promise<void> {
  const info = await stat(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw error
  })
  if (info === undefined)
    throw new MecaError('not_found', `There is no folder ${dir}`, {
      cure: 'give the path of a task folder; meca task init makes one',
    })
  if (!info.isDirectory())
    throw new MecaError('bad_input', `${dir} is not a folder`, { cure: 'give the path of a task folder' })
}

async function walk(root: string, prefix: string, depth: number, files: Map<string, { bytes: number }>): Promise<void> {
  if (depth > MAX_DEPTH)
    throw new MecaError('bad_input', `${join(root, prefix)} is nested deeper than ${MAX_DEPTH} folders`)
  for (const entry of await readdir(join(root, prefix), { withFileTypes: true })) {
    const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`
    if (entry.isDirectory() && !SKIPPED.has(entry.name)) await walk(root, path, depth + 1, files)
    if (entry.isFile()) files.set(path, { bytes: (await stat(join(root, path))).size })
    if (files.size > MAX_FILES)
      throw new MecaError('too_large', `${root} has more than ${MAX_FILES} files`, {
        cure: 'give the folder of the task itself',
      })
  }
}
