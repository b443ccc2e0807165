/**
 * What a node can do for a person, as types: the HTTP API exposes exactly this, and the command line speaks to it.
 * Amounts are decimal strings in the token's smallest unit, times are milliseconds, addresses lower-case hex.
 */
import type { OutputFact } from '../core/bundle.ts'
import type { ErrorCode, Problem } from '../core/errors.ts'
import type { Phase, Phases } from '../core/job.ts'
import type { LogLine } from '../core/plan.ts'
import type { Resources } from '../core/resources.ts'
import type { JobStatus } from '../core/receipt.ts'
import type { Hex } from '../core/units.ts'
import type { Finding, Parameter } from '../task/format.ts'
import type { Manifest } from '../task/package.ts'

export type NodeApi = {
  info(): Promise<NodeInfo>
  doctor(signal: AbortSignal): Promise<DoctorReport>
  developer: DeveloperApi
  client: ClientApi
  /** Absent where this node does not rent out its hardware. */
  host?: HostApi
  money: MoneyApi
}

export type NodeInfo = {
  version: string
  home: string
  role: 'host' | 'node'
  address: Hex
  peerId: string
  addresses: string[]
  peers: number
  chainId: number
  contracts: { tasks: Hex; hosts: Hex; channels: Hex }
  /** The market's own. */
  token: TokenInfo
  /** All that this node counts in, the market's own first. */
  tokens: TokenInfo[]
}

export type TokenInfo = { address: Hex; symbol: string; decimals: number }

/** Something that is under way, told while it happens. */
export type Progress =
  | { kind: 'step'; step: string; detail?: string }
  | { kind: 'bytes'; step: string; doneBytes: number; totalBytes: number }
  | { kind: 'phase'; phase: Phase; at: number; doneBytes?: number; totalBytes?: number }
  | { kind: 'log'; line: LogLine }
export type OnProgress = (progress: Progress) => void

export type DeveloperApi = {
  check(dir: string, options: { format?: string; image?: string }, signal: AbortSignal): Promise<CheckReport>
  /** Builds the image and runs the example (or `input`) with the host's own limits and walls. */
  test(dir: string, options: TestOptions, onProgress: OnProgress, signal: AbortSignal): Promise<TestReport>
  publish(dir: string, options: PublishOptions, onProgress: OnProgress, signal: AbortSignal): Promise<Published>
  /** Newest first; of one developer where given. */
  list(options: { developer?: Hex; limit: number }, signal: AbortSignal): Promise<TaskSummary[]>
  /** `ref` is a CID, `developer/name` or `developer/name@version`. */
  show(ref: string, signal: AbortSignal): Promise<TaskDetails>
  versions(ref: string, signal: AbortSignal): Promise<TaskSummary[]>
}

export type CheckReport = { dir: string; format: string; ok: boolean; findings: Finding[] }
export type TestOptions = {
  format?: string
  image?: string
  buildArgs?: Readonly<Record<string, string>>
  input?: Uint8Array
}
export type TestReport = {
  dir: string
  format: string
  ok: boolean
  findings: Finding[]
  imageId: string
  resources: Resources
  buildMs: number
  startMs: number
  runMs: number
  httpStatus?: number
  /** Of an http task. */
  output?: Output
  /** Of a files task. */
  exitCode?: number
  outputs?: { path: string; bytes: number }[]
  warnings?: string[]
  /** Why it is not ok, in words. */
  problem?: string
  /** Whether the output is the example's; absent where another input was given. */
  sameAsExample?: boolean
  expected?: Output
  logTail: string
}

export type PublishOptions = {
  fee: bigint
  token?: Hex
  name?: string
  version?: string
  format?: string
  /** An archive or an image of the engine, instead of what the folder would give. */
  image?: string
  payee?: Hex
  determinism?: 'exact' | 'none'
  buildArgs?: Readonly<Record<string, string>>
  /** Publish without running the example first. */
  skipTest?: boolean
}
export type Published = {
  task: Hex
  cid: string
  name: string
  version: string
  format: string
  fee: string
  token: Hex
  developer: Hex
  tx: Hex
  gas: string
  bytes: number
  newBytes: number
}

