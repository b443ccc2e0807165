/**
 * The API as one request listener: the guard first, then the call that runs a task, then express for everything else.
 * Running a task goes around express because its router costs as much as the rest of that path together: with 64 jobs
 * in flight the layer adds 2 times a plain echo server's time without it and more than 3 with it (test/bench/http.ts).
 */
import express from 'express'
import type { Express, NextFunction, Request, Response } from 'express'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { asMecaError, MecaError } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import { takeSmall } from './body.ts'
import type { Call } from './call.ts'
import { CALLS } from './calls.ts'
import type { Guard } from './guard.ts'
import { MAX_JSON_BYTES } from './limits.ts'
import { answerWithLines, wantsLines } from './lines.ts'
import { sendJson, sendProblem } from './problem.ts'
import { jobOutput, runTask } from './run.ts'

/** The part of the program's logger that is used here. */
export type Log = { error(fields: object, message: string): void }
export type ListenerOptions = { api: NodeApi; guard: Guard; maxInputBytes: number; log: Log }

const RUN = /^\/v1\/tasks\/([^/?]+)\/run(?:\?|$)/

export function makeListener({ api, guard, maxInputBytes, log }: ListenerOptions): RequestListener {
  const onError = failed(log)
  const app = makeApp(api, onError)
  return (req, res) => {
    const refusal = guard(req.headers)
    if (refusal !== undefined) return sendProblem(req, res, refusal.error, refusal.status, refusal.headers)
    const task = req.method === 'POST' ? RUN.exec(req.url ?? '')?.[1] : undefined
    // Express knows its own narrower request type; it makes one out of Node's.
    if (task === undefined) return void app(req as Request, res as Response)
    runTask(api, task, req, res, maxInputBytes, untilClosed(res)).catch((error: unknown) => onError(error, req, res))
  }
}

/** Everything but running a task. It expects the guard before it. */
export function makeApp(api: NodeApi, onError: OnError): Express {
  const app = express()
  // Each of these would cost time on every request and gives an API for programs nothing.
  app.disable('x-powered-by').disable('etag').set('query parser', false).set('case sensitive routing', true)
  app.get('/v1/jobs/:job/output', (req, res) => jobOutput(api, req.params.job, res))
  app.get('/v1/openapi.json', async (_req, res) => {
    const { openapiDocument } = await import('./openapi.ts')
    sendJson(res, 200, openapiDocument())
  })
  for (const call of Object.values(CALLS)) register(app, api, call)
  app.use((req) => {
    throw new MecaError('not_found', `The API has no ${req.method} ${req.path}`, {
      cure: 'see /v1/openapi.json for what it has',
    })
  })
  app.use((error: unknown, req: Request, res: Response, next: NextFunction) => {
    void next // never called: Express knows an error handler by its four arguments
    onError(error, req, res)
  })
  return app
}

function register(
  app: Express,
  api: NodeApi,
  call: Pick<Call, 'method' | 'path' | 'streams' | 'body' | 'handle'>,
): void {
  const handler = async (req: Request, res: Response) => {
    const raw = {
      params: req.params,
      query: queryOf(req),
      body: call.body === undefined ? undefined : await takeJson(req),
    }
    const signal = untilClosed(res)
    if (call.streams && wantsLines(req.headers.accept)) {
      return answerWithLines(res, (onProgress) => call.handle(api, raw, { onProgress, signal }))
    }
    sendJson(res, 200, await call.handle(api, raw, { onProgress: () => undefined, signal }))
  }
  const path = call.path.replace(/\{(\w+)\}/g, ':$1')
  if (call.method === 'GET') app.get(path, handler)
  else app.post(path, handler)
}

function queryOf(req: Request): Record<string, string> {
  const at = req.url.indexOf('?')
  return at < 0 ? {} : Object.fromEntries(new URLSearchParams(req.url.slice(at)))
}

/** A body in JSON; none at all stands for `{}`. The type is demanded because a form on a web page cannot send it. */
async function takeJson(req: Request): Promise<unknown> {
  const bytes = await takeSmall(req, MAX_JSON_BYTES)
  if (bytes.length === 0) return {}
  if (!/^application\/json(?:;|$)/.test(req.headers['content-type'] ?? '')) {
    throw new MecaError('bad_input', `The body's type is ${req.headers['content-type'] ?? 'missing'}`, {
      cure: 'send application/json',
    })
  }
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as unknown
  } catch (cause) {
    throw new MecaError('bad_input', 'The body is not JSON', { cause })
  }
}

/** Fires when the caller went away before its answer was complete. */
function untilClosed(res: ServerResponse): AbortSignal {
  const controller = new AbortController()
  res.on('close', () => {
    if (!res.writableFinished) controller.abort()
  })
  return controller.signal
}

type OnError = (error: unknown, req: IncomingMessage, res: ServerResponse) => void

function failed(log: Log): OnError {
  return (error, req, res) => {
    const known = asMecaError(badPath(error) ?? error)
    if (known.code === 'internal' && !res.closed) {
      log.error({ err: error, method: req.method, url: req.url }, 'a request failed')
    }
    sendProblem(req, res, known)
  }
}

/** A path with broken percent-encoding. */
function badPath(error: unknown): MecaError | undefined {
  if (!(error instanceof URIError)) return undefined
  return new MecaError('bad_input', 'The path has broken percent-encoding', { cause: error })
}
