/**
 * How a host sees a channel: by its own endpoint and by the other one that its owner may have named, at the depth of
 * confirmations that the owner asked for. Where endpoints disagree the host believes what costs it least, and says so.
 *
 * The bound: to be made to work for nothing, all endpoints have to tell the same lie.
 */
import type { Chain } from '../chain/chain.ts'
import { Channels } from '../chain/channels.ts'
import type { ChannelState } from '../chain/channels.ts'
import type { Hex } from '../core/units.ts'
import type { Alarms } from '../role/alarms.ts'
import type { ChainChannel } from '../role/host-components.ts'
import type { Lending } from '../role/lending.ts'

/** What one endpoint says; `confirmed` is the part of the deposit that has the confirmations. */
type Seen = ChannelState & { confirmed: bigint }

export type DepositsComponents = {
  chain: Chain
  channels: Channels
  /** The second endpoint, where there is one. */
  witness: Chain | undefined
  confirmations: number
  lending: Lending
  alarms: Alarms
  /** Whether the host has the channel in its book: over others nobody has to be alarmed, they just do not count. */
  isKnown(channelId: Hex): boolean
}

export class Deposits {
  readonly #endpoints: readonly { name: string; channels: Channels }[]
  readonly #confirmations: number
  readonly #lending: Lending
  readonly #alarms: Alarms
  readonly #isKnown: DepositsComponents['isKnown']

  constructor({ chain, channels, witness, confirmations, lending, alarms, isKnown }: DepositsComponents) {
    const others = witness === undefined ? [] : [{ name: witness.rpc.host, channels: new Channels(witness) }]
    this.#endpoints = [{ name: chain.rpc.host, channels }, ...others]
    this.#confirmations = confirmations
    this.#lending = lending
    this.#alarms = alarms
    this.#isKnown = isKnown
  }

  /** Throws where one of the endpoints gives no answer: without it nothing more is believed than before. */
  async state(channelId: Hex, token: Hex, signal: AbortSignal): Promise<ChainChannel> {
    const all = await Promise.all(this.#endpoints.map(({ channels }) => this.#seenBy(channels, channelId, signal)))
    this.#compare(channelId, all)
    const least = (pick: (seen: Seen) => bigint) => all.map(pick).reduce((a, b) => (a < b ? a : b))
    const deposit = this.#lending.counted(
      channelId,
      token,
      least((s) => s.confirmed),
      least((s) => s.deposit),
    )
    // Finished is finished where all say so: else it would not be looked at any more.
    const closed = all.every(({ state }) => state === 'finished')
    const closes = all.map((s) => (s.state === 'finished' ? 1 : s.closesAt)).filter((at) => at > 0)
    return {
      deposit,
      claimed: least((s) => s.claimed),
      closesAt: closed || closes.length === 0 ? 0 : Math.min(...closes),
      closed,
    }
  }

  async #seenBy(channels: Channels, channelId: Hex, signal: AbortSignal): Promise<Seen> {
    const newest = await channels.state(channelId, signal)
    if (this.#confirmations <= 1 || newest.deposit === 0n) return { ...newest, confirmed: newest.deposit }
    return { ...newest, confirmed: await channels.confirmedDeposit(channelId, this.#confirmations, signal) }
  }

  /** A block's difference is usual; so only what would let the host work for nothing is told. */
  #compare(channelId: Hex, all: readonly Seen[]): void {
    const name = `endpoints ${channelId}`
    const [most, least] = [all.map((s) => s.confirmed), all.map((s) => s.deposit)].map((each) => each.sort(byAmount))
    const [high, low] = [most?.at(-1) ?? 0n, least?.[0] ?? 0n]
    if (high <= low || !this.#isKnown(channelId)) return this.#alarms.clear(name)
    this.#alarms.raise(name, {
      level: 'error',
      detail: `The endpoints ${this.#endpoints.map((e) => e.name).join(', ')} disagree on channel ${channelId}: one says that ${high} is deposited, another ${low}`,
      cure: 'find out which one is wrong and take it out of chain.rpc and chain.witness; until then the lower sum counts',
    })
  }
}

function byAmount(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Of so many looks one asks for the contracts' code too, which is long; the others for the chain's id. */
const LOOKS_PER_PROOF = 30

/** Each look proves that the chain is still the one it was, and gives the time of its newest block. */
export function lookout(chain: Chain): (signal: AbortSignal) => Promise<number> {
  let looks = 0
  return async (signal) => {
    if (looks++ % LOOKS_PER_PROOF === 0) await chain.verify(signal)
    else await chain.verifyId(signal)
    return (await chain.block(signal)).timestamp
  }
}
