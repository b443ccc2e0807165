/**
 * The IPFS promise over any `Blocks`: what is the same for Helia and Kubo is written here, once.
 */
import { MecaError } from '../core/errors.ts'
import { importFolder } from './add.ts'
import { parseCid } from './dag.ts'
import { fetchAll, localBlocks } from './fetch.ts'
import { PATIENCE, Session, type Patience } from './session.ts'
import type {
  Added,
  AddOptions,
  Blocks,
  CatOptions,
  Entry,
  Fetched,
  FetchOptions,
  FileEntry,
  Ipfs,
  Stat,
} from './store.ts'
import { content, find, list, stat } from './tree.ts'

export function makeIpfs(blocks: Blocks, patience: Patience = PATIENCE): Ipfs {
  return new BlockIpfs(blocks, patience)
}

class BlockIpfs implements Ipfs {
  readonly kind: Ipfs['kind']
  readonly #blocks: Blocks
  readonly #patience: Patience
  /** Adds and fetches under way, whose blocks no pin keeps yet. */
  #unpinned = 0

  constructor(blocks: Blocks, patience: Patience) {
    this.kind = blocks.kind
    this.#blocks = blocks
    this.#patience = patience
  }

  async addFolder(entries: AsyncIterable<FileEntry> | Iterable<FileEntry>, options: AddOptions): Promise<Added> {
    return await this.#holding(async () => {
      const { root, bytes, newBytes } = await importFolder(this.#blocks, entries, options)
      await this.pin(root.toString(), options.signal)
      return { cid: root.toString(), bytes, newBytes }
    })
  }

  async list(path: string, signal: AbortSignal): Promise<Entry[]> {
    return await this.#session(signal, (session) => list(session, path))
  }

  async stat(path: string, signal: AbortSignal): Promise<Stat> {
    return await this.#session(signal, (session) => stat(session, path))
  }

  async *cat(path: string, options: CatOptions): AsyncGenerator<Uint8Array> {
    const session = new Session(this.#blocks, options.signal, this.#patience)
    let done = 0
    try {
      const file = await find(session, path)
      const { start, end } = range(path, file.node.kind === 'file' ? file.node.bytes : 0, options)
      for await (const bytes of content(session, file, start, end)) {
        options.onProgress?.((done += bytes.length))
        yield bytes
      }
    } catch (error) {
      throw session.reasonOf(error)
    } finally {
      session.close()
    }
  }

  async read(path: string, options: { signal: AbortSignal; maxBytes: number }): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    for await (const chunk of this.cat(path, options)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  async fetch(path: string, options: FetchOptions): Promise<Fetched> {
    return await this.#holding(() =>
      this.#session(options.signal, async (session) => {
        const root = path.includes('/') ? (await find(session, path)).cid : parseCid(path)
        return await fetchAll(this.#blocks, session, root, options)
      }),
    )
  }

  async has(cid: string, signal: AbortSignal): Promise<boolean> {
    for await (const { bytes } of localBlocks(this.#blocks, parseCid(cid), signal))
      if (bytes === undefined) return false
    return true
  }

  async localBytes(cid: string, signal: AbortSignal): Promise<number> {
    let sum = 0
    for await (const { bytes } of localBlocks(this.#blocks, parseCid(cid), signal)) sum += bytes ?? 0
    return sum
  }

  async pin(cid: string, signal: AbortSignal): Promise<void> {
    if (await this.has(cid, signal)) return await this.#blocks.pin(parseCid(cid), signal)
    throw new MecaError('not_found', `${cid} is not wholly here, so it cannot be pinned`, { cure: 'Fetch it first.' })
  }

  async unpin(cid: string, signal: AbortSignal): Promise<void> {
    await this.#blocks.unpin(parseCid(cid), signal)
  }

  async pins(signal: AbortSignal): Promise<string[]> {
    return (await this.#blocks.pins(signal)).map(String).sort()
  }

  async collectGarbage(signal: AbortSignal): Promise<number> {
    if (this.#unpinned > 0) {
      throw new MecaError('busy', `${this.#unpinned} adds or fetches are under way; what they bring is not pinned yet`)
    }
    const blocks = this.#blocks
    return await blocks.sweep(async function* (root) {
      for await (const { cid } of localBlocks(blocks, root, signal)) yield cid
    }, signal)
  }

  async provide(cid: string, signal: AbortSignal): Promise<boolean> {
    return await this.#blocks.provide(parseCid(cid), signal)
  }

  async close(): Promise<void> {
    await this.#blocks.close()
  }

  async #holding<T>(act: () => Promise<T>): Promise<T> {
    this.#unpinned++
    try {
      return await act()
    } finally {
      this.#unpinned--
    }
  }

  async #session<T>(signal: AbortSignal, act: (session: Session) => Promise<T>): Promise<T> {
    const session = new Session(this.#blocks, signal, this.#patience)
    try {
      return await act(session)
    } catch (error) {
      throw session.reasonOf(error)
    } finally {
      session.close()
    }
  }
}

function range(path: string, size: number, options: CatOptions): { start: number; end: number } {
  const start = Math.min(options.offset ?? 0, size)
  const end = Math.min(start + (options.length ?? size), size)
  if (end - start <= options.maxBytes) return { start, end }
  throw new MecaError('too_large', `${path} has ${end - start} bytes, ${options.maxBytes} are allowed here`)
}
