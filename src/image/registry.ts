/**
 * The read-only part of the OCI distribution API, on loopback: `docker pull 127.0.0.1:<port>/<cid>@sha256:…` fetches
 * missing layers in parallel and checks every digest itself. Only images that were verified and allowed for a pull are
 * served, and of those only the blobs that their manifest names; whoever else runs on this machine sees no more.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { asMecaError, MecaError } from '../core/errors.ts'
import { zCid } from '../core/units.ts'
import { MEDIA, zDigest, type Digest } from './layout.ts'
import type { VerifiedImage } from './verify.ts'

/** One engine pulls three layers at a time and shares connections; beyond this somebody plays. */
const MAX_CONNECTIONS = 64

/** Docker waits without an end for a stalled layer, so the end is here: no byte taken for so long. */
const IDLE_MS = 60_000

/** Opens a blob of an allowed image; the stream has exactly the blob's bytes from `offset` on. */
export type OpenBlob = (
  cid: string,
  digest: Digest,
  options: { signal: AbortSignal; offset: number },
) => AsyncIterable<Uint8Array>

export type Registry = {
  /** `127.0.0.1:<port>` */
  readonly address: string
  /** Serves the image until `end` is called. */
  allow(cid: string, image: Pick<VerifiedImage, 'manifestDigest' | 'blobs'>): Allowed
  close(): Promise<void>
}

export type Allowed = {
  /** What an engine pulls. */
  readonly reference: string
  /** What was asked for so far, to see which layers an engine already had. */
  readonly served: ReadonlyMap<Digest, Served>
  end(): void
}

type Served = { requests: number; bytes: number }

export async function startRegistry(openBlob: OpenBlob): Promise<Registry> {
  const registry = new LoopbackRegistry(openBlob)
  await registry.listen()
  return registry
}

type Entry = { image: Pick<VerifiedImage, 'manifestDigest' | 'blobs'>; served: Map<Digest, Served>; pulls: number }

class LoopbackRegistry implements Registry {
  address = ''
  readonly #openBlob: OpenBlob
  readonly #server: Server
  readonly #entries = new Map<string, Entry>()
  readonly #sockets = new Set<Socket>()
  readonly #closing = new AbortController()

