/**
 * Everything under a root: brings it here, or measures how much of it is here. A peer that is known to have it is
 * asked for the whole as one ordered stream (about twice as fast as asking block by block); what does not come that
 * way is fetched block by block from whoever has it.
 */
import type { CID } from 'multiformats/cid'
import { asMecaError, MecaError } from '../core/errors.ts'
import { Behind } from './behind.ts'
import { DAG_PB, decodeNode, lengthOf, matches, type Pieces } from './dag.ts'
import { MAX_DAG_BYTES, READ_AHEAD } from './limits.ts'
import type { Session } from './session.ts'
import type { BlockRequest, Blocks, FetchOptions, Fetched } from './store.ts'
import { Tally, type Job } from './tally.ts'

export async function fetchAll(blocks: Blocks, session: Session, root: CID, options: FetchOptions): Promise<Fetched> {
  const tally = new Tally(root, options.maxBytes ?? MAX_DAG_BYTES)
  const walk = new Walk(blocks, session, tally, options)
  const near = await walk.nearest(options.providers ?? [])
  if (near !== undefined) await walk.stream(near, root)
  await walk.collect(root)
  const { fetchedBytes } = session
  return {
    cid: root.toString(),
    bytes: tally.bytes,
    blocks: tally.seen.size,
    fetchedBytes,
    streamedBytes: walk.streamedBytes,
  }
}

class Walk {
  streamedBytes = 0
  /** Blocks that came by stream and were verified, with their sizes, so that they are not read again. */
  readonly #kept = new Map<string, number>()
  readonly #writes = new Behind()
  readonly #blocks: Blocks
  readonly #session: Session
  readonly #tally: Tally
  readonly #options: FetchOptions

  constructor(blocks: Blocks, session: Session, tally: Tally, options: FetchOptions) {
    this.#blocks = blocks
    this.#session = session
    this.#tally = tally
    this.#options = options
  }

