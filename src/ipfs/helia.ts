/**
 * IPFS inside this process: Helia's bitswap on the marketplace's own libp2p node, blocks as files under the home
 * folder. Helia is loaded only when this is opened, because its import costs half a second and 50 MiB.
 *
 * Pins are empty files of our own, named by CID: Helia's pins write a record for every block and lose count when two
 * pins share one.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Libp2p } from '@libp2p/interface'
import type { FsBlockstore } from 'blockstore-fs'
import type { NextToLast } from 'blockstore-fs/sharding'
import type { Helia, Router } from 'helia'
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import { DAG_PB, lengthOf, matches, parseCid, type Pieces } from './dag.ts'
import { makeIpfs } from './ipfs.ts'
import { askBlocks, serveBlocks, target } from './protocol.ts'
import type { Patience } from './session.ts'
import type { BlockRequest, Blocks, Ipfs } from './store.ts'

/**
 * `home` gets two folders, `blocks` and `pins`. The libp2p node stays its owner's: `close` does not stop it.
 * `streams` false leaves out `/meca/blocks/1`, as peers that are not ours do.
 */
export type HeliaOptions = { libp2p: Libp2p; home: string; patience?: Patience; streams?: boolean }

export async function openHelia({ libp2p, home, patience, streams = true }: HeliaOptions): Promise<Ipfs> {
  const [{ createHeliaLight }, { withBitswap }, { FsBlockstore }, { NextToLast }] = await Promise.all([
    import('helia'),
    import('@helia/bitswap'),
    import('blockstore-fs'),
    import('blockstore-fs/sharding'),
  ])
  const pinFolder = join(home, 'pins')
  await mkdir(pinFolder, { recursive: true })
  const files = new FsBlockstore(join(home, 'blocks'))
  await files.open()
  const light = createHeliaLight({ blockstore: files, routers: [routerOver(libp2p)] })
  const helia = await withBitswap(Object.assign(light, { libp2p })).start()
  const blocks = new HeliaBlocks({ helia, libp2p, files, layout: new NextToLast(), pinFolder, streams })
  if (streams) await blocks.serve()
  return makeIpfs(blocks, patience)
}

/** The ending of a block that is still being written; after a crash the next collection removes it. */
const UNFINISHED = '.tmp'

type Parts = {
  helia: Helia
  libp2p: Libp2p
  files: FsBlockstore
  layout: NextToLast
  pinFolder: string
  streams: boolean
}

class HeliaBlocks implements Blocks {
  readonly kind = 'helia'
  readonly #parts: Parts
  #writes = 0
  #stopServing: (() => Promise<void>) | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async serve(): Promise<void> {
    // Unverified on this side: the asker checks every block anyway.
    this.#stopServing = await serveBlocks(this.#parts.libp2p, (cid, signal) => this.#load(cid, signal))
  }

  async size(cid: CID): Promise<number | undefined> {
    return await absent(stat(this.#file(cid)).then(({ size }) => size))
  }

  async read(cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const block = await this.#load(cid, signal)
    if (block === undefined || matches(cid, [block])) return block
    // Damaged, by a power cut or a bad disk. The network has it whole.
    await rm(this.#file(cid), { force: true })
    return undefined
  }

  async fetch(cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    for await (const chunk of this.#parts.helia.blockstore.get(cid, { signal })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** Past Helia, whose own way through its layers and the library costs three times as many file operations. */
  async write(cid: CID, block: Pieces): Promise<void> {
    const file = this.#file(cid)
    const temporary = `${file}.${++this.#writes}${UNFINISHED}`
    await mkdir(dirname(file), { recursive: true })
    await writePieces(temporary, block)
    await rename(temporary, file)
  }

  stream(provider: string, request: BlockRequest, signal: AbortSignal): AsyncIterable<Pieces | undefined> | undefined {
    if (!this.#parts.streams) return undefined
    return askBlocks(this.#parts.libp2p, provider, request, signal)
  }

  async connect(provider: string, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#parts.libp2p.dial(target(provider), { signal })
      return true
    } catch {
      // A provider is a hint; others may have the content, and if none has, the fetch says so.
      return false
    }
  }

  async pin(cid: CID): Promise<void> {
    await writeFile(join(this.#parts.pinFolder, cid.toString()), '')
  }

  async unpin(cid: CID): Promise<void> {
    await rm(join(this.#parts.pinFolder, cid.toString()), { force: true })
  }

  async pins(): Promise<CID[]> {
    return (await readdir(this.#parts.pinFolder)).map(parseCid)
  }

  async sweep(keep: (root: CID) => AsyncIterable<CID>, signal: AbortSignal): Promise<number> {
    const kept = new Set<string>()
    for (const root of await this.pins()) for await (const cid of keep(root)) kept.add(this.#file(cid))
    let freed = 0
    for (const file of await this.#all()) {
      signal.throwIfAborted()
      if (kept.has(file)) continue
      freed += (await absent(stat(file)))?.size ?? 0
      await rm(file, { force: true })
    }
    return freed
  }

  async provide(cid: CID, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#parts.libp2p.contentRouting.provide(cid, { signal })
      return true
    } catch (error) {
      if (error instanceof Error && error.name === 'NoContentRoutersError') return false
      throw error
    }
  }

  async close(): Promise<void> {
    await this.#stopServing?.()
    await this.#parts.helia.stop()
  }

  async #all(): Promise<string[]> {
    const names = await readdir(this.#parts.files.path, { recursive: true })
    const ours = [this.#parts.layout.extension, UNFINISHED]
    return names
      .filter((name) => ours.some((ending) => name.endsWith(ending)))
      .map((name) => join(this.#parts.files.path, name))
  }

  async #load(cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return await absent(readFile(this.#file(cid), { signal }))
  }

  /** The same path as the blockstore's, because reading a file at once is three times as fast as its 64 KiB pieces. */
  #file(cid: CID): string {
    const { dir, file } = this.#parts.layout.encode(cid)
    return join(this.#parts.files.path, dir, file)
  }
}

async function writePieces(path: string, pieces: Pieces): Promise<void> {
  const file = await open(path, 'w')
  try {
    const { bytesWritten } = await file.writev([...pieces])
    if (bytesWritten !== lengthOf(pieces))
      throw new MecaError('internal', `Only ${bytesWritten} bytes of ${path} were written`)
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

/** Looks for providers of inner nodes only: what is announced is a root, and asking for every leaf would be thousands
 * of queries that find nobody. */
function routerOver(libp2p: Libp2p): Router {
  return {
    name: 'libp2p',
    async *findProviders(cid, options) {
      if (cid.code !== DAG_PB) return
      for await (const { id, multiaddrs } of libp2p.contentRouting.findProviders(cid, options)) {
        yield { id: id.toCID(), multiaddrs, router: 'libp2p', fallback: false }
      }
    },
  }
}
