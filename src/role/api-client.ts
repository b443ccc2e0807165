/** What a node can do for a client, as types: quotes, jobs and what is known of hosts. See api.ts for the units. */
import type { OutputFact } from '../core/bundle.ts'
import type { Problem } from '../core/errors.ts'
import type { Phase, Phases } from '../core/job.ts'
import type { LogLine } from '../core/plan.ts'
import type { Resources } from '../core/resources.ts'
import type { JobStatus } from '../core/receipt.ts'
import type { Hex } from '../core/units.ts'
import type { TokenInfo, OnProgress } from './api-common.ts'

export type QuoteOptions = {
  maxSeconds?: number
  inputBytes?: number
  maxPrice?: bigint
  runtime?: string
  host?: Hex
}
export type QuoteReport = {
  task: string
  name: string
  maxSeconds: number
  resources: Resources
  token: TokenInfo
  hosts: QuotedHost[]
  refusals: { host: Hex; code: string; reason: string }[]
}
export type QuotedHost = {
  host: Hex
  hostAmount: string
  developerAmount: string
  /** What the chain may cost beside the job itself, in native currency, where a channel has to be opened first. */
  gasEstimate: string
  total: string
  imageAtHand: boolean
  channelOpen: boolean
  /** What would be locked for this host before the job, and comes back but for what is billed; a record has none. */
  lock?: { how: 'none' | 'open' | 'top-up'; amount: string }
  freeCpus: number
  freeMemoryBytes: number
  queueFree: number
  runtimes: string[]
}

export type RunOptions = QuoteOptions & {
  /** The job's id; a random one where absent. The same id and input return the stored result and cost nothing. */
  id?: string
  /** Told to be sent as they come; logs cost nothing but bytes. */
  logs?: boolean
}
export type RunInput = Uint8Array | { file: string; bytes: number }

/** How a job ended; `output` is bytes for callers in this process, see `Output` for JSON. */
export type RunResult = {
  job: string
  task: string
  host: Hex
  status: JobStatus
  httpStatus?: number
  exitCode?: number
  /** The task found nothing to do. */
  skipped?: boolean
  /** Of a files task: what it left, by name; with a CID where it stayed on its host's IPFS. */
  outputs?: Record<string, OutputFact>
  /** Where the outputs with CIDs can be fetched. */
  providers?: string[]
  contentType: string
  inputHash: Hex
  outputHash: Hex
  outputBytes: number
  price: { quoted: string; host: string; developer: string; token: Hex }
  receipt: Hex
  phases: Phases
  warm: boolean
  /** The result was stored from an earlier run of the same job id. */
  replayed: boolean
  problem?: Problem
  logTail?: string
}

export type ClientApi = {
  quote(ref: string, options: QuoteOptions, signal: AbortSignal): Promise<QuoteReport>
  /** Runs and waits. The bytes of the output are read with `output`. */
  run(
    ref: string,
    input: RunInput,
    options: RunOptions,
    onProgress: OnProgress,
    signal: AbortSignal,
  ): Promise<RunResult>
  /** The output of a job that ended, from this node's store. */
  output(job: string): Promise<AsyncIterable<Uint8Array>>
  jobs(options: { limit: number }): Promise<JobSummary[]>
  job(id: string): Promise<JobDetails>
  cancel(id: string): Promise<void>
  hosts(): Promise<HostSummary[]>
}

export type JobSummary = {
  job: string
  task: string
  name: string
  host: Hex | null
  /** Its phase while it is under way. */
  state: Phase | JobStatus | 'refused'
  /** Of a job under way: since when it is in this phase, and whether its host is listened to now or was heard last then. */
  underWay?: { since: number; isFollowed: boolean }
  price: { quoted: string; host: string; developer: string; token: Hex }
  createdAt: number
  endedAt?: number
}
export type JobDetails = JobSummary & {
  result?: RunResult
  problem?: Problem
  /** Why this host, and why not the others. */
  why: { chosen?: QuotedHost; refusals: { host: Hex; code: string; reason: string }[] }
  logs: LogLine[]
}

export type HostSummary = {
  host: Hex
  peerId: string
  addresses: string[]
  free: Resources
  total: Resources
  runtimes: string[]
  tariffs: { token: Hex; perJob: string; perCpuSecond: string; perGibSecond: string; perGpuSecond: string }[]
  images: string[]
  /** From gossip with this age, or only listed on chain. */
  heardMsAgo: number | null
  registered: boolean
}
