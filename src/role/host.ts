/**
 * The host's story: a client says hello for its channel, sends vouchers and jobs, and gets receipts and outputs. What is
 * promised here: a voucher and its job are on disk before the job starts; a receipt and its output are on disk before
 * they are sent; a job id runs once. A host risks at most the jobs under way, since `HostIntake` admits no job whose
 * price is not vouched for.
 */
import { MecaError } from '../core/errors.ts'
import { requirePaid, totalsToWire } from '../core/ledger.ts'
import { hostJobKey } from '../core/records.ts'
import type { ChannelRecord } from '../core/records.ts'
import { channelIdOf } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { CLIENT_MESSAGES, decode, FRAME } from '../core/wire.ts'
import type { ClientMessage } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { Frame, FrameStream } from '../p2p/frames.ts'
import type { LiveRow } from './book.ts'
import { HostChannels } from './host-channels.ts'
import type { HostComponents } from './host-components.ts'
import { HostIntake } from './host-intake.ts'
import { HostJobs } from './host-jobs.ts'
import { HostSession } from './host-session.ts'
import { takeExact } from './host-vouchers.ts'
import { Offences } from './offences.ts'

/** Messages refused on one stream before the peer is locked out, whatever their reason; clear breaches count by themselves. */
const MAX_REFUSALS = 20

export class Host {
  readonly jobs: HostJobs
  readonly #c: HostComponents
  readonly #channels: HostChannels
  readonly #intake: HostIntake
  readonly #sessions = new Set<HostSession>()
  readonly #offences = new Offences()

  constructor(c: HostComponents) {
    this.#c = c
    this.jobs = new HostJobs(c)
    this.#channels = new HostChannels(c)
    this.#intake = new HostIntake(c, this.jobs, this.#channels)
  }

  get draining(): boolean {
    return this.#intake.draining
  }

  drain(on: boolean): void {
    this.#intake.draining = on
  }

  /** Speaks with one client until its stream ends. Never rejects: what a stranger does wrong ends its stream only. */
  async serve(stream: FrameStream, peerId: string): Promise<void> {
    const session = new HostSession(stream, peerId)
    this.#sessions.add(session)
    let refusals = 0
    let isLockedOut = false
    try {
      for await (const frame of stream) {
        try {
          failpoint('host.frame-read')
          await this.#handle(session, frame)
        } catch (error) {
          this.#c.log.info({ peerId, err: error }, 'message refused')
          if (error instanceof MecaError && error.code === 'protocol') throw error
          isLockedOut = this.#offences.add(peerId, session.channels, error) || ++refusals > MAX_REFUSALS
          if (isLockedOut) throw error
        }
      }
    } catch (error) {
      this.#c.log.info({ peerId, err: error }, 'stream ended')
      if (isLockedOut) this.#c.ban(peerId)
    } finally {
      this.#sessions.delete(session)
      await stream.close()
      this.jobs.forget(session)
    }
  }

