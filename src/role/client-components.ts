/** What the client's story is handed by `node.ts`: the rooms it uses, as types, and what its owner decided. */
import type { Logger } from 'pino'
import type { LogLine } from '../core/plan.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import type { Signer } from '../core/signature.ts'
import type { ChannelTerms, Domain } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import type { DataHeader } from '../core/wire.ts'
import type { FrameStream } from '../p2p/frames.ts'
import type { Blobs } from '../store/blobs.ts'
import type { Store } from '../store/store.ts'
import type { Table } from '../store/tables.ts'
import type { Book } from './book.ts'
import type { HostExperience } from './client-memory.ts'
import type { PhaseRow } from './client-phases.ts'
import type { Caps, Currencies } from './currencies.ts'
import type { ChainChannel } from './host-components.ts'

/** How to reach a host: its libp2p identity and where it listens. */
export type HostAddress = { host: Hex; peerId: string; addresses: readonly string[] }

export type ClientTables = {
  clientJobs: Table<ClientJob>
  /** Small outputs as base64, by job id; larger ones are blobs. */
  clientOutputs: Table<string>
  /** How hosts did so far. */
  experience: Table<HostExperience[]>
  /** How far jobs under way were when their hosts were heard last. */
  phases: Table<PhaseRow>
}

/** The two streams to a host. */
export type HostLink = {
  openJobs(host: HostAddress, signal: AbortSignal): Promise<FrameStream>
  put(
    host: HostAddress,
    header: DataHeader,
    upload: { lengthBytes: number; read(offset: number): AsyncIterable<Uint8Array> },
    signal: AbortSignal,
  ): Promise<void>
  get(host: HostAddress, header: DataHeader, maxBytes: number, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>>
}

/** The transactions of a client. Each resolves when it has its confirmations. */
export type ChannelChain = {
  state(channelId: Hex, signal: AbortSignal): Promise<ChainChannel>
  /** Brings what was begun and interrupted to its end, so that nothing is sent anew that is still on its way. */
  settle(signal: AbortSignal): Promise<void>
  open(terms: ChannelTerms, deposit: bigint, signal: AbortSignal): Promise<void>
  topUp(terms: ChannelTerms, amount: bigint, signal: AbortSignal): Promise<void>
  balance(token: Hex, signal: AbortSignal): Promise<bigint>
}

/** What the owner allows to be spent without asking. */
export type SpendingPolicy = {
  /** A new channel holds the price of so many jobs like the first one, within the cap. */
  depositJobs: number
  depositCap: Caps
  closeDelaySeconds: number
  /** The most that may be promised in a day, and to one host in all; undefined: no such cap. */
  perDayCap: Caps | undefined
  perHostCap: Caps | undefined
}

export type ClientComponents = {
  domain: Domain
  signer: Signer
  peerId: string
  store: Store
  book: Book
  tables: ClientTables
  blobs: Blobs
  link: HostLink
  chain: ChannelChain
  spending: SpendingPolicy
  currencies: Currencies
  /** 32 fresh random bytes. */
  randomSalt(): Hex
  /** What a peer must not make us take. */
  maxOutputBytes: number
  /** What a job printed, heard after its result. */
  onLateLog(channelId: Hex, id: string, line: LogLine): void
  log: Logger
  signal: AbortSignal
  wallNow(): number
}

export type { ChannelRecord }
