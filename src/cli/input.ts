/** A job's input from the command line: --data, --input FILE, or what is piped in. */
import { createReadStream, existsSync } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { addAbortSignal } from 'node:stream'
import type { Readable } from 'node:stream'
import { MecaError } from '../core/errors.ts'
import type { RunInput } from '../role/api-client.ts'
import type { Terminal } from './world.ts'

/** What is piped in is kept in memory; larger inputs are read from where they lie. */
const MAX_PIPED_BYTES = 64 * 2 ** 20

export type Given = { input: RunInput; bytes(): Promise<Uint8Array> }

export async function readInput(
  { stdin }: Pick<Terminal, 'stdin'>,
  { data, input }: { data?: string; input?: string },
  signal: AbortSignal,
): Promise<Given> {
  if (data !== undefined && input !== undefined) {
    throw new MecaError('bad_input', 'Both --data and --input were given', { cure: 'give one of them' })
  }
  if (data !== undefined) return inMemory(Buffer.from(data))
  if (input !== undefined && input !== '-') return fromFile(resolve(input), signal)
  if (stdin.isTTY === true) {
    throw new MecaError('bad_input', 'There is no input', { cure: 'give --data TEXT or --input FILE, or pipe it in' })
  }
  return inMemory(await readPiped(stdin, signal))
}

async function fromFile(file: string, signal: AbortSignal): Promise<Given> {
  const info = await stat(file).catch((cause: unknown) => {
    throw new MecaError('bad_input', `The file ${file} cannot be read`, {
      cause,
      cure: 'check its name and permissions',
    })
  })
  if (info.isFile()) return { input: { file, bytes: info.size }, bytes: () => readFile(file) }
  if (info.isDirectory()) throw new MecaError('bad_input', `${file} is a folder`, { cure: 'name a file' })
  // A pipe or a device has no size and can be read once.
  return inMemory(await readPiped(createReadStream(file), signal))
}

async function readPiped(stream: Readable, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of addAbortSignal(signal, stream) as AsyncIterable<Uint8Array | string>) {
    const part = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    bytes += part.length
    if (bytes > MAX_PIPED_BYTES) {
      throw new MecaError('too_large', `More than ${MAX_PIPED_BYTES} bytes are piped in`, {
        cure: 'write them to a file and give --input FILE',
      })
    }
    chunks.push(part)
  }
  return Buffer.concat(chunks)
}

function inMemory(bytes: Uint8Array): Given {
  return { input: bytes, bytes: async () => bytes }
}

/** A path as the daemon sees it; what is not there and has a tag or digest is the name of an image. */
export function placeOf(place: string): string {
  return /[:@]/.test(place) && !existsSync(place) ? place : resolve(place)
}

/** The same where the name of an image is as usual as a path. */
export function imageOf(place: string): string {
  return existsSync(place) ? resolve(place) : place
}