  /** Throws `unauthorized` where this peer has said hello for the channel on no connection that is still there. */
  requireSession(peerId: string, channelId: Hex): void {
    if ([...this.#sessions].some((session) => session.peerId === peerId && session.channels.has(channelId))) return
    throw new MecaError('unauthorized', `No hello for channel ${channelId} came from this peer`, {
      cure: 'say hello first',
    })
  }

  async #handle(session: HostSession, frame: Frame): Promise<void> {
    switch (frame.type) {
      case FRAME.submit:
        return this.#intake.submit(session, decode(CLIENT_MESSAGES.submit, frame.header, 'submit'), frame.attachments)
      case FRAME.ack:
        return this.#acknowledge(session, decode(CLIENT_MESSAGES.ack, frame.header, 'ack'))
      case FRAME.hello:
        return this.#hello(session, decode(CLIENT_MESSAGES.hello, frame.header, 'hello'))
      case FRAME.attach:
        return this.#attach(session, decode(CLIENT_MESSAGES.attach, frame.header, 'attach'))
      case FRAME.cancel:
        return this.#cancel(session, decode(CLIENT_MESSAGES.cancel, frame.header, 'cancel'))
      case FRAME.release:
        return this.#release(session, decode(CLIENT_MESSAGES.release, frame.header, 'release'))
      default:
        throw new MecaError('protocol', `Message type ${frame.type} is not known`)
    }
  }

  async #hello(session: HostSession, hello: ClientMessage<'hello'>): Promise<void> {
    const channelId = channelIdOf(this.#c.domain, hello.terms)
    try {
      this.#offences.requireFree(channelId)
      this.#channels.checkHello(session.peerId, channelId, hello)
      this.#offences.countHello(channelId)
      failpoint('host.hello-checked')
      const channel = await this.#channels.refreshed(channelId, hello.terms)
      if (channel.state !== 'open') {
        throw new MecaError('payment', `The channel is ${channel.state}`, { cure: 'open another channel' })
      }
      session.welcome(channelId, this.#c.book.rowsOf(channelId).map(welcomeRow))
    } catch (error) {
      session.refused(channelId, undefined, error)
      throw error
    }
  }

  async #acknowledge(session: HostSession, message: ClientMessage<'ack'>): Promise<void> {
    session.require(message.channelId)
    const channel = this.#channels.get(message.channelId)
    const { domain, book, restorer, signal } = this.#c
    const restored = await restorer.billsFromClient(channel, message.vouchers, signal)
    const exact = message.vouchers.flatMap((voucher) => takeExact(domain, book, channel, voucher) ?? [])
    const rows = [...restored, ...exact]
    const keys = message.ids.map((id) => hostJobKey(channel.terms.client, id))
    // Only what has ended can be acknowledged: ids that somebody makes up would stay on disk for ever.
    const ended = keys.filter((key) => this.jobs.hasEnded(key))
    const acks = ended.map((key) => this.#c.tables.acks.put(key, this.#c.wallNow()))
    this.#c.exportVouchers(rows, 'exact')
    if (rows.length > 0) await this.#c.book.commit('exact', { rows: exact, also: acks })
    else if (acks.length > 0) await this.#c.store.commit({ rows: acks })
    failpoint('host.acknowledged')
  }

  async #attach(session: HostSession, message: ClientMessage<'attach'>): Promise<void> {
    session.require(message.channelId)
    const channel = this.#channels.get(message.channelId)
    for (const id of message.ids) {
      const key = hostJobKey(channel.terms.client, id)
      const known = this.jobs.find(key)
      if (known !== undefined) this.jobs.replay(session, known)
      else if (!this.#intake.handOver(key, session)) {
        session.refused(
          message.channelId,
          id,
          new MecaError('not_found', `The job ${id} never arrived here`, { cure: 'send it again' }),
        )
      }
    }
    return Promise.resolve()
  }

  async #cancel(session: HostSession, message: ClientMessage<'cancel'>): Promise<void> {
    session.require(message.channelId)
    this.jobs.cancel(hostJobKey(this.#channels.get(message.channelId).terms.client, message.id))
    return Promise.resolve()
  }

  /**
   * The host's word that it has all it wants: with it the client ends the channel at once. What was billed is collected
   * first, so that the word is given for nothing that is still owed; nothing new is taken on the channel after it.
   */
  async #release(session: HostSession, { channelId }: ClientMessage<'release'>): Promise<void> {
    session.require(channelId)
    try {
      if (this.jobs.runningOn(channelId) > 0)
        throw new MecaError('busy', 'Jobs of this channel are still under way', {
          cure: 'wait for them, or cancel them',
        })
      const channel: ChannelRecord = { ...this.#channels.get(channelId), state: 'closing', released: true }
      this.#c.book.stageChannel(channel)
      await this.#c.book.commit('release', { channels: [channel] })
      failpoint('host.release-written')
      const unpaid = await this.#c.collect(channelId)
      if (unpaid > 0n)
        throw new MecaError(
          'payment',
          `${this.#c.currencies.show(unpaid, channel.terms.token)} was billed and no voucher says so exactly`,
          {
            cure: 'send vouchers over what was billed, then ask again',
          },
        )
      const { claimed } = await this.#c.channelState(channelId, channel.terms.token, this.#c.signal)
      requirePaid(this.#c.book.rowsOf(channelId), claimed, (amount) =>
        this.#c.currencies.show(amount, channel.terms.token),
      )
      session.send(FRAME.released, { channelId, claimed, signature: this.#c.releaseSignature(channelId, claimed) })
    } catch (error) {
      session.refused(channelId, undefined, error)
    }
  }
}

function welcomeRow(row: LiveRow) {
  return {
    taskId: row.taskId,
    vouched: totalsToWire(row.vouched),
    billed: totalsToWire(row.billed),
    signature: row.vouchedSignature,
  }
}
