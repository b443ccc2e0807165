/**
 * One call of the API, described once: the server registers it, the OpenAPI document shows it and the client sends it
 * from the same value, so that the three cannot drift apart.
 */
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import type { OnProgress } from '../role/api-common.ts'

export type Tools = { onProgress: OnProgress; signal: AbortSignal }
type Part = z.ZodObject | undefined
type OutputOf<O extends Part> = O extends z.ZodType ? z.output<O> : unknown
type InputOf<O extends Part> = O extends z.ZodType ? z.input<O> : unknown
type Sent<P extends Part, Q extends Part, B extends Part> = InputOf<P> & InputOf<Q> & InputOf<B>
type Args<P extends Part, Q extends Part, B extends Part> = OutputOf<P> & OutputOf<Q> & OutputOf<B>

type Described<P extends Part, Q extends Part, B extends Part, R> = {
  id: string
  method: 'GET' | 'POST'
  /** `{name}` stands for a parameter. */
  path: string
  summary: string
  params?: P
  query?: Q
  body?: B
  answer: z.ZodType<R>
  /** Tells progress to callers that accept NDJSON. */
  streams?: true
  run: (api: NodeApi, args: Args<P, Q, B>, tools: Tools) => Promise<R>
}

/** What came with a request, not looked at yet. */
export type Raw = { params: unknown; query: unknown; body: unknown }

export type Call<S = never, R = unknown> = {
  readonly id: string
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly summary: string
  readonly streams: boolean
  readonly params: z.ZodObject
  readonly query: z.ZodObject
  readonly body: z.ZodObject | undefined
  readonly answer: z.ZodType<R>
  /** Checks what came and does it. Throws `bad_input` where it does not fit. */
  handle(api: NodeApi, raw: Raw, tools: Tools): Promise<R>
  /** The type of what a client sends; never called. */
  readonly sends?: (sent: S) => void
}

const none: z.ZodObject = z.strictObject({})

export function call<P extends Part = undefined, Q extends Part = undefined, B extends Part = undefined, R = unknown>(
  described: Described<P, Q, B, R>,
): Call<Sent<P, Q, B>, R> {
  const { id, method, path, summary, answer, run } = described
  const params = described.params ?? none
  const query = described.query ?? none
  const { body }: { body?: z.ZodObject | undefined } = described
  return {
    id,
    method,
    path,
    summary,
    answer,
    params,
    query,
    body,
    streams: described.streams === true,
    async handle(api, raw, tools) {
      const args = {
        ...check(params, raw.params, 'path'),
        ...check(query, raw.query, 'query'),
        ...(body === undefined ? {} : check(body, raw.body, 'body')),
      }
      return run(api, args as Args<P, Q, B>, tools)
    },
  }
}

/** A part of a request as its schema wants it. Throws `bad_input` that names every field that does not fit. */
export function check<T extends z.ZodType>(schema: T, value: unknown, where: string): z.output<T> {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const fields = parsed.error.issues.map(
    ({ path, message }) => `${path.length === 0 ? where : path.join('.')}: ${message}`,
  )
  throw new MecaError('bad_input', `The ${where} of the request does not fit: ${fields.join('; ')}`, {
    cure: 'compare it with /v1/openapi.json',
    details: { where, fields },
  })
}
