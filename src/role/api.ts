/**
 * What a node can do for a person, as types: the HTTP API exposes exactly this, and the command line speaks to it.
 * Each story has its own file beside this one; here they come together with what is said of the node as a whole.
 * Amounts are decimal strings in the token's smallest unit, times are milliseconds, addresses lower-case hex.
 */
import type { Hex } from '../core/units.ts'
import type { TokenInfo } from './api-common.ts'
import type { DeveloperApi } from './api-developer.ts'
import type { ClientApi } from './api-client.ts'
import type { HostApi } from './api-host.ts'
import type { MoneyApi } from './api-money.ts'

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

export type DoctorReport = {
  ok: boolean
  findings: { what: string; ok: boolean; level: 'ok' | 'warning' | 'error'; detail: string; cure?: string }[]
}