export type TaskSummary = {
  task: Hex
  cid: string
  name: string
  version: string
  developer: Hex
  fee: string
  token: Hex
  retired: boolean
}
export type TaskDetails = TaskSummary & {
  payee: Hex
  manifest: Manifest
  atHand: boolean
  /** The format's own description, as the developer wrote it. */
  descriptor: string
  /** What a files task takes and leaves. */
  parameters?: Parameter[]
  /** What the image says of itself in labels and variables. */
  image: { name: string; value: string }[]
}

export type Output = { text: string } | { base64: string }

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
  state: Phase | JobStatus | 'refused' | 'unknown'
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

export type HostApi = {
  status(): Promise<HostStatus>
  /** Requests seen and refused by reason, and what would change that. */
  why(): Promise<HostWhy>
  drain(on: boolean): Promise<HostStatus>
  /** What a job of these resources and seconds would cost here. */
  price(resources: Resources, maxSeconds: number): Promise<{ hostAmount: string; token: Hex }[]>
}

export type HostStatus = {
  address: Hex
  state: 'open' | 'draining' | 'stopped'
  registered: boolean
  total: Resources
  free: Resources
  running: { job: string; task: string; client: Hex; phase: Phase; sinceMs: number }[]
  queued: number
  warm: number
  images: number
  engine: { version: string; runtimes: string[] }
  earned: Earnings
  atRisk: AtRisk[]
  /** What the owner must hear while there is time; the worst first. */
  alarms: { name: string; level: 'warning' | 'error'; detail: string; cure: string; since: number }[]
}
/** A host's money in one token that could still be lost. */
export type AtRisk = {
  token: Hex
  /** Billed and not collected. */
  unclaimed: string
  /** Of that, on channels whose clients are closing, and the seconds until the first of them can take its money. */
  closing: string
  closesInSeconds: number | null
  /** Of that, what the last claim over all channels left behind. */
  leftBehind: string
  /** Vouched for on deposits that do not have their confirmations. */
  unconfirmed: string
  /** Billed on channels that ended before it was claimed. */
  lost: string
}
export type HostWhy = {
  requests: number
  accepted: number
  answered: number
  refused: { code: string; count: number; last: string }[]
  /** What the prices are in: the host's first tariff. */
  token: Hex
  medianPrice: string | null
  ownPrice: string
  advice: string[]
}

/** Sums in one token: what was run, billed, claimed on chain and withdrawn. */
export type Earnings = {
  token: Hex
  jobs: number
  hostAmount: string
  developerAmount: string
  claimed: string
  withdrawn: string
}[]

export type ChannelRow = {
  task: Hex
  cid: string
  vouched: { jobs: number; host: string; developer: string }
  billed: { jobs: number; host: string; developer: string }
  claimed: { jobs: number; host: string; developer: string }
}
export type ChannelSummary = {
  channel: Hex
  side: 'client' | 'host'
  client: Hex
  host: Hex
  token: Hex
  state: 'opening' | 'open' | 'closing' | 'closed'
  closesAt?: number
  deposit: string
  /** What of the deposit is neither paid out nor back. */
  locked: string
  vouched: string
  billed: string
  claimed: string
  refundable: string
  rows: ChannelRow[]
}

