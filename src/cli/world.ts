/**
 * What lies outside the command line: the terminal, the signals and the doors to the other rooms. main.ts hands it in,
 * tests hand in another; a door opens (and loads its room) only when it is used, so that help stays quick.
 */
import type { Readable, Writable } from 'node:stream'
import type { Loaded } from '../config.ts'
import type { Hex } from '../core/units.ts'
import type { RemoteNode } from '../http/client.ts'
import type { Endpoint } from '../http/request.ts'
import type { RunningServer, ServerOptions } from '../http/server.ts'
import type { DoctorReport, NodeApi } from '../role/api.ts'
import type { DeveloperApi } from '../role/api-developer.ts'
import type { Devnet, DevnetOptions } from '../wiring/devnet.ts'

export type Terminal = {
  stdin: Readable & { isTTY?: boolean | undefined; setRawMode?: (raw: boolean) => unknown }
  stdout: Writable & { isTTY?: boolean | undefined }
  stderr: Writable & { isTTY?: boolean | undefined; columns?: number | undefined }
}

/** `failed` settles when something must stop the node. */
export type RunningNode = { api: NodeApi; failed?: Promise<unknown>; close(): Promise<void> }
export type Bench = { api: Pick<DeveloperApi, 'check' | 'test'>; close(): Promise<void> }
export type Role = 'host' | 'node'
/** A command opens a node for a moment and keeps its log to itself; a daemon's log is its voice. */
export type OpenOptions = { role: Role; daemon: boolean }

export type Doors = {
  loadConfig(sources: { flags: Readonly<Record<string, unknown>>; file: string | undefined }): Promise<Loaded>
  /** Throws `would_ask` where the key is locked and `loaded` has no password. */
  openNode(loaded: Loaded, options: OpenOptions, signal: AbortSignal): Promise<RunningNode>
  /** The developer's bench: needs an engine, and neither wallet nor chain. */
  openBench(loaded: Loaded): Promise<Bench>
  /** What can be examined without a node: no wallet, no password and no chain has to be there. */
  checkUp(loaded: Loaded, signal: AbortSignal): Promise<DoctorReport>
  /** Whose wallet this home has, without opening it; undefined where there is none. */
  walletAddress(loaded: Loaded): Promise<Hex | undefined>
  connect(endpoint: Endpoint, signal: AbortSignal): Promise<RemoteNode>
  startServer(options: Omit<ServerOptions, 'log'>, loaded: Loaded, signal: AbortSignal): Promise<RunningServer>
  /** `keep` leaves the password beside the key, for daemons that nobody types for. */
  createWallet(home: string, password: string, keep: boolean): Promise<{ address: Hex; home: string }>
  startDevnet(options: DevnetOptions): Promise<Devnet>
}

export type World = {
  terminal: Terminal
  doors: Doors
  /** Fires at the first Ctrl-C: end what is under way; a daemon drains. */
  signal: AbortSignal
  /** Fires at the second: do not wait any longer. */
  urgent: AbortSignal
  version: string
}
