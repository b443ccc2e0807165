/**
 * A files job as a body: a bundle as it is, or only its `job.json` for jobs that need no files of the caller, because
 * their inputs are values and links.
 */
import { packBundle } from '../bundle/write.ts'
import { JOB_FILE, JOB_TYPE, MAX_BUNDLE_JSON_BYTES, NO_PARAMETERS, parseJobFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { RunInput } from '../role/api-client.ts'

/** Throws `bad_input` or `too_large` for a job that is none. */
export async function jobInput(contentType: string | undefined, input: RunInput): Promise<RunInput> {
  if (contentType?.split(';', 1)[0]?.trim().toLowerCase() !== JOB_TYPE) return input
  if (!(input instanceof Uint8Array) || input.length > MAX_BUNDLE_JSON_BYTES)
    throw new MecaError('too_large', `A job has at most ${MAX_BUNDLE_JSON_BYTES} bytes`, {
      cure: 'send files in a bundle',
    })
  const text = JSON.stringify({ ...NO_PARAMETERS, ...asObject(input) })
  parseJobFile(text)
  const chunks: Uint8Array[] = []
  for await (const chunk of packBundle({ path: JOB_FILE, text }, [])) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function asObject(input: Uint8Array): object {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(input).toString('utf8'))
  } catch (cause) {
    throw new MecaError('bad_input', 'The job is not JSON', { cause, cure: 'send {"values": {"NAME": "text"}}' })
  }
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) return json
  throw new MecaError('bad_input', 'The job is no JSON object', { cure: 'send {"values": {"NAME": "text"}}' })
}
