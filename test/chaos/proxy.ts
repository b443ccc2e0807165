/**
 * A stranger between a node and its chain: passes every question on to a real endpoint and answers with the truth,
 * unless a behaviour is set, which then decides what the node gets to hear.
 */
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'

export type Ask = { id: number; method: string; params: unknown[] }
export type Truth = { jsonrpc: string; id: number; result?: unknown; error?: unknown }

/** What the node hears: an answer to be wrapped, raw bytes, or nothing at all. */
export type Heard =
  | { answer: unknown }
  | { raw: string | Uint8Array; status?: number; headers?: Record<string, string> }
  | { silence: true }
  | { reset: true; after?: string }

/** `tell` asks the real chain; `question` in place of the node's own where it is given. */
export type Behaviour = (ask: Ask, tell: (question?: Partial<Ask>) => Promise<Truth>) => Promise<Heard> | Heard

export type LyingProxy = {
  readonly url: string
  /** Undefined: the truth. */
  behave: Behaviour | undefined
  /** Questions so far. */
  asked: number
  close(): Promise<void>
}

export async function startProxy(target: string): Promise<LyingProxy> {
  const proxy: LyingProxy = { url: '', behave: undefined, asked: 0, close: () => Promise.resolve() }
  const server = createServer((request, response) => {
    // A node that hung up in the middle is its own business.
    serve(proxy, target, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const close = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
  return Object.assign(proxy, { url: `http://127.0.0.1:${port}`, close })
}

async function serve(
  proxy: LyingProxy,
  target: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) body += chunk
  proxy.asked++
  const ask = JSON.parse(body) as Ask
  const tell = async (question: Partial<Ask> = {}): Promise<Truth> => {
    const reply = await fetch(target, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', ...ask, ...question }),
    })
    return (await reply.json()) as Truth
  }
  const heard = proxy.behave === undefined ? { answer: await tell() } : await proxy.behave(ask, tell)
  if ('silence' in heard) return
  if ('reset' in heard) {
    if (heard.after === undefined) return void request.socket.destroy()
    response.writeHead(200, { 'content-length': String(heard.after.length * 2) }).write(heard.after, () => {
      request.socket.destroy()
    })
    return
  }
  if ('answer' in heard) {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(heard.answer))
    return
  }
  response.writeHead(heard.status ?? 200, { 'content-type': 'text/plain', ...heard.headers }).end(heard.raw)
}
