/** The API's server: loopback only, with a deadline for every part of a request and an orderly end. */
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { MecaError } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import { makeListener } from './app.ts'
import type { Log } from './app.ts'
import { makeGuard } from './guard.ts'
import * as limits from './limits.ts'

export type ServerOptions = {
  api: NodeApi
  token: string
  host?: string
  /** 0 takes any free port. */
  port: number
  maxInputBytes?: number
  headersTimeoutMs?: number
  log: Log
}
export type RunningServer = { url: string; port: number; close(): Promise<void> }

/** Throws `bad_config` where the address cannot be used. Ends by `close`, or at once when the signal fires. */
export async function startServer(options: ServerOptions, signal: AbortSignal): Promise<RunningServer> {
  const { api, token, host = '127.0.0.1', maxInputBytes = limits.MAX_INPUT_BYTES, log } = options
  const server = createServer({
    maxHeaderSize: limits.MAX_HEADER_BYTES,
    headersTimeout: options.headersTimeoutMs ?? limits.HEADERS_TIMEOUT_MS,
    requestTimeout: limits.REQUEST_TIMEOUT_MS,
    keepAliveTimeout: limits.KEEP_ALIVE_MS,
    connectionsCheckingInterval: 500,
    noDelay: true,
  })
  server.maxConnections = limits.MAX_CONNECTIONS
  const port = await listen(server, host, options.port)
  server.on('request', makeListener({ api, guard: makeGuard({ host, port, token }), maxInputBytes, log }))
  const stop = () => server.closeAllConnections()
  signal.addEventListener('abort', stop)
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    port,
    close: () => close(server).finally(() => signal.removeEventListener('abort', stop)),
  }
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new MecaError('bad_config', `The API cannot listen on ${host}:${port}: ${cause.message}`, {
          cause,
          cure: 'choose another api.port in the configuration, or 0 for any free one',
        }),
      )
    })
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port))
  })
}

/** Lets what is under way end by itself for a moment; whoever is still there then is cut off. */
async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  server.closeIdleConnections()
  const timer = setTimeout(() => server.closeAllConnections(), limits.CLOSE_GRACE_MS)
  await closed
  clearTimeout(timer)
}
