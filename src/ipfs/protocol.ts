/**
 * `/meca/blocks/1`: a peer's blocks as one ordered stream. One request a stream, as lines of text: `nodes` and a root
 * for every inner node under it, or `blocks` and one CID a line. The answer is one frame a block, in that order, and
 * the end of the stream. The asker checks every frame against the CID that is due, so that a lying peer is found at its
 * first lie.
 * Blocks are public by nature (bitswap serves the same), so anybody may ask.
 */
import type { Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import { DAG_PB, decodeNode, parseCid } from './dag.ts'
import { readFrames, writeFrame } from './frames.ts'
import * as limits from './limits.ts'
import type { BlockRequest } from './store.ts'

export const BLOCKS_PROTOCOL = '/meca/blocks/1'

/** How long one answer may take: as many blocks as one request can name, at the slowest rate we wait for. */
const ANSWER_MS =
  limits.GRACE_MS + (limits.MAX_REQUEST_CIDS * limits.MAX_BLOCK_BYTES * 1000) / limits.MIN_BYTES_PER_SECOND

type Read = (cid: CID, signal: AbortSignal) => Promise<Uint8Array | undefined>

/** Answers requests until the returned function is called. */
export async function serveBlocks(libp2p: Libp2p, read: Read): Promise<() => Promise<void>> {
  const closing = new AbortController()
  let open = 0
  const answer = async (stream: Stream): Promise<void> => {
    if (open >= limits.MAX_STREAMS) return stream.abort(new Error('too many streams'))
    open++
    try {
      await answerOne(stream, read, AbortSignal.any([closing.signal, AbortSignal.timeout(ANSWER_MS)]))
    } catch (error) {
      // The asker sees the stream break off and turns to others; there is nobody else to tell.
      stream.abort(error instanceof Error ? error : new Error(String(error)))
    } finally {
      open--
    }
  }
  await libp2p.handle(BLOCKS_PROTOCOL, (stream) => void answer(stream), {
    maxInboundStreams: limits.MAX_STREAMS_PER_PEER,
  })
  return async () => {
    closing.abort()
    await libp2p.unhandle(BLOCKS_PROTOCOL)
  }
}

async function answerOne(stream: Stream, read: Read, signal: AbortSignal): Promise<void> {
  for await (const frame of readFrames(stream, limits.MAX_REQUEST_BYTES, signal)) {
    const request = parseRequest(frame ?? new Uint8Array())
    const answer = 'nodes' in request ? nodes(request.nodes, read, signal) : each(request.blocks, read, signal)
    for await (const block of answer) await writeFrame(stream, block, signal)
    break
  }
  await stream.close({ signal })
}

function parseRequest(frame: Uint8Array): BlockRequest {
  const [kind, ...lines] = Buffer.from(frame).toString().split('\n')
  const [first, ...more] = lines.map(parseCid)
  if (kind === 'nodes' && first !== undefined && more.length === 0) return { nodes: first }
  if (kind === 'blocks' && first !== undefined && more.length < limits.MAX_REQUEST_CIDS)
    return { blocks: [first, ...more] }
  throw new MecaError('protocol', `A block request is malformed, or names more than ${limits.MAX_REQUEST_CIDS} blocks`)
}

function encodeRequest(request: BlockRequest): Uint8Array {
  const lines = 'nodes' in request ? ['nodes', request.nodes] : ['blocks', ...request.blocks]
  return Buffer.from(lines.join('\n'))
}

async function* each(cids: readonly CID[], read: Read, signal: AbortSignal): AsyncGenerator<Uint8Array | undefined> {
  let next: Promise<Uint8Array | undefined> | undefined
  for (const [i, cid] of cids.entries()) {
    const block = await (next ?? read(cid, signal))
    const following = cids[i + 1]
    next = following === undefined ? undefined : read(following, signal)
    // Awaited in the next turn, or not at all when the asker has gone.
    next?.catch(() => {})
    yield block
  }
}

/** The inner nodes under a root, depth first, each once. The asker walks in exactly this order (`fetch.ts`). */
async function* nodes(root: CID, read: Read, signal: AbortSignal): AsyncGenerator<Uint8Array | undefined> {
  const seen = new Set([root.toString()])
  const todo = [root]
  for (let cid = todo.pop(); cid !== undefined && seen.size <= limits.MAX_BLOCKS; cid = todo.pop()) {
    const block = await read(cid, signal)
    yield block
    if (block === undefined) return
    const fresh = decodeNode(cid, block).links.filter((link) => {
      const isNew = !seen.has(link.cid.toString())
      seen.add(link.cid.toString())
      return isNew && link.cid.code === DAG_PB
    })
    todo.push(...fresh.map((link) => link.cid).reverse())
  }
}

/** The blocks that one peer has of those asked for, unverified. */
export async function* askBlocks(
  libp2p: Libp2p,
  provider: string,
  request: BlockRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array | undefined> {
  const stream = await libp2p.dialProtocol(target(provider), BLOCKS_PROTOCOL, { signal })
  try {
    await writeFrame(stream, encodeRequest(request), signal)
    yield* readFrames(stream, limits.MAX_BLOCK_BYTES, signal)
    await stream.close({ signal })
  } finally {
    if (stream.status === 'open') stream.abort(new Error('the reader went away'))
  }
}

/** A multiaddr or a peer id as libp2p's dialler takes it. */
export function target(provider: string): Parameters<Libp2p['dial']>[0] {
  return provider.startsWith('/') ? multiaddr(provider) : peerIdFromString(provider)
}
