/**
 * Who may speak to the API. A web page in the operator's browser can send requests to loopback, so each of these stands
 * for itself: the Host must be ours (stops a name that was rebound to loopback), the Origin absent or ours, the
 * browser's own word on the request's source not foreign, and the token right. One token covers jobs and
 * administration: whoever may read it in the home folder may read the keys beside it, too. No answer has CORS headers.
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'

export type Refusal = { error: MecaError; status: number; headers: Record<string, string> }
export type Guard = (headers: IncomingHttpHeaders) => Refusal | undefined

export function makeGuard({ host, port, token }: { host: string; port: number; token: string }): Guard {
  const hosts = new Set(
    ['127.0.0.1', 'localhost', '[::1]', host.includes(':') ? `[${host}]` : host].map((name) => `${name}:${port}`),
  )
  const origins = new Set([...hosts].map((name) => `http://${name}`))
  const expected = Buffer.from(`Bearer ${token}`)
  return (headers) => {
    if (headers.host === undefined || !hosts.has(headers.host)) return foreign('Host', headers.host, [...hosts])
    if (headers.origin !== undefined && !origins.has(headers.origin))
      return foreign('Origin', headers.origin, [...origins])
    const site = headers['sec-fetch-site']
    if (site !== undefined && site !== 'same-origin' && site !== 'none')
      return foreign('Sec-Fetch-Site', String(site), ['same-origin', 'none'])
    return sameToken(headers.authorization, expected) ? undefined : noToken(headers.authorization !== undefined)
  }
}

function sameToken(given: string | undefined, expected: Buffer): boolean {
  if (given?.length !== expected.length) return false
  const bytes = Buffer.from(given)
  return bytes.length === expected.length && timingSafeEqual(bytes, expected)
}

function foreign(header: string, value: string | undefined, allowed: readonly string[]): Refusal {
  const error = new MecaError(
    'unauthorized',
    `The ${header} header is ${quote(value ?? '')}, which is not this API's`,
    {
      cure: `call it as one of ${allowed.join(', ')}, from a program and not from a web page`,
    },
  )
  return { error, status: 403, headers: {} }
}

function noToken(given: boolean): Refusal {
  const error = new MecaError(
    'unauthorized',
    given ? 'The token is not the right one' : 'The request carries no token',
    {
      cure: 'send "Authorization: Bearer TOKEN"; the token stands in the file token of the node\'s home folder and is new at each start',
    },
  )
  return { error, status: 401, headers: { 'WWW-Authenticate': 'Bearer' } }
}
