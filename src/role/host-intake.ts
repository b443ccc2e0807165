/**
 * What a host does with jobs that come: look their tasks up, take the vouchers beside them, admit what is paid for and
 * fits, and write both down before anything starts. A job admitted here has its whole price vouched for.
 */
import { asMecaError, MecaError } from '../core/errors.ts'
import { PhaseClock } from '../core/job.ts'
import { admit, sum } from '../core/ledger.ts'
import { hostJobKey } from '../core/records.ts'
import type { ChannelRecord, HostJob } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { ClientMessage, JobRequest } from '../core/wire.ts'
import { checkRequest } from './admission.ts'
import { failpoint } from '../failpoint.ts'
import { formatOf } from '../task/format.ts'
import type { LiveRow } from './book.ts'
import { notTaken } from './currencies.ts'
import type { HostChannels } from './host-channels.ts'
import type { HostComponents } from './host-components.ts'
import type { HostJobs, LiveJob } from './host-jobs.ts'
import type { HostSession } from './host-session.ts'
import { takeVoucher } from './host-vouchers.ts'
import { isForged } from './offences.ts'
import type { KnownTask } from './tasks.ts'

export class HostIntake {
  /** Takes nothing new, and ends what it has. */
  draining = false
  readonly #c: HostComponents
  readonly #jobs: HostJobs
  readonly #channels: HostChannels
  /** Jobs whose task is still being looked up: they are neither known nor unknown, and whoever asks gets the answer. */
  readonly #arriving = new Map<string, HostSession>()

  constructor(c: HostComponents, jobs: HostJobs, channels: HostChannels) {
    this.#c = c
    this.#jobs = jobs
    this.#channels = channels
  }

  async submit(
    session: HostSession,
    message: ClientMessage<'submit'>,
    attachments: readonly Uint8Array[],
  ): Promise<void> {
    session.require(message.channelId)
    const channel = this.#channels.get(message.channelId)
    const keys = message.jobs.map(({ id }) => hostJobKey(channel.terms.client, id))
    for (const key of keys) this.#arriving.set(key, session)
    let forged: MecaError | undefined
    try {
      failpoint('host.job-read')
      await this.#c.requireSpace()
      if (message.jobs.length === 0) await this.#restore(channel, message.vouchers)
      else forged = await this.#submitArrived(message, attachments, channel)
    } catch (error) {
      for (const { id } of message.jobs) {
        this.#jobs.countRefusal(error)
        session.refused(message.channelId, id, error)
      }
      if (asMecaError(error).code !== 'disk_full') throw error
    } finally {
      for (const key of keys) this.#arriving.delete(key)
    }
    if (forged !== undefined) throw forged
  }

  /** False where no such job is on its way in; else its answer goes to this session. */
  handOver(key: string, session: HostSession): boolean {
    if (!this.#arriving.has(key)) return false
    this.#arriving.set(key, session)
    return true
  }

  /** Vouchers without a job: this host said at the hello that it knows lower ones. */
  async #restore(known: ChannelRecord, vouchers: ClientMessage<'submit'>['vouchers']): Promise<void> {
    const { restorer, exportVouchers, log, signal } = this.#c
    const channel = await this.#channels.lately(known)
    const rows = await restorer.fromClient(channel, vouchers, signal)
    if (rows.length === 0) return
    log.warn({ channelId: channel.channelId, rows: rows.length }, 'a client brought vouchers back that were lost here')
    exportVouchers(rows, 'vouched')
  }

