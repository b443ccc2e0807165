/**
 * The host's story: a client says hello for its channel, sends vouchers and jobs, and gets receipts and outputs. What is
 * promised here: a voucher and its job are on disk before the job starts; a receipt and its output are on disk before
 * they are sent; a job id runs once. A host risks at most the jobs under way, since `reserve` admits no job whose price
 * is not vouched for.
 */
import { asMecaError, MecaError } from '../core/errors.ts'
import { PhaseClock } from '../core/job.ts'
import { admit, sum, totalsToWire } from '../core/ledger.ts'
import { hostJobKey } from '../core/records.ts'
import type { ChannelRecord, HostJob } from '../core/records.ts'
import { recover } from '../core/signature.ts'
import { channelIdOf, sessionDigest } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { CLIENT_MESSAGES, decode, FRAME } from '../core/wire.ts'
import type { ClientMessage, JobRequest } from '../core/wire.ts'
import type { Frame, FrameStream } from '../p2p/frames.ts'
import { checkRequest } from './admission.ts'
import type { LiveRow } from './book.ts'
import type { HostComponents } from './host-components.ts'
import { HostJobs } from './host-jobs.ts'
import type { LiveJob } from './host-jobs.ts'
import { HostSession } from './host-session.ts'
import { takeExact, takeVoucher } from './host-vouchers.ts'
import type { KnownTask } from './tasks.ts'

/** A hello older than this is a replay; clocks of honest machines differ by less. */
const MAX_HELLO_AGE_MS = 300_000
/** Messages that break the rules before the peer is locked out: a flood of bad signatures costs CPU. */
const MAX_OFFENCES = 20

export class Host {
  readonly jobs: HostJobs
  readonly #c: HostComponents
  readonly #sessions = new Set<HostSession>()
  /** Jobs whose task is still being looked up: they are neither known nor unknown, and whoever asks gets the answer. */
  readonly #arriving = new Map<string, HostSession>()
  #draining = false

  constructor(c: HostComponents) {
    this.#c = c
    this.jobs = new HostJobs(c)
  }

  get draining(): boolean {
    return this.#draining
  }

  drain(on: boolean): void {
    this.#draining = on
  }

  /** Speaks with one client until its stream ends. Never rejects: what a stranger does wrong ends its stream only. */
  async serve(stream: FrameStream, peerId: string): Promise<void> {
    const session = new HostSession(stream, peerId)
    this.#sessions.add(session)
    let offences = 0
    try {
      for await (const frame of stream) {
        try {
          await this.#handle(session, frame)
        } catch (error) {
          this.#c.log.info({ peerId, err: error }, 'message refused')
          if (error instanceof MecaError && error.code === 'protocol') throw error
          if (++offences > MAX_OFFENCES) throw error
        }
      }
    } catch (error) {
      this.#c.log.info({ peerId, err: error }, 'stream ended')
      if (offences > MAX_OFFENCES) this.#c.ban(peerId)
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
        return this.#submit(session, decode(CLIENT_MESSAGES.submit, frame.header, 'submit'), frame.attachments)
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
      this.#checkHello(session, channelId, hello)
      const channel = await this.#refreshed(channelId, hello.terms)
      if (channel.state !== 'open') {
        throw new MecaError('payment', `The channel is ${channel.state}`, { cure: 'open another channel' })
      }
      session.welcome(channelId, this.#c.book.rowsOf(channelId).map(welcomeRow))
    } catch (error) {
      session.refused(channelId, undefined, error)
      throw error
    }
  }

  #checkHello(session: HostSession, channelId: Hex, { terms, issuedAt, signature }: ClientMessage<'hello'>): void {
    const { policy, domain, signer, peerId, wallNow } = this.#c
    if (terms.host !== signer.address)
      throw new MecaError('bad_input', `The channel is for ${terms.host}, this is ${signer.address}`)
    if (!policy.tariffs.some((t) => t.token === terms.token))
      throw new MecaError('refused', `The token ${terms.token} is not taken here`)
    if (terms.closeDelaySeconds < policy.minCloseDelaySeconds) {
      throw new MecaError(
        'refused',
        `The channel's close delay is ${terms.closeDelaySeconds} s, at least ${policy.minCloseDelaySeconds} s are needed to claim in time`,
      )
    }
    if (Math.abs(wallNow() - issuedAt) > MAX_HELLO_AGE_MS)
      throw new MecaError('unauthorized', 'The hello is too old, or a clock is wrong', { cure: 'set the clock' })
    const digest = sessionDigest(domain, { channelId, clientPeer: session.peerId, hostPeer: peerId, issuedAt })
    if (recover(digest, signature) !== terms.signer)
      throw new MecaError('unauthorized', `The hello is not signed by the channel's signer ${terms.signer}`)
  }

