/**
 * A host whose every answer is the test's: a real peer with a real key and a signed offer, which knows the protocol by
 * heart and keeps it only where the test wants that.
 */
import { randomBytes } from 'node:crypto'
import assert from 'node:assert/strict'
import type { Offer } from '../../src/core/offer.ts'
import { signReceipts, STATUS } from '../../src/core/receipt.ts'
import { makeSigner } from '../../src/core/signature.ts'
import type { Signer } from '../../src/core/signature.ts'
import type { Tariff } from '../../src/core/tariff.ts'
import { channelIdOf, keccakText, offerDigest } from '../../src/core/typed.ts'
import type { Domain, Receipt } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { CLIENT_MESSAGES, FRAME, toWire } from '../../src/core/wire.ts'
import type { ClientMessage, JobRequest } from '../../src/core/wire.ts'
import { thisPlatform } from '../../src/image/layout.ts'
import { serveData } from '../../src/p2p/data.ts'
import type { Sending } from '../../src/p2p/data.ts'
import type { FrameStream } from '../../src/p2p/frames.ts'
import { generateIdentity } from '../../src/p2p/identity.ts'
import { serveJobs } from '../../src/p2p/jobs.ts'
import { createPeer } from '../../src/p2p/peer.ts'
import type { Peer } from '../../src/p2p/peer.ts'
import { sha256 } from '../../src/role/sums.ts'
import type { Base } from '../../src/wiring/base.ts'
import { taskIdOf } from '../../src/core/cid.ts'

export const PER_JOB = 1000n

/** What the test does on each message; what it leaves out an honest host does. */
export type Behaviour = {
  hello?(line: Line, hello: ClientMessage<'hello'>): void
  submit?(line: Line, submit: ClientMessage<'submit'>): void
  attach?(line: Line, attach: ClientMessage<'attach'>): void
  cancel?(line: Line, cancel: ClientMessage<'cancel'>): void
  get?(id: string, offset: number): Sending
}

export class RawHost {
  readonly signer: Signer = makeSigner(randomBytes(32))
  readonly peer: Peer
  readonly domain: Domain
  behave: Behaviour = {}
  readonly submits: ClientMessage<'submit'>[] = []
  readonly acks: ClientMessage<'ack'>[] = []
  readonly cancels: string[] = []

  private constructor(peer: Peer, domain: Domain) {
    this.peer = peer
    this.domain = domain
  }

  static async open(domain: Domain): Promise<RawHost> {
    const host = new RawHost(await createPeer({ identity: await generateIdentity() }), domain)
    await serveJobs(host.peer, (stream) => host.#serve(stream))
    await serveData(host.peer, (request) => {
      const get = host.behave.get
      assert.ok(get)
      return Promise.resolve(get(String(request['id']), Number(request['offset'])))
    })
    return host
  }

  get address(): Hex {
    return this.signer.address
  }

  close(): Promise<void> {
    return this.peer.close()
  }

  /** The jobs that came, each time they came. */
  get ids(): string[] {
    return this.submits.flatMap(({ jobs }) => jobs.map(({ id }) => id))
  }

  /** Puts a signed offer where the client hears it. */
  offer(base: Base, over: Partial<Offer> = {}): void {
    const { os, architecture } = thisPlatform()
    const now = Date.now()
    const tariff: Tariff = { token: NATIVE, perJob: PER_JOB, perCpuSecond: 0n, perGibSecond: 0n, perGpuSecond: 0n }
    const room = { cpuMillis: 8000, memoryBytes: 2 ** 33, gpus: 0 }
    const offer: Offer = {
      v: 1,
      chainId: this.domain.chainId,
      channels: this.domain.channels,
      host: this.address,
      peerId: this.peer.peerId,
      addresses: this.peer.addrs(),
      sequence: now,
      issuedAt: now,
      expiresAt: now + 300_000,
      tariffs: [tariff],
      platform: `${os}/${architecture}`,
      total: room,
      free: room,
      queueFree: 100,
      formats: ['meca'],
      runtimes: ['runc'],
      allowsNetwork: false,
      maxSeconds: 3600,
      maxInputBytes: 2 ** 30,
      maxOutputBytes: 2 ** 30,
      minCloseDelaySeconds: 0,
      images: [],
      ...over,
    }
    const text = JSON.stringify(toWire(offer))
    const signature = this.signer.sign(offerDigest(this.domain, text))
    assert.equal(base.market.validate({ text, signature }, { via: this.peer.peerId }), 'accept')
  }

  async #serve(stream: FrameStream): Promise<void> {
    const line = new Line(this, stream)
    for await (const { type, header } of stream) {
      if (type === FRAME.hello) {
        const hello = CLIENT_MESSAGES.hello.parse(header)
        if (this.behave.hello === undefined) line.welcome(channelOf(hello, this.domain))
        else this.behave.hello(line, hello)
      }
      if (type === FRAME.submit) {
        const submit = CLIENT_MESSAGES.submit.parse(header)
        this.submits.push(submit)
        // Vouchers alone are brought back to a host that said that it knows lower ones.
        if (submit.jobs.length === 0) continue
        if (this.behave.submit !== undefined) this.behave.submit(line, submit)
        else
          line.results(
            submit.channelId,
            submit.jobs.map((job) => line.honest(submit.channelId, job)),
          )
      }
      if (type === FRAME.ack) this.acks.push(CLIENT_MESSAGES.ack.parse(header))
      if (type === FRAME.attach) this.behave.attach?.(line, CLIENT_MESSAGES.attach.parse(header))
      if (type === FRAME.cancel) {
        const cancel = CLIENT_MESSAGES.cancel.parse(header)
        this.cancels.push(cancel.id)
        this.behave.cancel?.(line, cancel)
      }
    }
  }
}