export type MoneyApi = {
  wallet(signal: AbortSignal): Promise<WalletInfo>
  channels(signal: AbortSignal): Promise<ChannelSummary[]>
  /** In the market's own currency where no token is named. */
  open(host: Hex, deposit: bigint, signal: AbortSignal, token?: Hex): Promise<ChannelSummary>
  /** Cooperatively where the host answers, else by the delay; called again after the delay it collects the rest. */
  close(channel: Hex, signal: AbortSignal): Promise<ChannelSummary>
  /** Collects what clients vouched for on this node's channels. */
  claim(options: { channel?: Hex }, signal: AbortSignal): Promise<ClaimReport>
  /** Brings the credits of this node's address out of the contract. */
  withdraw(options: { token?: Hex }, signal: AbortSignal): Promise<WithdrawReport>
  /** Whether both ledgers and the chain agree, to the last unit. */
  reconcile(signal: AbortSignal): Promise<ReconcileReport>
  /** Where a host's earnings go; with `to`: there from now on, and only that address can change it again. */
  payout(to: Hex | undefined, signal: AbortSignal): Promise<PayoutReport>
  /** What was run, billed, claimed and drawn, as a host and as a developer, held against the chain. */
  earnings(options: EarningsOptions, signal: AbortSignal): Promise<EarningsReport>
  /** Finds this address's channels on chain that are not in its records, and asks their hosts what was signed. */
  recover(signal: AbortSignal): Promise<RecoverReport>
  /** Every voucher that this node holds, one line of text each (core/voucher-line). */
  vouchers(): Promise<VoucherCopies>
  /** Takes such lines back where they are worth something; `highest` counts work as done that nobody has billed. */
  restore(lines: readonly string[], options: { highest?: boolean }, signal: AbortSignal): Promise<RestoreReport>
}

export type WalletInfo = {
  address: Hex
  balances: { token: TokenInfo; wallet: string; credit: string; locked: string }[]
}
/** In one currency. */
export type ClaimedIn = { token: Hex; rows: number; host: string; developer: string }
/** The sums are in the market's own currency, or the only one; `others` has what was claimed in further ones. */
export type ClaimReport = ClaimedIn & { tx: Hex | null; gas: string; others: ClaimedIn[] }
export type WithdrawReport = { tx: Hex | null; gas: string; amount: string; to: Hex; token: Hex }
export type ReconcileReport = {
  ok: boolean
  lines: { channel: Hex; task: Hex; what: string; ledger: string; chain: string; difference: string; ok: boolean }[]
}

export type PayoutReport = { host: Hex; payee: Hex; registered: boolean; tx: Hex | null }
export type EarningsBy = 'token' | 'day' | 'task' | 'client'
export type EarningsRole = 'host' | 'developer'
/** `since` in ms: what happened before it, or nobody knows when, is left out of the lines. */
export type EarningsOptions = { by: EarningsBy; since?: number }
/** A host's billed parts by receipts, and its own part claimed; a developer's fees as the chain credited them. */
export type EarningsLine = {
  role: EarningsRole
  /** A day, a CID or an address; null for all together, or where it is not known. */
  key: string | null
  token: Hex
  run: number
  hostAmount: string
  developerAmount: string
  claimed: string
  withdrawn: string
  /** Billed and not claimed, on channels that are not closed. */
  atRisk: string
}
export type EarningsCheck = {
  role: EarningsRole
  token: Hex
  what: string
  ledger: string
  chain: string
  difference: string
  ok: boolean
}
export type EarningsReport = EarningsOptions & {
  lines: EarningsLine[]
  /** Over all time, whatever the lines leave out. */
  checks: EarningsCheck[]
  ok: boolean
  /** What the checks that fail are off by, in all. */
  difference: string
  notes: string[]
}
/** What was found; `problem` where the host did not say what it holds. */
export type RecoverReport = {
  channels: {
    channel: Hex
    host: Hex
    token: Hex
    state: ChannelSummary['state']
    deposit: string
    claimed: string
    vouched: string
    billed: string
    problem?: { code: ErrorCode; reason: string }
  }[]
}
export type VoucherCopies = { lines: string[] }
/** What each line came to, in the order given; `known` says nothing new, `collected` was paid by the chain already. */
export type RestoreReport = {
  adopted: number
  known: number
  collected: number
  refused: number
  rows: RestoredRow[]
}
export type RestoredRow = {
  outcome: 'adopted' | 'known' | 'collected' | 'refused'
  channel?: Hex
  task?: Hex
  host?: string
  developer?: string
  token?: Hex
  code?: ErrorCode
  reason?: string
}

export type DoctorReport = {
  ok: boolean
  findings: { what: string; ok: boolean; level: 'ok' | 'warning' | 'error'; detail: string; cure?: string }[]
}
