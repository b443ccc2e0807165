/**
 * Long calls as lines of JSON: `{"progress": …}` while something happens, then `{"result": …}` or `{"problem": …}`.
 * The head is sent at once, so that a caller sees that its request was taken; a failure therefore comes as a line.
 */
import type { ServerResponse } from 'node:http'
import type { OnProgress } from '../role/api-common.ts'
import { MAX_WAITING_BYTES } from './limits.ts'
import { problemOf, SAFE_HEADERS, toJson } from './problem.ts'

export const LINES_TYPE = 'application/x-ndjson'

export function wantsLines(accept: string | undefined): boolean {
  return accept !== undefined && accept.includes(LINES_TYPE)
}

export async function answerWithLines(
  res: ServerResponse,
  work: (onProgress: OnProgress) => Promise<unknown>,
): Promise<void> {
  res.writeHead(200, { ...SAFE_HEADERS, 'Content-Type': LINES_TYPE })
  res.flushHeaders()
  const onProgress: OnProgress = (progress) => {
    if (res.writableLength < MAX_WAITING_BYTES) res.write(`${toJson({ progress })}\n`)
  }
  const last = await work(onProgress).then(
    (result) => ({ result }),
    (error: unknown) => ({ problem: problemOf(error) }),
  )
  res.end(`${toJson(last)}\n`)
}