  /** The first provider that answers; all are connected, because the others serve block by block. */
  async nearest(providers: readonly string[]): Promise<string | undefined> {
    const there = await Promise.all(providers.map((provider) => this.#blocks.connect(provider, this.#session.signal)))
    return providers.find((_, i) => there[i] === true)
  }

  /** Asks one peer for the whole. Its faults are no reason to fail: `collect` gets what is missing from others. */
  async stream(provider: string, root: CID): Promise<void> {
    const session = this.#session.branch()
    try {
      const leaves = await this.#streamNodes(session, provider, root)
      await this.#streamBlocks(session, provider, await this.#missing(leaves))
      await this.#writes.finish()
    } catch (error) {
      this.#session.signal.throwIfAborted()
      const { code } = asMecaError(error)
      if (code === 'too_large' || code === 'invalid_task') throw error
    } finally {
      session.close()
    }
  }

  /** Every node under the root, in the order in which the peer walks them too; returns the leaves. */
  async #streamNodes(session: Session, provider: string, root: CID): Promise<CID[]> {
    if (root.code !== DAG_PB) return [root]
    const probe = new Tally(root, this.#options.maxBytes ?? MAX_DAG_BYTES)
    const leaves: CID[] = []
    const todo: Job[] = [{ cid: root, depth: 0 }]
    probe.enter({ cid: root, depth: 0 })
    for await (const block of this.#ask(session, provider, root, { nodes: root })) {
      const job = todo.pop()
      if (job === undefined) break
      const node = decodeNode(job.cid, Buffer.concat(await this.#keep(session, job.cid, block)))
      probe.declare(node)
      const fresh = node.links.map(({ cid }) => ({ cid, depth: job.depth + 1 })).filter((next) => probe.enter(next))
      leaves.push(...fresh.map(({ cid }) => cid).filter((cid) => cid.code !== DAG_PB))
      todo.push(...fresh.filter(({ cid }) => cid.code === DAG_PB).reverse())
    }
    return leaves
  }

  async #streamBlocks(session: Session, provider: string, wanted: readonly CID[]): Promise<void> {
    let at = 0
    for await (const block of this.#ask(session, provider, wanted[0], { blocks: wanted })) {
      const cid = wanted[at++]
      if (cid === undefined) return
      if (block !== undefined) await this.#keep(session, cid, block)
    }
  }

  async *#ask(
    session: Session,
    provider: string,
    first: CID | undefined,
    request: BlockRequest,
  ): AsyncGenerator<Pieces | undefined> {
    const stream = this.#blocks.stream?.(provider, request, session.signal)
    if (first === undefined || stream === undefined) return
    const frames = stream[Symbol.asyncIterator]()
    try {
      for (;;) {
        const next = await session.wait(first, () => frames.next())
        if (next.done === true) return
        yield next.value
      }
    } finally {
      await frames.return?.()
    }
  }

  async #keep(session: Session, cid: CID, block: Pieces | undefined): Promise<Pieces> {
    const { signal } = this.#session
    if (block === undefined) throw new MecaError('not_found', `The peer does not have block ${cid}`)
    if (!matches(cid, block)) throw new MecaError('protocol', `The peer sent something else for block ${cid}`)
    const bytes = lengthOf(block)
    this.streamedBytes += bytes
    this.#tally.fits(this.streamedBytes)
    await this.#writes.begin(() => this.#blocks.write(cid, block, signal))
    this.#kept.set(cid.toString(), bytes)
    session.arrived(bytes)
    this.#session.arrived(bytes)
    this.#report()
    return block
  }

  async #missing(leaves: readonly CID[]): Promise<CID[]> {
    const sizes = await Promise.all(leaves.map((cid) => this.#blocks.size(cid, this.#session.signal)))
    return leaves.filter((_, i) => sizes[i] === undefined)
  }

  /** The walk that counts: every block is read, from here or from the network, READ_AHEAD at a time. */
  async collect(root: CID): Promise<void> {
    const todo: Job[] = [{ cid: root, depth: 0 }]
    this.#tally.enter({ cid: root, depth: 0 })
    while (todo.length > 0) {
      const found = await Promise.all(todo.splice(-READ_AHEAD).map((job) => this.#visit(job)))
      for (const job of found.flat()) if (this.#tally.enter(job)) todo.push(job)
    }
  }

  async #visit({ cid, depth }: Job): Promise<Job[]> {
    const kept = cid.code === DAG_PB ? undefined : this.#kept.get(cid.toString())
    if (kept !== undefined) {
      this.#tally.add(kept)
      return []
    }
    const local = await this.#blocks.read(cid, this.#session.signal)
    const block = local ?? (await this.#session.fetch(cid))
    this.#tally.add(block.length)
    if (local !== undefined) this.#tally.localBytes += block.length
    this.#report()
    const node = decodeNode(cid, block)
    this.#tally.declare(node)
    return node.links.map((link) => ({ cid: link.cid, depth: depth + 1 }))
  }

  #report(): void {
    const { bytes, localBytes } = this.#tally
    const { fetchedBytes } = this.#session
    this.#options.onProgress?.({ fetchedBytes, localBytes, totalBytes: Math.max(bytes, fetchedBytes) })
  }
}

/** Every block under the root, with its size where it is here. */
export async function* localBlocks(
  blocks: Blocks,
  root: CID,
  signal: AbortSignal,
): AsyncGenerator<{ cid: CID; bytes: number | undefined }> {
  const tally = new Tally(root, Infinity)
  const todo: Job[] = [{ cid: root, depth: 0 }]
  for (let job = todo.pop(); job !== undefined; job = todo.pop()) {
    if (!tally.enter(job)) continue
    const node = job.cid.code === DAG_PB ? await blocks.read(job.cid, signal) : undefined
    yield { cid: job.cid, bytes: node?.length ?? (await blocks.size(job.cid, signal)) }
    if (node === undefined) continue
    for (const { cid } of decodeNode(job.cid, node).links) todo.push({ cid, depth: job.depth + 1 })
  }
}