  async #submitArrived(
    message: ClientMessage<'submit'>,
    attachments: readonly Uint8Array[],
    known: ChannelRecord,
  ): Promise<MecaError | undefined> {
    let channel = known
    const askedBy = (id: string) => this.#arriving.get(hostJobKey(channel.terms.client, id))
    const tasks = await this.#tasksOf(message, askedBy)
    if (this.#vouchedAfter(message) > channel.deposit) await this.#channels.grown(channel)
    // Read anew: the channel may have been released while the tasks were looked up.
    channel = this.#channels.get(channel.channelId)
    const rows = new Map<Hex, LiveRow>()
    const badVouchers = this.#takeVouchers(message, channel, tasks, rows)
    const admitted: LiveJob[] = []
    for (const request of message.jobs) {
      try {
        const task = badVouchers.get(request.task) ?? tasks.get(request.task)
        const live = this.#admit(askedBy(request.id), channel, request, task, attachments, rows)
        if (live !== undefined) admitted.push(live)
      } catch (error) {
        this.#jobs.countRefusal(error)
        askedBy(request.id)?.refused(channel.channelId, request.id, error)
      }
    }
    await this.#writeAdmitted(rows, admitted)
    for (const live of admitted) this.#jobs.start(live)
    return [...badVouchers.values()].find(isForged)
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
    let forged: MecaError | undefined
    for (const voucher of message.vouchers) {
      const task = byId.get(voucher.taskId)
      if (task === undefined) continue
      try {
        // One forgery is enough: the other signatures of such a message are not worth looking at.
        if (forged !== undefined) throw forged
        const row = takeVoucher(this.#c.domain, this.#c.book, channel, voucher, task, this.#c.currencies)
        if (row !== undefined) rows.set(row.taskId, row)
      } catch (error) {
        if (!(error instanceof MecaError)) throw error
        if (isForged(error)) forged = error
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
    const known = this.#jobs.find(key)
    if (known !== undefined) {
      if (known.inputHash !== request.inputHash || known.cid !== request.task) {
        throw new MecaError('job_conflict', `The job id ${request.id} was used for another input or task`, {
          cure: 'choose another id',
        })
      }
      if (session !== undefined) this.#jobs.replay(session, known)
      return undefined
    }
    if (task === undefined) throw new MecaError('internal', 'a job without its task')
    if (task instanceof MecaError) throw task
    if (this.draining) throw new MecaError('busy', 'The host is draining: it ends what it has and takes nothing new')
    if (channel.state !== 'open')
      throw new MecaError('payment', `The channel is ${channel.state}`, { cure: 'open another channel' })
    const { domain, signer, policy, offered, wallNow, currencies } = this.#c
    checkRequest({ domain, host: signer.address, policy, offered, currencies, now: wallNow() }, request, task)
    this.#requireCollected(channel)
    this.#c.fleet.requireRoom(poolKey(task, request, channel.terms.client), request.resources)
    const row = this.#c.book.row(channel.channelId, task.taskId)
    if (row === undefined) throw new MecaError('payment', 'No voucher for this task came with the job')
    const reserved: LiveRow = {
      ...row,
      ...admit(row, request.price, (amount) => currencies.show(amount, channel.terms.token)),
    }
    this.#c.book.stageRow(reserved)
    rows.set(task.taskId, reserved)
    return this.#jobs.make({
      key,
      poolKey: poolKey(task, request, channel.terms.client),
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
    const { exposure, owed, collect, currencies, log } = this.#c
    const { client, all } = owed(terms.client, terms.token)
    const [perClient, total] = [exposure.perClient.get(terms.token) ?? 0n, exposure.total.get(terms.token) ?? 0n]
    if (client <= perClient && all <= total) return
    collect(channelId).catch((error: unknown) => log.warn({ err: error, channelId }, 'what is owed was not collected'))
    const show = (amount: bigint) => currencies.show(amount, terms.token)
    throw new MecaError(
      'busy',
      `This host collects first: ${show(client)} is owed by this client and ${show(all)} by all, its caps are ${show(perClient)} and ${show(total)}`,
      { cure: 'try again in a moment' },
    )
  }

  #tariff(request: JobRequest) {
    const offered = 'offer' in request.basis ? this.#c.offered(request.basis.offer) : undefined
    const tariffs = offered ?? this.#c.policy.tariffs
    const tariff = tariffs.find((t) => t.token === request.price.token)
    if (tariff === undefined) throw notTaken(this.#c.currencies, tariffs, request.price.token)
    return tariff
  }

  async #writeAdmitted(rows: Map<Hex, LiveRow>, admitted: readonly LiveJob[]): Promise<void> {
    if (rows.size === 0 && admitted.length === 0) return
    failpoint('host.before-accept')
    await this.#c.book.commit('accept', {
      rows: rows.values(),
      also: admitted.map((live) => this.#c.tables.hostJobs.put(live.key, live.record)),
    })
    this.#c.exportVouchers([...rows.values()], 'vouched')
  }
}

type PoolTask = { manifest: { image: Pick<KnownTask['manifest']['image'], 'id'>; format: string } }
type PoolRequest = Pick<JobRequest, 'id' | 'resources' | 'runtime'>

/**
 * Warm containers are shared by jobs of one client on one image with the same resources. A job with files has a container
 * of its own, so it takes room of its own too.
 */
export function poolKey({ manifest }: PoolTask, request: PoolRequest, client: Hex): string {
  const { cpuMillis, memoryBytes, gpus } = request.resources
  const { image, format } = manifest
  const own = formatOf(format).kind === 'files' ? [request.id] : []
  return [image.id, cpuMillis, memoryBytes, gpus, request.runtime ?? '', client, ...own].join('|')
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

function asRefusal(cid: string, error: unknown): MecaError {
  if (error instanceof MecaError) return error
  return new MecaError('internal', `The task ${cid} could not be loaded`, { cause: error })
}
