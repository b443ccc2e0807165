/** One HTTP request to a daemon on this machine: a JSON or byte body out, an answer in, every failure one of ours. */
import { createReadStream } from 'node:fs'
import { Agent, request } from 'node:http'
import type { IncomingMessage, RequestOptions } from 'node:http'
import { pipeline } from 'node:stream/promises'
import { z } from 'zod'
import { asMecaError, MecaError } from '../core/errors.ts'
import type { SpooledInput } from './body.ts'
import { MAX_ANSWER_BYTES } from './limits.ts'
import { errorOf } from './problem.ts'
import { problemDocument } from './values.ts'

export type Endpoint = { url: string; token: string }
export type Ask = {
  method: 'GET' | 'POST'
  path: string
  headers?: Record<string, string>
  body?: Uint8Array | SpooledInput
}

export type Requester = {
  /** The body of an answer of status 200, as `read` understands it. Throws what the daemon's problem document says. */
  receive<T>(ask: Ask, read: (answer: IncomingMessage) => Promise<T>, signal?: AbortSignal): Promise<T>
  /** The same as bytes. */
  stream(ask: Ask): Promise<AsyncIterable<Uint8Array>>
  close(): void
}

export function makeRequester({ url, token }: Endpoint): Requester {
  const agent = new Agent({ keepAlive: true })
  const send = async (ask: Ask, signal?: AbortSignal): Promise<IncomingMessage> => {
    const { method, headers, body } = ask
    const length = body === undefined ? {} : { 'Content-Length': String('file' in body ? body.bytes : body.length) }
    const all = { ...headers, ...length, Authorization: `Bearer ${token}` }
    const options: RequestOptions = { agent, method, headers: all, ...(signal === undefined ? {} : { signal }) }
    const answer = await exchange(url + ask.path, options, body)
    if (answer.statusCode === 200) return answer
    throw await refusalIn(answer)
  }
  return {
    receive: (ask, read, signal) => send(ask, signal).then(read).catch(told(url, signal)),
    async stream(ask) {
      const answer = await send(ask).catch(told(url))
      return bytesOf(answer, told(url))
    },
    close: () => agent.destroy(),
  }
}

async function* bytesOf(answer: IncomingMessage, onError: (error: unknown) => never): AsyncIterable<Uint8Array> {
  try {
    yield* answer as AsyncIterable<Uint8Array>
  } catch (error) {
    onError(error)
  }
}

/** Resolves with the head of the answer, which may come before the body is all out. */
function exchange(url: string, options: RequestOptions, body: Ask['body']): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const req = request(url, options)
    req.once('response', resolve)
    req.on('error', reject)
    if (body === undefined) req.end()
    else if (!('file' in body)) req.end(body)
    // A broken connection is told by the request's own error; an unreadable file only here.
    else pipeline(createReadStream(body.file, { end: Math.max(0, body.bytes - 1) }), req).catch(reject)
  })
}

export async function readJson(answer: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > MAX_ANSWER_BYTES)
      throw new MecaError('too_large', `The daemon's answer is over ${MAX_ANSWER_BYTES} bytes`)
    chunks.push(chunk)
  }
  return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown
}

async function refusalIn(answer: IncomingMessage): Promise<MecaError> {
  try {
    const document = problemDocument.parse(await readJson(answer))
    return errorOf(document)
  } catch (cause) {
    return new MecaError('protocol', `The daemon answered ${answer.statusCode} without saying why`, {
      cause,
      cure: 'restart the daemon, so that it is the same version as this program',
    })
  }
}

/** Whatever goes wrong between the two is a broken connection, unless we cut it ourselves or an answer made no sense. */
function told(url: string, signal?: AbortSignal): (error: unknown) => never {
  return (error) => {
    if (error instanceof MecaError) throw error
    if (signal?.aborted === true) throw cancelled(signal)
    const nonsense = error instanceof SyntaxError || error instanceof z.ZodError
    const message = nonsense ? 'answered something else than this program expects' : 'cannot be reached'
    throw new MecaError(
      nonsense ? 'protocol' : 'peer_unreachable',
      `The daemon at ${url} ${message}: ${asMecaError(error).message}`,
      {
        cause: error,
        cure: nonsense
          ? 'restart the daemon, so that it is the same version as this program'
          : 'start it again with: meca node start (or meca host start)',
        details: { url },
      },
    )
  }
}

function cancelled(signal: AbortSignal): MecaError {
  if (signal.reason instanceof MecaError) return signal.reason
  return new MecaError('cancelled', 'The request was cancelled', { cause: signal.reason })
}
