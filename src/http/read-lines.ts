/** The other end of lines.ts: hands progress on, returns the result or throws the problem. */
import { createInterface } from 'node:readline'
import type { IncomingMessage } from 'node:http'
import { MecaError } from '../core/errors.ts'
import type { OnProgress, Progress } from '../role/api-common.ts'
import { errorOf } from './problem.ts'
import type { ProblemDocument } from './problem.ts'

type Line = { progress?: Progress; result?: unknown; problem?: ProblemDocument }

/** The daemon is this program itself, so its progress is believed as it comes; the result is checked by the caller. */
export async function readLines(answer: IncomingMessage, onProgress: OnProgress): Promise<unknown> {
  try {
    for await (const text of createInterface({ input: answer, crlfDelay: Infinity })) {
      const line = JSON.parse(text) as Line
      if (line.problem !== undefined) throw errorOf(line.problem)
      if ('result' in line) return line.result
      if (line.progress !== undefined) onProgress(line.progress)
    }
  } finally {
    answer.resume()
  }
  throw new MecaError('peer_unreachable', 'The daemon ended in the middle of its answer', {
    cure: 'look at its log, start it again and ask for the job by its id: meca job list',
  })
}
