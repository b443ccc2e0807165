/**
 * Request bodies, each with its ceiling: small ones stay in memory (the path of nearly every job), larger ones are
 * spooled to a file that is removed when the request ends.
 */
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { MecaError } from '../core/errors.ts'
import { MEMORY_INPUT_BYTES } from './limits.ts'

export type SpooledInput = { file: string; bytes: number }
export type Body = { input: Uint8Array | SpooledInput; release: () => Promise<void> }

const nothing = async () => undefined

export async function takeBody(req: IncomingMessage, capBytes: number): Promise<Body> {
  const declared = declaredBytes(req)
  if (declared !== undefined && declared > capBytes) throw tooLarge(declared, capBytes)
  const chunks: Buffer[] = []
  const whole =
    (declared ?? 0) <= MEMORY_INPUT_BYTES && (await collect(req, chunks, Math.min(MEMORY_INPUT_BYTES, capBytes)))
  if (whole) return { input: joined(chunks), release: nothing }
  return spool(req, chunks, capBytes)
}

/** A body that must fit in memory. */
export async function takeSmall(req: IncomingMessage, capBytes: number): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  const declared = declaredBytes(req) ?? 0
  if (declared > capBytes || !(await collect(req, chunks, capBytes))) throw tooLarge(declared, capBytes)
  return joined(chunks)
}

/** Reads until the end (true), or until more than `limit` is in `chunks`; the rest is then still to be read. */
function collect(req: IncomingMessage, chunks: Buffer[], limit: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    const settle = (whole: boolean) => {
      req.off('data', onData).off('end', onEnd).off('close', onClose)
      resolve(whole)
    }
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes <= limit) return
      req.pause()
      settle(false)
    }
    const onEnd = () => settle(true)
    const onClose = () => reject(new MecaError('cancelled', 'The caller went away in the middle of its request'))
    req.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}

async function spool(req: IncomingMessage, chunks: readonly Buffer[], capBytes: number): Promise<Body> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-input-'))
  const release = () => rm(folder, { recursive: true, force: true })
  const file = join(folder, 'input')
  try {
    const out = createWriteStream(file, { mode: 0o600 })
    let bytes = 0
    await pipeline(
      async function* () {
        for (const chunk of chunks) yield chunk
        // Not destroyed when we stop early: its connection still has to carry the refusal.
        yield* req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
      },
      async function* (source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          bytes += chunk.length
          if (bytes > capBytes) throw tooLarge(bytes, capBytes)
          yield chunk
        }
      },
      out,
    )
    return { input: { file, bytes }, release }
  } catch (error) {
    await release()
    throw error
  }
}

function declaredBytes(req: IncomingMessage): number | undefined {
  const text = req.headers['content-length']
  return text === undefined ? undefined : Number(text)
}

function joined(chunks: readonly Buffer[]): Uint8Array {
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
}

function tooLarge(bytes: number, capBytes: number): MecaError {
  return new MecaError('too_large', `The request's body has ${bytes} bytes or more, at most ${capBytes} are taken`, {
    cure: 'send less, or raise limits.inputBytes in the configuration',
    details: { bytes, capBytes },
  })
}