  constructor(openBlob: OpenBlob) {
    this.#openBlob = openBlob
    this.#server = createServer({ maxHeaderSize: 16 * 1024, requestTimeout: IDLE_MS }, (request, response) => {
      void this.#answer(request, response)
    })
    this.#server.maxConnections = MAX_CONNECTIONS
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.setTimeout(IDLE_MS, () => socket.destroy())
      socket.on('close', () => this.#sockets.delete(socket))
    })
  }

  async listen(): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen(0, '127.0.0.1', resolve)
    await promise
    const bound = this.#server.address()
    if (bound === null || typeof bound === 'string') throw new MecaError('internal', 'The registry has no port')
    this.address = `127.0.0.1:${bound.port}`
  }

  allow(cid: string, image: Entry['image']): Allowed {
    zCid.parse(cid)
    const entry = this.#entries.get(cid) ?? { image, served: new Map<Digest, Served>(), pulls: 0 }
    this.#entries.set(cid, entry)
    entry.pulls++
    let ended = false
    const end = (): void => {
      if (ended) return
      ended = true
      if (--entry.pulls === 0) this.#entries.delete(cid)
    }
    return { reference: `${this.address}/${cid}@${image.manifestDigest}`, served: entry.served, end }
  }

  async close(): Promise<void> {
    this.#closing.abort()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#server.close(() => resolve())
    for (const socket of this.#sockets) socket.destroy()
    await promise
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#requireCaller(request)
      const path = request.url ?? ''
      if (path === '/v2/' || path === '/v2') return sayJson(response, 200, {})
      await this.#serve(request, response, this.#find(path))
    } catch (error) {
      this.#refuse(response, error)
    }
  }

  /** A web page cannot forge the Host header, and a browser never has a reason to be here. */
  #requireCaller(request: IncomingMessage): void {
    if (request.headers.host !== this.address || request.headers.origin !== undefined) {
      throw new Refusal(403, 'DENIED', `this registry answers requests to ${this.address} only`)
    }
    if (request.method !== 'GET' && request.method !== 'HEAD')
      throw new Refusal(405, 'UNSUPPORTED', 'this registry is read-only')
  }

  #find(path: string): Wanted {
    const [, cid = '', kind, digest] =
      /^\/v2\/([a-z0-9]{1,128})\/(manifests|blobs)\/([a-z0-9:]{1,80})$/.exec(path) ?? []
    const entry = this.#entries.get(cid)
    if (entry === undefined) throw new Refusal(404, 'NAME_UNKNOWN', 'no such image is being pulled')
    const parsed = zDigest.safeParse(digest)
    const blob = parsed.success ? entry.image.blobs.get(parsed.data) : undefined
    if (!parsed.success || blob === undefined || (kind === 'manifests') !== (blob.mediaType === MEDIA.manifest)) {
      throw new Refusal(404, kind === 'manifests' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN', 'the image has no such part')
    }
    return { cid, digest: parsed.data, entry, ...blob }
  }

  async #serve(request: IncomingMessage, response: ServerResponse, wanted: Wanted): Promise<void> {
    const { cid, digest, bytes, mediaType, entry } = wanted
    const offset = rangeStart(request.headers.range, bytes)
    const partial =
      request.headers.range === undefined ? {} : { 'content-range': `bytes ${offset}-${bytes - 1}/${bytes}` }
    response.writeHead(request.headers.range === undefined ? 200 : 206, {
      'content-type': mediaType,
      'content-length': bytes - offset,
      'docker-content-digest': digest,
      'accept-ranges': 'bytes',
      ...partial,
    })
    if (request.method === 'HEAD') return void response.end()
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const signal = AbortSignal.any([gone.signal, this.#closing.signal])
    const counted = count(this.#openBlob(cid, digest, { signal, offset }), tallyOf(entry, digest))
    await pipeline(counted, response, { signal })
  }

  #refuse(response: ServerResponse, error: unknown): void {
    // After the headers nothing can be said any more; a cut connection is what tells the engine that bytes are missing.
    if (response.headersSent) return void response.destroy()
    const refusal = error instanceof Refusal ? error : new Refusal(502, 'UNKNOWN', asMecaError(error).message)
    sayJson(response, refusal.status, { errors: [{ code: refusal.code, message: refusal.message }] })
  }
}

type Wanted = { cid: string; digest: Digest; bytes: number; mediaType: string; entry: Entry }

/** An error in the distribution API's own words; it never leaves this file. */
class Refusal extends Error {
  readonly status: number
  readonly code: string

  constructor(status: number, code: string, message: string) {
    super(message)
    this.status = status
    this.code = code
  }
}

function sayJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body)
  const headers = { 'content-type': 'application/json', 'docker-distribution-api-version': 'registry/2.0' }
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) }).end(text)
}

/** Engines resume a broken layer with `bytes=N-`; other ranges are not needed. */
function rangeStart(header: string | undefined, bytes: number): number {
  if (header === undefined) return 0
  const start = Number(/^bytes=([0-9]{1,15})-$/.exec(header)?.[1] ?? NaN)
  if (start < bytes) return start
  throw new Refusal(416, 'UNSUPPORTED', 'only ranges like bytes=N- inside the blob are served')
}

function tallyOf(entry: Entry, digest: Digest): Served {
  const tally = entry.served.get(digest) ?? { requests: 0, bytes: 0 }
  entry.served.set(digest, tally)
  tally.requests++
  return tally
}

async function* count(source: AsyncIterable<Uint8Array>, tally: Served): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    tally.bytes += chunk.length
    yield chunk
  }
}
