/**
 * JSON-RPC over HTTP, one question at a time: with a deadline, a ceiling on the answer, and a second try where the
 * fault may pass. Endpoint addresses often carry a key, so no error names more of them than the host.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import {
  FIRST_RETRY_MS,
  MAX_ERROR_CHARS,
  MAX_REPLY_BYTES,
  MAX_RETRY_AFTER_MS,
  MAX_REVERT_CHARS,
  MAX_TRIES,
  REQUEST_TIMEOUT_MS,
} from './limits.ts'

export class Rpc {
  /** The endpoint as errors may name it: without path, query, user and password. */
  readonly host: string
  readonly #url: string
  readonly #headers: Readonly<Record<string, string>>
  readonly #timeoutMs: number
  readonly #firstRetryMs: number
  #nextId = 1

  constructor(url: string, timeoutMs = REQUEST_TIMEOUT_MS, firstRetryMs = FIRST_RETRY_MS) {
    const parsed = URL.canParse(url) ? new URL(url) : undefined
    if (parsed === undefined || !/^https?:$/.test(parsed.protocol)) {
      throw new MecaError('bad_config', 'The RPC URL is not an http or https URL', { cure: 'Set chain.rpc to one.' })
    }
    this.host = parsed.host
    this.#headers = headersOf(parsed)
    // The platform refuses addresses with a password in them, quoting them in its refusal.
    parsed.username = parsed.password = ''
    this.#url = parsed.href
    this.#timeoutMs = timeoutMs
    this.#firstRetryMs = firstRetryMs
  }

  /** The `result` of a call. Throws `chain_unreachable`, `chain_refused` (the endpoint's own error) or `cancelled`. */
  async request(method: string, params: readonly unknown[], signal: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#try(method, params, signal)
      if ('result' in answer) return answer.result
      if (!answer.mayPass || attempt === MAX_TRIES) throw answer.error
      const waitMs = answer.waitMs ?? this.#firstRetryMs * 2 ** (attempt - 1)
      await sleep(waitMs, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }

  async #try(method: string, params: readonly unknown[], signal: AbortSignal): Promise<Answer> {
    const id = this.#nextId++
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: this.#headers,
        body: JSON.stringify({ jsonrpc: '2.0', id, method, params }),
        redirect: 'error',
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#timeoutMs)]),
      })
      const text = await readText(response)
      if (!response.ok) {
        const fault = this.#fault(method, `HTTP status ${response.status}`, mayPass(response.status))
        return { ...fault, waitMs: retryAfter(response) }
      }
      return this.#read(method, id, text)
    } catch (error) {
      signal.throwIfAborted()
      return this.#fault(method, reasonOf(error, this.#timeoutMs), !(error instanceof TooLong))
    }
  }

  #read(method: string, id: number, text: string): Answer {
    const reply = zReply.safeParse(parseJson(text))
    if (!reply.success || reply.data.id !== id) return this.#fault(method, 'an answer that is not JSON-RPC', true)
    const { error, result } = reply.data
    if (error === undefined || error === null) return { result }
    const said = printable(error.message.slice(0, MAX_ERROR_CHARS))
    const message = `The RPC endpoint ${this.host} refused ${method}: ${said}`
    const data = (error.data?.length ?? 0) > MAX_REVERT_CHARS ? undefined : error.data
    const details = { rpcCode: error.code, rpcMessage: said, data }
    // -32005 is "limit exceeded": the same question may be answered a moment later.
    return { error: new MecaError('chain_refused', message, { details }), mayPass: error.code === -32005 }
  }

  #fault(method: string, why: string, passing: boolean): Fault {
    const message = `The RPC endpoint ${this.host} did not answer ${method}: ${why}`
    const cure = 'Check that the chain is up and that chain.rpc names it; meca doctor shows both.'
    return { error: new MecaError('chain_unreachable', message, { cure }), mayPass: passing }
  }
}

type Fault = { error: MecaError; mayPass: boolean; waitMs?: number | undefined }
type Answer = { result: unknown } | Fault

const zReply = z.object({
  id: z.number(),
  result: z.unknown().optional(),
  error: z
    .object({
      code: z.number(),
      message: z.string(),
      data: z.union([z.string(), z.unknown().transform(() => undefined)]).optional(),
    })
    .nullish(),
})

function headersOf({ username, password }: URL): Record<string, string> {
  const plain = { 'content-type': 'application/json' }
  if (username === '' && password === '') return plain
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { ...plain, authorization: `Basic ${Buffer.from(pair).toString('base64')}` }
}

function mayPass(status: number): boolean {
  return status === 429 || status === 408 || status >= 500
}

/** What the endpoint asks for, where that is a wait that a caller would sit through. */
function retryAfter(response: Response): number | undefined {
  const seconds = response.headers.get('retry-after')
  if (seconds === null || !/^[0-9]{1,9}$/.test(seconds)) return undefined
  return Number(seconds) * 1000 <= MAX_RETRY_AFTER_MS ? Number(seconds) * 1000 : undefined
}

class TooLong extends Error {}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length
    if (bytes > MAX_REPLY_BYTES) throw new TooLong(`an answer of more than ${MAX_REPLY_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Not JSON is the same to the caller as JSON of another shape; the schema says so.
    return undefined
  }
}

/** What went wrong, from the innermost cause; the platform's own messages may hold the URL, so they are not passed on. */
function reasonOf(error: unknown, timeoutMs: number): string {
  if (error instanceof TooLong) return error.message
  if (error instanceof Error && error.name === 'TimeoutError') return `nothing within ${timeoutMs} ms`
  const cause = error instanceof Error ? error.cause : undefined
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
  return `no connection (${code})`
}
