/**
 * Big bytes (inputs, outputs) as files beside the database, named by the sha-256 of what they hold: the hash that
 * receipts carry. A blob is there whole or not at all, also after a power cut, and is safe to write again.
 *
 * What came of a transfer that was cut off is kept under the transfer's own name, also over a restart, and is as good as
 * new for whoever asks for it by that name: the hash at the end is over the whole.
 *
 * One blob may serve several jobs, so nobody removes one on a job's behalf: `sweep` asks for each whether it is needed.
 * Writing one costs three syncs; what is small enough to travel inline belongs into a row of the store instead.
 */
import { createHash } from 'node:crypto'
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import { hasCode, sizeOf, syncFolder, tempBeside } from './files.ts'
import type { Home } from './home.ts'
import { Intake } from './intake.ts'
import type { BlobSource } from './intake.ts'

const PART = /^part-[0-9a-f]{64}$/

export type WriteOptions = {
  signal: AbortSignal
  /** Counted while the bytes come in, so that a stranger cannot fill the disk first. */
  maxBytes: number
  /** Refuses (`not_verified`) anything that hashes to something else. */
  expect?: Hex
}

export type ReadOptions = {
  signal: AbortSignal
  offset?: number
  length?: number
  /** Hashes the whole file on the way; throws `store_damaged` after the last byte where it is not what was written. */
  verify?: boolean
}

export class Blobs {
  readonly #folder: string
  readonly #home: Pick<Home, 'requireSpace'>
  readonly #quotaBytes: number
  #usedBytes = 0
  /** Parts that somebody writes to. */
  readonly #parts = new Set<string>()

  private constructor(folder: string, home: Pick<Home, 'requireSpace'>, quotaBytes: number) {
    this.#folder = folder
    this.#home = home
    this.#quotaBytes = quotaBytes
  }

