/** The express application: the guard, the two calls that carry bytes, then every JSON call from the table. */
import express from 'express'
import type { Express, NextFunction, Request, RequestHandler, Response } from 'express'
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
export type AppOptions = { api: NodeApi; guard: Guard; maxInputBytes: number; log: Log }

export function makeApp({ api, guard, maxInputBytes, log }: AppOptions): Express {
  const app = express()
  // Each of these would cost time on every job and give an API for programs nothing.
  app.disable('x-powered-by').disable('etag').set('query parser', false).set('case sensitive routing', true)
  app.use(guarded(guard))
  app.post('/v1/tasks/:task/run', (req, res) => runTask(api, req, res, maxInputBytes, untilClosed(res)))
  app.get('/v1/jobs/:job/output', (req, res) => jobOutput(api, req, res))
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
  app.use(failed(log))
  return app
}

function guarded(guard: Guard): RequestHandler {
  return (req, res, next) => {
    const refusal = guard(req.headers)
    if (refusal === undefined) next()
    else sendProblem(req, res, refusal.error, refusal.status, refusal.headers)
  }
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
function untilClosed(res: Response): AbortSignal {
  const controller = new AbortController()
  res.on('close', () => {
    if (!res.writableFinished) controller.abort()
  })
  return controller.signal
}

function failed(log: Log) {
  return (error: unknown, req: Request, res: Response, next: NextFunction) => {
    void next // never called: Express knows an error handler by its four arguments
    const known = asMecaError(badPath(error) ?? error)
    if (known.code === 'internal' && !res.closed) {
      log.error({ err: error, method: req.method, path: req.path }, 'a request failed')
    }
    sendProblem(req, res, known)
  }
}

/** Express speaks of a path with broken percent-encoding in its own way. */
function badPath(error: unknown): MecaError | undefined {
  if (!(error instanceof URIError)) return undefined
  return new MecaError('bad_input', 'The path has broken percent-encoding', { cause: error })
}
