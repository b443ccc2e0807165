/**
 * Bulk transfer: one input or output per stream, as plain bytes of a known length after one header, with back-pressure
 * from disk to disk. A transfer that broke goes on where it stopped, by its offset.
 */
import { asMecaError, fromProblem, MecaError, toProblem } from '../core/errors.ts'
import { accept } from './accept.ts'
import type { Header } from './codec.ts'
import { FrameStream } from './frames.ts'
import { DATA, PROTOCOLS } from './limits.ts'
import type { Peer, Target } from './peer.ts'
import type { Pipe } from './pipe.ts'
import { firstFrame, readProblem } from './rpc.ts'

const REQUEST = 1
const ANSWER = 2
const PROBLEM = 3

/** `header` is the host's; `body` must be read to its end or left with `break`. */
export type Download = { header: Header; lengthBytes: number; body: AsyncIterable<Uint8Array> }

/** What is uploaded; `read` gives the bytes from `offset` on, since the host may have some already. */
export type Upload = { lengthBytes: number; read(offset: number): AsyncIterable<Uint8Array> }

/** What a host's handler decides: to send so many bytes, or to take what follows after `offset`. */
export type Sending = { op: 'get'; header?: Header; lengthBytes: number; body: AsyncIterable<Uint8Array> }
export type Receiving = {
  op: 'put'
  /** How many of the client's bytes are here already. */
  offset: number
  /** Ceiling on the whole upload; a longer one is refused before a byte is sent. */
  maxBytes: number
  /** Resolves to the last header once the bytes are safe. */
  receive(body: AsyncIterable<Uint8Array>, lengthBytes: number): Promise<Header>
}
/** `signal` fires when the client is gone. */
export type DataContext = { peerId: string; signal: AbortSignal }
export type DataHandler = (request: Header, context: DataContext) => Promise<Sending | Receiving>

/** Asks a host for bytes. `request` names them and carries `offset`; `maxBytes` is the most that will be taken. */
export async function getData(
  peer: Peer,
  host: Target,
  request: Header,
  options: { signal: AbortSignal; maxBytes: number },
): Promise<Download> {
  const frames = await openData(peer, host, options.signal)
  try {
    await frames.send(REQUEST, { ...request, op: 'get' })
    const { length, ...header } = await firstAnswer(frames)
    const lengthBytes = checkLength(length, options.maxBytes)
    return { header, lengthBytes, body: download(frames, lengthBytes) }
  } catch (error) {
    frames.abort(asMecaError(error))
    throw error
  }
}

/** Brings bytes to a host; resolves to what the host says once it has them all. */
export async function putData(
  peer: Peer,
  host: Target,
  request: Header,
  upload: Upload,
  options: { signal: AbortSignal },
): Promise<Header> {
  const frames = await openData(peer, host, options.signal)
  try {
    await frames.send(REQUEST, { ...request, op: 'put', length: upload.lengthBytes })
    const { offset } = await firstAnswer(frames)
    const start = checkLength(offset, upload.lengthBytes)
    const sent = writeExactly(await frames.bytes(), upload.read(start), upload.lengthBytes - start)
    // Listened to from the start: a host that gives up in the middle says why, which is worth more than a failed write.
    const [last] = await Promise.all([nextAnswer(frames), sent])
    void frames.close()
    return last
  } catch (error) {
    frames.abort(asMecaError(error))
    throw error
  }
}

/** Serves transfers until the returned function is called. */
export function serveData(peer: Peer, handler: DataHandler): Promise<() => Promise<void>> {
  return accept(peer, PROTOCOLS.data, DATA.maxStreamsPerPeer, async (stream, peerId) => {
    const frames = new FrameStream(stream, { maxHeaderBytes: DATA.maxHeaderBytes })
    const gone = new AbortController()
    void frames.closed.then(() => gone.abort())
    try {
      await transfer(frames, handler, { peerId, signal: gone.signal })
    } catch (error) {
      await frames.send(PROBLEM, { ...toProblem(error) }).catch(() => undefined) // The client is gone: nobody to tell.
    }
    await frames.close()
    await frames.closed
  })
}

