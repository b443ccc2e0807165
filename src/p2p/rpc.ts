/**
 * One question, one answer, one stream: for what is asked now and then. What is asked all the time goes over the
 * long-lived stream of `jobs.ts`.
 */
import type { Stream } from '@libp2p/interface'
import { asMecaError, fromProblem, MecaError, toProblem } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import { accept } from './accept.ts'
import { Budget } from './budget.ts'
import type { Frame, Header } from './codec.ts'
import { FrameStream } from './frames.ts'
import { RPC } from './limits.ts'
import type { Peer, Target } from './peer.ts'
import { Slots } from './slots.ts'

const ASK = 1
const ANSWER = 2
const PROBLEM = 3

export type AskOptions = { signal: AbortSignal; timeoutMs?: number; maxAnswerBytes?: number }
export type Answer = { header: Header; attachments: readonly Uint8Array[] }
export type AskContext = { peerId: string; signal: AbortSignal }
export type ServeOptions = { perSecond?: number; burst?: number; maxAnswerBytes?: number }

/** Keeps us below the peer's ceiling of streams: the rest of our questions wait their turn. */
const slots = new Slots(RPC.maxStreamsPerPeer)

/** The peer's answer. The peer's own refusal is thrown with its code; else `timeout`, `protocol` or `peer_unreachable`. */
export async function ask(
  peer: Peer,
  target: Target,
  protocol: string,
  question: Header,
  options: AskOptions,
): Promise<Answer> {
  const timeoutMs = options.timeoutMs ?? RPC.timeoutMs
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(timeoutMs)])
  const reason = (): MecaError => (options.signal.aborted ? cancelled(protocol) : late(protocol, timeoutMs))
  try {
    return await slots.run(`${peer.peerId} ${String(target)} ${protocol}`, signal, async () => {
      const stream = await peer.openStream(target, protocol, signal)
      return exchange(stream, protocol, question, options, signal, reason)
    })
  } catch (error) {
    throw signal.aborted ? reason() : error
  }
}

/** Answers questions until the returned function is called. What the handler throws crosses as a problem. */
export function serve(
  peer: Peer,
  protocol: string,
  handler: (question: Header, context: AskContext) => Promise<Header | Answer>,
  options: ServeOptions = {},
): Promise<() => Promise<void>> {
  const { perSecond = RPC.perSecond, burst = RPC.burst, maxAnswerBytes = RPC.maxMessageBytes } = options
  const budget = new Budget(perSecond, burst)
  return accept(peer, protocol, RPC.maxStreamsPerPeer, async (stream, peerId) => {
    const frames = new FrameStream(stream, { maxFrameBytes: maxAnswerBytes, idleTimeoutMs: RPC.timeoutMs })
    try {
      if (!budget.take(peerId, performance.now())) throw tooOften(perSecond)
      const question = await firstFrame(frames, ASK, protocol, RPC.timeoutMs)
      const answer = await handler(question.header, { peerId, signal: AbortSignal.timeout(RPC.timeoutMs) })
      const { header, attachments } = isAnswer(answer) ? answer : { header: answer, attachments: [] }
      await frames.send(ANSWER, header, attachments)
    } catch (error) {
      await frames.send(PROBLEM, { ...toProblem(error) }).catch(() => undefined) // The asker is gone: nobody to tell.
    }
    await frames.close()
  })
}

async function exchange(
  stream: Stream,
  protocol: string,
  question: Header,
  options: AskOptions,
  signal: AbortSignal,
  reason: () => MecaError,
): Promise<Answer> {
  const frames = new FrameStream(stream, { maxFrameBytes: options.maxAnswerBytes ?? RPC.maxMessageBytes })
  const onAbort = (): void => frames.abort(reason())
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    await frames.send(ASK, question)
    const answer = await frames.next()
    if (answer === undefined) throw new MecaError('protocol', `The peer ended ${protocol} without an answer`)
    if (answer.type === PROBLEM) throw fromProblem(readProblem(answer.header))
    if (answer.type !== ANSWER)
      throw new MecaError('protocol', `The peer answered ${protocol} with message type ${answer.type}`)
    void frames.close()
    return { header: answer.header, attachments: answer.attachments }
  } catch (error) {
    frames.abort(asMecaError(error))
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** The first message of a stream, which must be of the given type and whole within the time: it may not drip in. */
export async function firstFrame(
  frames: FrameStream,
  type: number,
  protocol: string,
  timeoutMs: number,
): Promise<Frame> {
  const late = setTimeout(() => frames.abort(slow(protocol, timeoutMs)), timeoutMs)
  const frame = await frames.next().finally(() => clearTimeout(late))
  if (frame === undefined) throw new MecaError('protocol', `The peer opened ${protocol} and asked nothing`)
  if (frame.type !== type)
    throw new MecaError('protocol', `The peer opened ${protocol} with message type ${frame.type}`)
  return frame
}

/** A stranger's problem: only the fields we know, as what they claim to be. */
export function readProblem(header: Header): { code: ErrorCode; message: string; cure?: string; details?: Header } {
  const { code, message, cure, details } = header
  return {
    code: (typeof code === 'string' ? code : 'internal') as ErrorCode,
    message: typeof message === 'string' ? message.slice(0, 2_000) : 'The peer refused without a reason',
    ...(typeof cure === 'string' ? { cure: cure.slice(0, 2_000) } : {}),
    ...(typeof details === 'object' && details !== null ? { details: details as Header } : {}),
  }
}

function isAnswer(value: Header | Answer): value is Answer {
  return 'attachments' in value && Array.isArray(value.attachments)
}

function tooOften(perSecond: number): MecaError {
  return new MecaError('busy', `More than ${perSecond} questions a second came from this peer`, {
    cure: 'Ask again later.',
  })
}

function cancelled(protocol: string): MecaError {
  return new MecaError('cancelled', `The question on ${protocol} was cancelled`)
}

function slow(protocol: string, timeoutMs: number): MecaError {
  return new MecaError('timeout', `The peer opened ${protocol} and did not finish its question within ${timeoutMs} ms`)
}

function late(protocol: string, timeoutMs: number): MecaError {
  return new MecaError('timeout', `The peer did not answer ${protocol} within ${timeoutMs} ms`, {
    cure: 'Try again or choose another host.',
  })
}
