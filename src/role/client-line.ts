/**
 * The stream under a client's session: it says hello when it is first needed, and when it breaks while jobs are under way
 * it is made anew and asked for them. What the messages mean is the session's matter.
 */
import { fromProblem, knownCode, MecaError } from '../core/errors.ts'
import type { ChannelRecord } from '../core/records.ts'
import { sessionDigest } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { decode, FRAME, HOST_MESSAGES, MAX_BATCH, toWire } from '../core/wire.ts'
import type { HostMessage } from '../core/wire.ts'
import type { Frame, FrameStream } from '../p2p/frames.ts'
import type { ClientComponents, HostAddress } from './client-components.ts'

/** A host that breaks the protocol more often than this is not asked again. */
const MAX_FAULTS = 3
/** Attempts to get a broken line back, each a little later; a host restarts within this. */
const RECONNECTS = [100, 500, 2_000, 5_000, 10_000] as const
/** A host asks its chain for the channel before it welcomes; one that takes longer than this is not there. */
const HELLO_WAIT_MS = 20_000

/** Who speaks over the line. */
export type Speaker = {
  /** Done before anything is sent on a new stream. */
  welcomed(message: HostMessage<'welcome'>): Promise<void>
  /** Nothing was sent on this stream yet. */
  opened(): void
  /** Throws `protocol` where the host breaks it, which ends the stream. */
  heard(frame: Frame): Promise<void>
  isIdle(): boolean
  /** Ids of the jobs to ask for again. */
  underWay(): string[]
  lost(error: MecaError): void
}

export class ClientLine {
  readonly #c: ClientComponents
  readonly #channelId: Hex
  readonly #host: Hex
  readonly #locate: () => HostAddress
  readonly #speaker: Speaker
  #stream: FrameStream | undefined
  #connecting: Promise<FrameStream> | undefined
  #closed = false
  /** Times that the host broke the protocol. */
  #faults = 0

  constructor(c: ClientComponents, channel: ChannelRecord, locate: () => HostAddress, speaker: Speaker) {
    this.#c = c
    this.#channelId = channel.channelId
    this.#host = channel.terms.host
    this.#locate = locate
    this.#speaker = speaker
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** The stream that stands now, if one does. */
  get open(): FrameStream | undefined {
    return this.#stream?.isClosed === false ? this.#stream : undefined
  }

  /** Resolves when the host has said welcome. Throws its refusal. */
  async connected(): Promise<FrameStream> {
    if (this.open !== undefined) return this.open
    this.#connecting ??= this.#connect().finally(() => (this.#connecting = undefined))
    return this.#connecting
  }

  send(
    stream: FrameStream,
    type: number,
    message: Record<string, unknown>,
    attachments: readonly Uint8Array[] = [],
  ): void {
    const header: unknown = toWire(message)
    // A broken stream is noticed by its reader, which asks again for what is under way.
    stream.send(type, header as Record<string, unknown>, attachments).catch(() => undefined)
  }

  /** From now on a broken stream stays broken. */
  stop(): void {
    this.#closed = true
  }

  async close(): Promise<void> {
    await this.#stream?.close()
  }

  async #connect(): Promise<FrameStream> {
    const channel = this.#c.book.channels.get(this.#channelId)
    if (channel === undefined) throw new MecaError('internal', `channel ${this.#channelId} is not in the book`)
    const host = this.#locate()
    const stream = await this.#c.link.openJobs(host, this.#c.signal)
    this.#hello(stream, channel, host)
    const late = new MecaError('timeout', `The host did not answer the hello within ${HELLO_WAIT_MS / 1000} s`)
    const timer = setTimeout(() => stream.abort(late), HELLO_WAIT_MS)
    const first = await stream.next().finally(() => clearTimeout(timer))
    if (first?.type === FRAME.refused) {
      await stream.close()
      throw toError(decode(HOST_MESSAGES.refused, first.header, 'refused').problem, { session: 'refused' })
    }
    if (first?.type !== FRAME.welcome) throw new MecaError('protocol', 'The host did not answer the hello')
    await this.#speaker.welcomed(decode(HOST_MESSAGES.welcome, first.header, 'welcome'))
    this.#stream = stream
    this.#speaker.opened()
    void this.#read(stream)
    return stream
  }

  #hello(stream: FrameStream, { channelId, terms }: ChannelRecord, host: HostAddress): void {
    const { domain, signer, peerId, wallNow } = this.#c
    const issuedAt = wallNow()
    const signature = signer.sign(
      sessionDigest(domain, { channelId, clientPeer: peerId, hostPeer: host.peerId, issuedAt }),
    )
    this.send(stream, FRAME.hello, { terms, issuedAt, signature })
  }

  async #read(stream: FrameStream): Promise<void> {
    let problem: unknown
    try {
      for await (const frame of stream) await this.#speaker.heard(frame)
    } catch (error) {
      problem = error
    }
    await stream.close()
    if (this.#closed || this.#speaker.isIdle()) return
    // Asking again brings the same message again where the host itself is at fault.
    if (problem instanceof MecaError && problem.code === 'protocol' && ++this.#faults > MAX_FAULTS) {
      this.#speaker.lost(problem)
      return
    }
    this.#c.log.info({ host: this.#host, err: problem }, 'line to the host broke, asking again for its jobs')
    await this.#reattach()
  }

  async #reattach(): Promise<void> {
    let last: unknown
    for (const waitMs of RECONNECTS) {
      await new Promise((resolve) => setTimeout(resolve, waitMs).unref())
      if (this.#closed) return
      try {
        const stream = await this.connected()
        const ids = this.#speaker.underWay()
        for (let i = 0; i < ids.length; i += MAX_BATCH)
          this.send(stream, FRAME.attach, { channelId: this.#channelId, ids: ids.slice(i, i + MAX_BATCH) })
        return
      } catch (error) {
        last = error
      }
    }
    this.#speaker.lost(
      new MecaError('peer_unreachable', `The host ${this.#host} cannot be reached any more`, {
        cause: last,
        cure: 'ask again later with meca job result; the job is paid once',
      }),
    )
  }
}

/** The host's words as one of our errors. */
export function toError(
  { code, message, cure }: { code: string; message: string; cure?: string | undefined },
  details = {},
): MecaError {
  return fromProblem({ code: knownCode(code), message, details, ...(cure === undefined ? {} : { cure }) })
}

/** The host does not take this channel; nothing was sent over it. */
export function isChannelRefused(error: MecaError): boolean {
  return error.code === 'payment' && error.details?.['session'] === 'refused'
}