async function transfer(frames: FrameStream, handler: DataHandler, context: DataContext): Promise<void> {
  const { header: request } = await firstFrame(frames, REQUEST, PROTOCOLS.data, DATA.answerTimeoutMs)
  const plan = await handler(request, context)
  if (plan.op !== request.op)
    throw new MecaError('bad_input', `This is there to ${plan.op}, not to ${String(request.op).slice(0, 20)}`)
  if (plan.op === 'get') return sendAll(frames, plan)
  const lengthBytes = checkLength(request.length, plan.maxBytes)
  await frames.send(ANSWER, { offset: plan.offset })
  const left = checkLength(lengthBytes - plan.offset, lengthBytes)
  await frames.send(ANSWER, await plan.receive(readExactly(await frames.bytes(), left), left))
}

/** Once the bytes flow there is no room for words: a source that fails resets the stream, and the client resumes. */
async function sendAll(frames: FrameStream, plan: Sending): Promise<void> {
  await frames.send(ANSWER, { ...plan.header, length: plan.lengthBytes })
  const pipe = await frames.bytes()
  await writeExactly(pipe, plan.body, plan.lengthBytes).catch((error: unknown) => pipe.abort(asMecaError(error)))
}

async function openData(peer: Peer, host: Target, signal: AbortSignal): Promise<FrameStream> {
  const stream = await peer.openStream(host, PROTOCOLS.data, signal)
  const frames = new FrameStream(stream, { maxHeaderBytes: DATA.maxHeaderBytes })
  const onAbort = (): void => frames.abort(new MecaError('cancelled', 'The transfer was cancelled'))
  signal.addEventListener('abort', onAbort, { once: true })
  void frames.closed.then(() => signal.removeEventListener('abort', onAbort))
  if (signal.aborted) onAbort()
  return frames
}

async function* download(frames: FrameStream, lengthBytes: number): AsyncGenerator<Uint8Array> {
  let left = lengthBytes
  try {
    for await (const chunk of readExactly(await frames.bytes(), lengthBytes)) {
      left -= chunk.byteLength
      yield chunk
    }
  } finally {
    if (left === 0) void frames.close()
    else frames.abort(new MecaError('cancelled', 'The download was left before its end'))
  }
}

async function* readExactly(pipe: Pipe, lengthBytes: number): AsyncGenerator<Uint8Array> {
  let left = lengthBytes
  while (left > 0) {
    const chunk = await pipe.read()
    if (chunk === undefined || chunk.byteLength > left)
      throw wrongLength(lengthBytes, lengthBytes - left + (chunk?.byteLength ?? 0))
    left -= chunk.byteLength
    yield chunk
  }
}

async function writeExactly(pipe: Pipe, body: AsyncIterable<Uint8Array>, lengthBytes: number): Promise<void> {
  let written = 0
  for await (const chunk of body) {
    written += chunk.byteLength
    if (written > lengthBytes) break
    for (let at = 0; at < chunk.byteLength; at += DATA.chunkBytes) {
      const room = pipe.write([chunk.subarray(at, at + DATA.chunkBytes)])
      if (room !== undefined) await room
      pipe.touch()
    }
  }
  if (written !== lengthBytes) {
    throw new MecaError('internal', `The source gave ${written} bytes or more, ${lengthBytes} were announced`)
  }
}

async function firstAnswer(frames: FrameStream): Promise<Header> {
  const late = setTimeout(() => frames.abort(lateError()), DATA.answerTimeoutMs)
  return nextAnswer(frames).finally(() => clearTimeout(late))
}

async function nextAnswer(frames: FrameStream): Promise<Header> {
  const frame = await frames.next()
  if (frame?.type === PROBLEM) throw fromProblem(readProblem(frame.header))
  if (frame?.type !== ANSWER) throw new MecaError('protocol', `The host ended ${PROTOCOLS.data} without an answer`)
  return frame.header
}

/** A length or an offset that a stranger named. */
function checkLength(value: unknown, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new MecaError('protocol', `The peer named ${String(value).slice(0, 40)} as a number of bytes`)
  }
  if (value > Math.min(max, DATA.maxTransferBytes)) {
    throw new MecaError('too_large', `The transfer is ${value} bytes, the cap is ${max}`, {
      details: { bytes: value, cap: max },
    })
  }
  return value
}

function wrongLength(announced: number, received: number): MecaError {
  const how = received > announced ? 'more than' : 'only'
  return new MecaError(
    'protocol',
    `The peer announced ${announced} bytes and sent ${how} ${Math.min(received, announced)}`,
    {
      cure: 'Ask again with the offset of what is safe.',
      details: { announced, received },
    },
  )
}

function lateError(): MecaError {
  return new MecaError('timeout', `The host did not answer the transfer within ${DATA.answerTimeoutMs} ms`)
}
