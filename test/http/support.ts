/** A server around the fake node, and a raw way to talk to it. */
import { connect as connectSocket } from 'node:net'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { TestContext } from 'node:test'
import { startServer } from '../../src/http/server.ts'
import type { RunningServer } from '../../src/http/server.ts'
import { fakeNode } from '../support/fake-api.ts'
import type { FakeNode, Knobs } from '../support/fake-api.ts'

export const SECRET = 'a-token-of-the-tests'

export type Served = FakeNode & { server: RunningServer; logged: object[] }

export async function serve(
  t: TestContext,
  knobs: Partial<Knobs> = {},
  limits: { maxInputBytes?: number; headersTimeoutMs?: number } = {},
): Promise<Served> {
  const node = fakeNode(knobs)
  const logged: object[] = []
  const stop = new AbortController()
  const log = { error: (fields: object) => void logged.push(fields) }
  const server = await startServer({ api: node.api, token: SECRET, port: 0, log, ...limits }, stop.signal)
  t.after(async () => {
    stop.abort()
    await server.close()
  })
  return { ...node, server, logged }
}

export type Reply = { status: number; headers: IncomingHttpHeaders; body: Buffer; json: () => Record<string, unknown> }

/** A request with the token, unless `headers` says otherwise; a header given as undefined is left out. */
export async function send(
  { server }: Pick<Served, 'server'>,
  method: string,
  path: string,
  { body, headers = {} }: { body?: Uint8Array | string; headers?: Record<string, string | undefined> } = {},
): Promise<Reply> {
  const all: Record<string, string | undefined> = { Authorization: `Bearer ${SECRET}`, ...headers }
  const sent = Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
  const req = request(server.url + path, { method, headers: sent })
  req.on('error', () => undefined) // after an early refusal the rest of the body has nowhere to go
  req.end(body)
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of res as AsyncIterable<Buffer>) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  return {
    status: res.statusCode ?? 0,
    headers: res.headers,
    body: bytes,
    json: () => JSON.parse(bytes.toString()) as Record<string, unknown>,
  }
}

/** Bytes as they are, for requests that no library would send; resolves with everything that came back. */
export async function sendRaw({ server }: Pick<Served, 'server'>, text: string): Promise<string> {
  const socket = connectSocket(server.port, '127.0.0.1')
  socket.write(text)
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  socket.on('error', () => undefined) // a reset is a way to be refused
  await new Promise((resolve) => socket.once('close', resolve))
  return answer
}
