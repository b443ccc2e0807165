/** A task's output as an HTTP body. It is a stranger's bytes: only types that no browser runs keep their name. */
import type { ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { ONE_WRITE_BYTES, STALLED_READER_MS } from './limits.ts'

const HARMLESS =
  /^(?:application\/(?:json|x-ndjson|octet-stream|pdf|zip|gzip|x-tar|vnd\.meca\.bundle)|text\/(?:plain|csv)|image\/(?:png|jpeg|gif|webp|bmp|tiff)|audio\/[a-z0-9.+-]{1,40}|video\/[a-z0-9.+-]{1,40})(?:; ?charset=[A-Za-z0-9-]{1,20})?$/

export function harmlessType(contentType: string): string {
  return HARMLESS.test(contentType) ? contentType : 'application/octet-stream'
}

/** Small outputs go out in one packet with their head; large ones as fast as they are read. */
export async function sendOutput(
  res: ServerResponse,
  status: number,
  headers: Record<string, string | number>,
  bytes: number,
  output: AsyncIterable<Uint8Array>,
): Promise<void> {
  headers['Content-Length'] = bytes
  if (bytes <= ONE_WRITE_BYTES) {
    const body = await collect(output)
    res.writeHead(status, headers)
    res.end(body)
    return
  }
  res.writeHead(status, headers)
  res.setTimeout(STALLED_READER_MS, () => res.destroy())
  await pipeline(Readable.from(output), res)
}

async function collect(output: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of output) chunks.push(chunk)
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
}
