/**
 * The call that matters most: a task's input as the request's body, the task's output as the answer's. The task's own
 * status is told in X-Meca-Status; whatever carries that header was said by the task and billed, and a problem document
 * without it is ours. A caller that goes away cancels its job.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MecaError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { JobStatus } from '../core/receipt.ts'
import type { NodeApi } from '../role/api.ts'
import type { OnProgress } from '../role/api-common.ts'
import type { RunOptions, RunResult } from '../role/api-client.ts'
import { takeBody } from './body.ts'
import { jobInput } from './job-body.ts'
import { check } from './call.ts'
import { answerWithLines, wantsLines } from './lines.ts'
import { harmlessType, sendOutput } from './output.ts'
import { SAFE_HEADERS, sendProblem } from './problem.ts'
import { jobId } from './values.ts'
import { runQuery } from './client-schemas.ts'

/** The request headers that stand for options of the same name in the query. */
const OPTION_HEADERS = {
  'idempotency-key': 'id',
  'x-meca-max-price': 'maxPrice',
  'x-meca-max-seconds': 'maxSeconds',
  'x-meca-host': 'host',
  'x-meca-runtime': 'runtime',
} as const

const CODES: Record<Exclude<JobStatus, 'answered'>, ErrorCode> = {
  task_failed: 'task_failed',
  host_failed: 'start_failed',
  cancelled: 'cancelled',
}

const unheard: OnProgress = () => undefined

/** `encodedTask` is the path's own text. */
export async function runTask(
  api: NodeApi,
  encodedTask: string,
  req: IncomingMessage,
  res: ServerResponse,
  maxInputBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const task = decodeURIComponent(encodedTask)
  const options = optionsOf(req)
  const { input: body, release } = await takeBody(req, maxInputBytes)
  const run = async (onProgress: OnProgress) => {
    try {
      const input = await jobInput(req.headers['content-type'], body)
      return await api.client.run(task, input, options, onProgress, signal)
    } finally {
      await release()
    }
  }
  if (wantsLines(req.headers.accept)) return answerWithLines(res, run)
  const result = await run(unheard)
  if (result.status !== 'answered') return sendProblem(req, res, failureOf(result), undefined, headersOf(result))
  const output = await api.client.output(result.job)
  await sendOutput(res, statusOf(result.httpStatus), headersOf(result), result.outputBytes, output)
}

export async function jobOutput(api: NodeApi, id: string, res: ServerResponse): Promise<void> {
  const job = check(jobId, id, 'path')
  const { result } = await api.client.job(job)
  if (result === undefined) {
    throw new MecaError('not_found', `Job ${job} has no output`, { cure: `look at its state: meca job show ${job}` })
  }
  await sendOutput(res, 200, headersOf(result), result.outputBytes, await api.client.output(job))
}

/** The query is rare on this path and costs a parse, so it is only looked at where there is one. */
function optionsOf(req: IncomingMessage): RunOptions {
  const given: Record<string, string> = {}
  for (const [header, name] of Object.entries(OPTION_HEADERS)) {
    const value = req.headers[header]
    if (typeof value === 'string') given[name] = value
  }
  const { url = '' } = req
  const at = url.indexOf('?')
  if (at >= 0) Object.assign(given, Object.fromEntries(new URLSearchParams(url.slice(at))))
  for (const _ in given) return check(runQuery, given, 'query')
  return {}
}

/** 2xx of the task is our 200; its own 4xx and 5xx are passed on; what would make an HTTP client do something else is not. */
function statusOf(httpStatus: number | undefined): number {
  return httpStatus !== undefined && httpStatus >= 400 ? httpStatus : 200
}

function headersOf(result: RunResult): Record<string, string> {
  const { price } = result
  const headers: Record<string, string> = {
    ...SAFE_HEADERS,
    'Content-Type': harmlessType(result.contentType),
    'X-Meca-Job': result.job,
    'X-Meca-Host': result.host,
    'X-Meca-Price': String(BigInt(price.host) + BigInt(price.developer)),
    'X-Meca-Receipt': result.receipt,
    'X-Meca-Output-Hash': result.outputHash,
    'X-Meca-Phases': JSON.stringify(result.phases),
    'X-Meca-Warm': String(result.warm),
  }
  if (result.httpStatus !== undefined) headers['X-Meca-Status'] = String(result.httpStatus)
  if (result.replayed) headers['X-Meca-Replayed'] = 'true'
  return headers
}

function failureOf(result: RunResult): MecaError {
  const { status, problem, job, host, price, logTail } = result
  const code = problem?.code ?? CODES[status as Exclude<JobStatus, 'answered'>]
  return new MecaError(code, problem?.message ?? `Job ${job} ended as ${status} on host ${host}`, {
    cure: problem?.cure ?? `see its logs: meca job logs ${job}`,
    details: { ...problem?.details, job, host, status, price, ...(logTail === undefined ? {} : { logTail }) },
  })
}
