/**
 * Files that are there whole or not at all, also after a power cut: written beside, synced, renamed, and the folder
 * synced too (a rename is durable only then).
 */
import { randomBytes } from 'node:crypto'
import { link, open, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { MecaError } from '../core/errors.ts'
import { failpoint } from '../failpoint.ts'

/** Marks what a killed process may leave behind; whoever owns the folder removes it at the next start. */
export const TEMP_PREFIX = '.tmp-'

export function tempBeside(path: string): string {
  return join(dirname(path), `${TEMP_PREFIX}${basename(path)}-${randomBytes(6).toString('hex')}`)
}

export async function writeDurably(path: string, data: string | Uint8Array): Promise<void> {
  await viaTemp(path, data, (temp) => rename(temp, path))
}

/** Like `writeDurably`, but never over an existing file: resolves to false when there is one. */
export async function createDurably(path: string, data: string | Uint8Array): Promise<boolean> {
  return viaTemp(path, data, async (temp) => {
    try {
      await link(temp, path)
      return true
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false
      throw error
    } finally {
      await rm(temp)
    }
  })
}

async function viaTemp<T>(path: string, data: string | Uint8Array, place: (temp: string) => Promise<T>): Promise<T> {
  const temp = tempBeside(path)
  try {
    const file = await open(temp, 'wx', 0o600)
    try {
      await file.writeFile(data)
      await file.sync()
    } finally {
      await file.close()
    }
    failpoint('file.before-rename')
    const placed = await place(temp)
    failpoint('file.placed')
    await syncFolder(dirname(path))
    return placed
  } catch (error) {
    await rm(temp, { force: true })
    throw error
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A small text file, or undefined when there is none. The ceiling keeps a wrong path from filling the memory. */
export async function readIfThere(path: string, maxBytes = 1 << 20): Promise<string | undefined> {
  try {
    const { size } = await stat(path)
    if (size > maxBytes)
      throw new MecaError('too_large', `${path} has ${size} bytes, at most ${maxBytes} were expected`)
    return await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** Whether a system error (or what caused it) has this code, like ENOENT or LEVEL_LOCKED. */
export function hasCode(error: unknown, code: string): boolean {
  if (!(error instanceof Error)) return false
  return ('code' in error && error.code === code) || hasCode(error.cause, code)
}

/** In bytes; undefined where nothing is there. */
export async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}