  /** Removes what a killed process left half written under no name, and counts what is there. */
  static async open(home: Home, quotaBytes: number): Promise<Blobs> {
    const blobs = new Blobs(home.paths.blobs, home, quotaBytes)
    await mkdir(blobs.#incoming, { mode: 0o700, recursive: true })
    for (const name of await readdir(blobs.#incoming)) {
      const path = join(blobs.#incoming, name)
      if (PART.test(name)) blobs.#usedBytes += (await stat(path)).size
      else await rm(path, { recursive: true, force: true })
    }
    for await (const { bytes } of blobs.all()) blobs.#usedBytes += bytes
    return blobs
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Resolves when the bytes are on disk, synced, under their name. */
  async write(source: BlobSource, options: WriteOptions): Promise<{ hash: Hex; bytes: number }> {
    const intake = this.begin(options.maxBytes)
    try {
      await intake.append(source, options.signal)
      return await intake.finish(options.expect)
    } catch (error) {
      await intake.drop()
      throw error
    }
  }

  /** For bytes whose transfer may break and go on; `maxBytes` is counted over all of it. */
  begin(maxBytes: number): Intake {
    return this.#intake(tempBeside(join(this.#incoming, 'blob')), maxBytes, false)
  }

  /**
   * The same for a transfer that `name` tells from all others: goes on with what an earlier one left, also one of a process
   * that was killed. One intake at a time has it; a second one gets a place of its own.
   */
  async resume(name: string, maxBytes: number, signal: AbortSignal): Promise<Intake> {
    const part = this.#part(name)
    if (this.#parts.has(part)) return this.begin(maxBytes)
    this.#parts.add(part)
    const intake = this.#intake(part, maxBytes, true)
    try {
      const kept = await sizeOf(part)
      if (kept !== undefined && kept <= maxBytes) await intake.takeUp(signal)
      else if (kept !== undefined) await this.#removePart(part, kept)
      return intake
    } catch (error) {
      await intake.leave()
      throw error
    }
  }

  /** How much of a transfer an earlier one left. */
  async left(name: string): Promise<number> {
    return (await sizeOf(this.#part(name))) ?? 0
  }

  #intake(temp: string, maxBytes: number, keeps: boolean): Intake {
    const room = {
      keeps,
      requireSpace: () => this.#home.requireSpace(0),
      reserve: (bytes: number) => this.#reserve(bytes),
      release: (bytes: number) => void (this.#usedBytes -= bytes),
      place: (from: string, hash: Hex) => this.#place(from, hash),
      ended: (from: string) => void this.#parts.delete(from),
    }
    return new Intake(room, temp, maxBytes)
  }

  /** Its size, or undefined where it is not here. */
  async size(hash: Hex): Promise<number | undefined> {
    return sizeOf(this.#path(hash))
  }

  /** Throws `not_found`. */
  async *read(hash: Hex, options: ReadOptions): AsyncGenerator<Uint8Array> {
    const { offset = 0, length = Infinity, verify = false, signal } = options
    const file = await this.#open(hash)
    const end = offset + length
    if (end <= offset) return void (await file.close())
    const range = verify ? {} : { start: offset, end: end - 1 }
    const sum = createHash('sha256')
    let position = verify ? 0 : offset
    for await (const chunk of file.createReadStream({
      ...range,
      highWaterMark: 256 * 1024,
      signal,
    }) as AsyncIterable<Buffer>) {
      if (verify) sum.update(chunk)
      const part = chunk.subarray(Math.max(0, offset - position), Math.max(0, end - position))
      position += chunk.length
      if (part.length > 0) yield part
    }
    if (verify && `0x${sum.digest('hex')}` !== hash) throw spoiled(this.#path(hash))
  }

  async remove(hash: Hex): Promise<void> {
    const bytes = await this.size(hash)
    if (bytes === undefined) return
    await rm(this.#path(hash), { force: true })
    this.#usedBytes -= bytes
  }

  async *all(): AsyncGenerator<{ hash: Hex; bytes: number; writtenAt: number }> {
    for (const shard of await readdir(this.#folder)) {
      if (!/^[0-9a-f]{2}$/.test(shard)) continue
      for (const name of await readdir(join(this.#folder, shard))) {
        const { size, mtimeMs } = await stat(join(this.#folder, shard, name))
        yield { hash: `0x${name}`, bytes: size, writtenAt: mtimeMs }
      }
    }
  }

  /** Removes what nobody needs; resolves to how many bytes that gave back. */
  async sweep(isNeeded: (hash: Hex, writtenAt: number) => boolean | Promise<boolean>): Promise<number> {
    const before = this.#usedBytes
    for await (const { hash, writtenAt } of this.all()) {
      if (!(await isNeeded(hash, writtenAt))) await this.remove(hash)
    }
    return before - this.#usedBytes
  }

  /** Removes parts that nobody took up since `before`; resolves to how many bytes that gave back. */
  async sweepParts(before: number): Promise<number> {
    const used = this.#usedBytes
    for (const name of await readdir(this.#incoming)) {
      const path = join(this.#incoming, name)
      if (!PART.test(name) || this.#parts.has(path)) continue
      const { size, mtimeMs } = await stat(path)
      if (mtimeMs < before) await this.#removePart(path, size)
    }
    return used - this.#usedBytes
  }

  async #removePart(path: string, bytes: number): Promise<void> {
    await rm(path, { force: true })
    this.#usedBytes -= bytes
  }

  /** A name may be as long as it likes, and hold whatever a stranger wrote. */
  #part(name: string): string {
    return join(this.#incoming, `part-${createHash('sha256').update(name).digest('hex')}`)
  }

  get #incoming(): string {
    return join(this.#folder, 'incoming')
  }

  /** The name comes from a hash that may be a stranger's text; nothing else may become a path. */
  #path(hash: Hex): string {
    if (!/^0x[0-9a-f]{64}$/.test(hash))
      throw new MecaError('bad_input', `${JSON.stringify(hash)} is not the hash of a blob`)
    return join(this.#folder, hash.slice(2, 4), hash.slice(2))
  }

  async #open(hash: Hex): Promise<FileHandle> {
    try {
      return await open(this.#path(hash), 'r')
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error
      throw new MecaError('not_found', `The bytes ${hash} are not here`, {
        cause: error,
        cure: 'they may have expired; run the job again',
      })
    }
  }

  #reserve(bytes: number): void {
    if (this.#usedBytes + bytes > this.#quotaBytes) {
      throw new MecaError(
        'disk_full',
        `Inputs and outputs may take ${this.#quotaBytes} bytes, ${this.#usedBytes} are taken and ${bytes} more came`,
        {
          cure: 'wait until older results expire, or raise limits.blobBytes',
          details: { quotaBytes: this.#quotaBytes, usedBytes: this.#usedBytes },
        },
      )
    }
    this.#usedBytes += bytes
  }

  /** Over an older copy too: that one may have rotted, this one was just hashed. */
  async #place(temp: string, hash: Hex): Promise<void> {
    const path = this.#path(hash)
    const replaced = (await this.size(hash)) ?? 0
    const made = await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    await rename(temp, path)
    failpoint('blob.named')
    await syncFolder(dirname(path))
    if (made !== undefined) await syncFolder(this.#folder)
    this.#usedBytes -= replaced
  }
}

function spoiled(path: string): MecaError {
  return new MecaError('store_damaged', `The file ${path} no longer holds the bytes that it is named after`, {
    cure: 'remove it and run the job again; check the disk',
    details: { path },
  })
}