export type RawResult = { id: string; receipt: Receipt; output: Uint8Array; by: Signer; wire: Record<string, unknown> }

/** One stream of a client, as its host sees it. */
export class Line {
  readonly stream: FrameStream
  readonly #host: RawHost

  constructor(host: RawHost, stream: FrameStream) {
    this.#host = host
    this.stream = stream
  }

  welcome(channelId: Hex, rows: readonly Record<string, unknown>[] = []): void {
    this.send(FRAME.welcome, { channelId, rows })
  }

  refuse(channelId: Hex, id: string | undefined, code: string): void {
    const problem = { code, message: `refused with ${code}` }
    this.send(FRAME.refused, { channelId, ...(id === undefined ? {} : { id }), problem })
  }

  /** The result of an honest host; `over` replaces parts of its receipt before it is signed. */
  honest(
    channelId: Hex,
    job: JobRequest,
    over: Partial<Receipt> = {},
    output: Uint8Array = Buffer.from('done'),
  ): RawResult {
    const now = Date.now()
    const receipt: Receipt = {
      channelId,
      jobHash: keccakText(job.id),
      taskId: taskIdOf(job.task),
      inputHash: job.inputHash,
      outputHash: sha256(output),
      status: STATUS.answered,
      hostAmount: job.price.hostAmount,
      developerAmount: job.price.developerAmount,
      startedAt: now,
      endedAt: now,
      ...over,
    }
    return { id: job.id, receipt, output, by: this.#host.signer, wire: {} }
  }

  results(channelId: Hex, results: readonly RawResult[]): void {
    const message = results.map(({ id, receipt, output, by, wire }, index) => ({
      id,
      signed: signReceipts(this.#host.domain, by, [receipt])[0],
      outcome: { httpStatus: 200, warm: true, phases: PHASES, outputBytes: output.length },
      inline: index,
      ...wire,
    }))
    this.send(
      FRAME.results,
      { channelId, results: message },
      results.map(({ output }) => output),
    )
  }

  send(type: number, message: Record<string, unknown>, attachments: readonly Uint8Array[] = []): void {
    this.stream.send(type, toWire(message) as Record<string, unknown>, attachments).catch(() => undefined)
  }
}

const PHASES = { queuedMs: 0, fetchMs: 0, startMs: 0, runMs: 1, deliverMs: 0, totalMs: 1 }

function channelOf({ terms }: ClientMessage<'hello'>, domain: Domain): Hex {
  return channelIdOf(domain, terms)
}
