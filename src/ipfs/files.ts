/**
 * Blocks as files, in the layout of `blockstore-fs`, which Helia reads and writes too. Our own way in and out is a
 * whole file at a time, and pieces as they came from the network; a block appears under its name only when it is whole.
 * Nothing is synced: a block that a power cut damaged no longer matches its name and is fetched again.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FsBlockstore } from 'blockstore-fs'
import type { NextToLast } from 'blockstore-fs/sharding'
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import { lengthOf, type Pieces } from './dag.ts'

/** The ending of a block that is still being written; what a crash leaves of them the next collection removes. */
const UNFINISHED = '.tmp'

export class BlockFiles {
  readonly blockstore: FsBlockstore
  readonly #layout: NextToLast
  #writes = 0

  static async open(folder: string): Promise<BlockFiles> {
    const [{ FsBlockstore }, { NextToLast }] = await Promise.all([
      import('blockstore-fs'),
      import('blockstore-fs/sharding'),
    ])
    const blockstore = new FsBlockstore(folder)
    const layout = new NextToLast()
    // Its own reader leaves the file open where the signal fires while it is being opened.
    blockstore.get = (cid, options) => wholeFile(pathIn(folder, layout, cid), options?.signal)
    await blockstore.open()
    return new BlockFiles(blockstore, layout)
  }

  private constructor(blockstore: FsBlockstore, layout: NextToLast) {
    this.blockstore = blockstore
    this.#layout = layout
  }

  path(cid: CID): string {
    return pathIn(this.blockstore.path, this.#layout, cid)
  }

  async size(cid: CID): Promise<number | undefined> {
    return await absent(stat(this.path(cid)).then(({ size }) => size))
  }

  /** The file as it is, unverified. */
  async load(cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return await absent(readFile(this.path(cid), { signal }))
  }

  async write(cid: CID, block: Pieces): Promise<void> {
    const path = this.path(cid)
    const unfinished = `${path}.${++this.#writes}${UNFINISHED}`
    await mkdir(dirname(path), { recursive: true })
    try {
      await writePieces(unfinished, block)
      await rename(unfinished, path)
    } catch (error) {
      await rm(unfinished, { force: true })
      throw error
    }
  }

  async remove(cid: CID): Promise<void> {
    await rm(this.path(cid), { force: true })
  }

  /** Resolves to the bytes freed. */
  async removeAllBut(kept: ReadonlySet<string>, signal: AbortSignal): Promise<number> {
    let freed = 0
    for (const name of await readdir(this.blockstore.path, { recursive: true })) {
      signal.throwIfAborted()
      const path = join(this.blockstore.path, name)
      const isBlock = name.endsWith(this.#layout.extension) || name.endsWith(UNFINISHED)
      if (!isBlock || kept.has(path)) continue
      freed += (await absent(stat(path)))?.size ?? 0
      await rm(path, { force: true })
    }
    return freed
  }
}

function pathIn(folder: string, layout: NextToLast, cid: CID): string {
  const { dir, file } = layout.encode(cid)
  return join(folder, dir, file)
}

/** Helia tells an absent block by the name of the error. */
async function* wholeFile(path: string, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  const block = await absent(readFile(path, signal === undefined ? {} : { signal }))
  if (block !== undefined) yield block
  else throw Object.assign(new Error(`There is no block at ${path}`), { name: 'NotFoundError' })
}

async function writePieces(path: string, pieces: Pieces): Promise<void> {
  const file = await open(path, 'w')
  try {
    const { bytesWritten } = await file.writev([...pieces])
    const bytes = lengthOf(pieces)
    if (bytesWritten !== bytes)
      throw new MecaError('internal', `Only ${bytesWritten} of ${bytes} bytes of ${path} were written`)
  } finally {
    await file.close()
  }
}

/** Undefined where there is no such file; every other fault stays one. */
async function absent<T>(act: Promise<T>): Promise<T | undefined> {
  try {
    return await act
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