  /** The channel as the chain has it now, written down. */
  async #refreshed(channelId: Hex, terms: ChannelRecord['terms']): Promise<ChannelRecord> {
    const state = await this.#c.channelState(channelId, this.#c.signal)
    const old = this.#c.book.channels.get(channelId)
    const channel: ChannelRecord = {
      channelId,
      side: 'host',
      terms,
      // Nothing reopens a channel: one that was released here may be ended by its client at any moment.
      state: state.closed ? 'closed' : state.closesAt > 0 || old?.state === 'closing' ? 'closing' : 'open',
      deposit: state.deposit,
      claimed: state.claimed,
      closesAt: state.closesAt,
      createdAt: old?.createdAt ?? this.#c.wallNow(),
    }
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

  async #submit(
    session: HostSession,
    message: ClientMessage<'submit'>,
    attachments: readonly Uint8Array[],
  ): Promise<void> {
    session.require(message.channelId)
    const channel = this.#channel(message.channelId)
    const keys = message.jobs.map(({ id }) => hostJobKey(channel.terms.client, id))
    for (const key of keys) this.#arriving.set(key, session)
    try {
      await this.#c.requireSpace()
      await this.#submitArrived(message, attachments, channel)
    } catch (error) {
      for (const { id } of message.jobs) session.refused(message.channelId, id, error)
      if (asMecaError(error).code !== 'disk_full') throw error
    } finally {
      for (const key of keys) this.#arriving.delete(key)
    }
  }

  async #submitArrived(
    message: ClientMessage<'submit'>,
    attachments: readonly Uint8Array[],
    known: ChannelRecord,
  ): Promise<void> {
    let channel = known
    const askedBy = (id: string) => this.#arriving.get(hostJobKey(channel.terms.client, id))
    const tasks = await this.#tasksOf(message, askedBy)
    if (this.#vouchedAfter(message) > channel.deposit) await this.#refreshed(channel.channelId, channel.terms)
    // Read anew: the channel may have been released while the tasks were looked up.
    channel = this.#channel(channel.channelId)
    const rows = new Map<Hex, LiveRow>()
    const badVouchers = this.#takeVouchers(message, channel, tasks, rows)
    const admitted: LiveJob[] = []
    for (const request of message.jobs) {
      try {
        const task = badVouchers.get(request.task) ?? tasks.get(request.task)
        const live = this.#admit(askedBy(request.id), channel, request, task, attachments, rows)
        if (live !== undefined) admitted.push(live)
      } catch (error) {
        this.jobs.countRefusal(error)
        askedBy(request.id)?.refused(channel.channelId, request.id, error)
      }
    }
    await this.#writeAdmitted(rows, admitted)
    for (const live of admitted) this.jobs.start(live)
  }

  /** The tasks named, each loaded or the reason why it could not be. */
  async #tasksOf(
    message: ClientMessage<'submit'>,
    askedBy: (id: string) => HostSession | undefined,
  ): Promise<Map<string, KnownTask | MecaError>> {
    const tasks = new Map<string, KnownTask | MecaError>()
    for (const { task: cid, id, providers } of message.jobs) {
      if (tasks.has(cid)) continue
      let task: KnownTask | MecaError | undefined = this.#c.tasks.cached(cid)
      if (task === undefined) {
        askedBy(id)?.event(message.channelId, id, 'queued', this.#c.wallNow())
        task = await this.#c.tasks.get(cid, this.#c.signal, providers).catch((error: unknown) => asRefusal(cid, error))
      }
      tasks.set(cid, task)
    }
    return tasks
  }

  #vouchedAfter(message: ClientMessage<'submit'>): bigint {
    const { book } = this.#c
    return message.vouchers.reduce((all, voucher) => {
      const before = book.row(message.channelId, voucher.taskId)
      return all - (before === undefined ? 0n : sum(before.vouched)) + sum(voucher)
    }, book.vouchedOn(message.channelId))
  }

  #takeVouchers(
    message: ClientMessage<'submit'>,
    channel: ChannelRecord,
    tasks: Map<string, KnownTask | MecaError>,
    rows: Map<Hex, LiveRow>,
  ): Map<string, MecaError> {
    const bad = new Map<string, MecaError>()
    const byId = new Map(
      [...tasks.values()].flatMap((task) => (task instanceof MecaError ? [] : [[task.taskId, task] as const])),
    )
    for (const voucher of message.vouchers) {
      const task = byId.get(voucher.taskId)
      if (task === undefined) continue
      try {
        const row = takeVoucher(this.#c.domain, this.#c.book, channel, voucher, task)
        if (row !== undefined) rows.set(row.taskId, row)
      } catch (error) {
        if (!(error instanceof MecaError)) throw error
        bad.set(task.cid, error)
      }
    }
    return bad
  }

  /** Stages the job; undefined where its id is known, which is answered from what is stored or still runs. */
  #admit(
    session: HostSession | undefined,
    channel: ChannelRecord,
    request: JobRequest,
    task: KnownTask | MecaError | undefined,
    attachments: readonly Uint8Array[],
    rows: Map<Hex, LiveRow>,
  ): LiveJob | undefined {
    const key = hostJobKey(channel.terms.client, request.id)
    const known = this.jobs.find(key)
    if (known !== undefined) {
      if (known.inputHash !== request.inputHash || known.cid !== request.task) {
        throw new MecaError('job_conflict', `The job id ${request.id} was used for another input or task`, {
          cure: 'choose another id',
        })
      }
      if (session !== undefined) this.jobs.replay(session, known)
      return undefined
    }
    if (task === undefined) throw new MecaError('internal', 'a job without its task')
    if (task instanceof MecaError) throw task
    if (this.#draining) throw new MecaError('busy', 'The host is draining: it ends what it has and takes nothing new')
    if (channel.state !== 'open')
      throw new MecaError('payment', `The channel is ${channel.state}`, { cure: 'open another channel' })
    const { domain, signer, policy, offered, wallNow } = this.#c
    checkRequest({ domain, host: signer.address, policy, offered, now: wallNow() }, request, task)
    this.#requireCollected(channel)
    this.#c.fleet.requireRoom(poolKey(task, request, channel), request.resources)
    const row = this.#c.book.row(channel.channelId, task.taskId)
    if (row === undefined) throw new MecaError('payment', 'No voucher for this task came with the job')
    const reserved: LiveRow = { ...row, ...admit(row, request.price) }
    this.#c.book.stageRow(reserved)
    rows.set(task.taskId, reserved)
    return this.jobs.make({
      key,
      poolKey: poolKey(task, request, channel),
      record: record(channel, task, request, wallNow()),
      task,
      tariff: this.#tariff(request),
      request,
      inline: request.inline === undefined ? undefined : attachments[request.inline],
      session,
      clock: new PhaseClock(this.#c.now()),
    })
  }

  /** The host's own bound: beyond it, it collects before it works on. */
  #requireCollected({ channelId, terms }: ChannelRecord): void {
    const { exposure, owed, collect, log } = this.#c
    const { client, all } = owed(terms.client)
    if (client <= exposure.perClient && all <= exposure.total) return
    collect(channelId).catch((error: unknown) => log.warn({ err: error, channelId }, 'what is owed was not collected'))
    throw new MecaError(
      'busy',
      `This host collects first: ${client} is owed by this client and ${all} by all, its caps are ${exposure.perClient} and ${exposure.total}`,
      { cure: 'try again in a moment' },
    )
  }

  #tariff(request: JobRequest) {
    const offered = 'offer' in request.basis ? this.#c.offered(request.basis.offer) : undefined
    const tariff = (offered ?? this.#c.policy.tariffs).find((t) => t.token === request.price.token)
    if (tariff === undefined) throw new MecaError('payment', `The token ${request.price.token} is not taken here`)
    return tariff
  }

  async #writeAdmitted(rows: Map<Hex, LiveRow>, admitted: readonly LiveJob[]): Promise<void> {
    if (rows.size === 0 && admitted.length === 0) return
    await this.#c.book.commit('accept', {
      rows: rows.values(),
      also: admitted.map((live) => this.#c.tables.hostJobs.put(live.key, live.record)),
    })
    this.#c.exportVouchers([...rows.values()])
  }

  async #acknowledge(session: HostSession, message: ClientMessage<'ack'>): Promise<void> {
    session.require(message.channelId)
    const channel = this.#channel(message.channelId)
    const rows = message.vouchers.flatMap((voucher) => takeExact(this.#c.domain, this.#c.book, channel, voucher) ?? [])
    const keys = message.ids.map((id) => hostJobKey(channel.terms.client, id))
    // Only what has ended can be acknowledged: ids that somebody makes up would stay on disk for ever.
    const ended = keys.filter((key) => this.jobs.hasEnded(key))
    const acks = ended.map((key) => this.#c.tables.acks.put(key, this.#c.wallNow()))
    if (rows.length > 0) await this.#c.book.commit('exact', { rows, also: acks })
    else if (acks.length > 0) await this.#c.store.commit({ rows: acks })
  }

  async #attach(session: HostSession, message: ClientMessage<'attach'>): Promise<void> {
    session.require(message.channelId)
    const channel = this.#channel(message.channelId)
    for (const id of message.ids) {
      const key = hostJobKey(channel.terms.client, id)
      const known = this.jobs.find(key)
      if (known === undefined && this.#arriving.has(key)) this.#arriving.set(key, session)
      else if (known === undefined) {
        session.refused(
          message.channelId,
          id,
          new MecaError('not_found', `The job ${id} never arrived here`, { cure: 'send it again' }),
        )
      } else this.jobs.replay(session, known)
    }
    return Promise.resolve()
  }

  async #cancel(session: HostSession, message: ClientMessage<'cancel'>): Promise<void> {
    session.require(message.channelId)
    this.jobs.cancel(hostJobKey(this.#channel(message.channelId).terms.client, message.id))
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
      const channel: ChannelRecord = { ...this.#channel(channelId), state: 'closing' }
      this.#c.book.stageChannel(channel)
      await this.#c.book.commit('release', { channels: [channel] })
      const unpaid = await this.#c.collect(channelId)
      if (unpaid > 0n)
        throw new MecaError('payment', `${unpaid} was billed and no voucher says so exactly`, {
          cure: 'send vouchers over what was billed, then ask again',
        })
      const { claimed } = await this.#c.channelState(channelId, this.#c.signal)
      session.send(FRAME.released, { channelId, claimed, signature: this.#c.releaseSignature(channelId, claimed) })
    } catch (error) {
      session.refused(channelId, undefined, error)
    }
  }

  #channel(channelId: Hex): ChannelRecord {
    const channel = this.#c.book.channels.get(channelId)
    if (channel === undefined) throw new MecaError('not_found', `No channel ${channelId} is known here`)
    return channel
  }
}

/** Warm containers are shared by jobs of one client on one image with the same resources. */
function poolKey(task: KnownTask, request: JobRequest, channel: ChannelRecord): string {
  const { cpuMillis, memoryBytes, gpus } = request.resources
  return [task.manifest.image.id, cpuMillis, memoryBytes, gpus, request.runtime ?? '', channel.terms.client].join('|')
}

function record(channel: ChannelRecord, task: KnownTask, request: JobRequest, acceptedAt: number): HostJob {
  return {
    id: request.id,
    channelId: channel.channelId,
    client: channel.terms.client,
    taskId: task.taskId,
    cid: task.cid,
    inputHash: request.inputHash,
    inputBytes: request.inputBytes,
    price: request.price,
    resources: request.resources,
    acceptedAt,
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

function asRefusal(cid: string, error: unknown): MecaError {
  if (error instanceof MecaError) return error
  return new MecaError('internal', `The task ${cid} could not be loaded`, { cause: error })
}
