/**
 * What the sides of a market saw, as plain data: what callers asked and were told, what each node wrote into its books,
 * and what the chain did. Recorded by the crash and chaos runs, judged by check.ts; nothing here knows a process.
 */
import type { Totals } from '../../src/core/ledger.ts'
import type { JobStatus } from '../../src/core/receipt.ts'
import type { Hex } from '../../src/core/units.ts'

/** One node on one side of the market; a host that is also a client is two parties. */
export type Party = { side: 'client' | 'host'; who: Hex }

/** A receipt's content, and `digest` over all of it: two that differ in anything differ there. */
export type Bill = {
  status: JobStatus
  agreed: { host: bigint; developer: bigint }
  host: bigint
  developer: bigint
  inputHash: Hex
  outputHash: Hex
  digest: string
}

/** A row of a party's book at some moment. */
export type Line = {
  by: Party
  channel: Hex
  task: Hex
  vouched: Totals
  billed: Totals
  claimed: Totals
  /** What the voucher over the exact sum says, where there is one. */
  exact?: Totals
}

/** A job as its caller sent it to a client. */
export type Asked = { client: Hex; job: string; task: Hex; inputHash: Hex }
/** An end that a caller was told, each time it asked; `bytesHash` is of the bytes that it got, where it fetched them. */
export type Told = { client: Hex; job: string; digest: string; outputHash: Hex; bytesHash: Hex | undefined }
/** A caller was told for good that nothing ran and nothing is owed. */
export type Refused = { client: Hex; job: string; code: string }
/** A receipt that a party wrote down. */
export type Ended = { by: Party; client: Hex; channel: Hex; task: Hex; job: string; bill: Bill }

export type ChannelFacts = {
  channel: Hex
  client: Hex
  host: Hex
  /** The first deposit and every top-up. */
  deposits: bigint[]
  /** What the contract says was paid out of it. */
  claimed: bigint
  /** What the client got back; undefined while the channel is not finished. */
  refunded: bigint | undefined
}
/** Money that the contract credited; `to` is a host, a client or a task. */
export type Claim = { channel: Hex; task: Hex; host: bigint; developer: bigint }
export type Lane = { channel: Hex; task: Hex; claimed: Totals }

export type ChainFacts = {
  channels: ChannelFacts[]
  claims: Claim[]
  lanes: Lane[]
  /** Taken out of the contract, by whom it was credited to. */
  withdrawn: bigint
  /** Credited and still there. */
  credit: bigint
  /** What the contract owns. */
  balance: bigint
}

export type History = {
  asked: Asked[]
  told: Told[]
  refused: Refused[]
  /** What each party wrote into its book, of each in its order, over all its restarts. */
  lines: Line[]
  /** What each party said of its book to somebody who asked while it ran; from then on it may be relied on. */
  shown: Line[]
  ended: Ended[]
  chain: ChainFacts
  /** Every job was asked for until it ended, everything claimed and closed: the books must be equal, not only bounded. */
  settled: boolean
}
