/**
 * The channels at a host: what the chain says of each, written down, and whether a hello comes from who may speak for it.
 * The chain is asked here and nowhere else on a job's way: when a client says hello, and when its vouchers outgrow the
 * deposit that is known.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { MecaError } from '../core/errors.ts'
import type { ChannelRecord } from '../core/records.ts'
import { recover } from '../core/signature.ts'
import { sessionDigest } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import type { ClientMessage } from '../core/wire.ts'
import type { Book } from './book.ts'
import { notTaken } from './currencies.ts'
import type { HostComponents } from './host-components.ts'
import { asSeen } from './seen.ts'

/** A hello older than this is a replay; clocks of honest machines differ by less. */
const MAX_HELLO_AGE_MS = 300_000
/** Vouchers above the deposit cost a question to the chain; so often at most, or a flood of them would flood the chain. */
const ASK_AGAIN_MS = 500

/** What of a host this needs. */
export type ChannelsComponents = Pick<
  HostComponents,
  | 'channelState'
  | 'confirmations'
  | 'currencies'
  | 'domain'
  | 'now'
  | 'peerId'
  | 'policy'
  | 'signal'
  | 'signer'
  | 'wallNow'
> & { book: Pick<Book, 'channels' | 'commit' | 'stageChannel'> }

export class HostChannels {
  readonly #c: ChannelsComponents
  readonly #askedAt = new Map<Hex, number>()
  /** Questions that have not begun: whoever asks meanwhile gets the same answer. */
  readonly #next = new Map<Hex, Promise<ChannelRecord>>()

  constructor(c: ChannelsComponents) {
    this.#c = c
  }

  get(channelId: Hex): ChannelRecord {
    const channel = this.#c.book.channels.get(channelId)
    if (channel === undefined) throw new MecaError('not_found', `No channel ${channelId} is known here`)
    return channel
  }

  /** The channel as the chain has it now, written down. */
  async refreshed(channelId: Hex, terms: ChannelRecord['terms']): Promise<ChannelRecord> {
    const state = await this.#c.channelState(channelId, terms.token, this.#c.signal)
    const blank: ChannelRecord = {
      channelId,
      side: 'host',
      terms,
      state: 'open',
      deposit: 0n,
      claimed: 0n,
      closesAt: 0,
      createdAt: this.#c.wallNow(),
    }
    const channel = asSeen(this.#c.book.channels.get(channelId) ?? blank, state, this.#c.wallNow())
    if (state.deposit === 0n && !state.closed) {
      throw new MecaError(
        'busy',
        `The channel ${channelId} has no deposit that ${this.#c.confirmations} confirmations stand behind`,
        { cure: 'open it, or wait for its confirmation' },
      )
    }
    this.#c.book.stageChannel(channel)
    await this.#c.book.commit('channel', { channels: [channel] })
    return channel
  }

  /**
   * The channel anew from the chain, because it may have been topped up. Asked a moment ago, the chain is asked again when
   * that moment is over: a top-up of just now must not be missed, and a flood of such wishes is one question.
   */
  grown(channel: ChannelRecord): Promise<ChannelRecord> {
    const { channelId } = channel
    const joined = this.#next.get(channelId)
    if (joined !== undefined) return joined
    const waitMs = (this.#askedAt.get(channelId) ?? -Infinity) + ASK_AGAIN_MS - this.#c.now()
    if (waitMs <= 0) return this.#ask(channel)
    const next = sleep(waitMs, undefined, { signal: this.#c.signal, ref: false })
      .finally(() => this.#next.delete(channelId))
      .then(() => this.#ask(channel))
    this.#next.set(channelId, next)
    return next
  }

  /** The same without waiting: what is known, where somebody asked a moment ago. */
  lately(channel: ChannelRecord): Promise<ChannelRecord> {
    const dueMs = (this.#askedAt.get(channel.channelId) ?? -Infinity) + ASK_AGAIN_MS
    return dueMs > this.#c.now() ? Promise.resolve(channel) : this.#ask(channel)
  }

  #ask({ channelId, terms }: ChannelRecord): Promise<ChannelRecord> {
    this.#askedAt.set(channelId, this.#c.now())
    return this.refreshed(channelId, terms)
  }

  /** Throws where the hello is for another host, in a token not taken, too old, or not signed by the channel's signer. */
  checkHello(clientPeer: string, channelId: Hex, { terms, issuedAt, signature }: ClientMessage<'hello'>): void {
    const { policy, domain, signer, peerId, wallNow, currencies } = this.#c
    if (terms.host !== signer.address)
      throw new MecaError('bad_input', `The channel is for ${terms.host}, this is ${signer.address}`)
    if (!policy.tariffs.some((t) => t.token === terms.token)) throw notTaken(currencies, policy.tariffs, terms.token)
    if (terms.closeDelaySeconds < policy.minCloseDelaySeconds) {
      throw new MecaError(
        'refused',
        `The channel's close delay is ${terms.closeDelaySeconds} s, at least ${policy.minCloseDelaySeconds} s are needed to claim in time`,
      )
    }
    if (Math.abs(wallNow() - issuedAt) > MAX_HELLO_AGE_MS)
      throw new MecaError('unauthorized', 'The hello is too old, or a clock is wrong', { cure: 'set the clock' })
    const digest = sessionDigest(domain, { channelId, clientPeer, hostPeer: peerId, issuedAt })
    if (recover(digest, signature) !== terms.signer)
      throw new MecaError('unauthorized', `The hello is not signed by the channel's signer ${terms.signer}`)
  }
}
