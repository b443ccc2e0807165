/**
 * One HTTP request to a task and its reply. The task is a stranger's server, so: no redirects, no decompression, no
 * headers passed on but the content type, and a ceiling on headers, body, silence and total time.
 */
import { Pool, errors } from 'undici'
import type { Dispatcher } from 'undici'
import { MecaError } from '../core/errors.ts'
import type { HttpExchange } from '../core/plan.ts'
import { failpoint } from '../failpoint.ts'
import type { Reply, RequestLimits } from './engine.ts'
import { MAX_CONNECTIONS } from './sidecar-options.ts'

/** Twice what servers send; Node refuses the same. */
const MAX_HEADER_BYTES = 16 * 1024
/** A reply that has begun and then stays silent this long is not coming. */
const IDLE_TIMEOUT_MS = 60_000
/** Below the shortest keep-alive of common servers (2 s), so that we never write to a connection that is being closed. */
const KEEP_ALIVE_MS = 1_000

/** Connections to one task through its sidecar's socket. */
export function openPool(socketPath: string, port: number): Pool {
  return new Pool(`http://localhost:${port}`, {
    socketPath,
    connections: MAX_CONNECTIONS,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    headersTimeout: 0,
    bodyTimeout: IDLE_TIMEOUT_MS,
  })
}

export async function ask(
  pool: Pool,
  exchange: HttpExchange,
  body: Uint8Array,
  limits: RequestLimits,
  signal: AbortSignal,
): Promise<Reply> {
  signal.throwIfAborted()
  // One controller and one timer: a timed and a joined signal for every request cost more than all else here.
  const stop = new AbortController()
  let late = false
  const timer = setTimeout(() => {
    late = true
    stop.abort()
  }, limits.timeoutMs)
  const cancel = () => stop.abort()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    const asked = pool.request({
      path: exchange.path,
      method: exchange.method,
      headers: { 'content-type': exchange.contentType },
      body,
      signal: stop.signal,
    })
    failpoint('engine.request-sent')
    const reply = await asked
    failpoint('engine.mid-response')
    return {
      status: reply.statusCode,
      contentType: contentTypeOf(reply.headers),
      body: await readBody(reply, limits.outputBytes),
    }
  } catch (error) {
    if (signal.aborted)
      throw new MecaError('cancelled', 'The request was cancelled before the task answered', { cause: error })
    if (late) throw tooSlow(`did not answer completely within ${limits.timeoutMs} ms`, error)
    throw explain(error)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', cancel)
  }
}

/** Leaving the loop early destroys the body and with it the connection, so nothing of a bad reply reaches the next. */
async function readBody(reply: Dispatcher.ResponseData, capBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of reply.body as AsyncIterable<Uint8Array>) {
    length += chunk.length
    if (length > capBytes) throw tooLarge(`more than ${capBytes} bytes`)
    chunks.push(chunk)
  }
  return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, length)
}

function contentTypeOf(headers: Dispatcher.ResponseData['headers']): string {
  const value = headers['content-type']
  return typeof value === 'string' && /^[\x20-\x7e]{1,255}$/.test(value) ? value : 'application/octet-stream'
}

function explain(error: unknown): MecaError {
  if (error instanceof MecaError) return error
  if (error instanceof errors.HeadersOverflowError)
    return tooLarge(`more than ${MAX_HEADER_BYTES} bytes of headers`, error)
  if (error instanceof errors.BodyTimeoutError)
    return tooSlow(`fell silent for ${IDLE_TIMEOUT_MS} ms in the middle of its reply`, error)
  const reason = error instanceof Error ? error.message : String(error)
  return new MecaError('task_failed', `The task's reply could not be read: ${reason}`, {
    cause: error,
    cure: 'The task broke off or does not speak HTTP correctly; its log may say why.',
  })
}

function tooLarge(how: string, cause?: unknown): MecaError {
  return new MecaError('too_large', `The task answered with ${how}`, {
    cause,
    cure: 'Ask for less, or raise the output limit of the job.',
  })
}

function tooSlow(how: string, cause: unknown): MecaError {
  return new MecaError('run_timeout', `The task ${how}`, {
    cause,
    cure: 'Allow more time (--timeout), or ask for less.',
  })
}
