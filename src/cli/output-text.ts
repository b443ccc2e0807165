/** A task's output as the command line shows it: text where it is UTF-8, else base64 in JSON and a hint on a terminal. */
import { isUtf8 } from 'node:buffer'
import { createWriteStream } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { Output } from '../role/api-common.ts'
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

/** The output of a job that is done and paid; `job` names it where it does not fit. */
export async function inJson(output: Bytes, bytes: number, job: string): Promise<string | { base64: string }> {
  if (bytes > MAX_IN_JSON_BYTES) {
    throw new MecaError('too_large', `The output has ${size(bytes)}, too much for a JSON document`, {
      cure: `the job is done; write its output to a file: ${resultOf(job)}`,
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

/** Throws `bad_input` where `out` cannot be written: to be asked before anything is paid. */
export async function requireWritable(out: string): Promise<void> {
  const { file, part } = await placeOf(out)
  try {
    await (await open(part, 'w')).close()
    await rm(part, { force: true })
  } catch (cause) {
    throw unwritable(file, cause, 'nothing was sent or paid; give another --out')
  }
}

/** Whole or not at all. Resolves to where the output of `job` was written. */
export async function toFile(output: Bytes, out: string, job: string): Promise<string> {
  const { file, part } = await placeOf(out)
  try {
    await pipeline(Readable.from(output), createWriteStream(part))
    await rename(part, file)
    return file
  } catch (cause) {
    await rm(part, { force: true })
    throw cause instanceof MecaError
      ? cause
      : unwritable(file, cause, `the job is done and its output is kept: ${resultOf(job)}`)
  }
}

/** A folder gets a file `output`; what is under way stands beside it until it is whole. */
async function placeOf(out: string): Promise<{ file: string; part: string }> {
  const path = resolve(out)
  const isFolder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  ) // a new file, then
  const file = isFolder ? join(path, 'output') : path
  return { file, part: `${file}.part` }
}

function unwritable(file: string, cause: unknown, cure: string): MecaError {
  return new MecaError('bad_input', `The file ${file} cannot be written`, { cause, cure })
}

function resultOf(job: string): string {
  return `meca job result ${job} --out FILE`
}

async function collect(output: Bytes): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of output) chunks.push(chunk)
  return Buffer.concat(chunks)
}
