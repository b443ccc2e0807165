/**
 * A client's lines to its hosts, one over each channel: made when first needed, given up when their channel has come to its
 * end, and found again where a host has moved.
 */
import { MecaError } from '../core/errors.ts'
import type { ChannelRecord } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'
import { ClientSession } from './client-session.ts'
import { addressOf } from './market.ts'
import type { Market } from './market.ts'

/** A host that is there is heard of within this. */
const HEARD_WITHIN_MS = 5_000

export class ClientLines {
  readonly #c: ClientComponents
  readonly #market: Market
  readonly #sessions = new Map<Hex, ClientSession>()

  constructor(c: ClientComponents, market: Market) {
    this.#c = c
    this.#market = market
  }

  /** The line over a channel. The host may move meanwhile: its newest offer says where to. */
  session(channel: ChannelRecord): ClientSession {
    const old = this.#sessions.get(channel.channelId)
    if (old !== undefined) return old
    const { host } = channel.terms
    this.#letGo(host)
    const session = new ClientSession(this.#c, channel, () => this.#addressOf(host))
    this.#sessions.set(channel.channelId, session)
    return session
  }

  /** The same for a node that may have just started: it hears of a host that is there within moments. */
  async awaited(channel: ChannelRecord, signal: AbortSignal): Promise<ClientSession> {
    const session = this.session(channel)
    const until = performance.now() + HEARD_WITHIN_MS
    while (!session.isOpen && this.#market.find(channel.terms.host) === undefined && performance.now() < until) {
      signal.throwIfAborted()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return session
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => session.close()))
  }

  /** A host takes few streams of one client, so the lines over channels that have come to their end make room. */
  #letGo(host: Hex): void {
    for (const [channelId, session] of this.#sessions) {
      const channel = this.#c.book.channels.get(channelId)
      if (channel?.state !== 'closed' || channel.terms.host !== host || !session.idle) continue
      this.#sessions.delete(channelId)
      session.close().catch((error: unknown) => this.#c.log.debug({ err: error, channelId }, 'closing an old line'))
    }
  }

  #addressOf(host: Hex): HostAddress {
    const heard = this.#market.find(host)
    if (heard !== undefined) return addressOf(heard.offer)
    throw new MecaError('peer_unreachable', `Nothing was heard of the host ${host}`, {
      cure: 'is it running, and are you connected to its market? see meca doctor',
    })
  }
}
