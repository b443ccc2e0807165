/**
 * Turns files into blocks. The shape is fixed here, not configurable, because a task is named by the CID that comes
 * out: the published profile `unixfs-v1-2025` (CIDv1, raw leaves, 1 MiB chunks, balanced, 1,024 children a node), for
 * which `ipfs add` of a Kubo with the same profile gives the same CID.
 */
import { createReadStream } from 'node:fs'
import type { UnixFS } from '@helia/unixfs'
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import type { AddOptions, Blocks, FileEntry } from './store.ts'

/** Blocks hashed and written at once; times 1 MiB is the memory of an add. */
const WRITES = 8

/** Files in one folder tree: beyond it a folder would be sharded, which no reader of ours accepts. */
const MAX_FILES = 4096

type Imported = { root: CID; bytes: number; newBytes: number }

export async function importFolder(
  blocks: Blocks,
  entries: AsyncIterable<FileEntry> | Iterable<FileEntry>,
  options: AddOptions,
): Promise<Imported> {
  const { unixfs } = await import('@helia/unixfs')
  const sink = new Sink(blocks, options.signal)
  const intake = new Intake(options)
  const fs = unixfs({ blockstore: sink })
  let root: CID | undefined
  for await (const { cid } of fs.addAll(intake.files(entries), {
    profile: 'unixfs-v1-2025',
    wrapWithDirectory: true,
    fileImportConcurrency: 1,
    blockWriteConcurrency: WRITES,
  })) {
    root = cid
  }
  if (root === undefined) throw new MecaError('bad_input', 'A folder without files cannot be added')
  return { root, bytes: intake.bytes, newBytes: sink.newBytes }
}

/** The importer's blockstore: writes only what is not here and counts it. */
class Sink {
  newBytes = 0
  readonly #blocks: Blocks
  readonly #signal: AbortSignal
  /** Writes under way: a file of zeros is the same block over and over, and is written and counted once. */
  readonly #under = new Map<string, Promise<CID>>()

  constructor(blocks: Blocks, signal: AbortSignal) {
    this.#blocks = blocks
    this.#signal = signal
  }

  async put(cid: CID, block: Uint8Array): Promise<CID> {
    const key = cid.toString()
    const write = this.#under.get(key) ?? this.#write(cid, block).finally(() => this.#under.delete(key))
    this.#under.set(key, write)
    return await write
  }

  async #write(cid: CID, block: Uint8Array): Promise<CID> {
    this.#signal.throwIfAborted()
    if ((await this.#blocks.read(cid, this.#signal)) !== undefined) return cid
    await this.#blocks.write(cid, [block], this.#signal)
    this.newBytes += block.length
    return cid
  }

  async *get(cid: CID): AsyncGenerator<Uint8Array> {
    const block = await this.#blocks.read(cid, this.#signal)
    if (block === undefined) throw new MecaError('internal', `Block ${cid} of a folder being added is missing`)
    yield block
  }

  async has(cid: CID): Promise<boolean> {
    return (await this.#blocks.size(cid, this.#signal)) !== undefined
  }
}

type Candidate = Parameters<UnixFS['addAll']>[0] extends AsyncIterable<infer T> | Iterable<infer T> ? T : never

/** Checks names, opens files when their turn comes, counts bytes. */
class Intake {
  bytes = 0
  readonly #options: AddOptions
  readonly #seen = new Set<string>()

  constructor(options: AddOptions) {
    this.#options = options
  }

  async *files(entries: AsyncIterable<FileEntry> | Iterable<FileEntry>): AsyncGenerator<Candidate> {
    for await (const { path, content } of entries) {
      this.#options.signal.throwIfAborted()
      this.#requirePath(path)
      yield { path, content: this.#count(content) }
    }
  }

  #requirePath(path: string): void {
    const names = path.split('/')
    const bad = names.some((name) => name === '' || name === '.' || name === '..' || name.includes('\0'))
    if (bad) throw new MecaError('bad_input', `${JSON.stringify(path)} is not a relative path`)
    if (this.#seen.has(path)) throw new MecaError('bad_input', `${JSON.stringify(path)} is there twice`)
    this.#seen.add(path)
    if (this.#seen.size > MAX_FILES) throw new MecaError('too_large', `A folder may have ${MAX_FILES} files`)
  }

  async *#count(content: FileEntry['content']): AsyncGenerator<Uint8Array> {
    for await (const chunk of open(content)) {
      this.#options.signal.throwIfAborted()
      this.bytes += chunk.length
      this.#options.onProgress?.(this.bytes)
      yield chunk
    }
  }
}

function open(content: FileEntry['content']): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  if (content instanceof Uint8Array) return [content]
  return 'file' in content ? createReadStream(content.file, { highWaterMark: 2 ** 20 }) : content
}
