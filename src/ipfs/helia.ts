/**
 * IPFS inside this process: Helia's bitswap on the marketplace's own libp2p node, blocks as files under the home
 * folder. Helia is loaded only when this is opened, because its import costs half a second and 50 MiB.
 *
 * Pins are empty files of our own, named by CID: Helia's pins write a record for every block and lose count when two
 * pins share one.
 */
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Libp2p } from '@libp2p/interface'
import type { Helia, Router } from 'helia'
import type { CID } from 'multiformats/cid'
import { DAG_PB, matches, parseCid, type Pieces } from './dag.ts'
import { BlockFiles } from './files.ts'
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
  const [{ createHeliaLight }, { withBitswap }] = await Promise.all([import('helia'), import('@helia/bitswap')])
  const pinFolder = join(home, 'pins')
  await mkdir(pinFolder, { recursive: true })
  const files = await BlockFiles.open(join(home, 'blocks'))
  const light = createHeliaLight({ blockstore: files.blockstore, routers: [routerOver(libp2p)] })
  const helia = await withBitswap(Object.assign(light, { libp2p })).start()
  const blocks = new HeliaBlocks({ helia, libp2p, files, pinFolder, streams })
  if (streams) await blocks.serve()
  return makeIpfs(blocks, patience)
}

type Parts = {
  helia: Helia
  libp2p: Libp2p
  files: BlockFiles
  pinFolder: string
  streams: boolean
}

class HeliaBlocks implements Blocks {
  readonly kind = 'helia'
  readonly #parts: Parts
  #stopServing: (() => Promise<void>) | undefined

  constructor(parts: Parts) {
    this.#parts = parts
  }

  async serve(): Promise<void> {
    // Unverified on this side: the asker checks every block anyway.
    this.#stopServing = await serveBlocks(this.#parts.libp2p, (cid, signal) => this.#parts.files.load(cid, signal))
  }

  async size(cid: CID): Promise<number | undefined> {
    return await this.#parts.files.size(cid)
  }

  async read(cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const block = await this.#parts.files.load(cid, signal)
    if (block === undefined || matches(cid, [block])) return block
    // Damaged, by a power cut or a bad disk. The network has it whole.
    await this.#parts.files.remove(cid)
    return undefined
  }

  async fetch(cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    const chunks: Uint8Array[] = []
    for await (const chunk of this.#parts.helia.blockstore.get(cid, { signal })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  async write(cid: CID, block: Pieces): Promise<void> {
    await this.#parts.files.write(cid, block)
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
    const { files } = this.#parts
    const kept = new Set<string>()
    for (const root of await this.pins()) for await (const cid of keep(root)) kept.add(files.path(cid))
    return await files.removeAllBut(kept, signal)
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
