/** What the host's story is handed by `node.ts`: the rooms it uses, as types, and what its owner decided. */
import type { Logger } from 'pino'
import type { HostJob, RowRecord } from '../core/records.ts'
import type { Signer } from '../core/signature.ts'
import type { Tariff } from '../core/tariff.ts'
import type { Domain } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store } from '../store/store.ts'
import type { Table } from '../store/tables.ts'
import type { HostPolicy } from './admission.ts'
import type { Book } from './book.ts'
import type { Caps, Currencies } from './currencies.ts'
import type { ExecuteComponents } from './execute.ts'
import type { Fleet } from './fleet.ts'
import type { Restorer } from './restore.ts'
import type { Tasks } from './tasks.ts'

/** A channel as the chain has it, at the depth of confirmations that the owner asked for. `closesAt` in seconds, 0: open. */
export type ChainChannel = { deposit: bigint; claimed: bigint; closesAt: number; closed: boolean }

export type HostTables = {
  hostJobs: Table<HostJob>
  /** Small outputs as base64, by job key; larger ones are blobs. */
  outputs: Table<string>
  /** Roots of outputs that stay on our IPFS, by job key, as long as the output itself. */
  keptOutputs: Table<string>
  /** When a client said that it has a result, ms. */
  acks: Table<number>
}

export type HostComponents = {
  domain: Domain
  signer: Signer
  peerId: string
  store: Store
  book: Book
  tables: HostTables
  blobs: Blobs
  tasks: Tasks
  fleet: Fleet
  execute: ExecuteComponents
  policy: HostPolicy
  confirmations: number
  channelState(channelId: Hex, token: Hex, signal: AbortSignal): Promise<ChainChannel>
  /** The tariffs of a recent offer of this host, if it still stands. */
  offered(sequence: number): readonly Tariff[] | undefined
  /** Throws `disk_full` where the records might find no room. */
  requireSpace(): Promise<void>
  /** Accepted vouchers go to a second place too, where the owner named one. */
  exportVouchers(rows: readonly RowRecord[], kind: 'vouched' | 'exact'): void
  restorer: Restorer
  /** What was billed in a currency and not collected: by this client, and by all. */
  owed(client: Hex, token: Hex): { client: bigint; all: bigint }
  /** Nothing new is taken beyond the owner's caps. */
  exposure: { perClient: Caps; total: Caps }
  currencies: Currencies
  /** Claims what was billed on a channel; resolves to what is still unpaid. */
  collect(channelId: Hex): Promise<bigint>
  releaseSignature(channelId: Hex, claimed: bigint): Hex
  ban(peerId: string): void
  /** Something that must stop the node, such as a store that cannot be written. */
  onFatal(error: unknown): void
  log: Logger
  /** Fires when the node closes. */
  signal: AbortSignal
  wallNow(): number
  now(): number
}
