/** What a node can tell the owner of a host, as types. See api.ts for the units. */
import type { Phase } from '../core/job.ts'
import type { Resources } from '../core/resources.ts'
import type { Hex } from '../core/units.ts'

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
