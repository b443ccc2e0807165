/**
 * IPFS in a Kubo daemon that the user runs already, by its RPC. Blocks are made here and given to the daemon one by
 * one, so that only new ones travel and the CID cannot depend on the daemon's settings. What it hands out is checked
 * like any stranger's: it may be somebody else's daemon behind a URL.
 */
import type { KuboRPCClient } from 'kubo-rpc-client'
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import { DAG_PB, matches, parseCid, type Pieces } from './dag.ts'
import { makeIpfs } from './ipfs.ts'
import type { Patience } from './session.ts'
import type { Blocks, Ipfs } from './store.ts'

/** How long the daemon may take for what needs no network. */
const LOCAL_MS = 30_000

/** Tells our pins from the owner's own, which are none of our business. */
const PIN_NAME = 'meca-node'

type KuboOptions = { url: string; signal: AbortSignal; patience?: Patience }

/** Throws `ipfs_unreachable` where no daemon answers at the URL. */
export async function openKubo({ url, signal, patience }: KuboOptions): Promise<Ipfs> {
  const { create } = await import('kubo-rpc-client')
  const blocks = new KuboBlocks(create({ url }), url)
  await blocks.probe(signal)
  return makeIpfs(blocks, patience)
}

class KuboBlocks implements Blocks {
  readonly kind = 'kubo'
  readonly #client: KuboRPCClient
  readonly #url: string

  constructor(client: KuboRPCClient, url: string) {
    this.#client = client
    this.#url = url
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#ask(signal, (options) => this.#client.version(options))
  }

  async size(cid: CID, signal: AbortSignal): Promise<number | undefined> {
    return await this.#here(signal, async (options) => (await this.#client.block.stat(cid, options)).size)
  }

  async read(cid: CID, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const block = await this.#here(signal, (options) => this.#client.block.get(cid, options))
    return block !== undefined && matches(cid, [block]) ? block : undefined
  }

  async fetch(cid: CID, signal: AbortSignal): Promise<Uint8Array> {
    return await this.#client.block.get(cid, { signal })
  }

  async write(cid: CID, pieces: Pieces, signal: AbortSignal): Promise<void> {
    const block = Buffer.concat(pieces)
    const as = { cidCodec: cid.code === DAG_PB ? 'dag-pb' : 'raw', mhtype: 'sha2-256', pin: false }
    const stored = await this.#ask(signal, (options) => this.#client.block.put(block, { ...options, ...as }))
    if (!stored.equals(cid)) throw new MecaError('internal', `Kubo stored block ${cid} as ${stored}`)
  }

  async connect(provider: string, signal: AbortSignal): Promise<boolean> {
    const { multiaddr } = await import('@multiformats/multiaddr')
    try {
      const address = multiaddr(provider.startsWith('/') ? provider : `/p2p/${provider}`)
      await this.#client.swarm.connect(address, { signal })
      return true
    } catch {
      // A provider is a hint; others may have the content, and if none has, the fetch says so.
      return false
    }
  }

  async pin(cid: CID, signal: AbortSignal): Promise<void> {
    await this.#ask(signal, (options) => this.#client.pin.add(cid, { ...options, name: PIN_NAME }))
  }

  async unpin(cid: CID, signal: AbortSignal): Promise<void> {
    const pinned = await this.pins(signal)
    if (pinned.some((pin) => pin.equals(cid))) await this.#ask(signal, (options) => this.#client.pin.rm(cid, options))
  }

  async pins(signal: AbortSignal): Promise<CID[]> {
    const roots: CID[] = []
    for await (const { cid } of this.#client.pin.ls({ type: 'recursive', name: PIN_NAME, signal })) {
      roots.push(parseCid(cid.toString()))
    }
    return roots
  }

  /** The daemon's own collection, which keeps all of its pins, ours and others'. */
  async sweep(_keep: unknown, signal: AbortSignal): Promise<number> {
    const before = await this.#client.repo.stat({ signal })
    for await (const { err } of this.#client.repo.gc({ signal })) if (err !== undefined && err !== null) throw err
    const after = await this.#client.repo.stat({ signal })
    return Math.max(0, Number(before.repoSize - after.repoSize))
  }

  async provide(cid: CID, signal: AbortSignal): Promise<boolean> {
    const events = this.#client.routing.provide(cid, { signal })[Symbol.asyncIterator]()
    while ((await events.next()).done !== true) continue
    return true
  }

  /** The daemon is its owner's; there is nothing of ours to close. */
  async close(): Promise<void> {}

  /** Undefined where the daemon says that it does not have the block. */
  async #here<T>(signal: AbortSignal, act: (options: Offline) => Promise<T>): Promise<T | undefined> {
    return await this.#ask(signal, async (options) => {
      try {
        return await act({ ...options, offline: true })
      } catch (error) {
        if (error instanceof Error && /not found|could not find/i.test(error.message)) return undefined
        throw error
      }
    })
  }

  async #ask<T>(signal: AbortSignal, act: (options: { signal: AbortSignal }) => Promise<T>): Promise<T> {
    try {
      return await act({ signal: AbortSignal.any([signal, AbortSignal.timeout(LOCAL_MS)]) })
    } catch (cause) {
      signal.throwIfAborted()
      if (cause instanceof MecaError) throw cause
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new MecaError('ipfs_unreachable', `The Kubo daemon at ${this.#url} did not do what was asked: ${why}`, {
        cause,
        cure: 'Start it with `ipfs daemon`, or leave the setting out to use the embedded one.',
      })
    }
  }
}

type Offline = { signal: AbortSignal; offline: true }
