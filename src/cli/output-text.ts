/** A task's output as the command line shows it: text where it is UTF-8, else base64 in JSON and a hint on a terminal. */
import { isUtf8 } from 'node:buffer'
import { createWriteStream } from 'node:fs'
import { rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Output } from '../role/api.ts'
import type { Context } from './context.ts'
import { size } from './render.ts'

/** An output inside a JSON document is in memory several times over. */
const MAX_IN_JSON_BYTES = 64 * 2 ** 20

type Bytes = AsyncIterable<Uint8Array>

/** As design.md 8 has it: a string, or `{base64}`. */
function asJson(bytes: Buffer): string | { base64: string } {
  return isUtf8(bytes) ? bytes.toString('utf8') : { base64: bytes.toString('base64') }
}

export function textOfOutput(output: Output): string {
  if ('text' in output) return output.text
  return `${size(Buffer.from(output.base64, 'base64').length)} of binary data`
}

export async function inJson(output: Bytes, bytes: number): Promise<string | { base64: string }> {
  if (bytes > MAX_IN_JSON_BYTES) {
    throw new MecaError('too_large', `The output has ${size(bytes)}, too much for a JSON document`, {
      cure: 'give --out FILE',
    })
  }
  return asJson(await collect(output))
}

/** Bytes as they are into a pipe or a file; on a terminal only what cannot steer it. */
export async function toStdout({ output, world }: Context, bytes: Bytes): Promise<void> {
  const { stdout } = world.terminal
  if (stdout.isTTY !== true) {
    for await (const chunk of bytes) await output.bytes(chunk)
    return
  }
  const whole = await collect(bytes)
  if (!isUtf8(whole)) {
    return output.say(`the output is ${size(whole.length)} of binary data: give --out FILE, or pipe it`)
  }
  const text = printable(whole.toString('utf8'))
  stdout.write(text.endsWith('\n') ? text : `${text}\n`)
}

/** Whole or not at all. `-` is not a file: it stands for stdout. Resolves to where it was written. */
export async function toFile(output: Bytes, out: string): Promise<string> {
  const path = resolve(out)
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  ) // a new file, then
  const file = isFolder ? join(path, 'output') : path
  const part = `${file}.part`
  try {
    await pipeline(Readable.from(output), createWriteStream(part))
    await rename(part, file)
    return file
  } catch (cause) {
    await rm(part, { force: true })
    throw cause instanceof MecaError
      ? cause
      : new MecaError('bad_input', `The file ${file} cannot be written`, { cause, cure: 'give another --out' })
  }
}

async function collect(output: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of output) chunks.push(chunk)
  return Buffer.concat(chunks)
}
