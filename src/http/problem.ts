/**
 * Errors as RFC 9457 problem documents. The codes, titles and statuses are those of core/errors, so that the command
 * line, the API and the wire speak of a failure by one name.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { asMecaError, ERRORS, fromProblem, toProblem } from '../core/errors.ts'
import type { ErrorCode, MecaError, Problem } from '../core/errors.ts'
import { LINGER_MS } from './limits.ts'

export const PROBLEM_TYPE = 'application/problem+json'

export type ProblemDocument = {
  type: string
  title: string
  status: number
  detail: string
  code: ErrorCode
  cure?: string
  details?: Readonly<Record<string, unknown>>
}

export function problemOf(error: unknown, status?: number): ProblemDocument {
  const { code, message, ...rest } = toProblem(asMecaError(error))
  const { title, http } = ERRORS[code]
  return { type: `urn:meca:error:${code}`, title, status: status ?? http, detail: message, code, ...rest }
}

/** The error that a problem document speaks of. */
export function errorOf({ code, detail, cure, details }: ProblemDocument): MecaError {
  const problem: Problem = { code, message: detail }
  if (cure !== undefined) problem.cure = cure
  if (details !== undefined) problem.details = details
  return fromProblem(problem)
}

/** On every answer. The output of a task is a stranger's: no browser may guess its type, run it or frame it. */
export const SAFE_HEADERS = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}

export function toJson(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? part.toString() : part))
}

export function sendJson(
  res: ServerResponse,
  status: number,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(toJson(value))
  res.writeHead(status, {
    ...SAFE_HEADERS,
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    ...headers,
  })
  res.end(body)
}

/**
 * A refusal may come before the body was read. The connection is closed then, and the body thrown away for a moment:
 * closing on unread bytes resets the connection, and the caller would never see why.
 */
export function sendProblem(
  req: IncomingMessage,
  res: ServerResponse,
  error: unknown,
  status?: number,
  headers: Record<string, string> = {},
): void {
  if (res.headersSent) {
    res.destroy()
    return
  }
  const document = problemOf(error, status)
  if (req.complete) return sendJson(res, document.status, document, { ...headers, 'Content-Type': PROBLEM_TYPE })
  const body = Buffer.from(toJson(document))
  res.writeHead(document.status, {
    ...SAFE_HEADERS,
    ...headers,
    'Content-Type': PROBLEM_TYPE,
    'Content-Length': body.length,
    Connection: 'close',
  })
  res.write(body)
  const timer = setTimeout(() => res.end(), LINGER_MS)
  req.once('close', () => clearTimeout(timer))
  req.once('end', () => res.end())
  req.resume()
}
