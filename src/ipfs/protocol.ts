/**
 * `/meca/blocks/1`: a peer's blocks as one ordered stream. A request is a frame of lines: `nodes` and a root for every
 * inner node under it, or `blocks` and one CID a line. Requests may be sent ahead; each is answered in turn with one
 * frame a block, and the stream ends when the asker has closed its side and all is answered. The asker checks every frame against the CID that is due, so that a lying peer is found at its
 * first lie.
 * Blocks are public by nature (bitswap serves the same), so anybody may ask.
 */
import { setMaxListeners } from 'node:events'
import type { Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import type { CID } from 'multiformats/cid'
import { asMecaError, MecaError } from '../core/errors.ts'
import { DAG_PB, decodeNode, parseCid } from './dag.ts'
import { readFrames, writeFrame, type Frame } from './frames.ts'
import * as limits from './limits.ts'
import type { BlockRequest } from './store.ts'

export const BLOCKS_PROTOCOL = '/meca/blocks/1'

type Read = (cid: CID, signal: AbortSignal) => Promise<Uint8Array | undefined>

/** Answers requests until the returned function is called. */
export async function serveBlocks(libp2p: Libp2p, read: Read): Promise<() => Promise<void>> {
  const closing = new AbortController()
  // One listener for each open stream, and those are counted below.
  setMaxListeners(0, closing.signal)
  let open = 0
  const answer = async (stream: Stream): Promise<void> => {
    if (open >= limits.MAX_STREAMS) return stream.abort(new Error('too many streams'))
    open++
    try {
      await answerAll(stream, read, closing.signal)
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

async function answerAll(stream: Stream, read: Read, closing: AbortSignal): Promise<void> {
  const sizes = { frameBytes: limits.MAX_REQUEST_BYTES, unreadBytes: limits.MAX_UNREAD_REQUEST_BYTES }
  const requests = readFrames(stream, sizes, closing)
  for (;;) {
    const next = await Promise.race([requests.next(), aborted(AbortSignal.timeout(limits.STALL_MS))])
    if (next.done === true) break
    const due = AbortSignal.any([closing, AbortSignal.timeout(limits.ANSWER_MS)])
    const request = parseRequest(Buffer.concat(next.value ?? []))
    const answer = 'nodes' in request ? nodes(request.nodes, read, due) : each(request.blocks, read, due)
    for await (const block of answer) await writeFrame(stream, block, due)
  }
  await stream.close({ signal: closing })
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  signal.addEventListener('abort', () => reject(asMecaError(signal.reason)), { once: true })
  return promise
}

function parseRequest(frame: Buffer): BlockRequest {
  const [kind, ...lines] = frame.toString().split('\n')
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

/** The blocks that one peer has of those asked for, in that order, unverified. */
export async function* askBlocks(
  libp2p: Libp2p,
  provider: string,
  request: BlockRequest,
  signal: AbortSignal,
): AsyncGenerator<Frame> {
  const stream = await libp2p.dialProtocol(target(provider), BLOCKS_PROTOCOL, { signal })
  const sizes = { frameBytes: limits.MAX_BLOCK_BYTES, unreadBytes: limits.MAX_UNREAD_ANSWER_BYTES }
  const requests = split(request)
  const send = async (): Promise<void> => {
    const next = requests.shift()
    if (next !== undefined) await writeFrame(stream, encodeRequest(next), signal)
    if (next !== undefined && requests.length === 0) await stream.close({ signal })
  }
  try {
    for (let ahead = 0; ahead < limits.REQUESTS_AHEAD; ahead++) await send()
    let answered = 0
    for await (const frame of readFrames(stream, sizes, signal)) {
      yield frame
      if (++answered % limits.MAX_REQUEST_CIDS === 0) await send()
    }
  } finally {
    if (stream.status === 'open') stream.abort(new Error('the reader went away'))
  }
}

function split(request: BlockRequest): BlockRequest[] {
  if ('nodes' in request) return [request]
  const parts: BlockRequest[] = []
  for (let at = 0; at < request.blocks.length; at += limits.MAX_REQUEST_CIDS) {
    parts.push({ blocks: request.blocks.slice(at, at + limits.MAX_REQUEST_CIDS) })
  }
  return parts
}

/** A multiaddr or a peer id as libp2p's dialler takes it. */
export function target(provider: string): Parameters<Libp2p['dial']>[0] {
  return provider.startsWith('/') ? multiaddr(provider) : peerIdFromString(provider)
}
