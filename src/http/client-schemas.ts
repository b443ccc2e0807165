/** What the client's calls take and answer. */
import { z } from 'zod'
import {
  address,
  amount,
  anyAddress,
  count,
  hash,
  jobId,
  jobStatus,
  logLine,
  milliseconds,
  money,
  phase,
  phases,
  problem,
  refusals,
  resources,
  token,
  whole,
} from './values.ts'

/** In the query of a quote, and in the query or the X-Meca-* headers of a run. */
export const quoteQuery = z.strictObject({
  maxSeconds: whole.exactOptional(),
  inputBytes: whole.exactOptional(),
  maxPrice: amount.exactOptional(),
  runtime: z.string().max(40).exactOptional(),
  host: anyAddress.exactOptional(),
})
export const runQuery = quoteQuery.omit({ inputBytes: true }).extend({
  id: jobId.exactOptional(),
  logs: z
    .enum(['true', 'false'])
    .transform((text) => text === 'true')
    .exactOptional(),
})

const quotedHost = z
  .object({
    host: address,
    hostAmount: money,
    developerAmount: money,
    gasEstimate: money,
    total: money,
    imageAtHand: z.boolean(),
    channelOpen: z.boolean(),
    lock: z.object({ how: z.enum(['none', 'open', 'top-up']), amount: money }).exactOptional(),
    freeCpus: z.number(),
    freeMemoryBytes: count,
    queueFree: count,
    runtimes: z.array(z.string()),
  })
  .meta({ id: 'QuotedHost' })
export const quoteReport = z
  .object({
    task: z.string(),
    name: z.string(),
    maxSeconds: z.number(),
    resources,
    token,
    hosts: z.array(quotedHost),
    refusals,
  })
  .meta({ id: 'QuoteReport' })

const price = z.object({ quoted: money, host: money, developer: money, token: address }).meta({ id: 'Price' })
export const runResult = z
  .object({
    job: jobId,
    task: z.string(),
    host: address,
    status: jobStatus,
    httpStatus: count.exactOptional(),
    exitCode: z.number().int().exactOptional(),
    skipped: z.boolean().exactOptional(),
    outputs: z
      .record(
        z.string(),
        z.object({ kind: z.enum(['file', 'folder']), files: count, bytes: count, cid: z.string().exactOptional() }),
      )
      .exactOptional(),
    providers: z.array(z.string()).exactOptional(),
    contentType: z.string(),
    inputHash: hash,
    outputHash: hash,
    outputBytes: count,
    price,
    receipt: z.templateLiteral(['0x', z.string()]).meta({ override: { type: 'string', pattern: '^0x[0-9a-f]*$' } }),
    phases,
    warm: z.boolean(),
    replayed: z.boolean(),
    problem: problem.exactOptional(),
    logTail: z.string().exactOptional(),
  })
  .meta({ id: 'RunResult' })

export const jobSummary = z
  .object({
    job: jobId,
    task: z.string(),
    name: z.string(),
    host: address.nullable(),
    state: z.union([phase, jobStatus, z.literal('refused')]),
    underWay: z.object({ since: milliseconds, isFollowed: z.boolean() }).exactOptional(),
    price,
    createdAt: milliseconds,
    endedAt: milliseconds.exactOptional(),
  })
  .meta({ id: 'JobSummary' })
export const jobDetails = jobSummary
  .extend({
    result: runResult.exactOptional(),
    problem: problem.exactOptional(),
    why: z.object({ chosen: quotedHost.exactOptional(), refusals }),
    logs: z.array(logLine),
  })
  .meta({ id: 'JobDetails' })

const tariff = z.object({
  token: address,
  perJob: money,
  perCpuSecond: money,
  perGibSecond: money,
  perGpuSecond: money,
})
export const hostSummary = z
  .object({
    host: address,
    peerId: z.string(),
    addresses: z.array(z.string()),
    free: resources,
    total: resources,
    runtimes: z.array(z.string()),
    tariffs: z.array(tariff),
    images: z.array(z.string()),
    heardMsAgo: milliseconds.nullable(),
    registered: z.boolean(),
  })
  .meta({ id: 'HostSummary' })
