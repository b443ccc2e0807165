/** A client that says what the test tells it to, frame by frame, over a real stream to a real host. */
import assert from 'node:assert/strict'
import { emptyRow, nextVoucher, sum, totalsToWire } from '../../src/core/ledger.ts'
import type { Totals } from '../../src/core/ledger.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { Signer } from '../../src/core/signature.ts'
import { priceFor } from '../../src/core/tariff.ts'
import { channelIdOf, sessionDigest, voucherDigest } from '../../src/core/typed.ts'
import type { ChannelTerms, Domain } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { FRAME, HOST_MESSAGES, toWire } from '../../src/core/wire.ts'
import type { HostMessage, JobRequest } from '../../src/core/wire.ts'
import type { FrameStream } from '../../src/p2p/frames.ts'
import { generateIdentity } from '../../src/p2p/identity.ts'
import { openJobs } from '../../src/p2p/jobs.ts'
import { createPeer } from '../../src/p2p/peer.ts'
import type { Peer } from '../../src/p2p/peer.ts'
import { sha256 } from '../../src/role/sums.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { FEE, RESOURCES } from './stage.ts'
import type { Published } from './stage.ts'

/** Waiting longer than this for a frame is a failure: far more than a busy machine needs. */
const PATIENCE_MS = 30_000

type Target = { domain: Domain; peer: Peer; side: HostSide; hostAddress: Hex }

export class RawClient {
  readonly peer: Peer
  readonly signer: Signer
  readonly target: Target
  stream!: FrameStream
  readonly #seen: { type: number; header: Record<string, unknown>; attachments: readonly Uint8Array[] }[] = []

  private constructor(target: Target, peer: Peer, signer: Signer) {
    this.target = target
    this.peer = peer
    this.signer = signer
  }

  static async connect(target: Target, signer: Signer): Promise<RawClient> {
    const client = new RawClient(target, await createPeer({ identity: await generateIdentity() }), signer)
    await client.reconnect()
    return client
  }

  async reconnect(): Promise<void> {
    await this.stream?.close()
    this.#seen.length = 0
    this.stream = await openJobs(this.peer, this.target.peer.addrs(), AbortSignal.timeout(PATIENCE_MS))
    const { stream } = this
    void (async () => {
      for await (const frame of stream) this.#seen.push(frame)
    })().catch(() => undefined) // Tests look at `stream.closed` where the end matters.
  }

  close(): Promise<void> {
    return this.peer.close()
  }

  send(type: number, message: Record<string, unknown>, attachments: readonly Uint8Array[] = []): void {
    this.stream.send(type, toWire(message) as Record<string, unknown>, attachments).catch(() => undefined)
  }

  channelId(terms: ChannelTerms): Hex {
    return channelIdOf(this.target.domain, terms)
  }

  /** `over` replaces parts of an honest hello. */
  hello(terms: ChannelTerms, over: { issuedAt?: number; signer?: Signer; peerId?: string } = {}): void {
    const { domain, peer } = this.target
    const issuedAt = over.issuedAt ?? Date.now()
    const clientPeer = over.peerId ?? this.peer.peerId
    const digest = sessionDigest(domain, {
      channelId: this.channelId(terms),
      clientPeer,
      hostPeer: peer.peerId,
      issuedAt,
    })
    this.send(FRAME.hello, { terms, issuedAt, signature: (over.signer ?? this.signer).sign(digest) })
  }

  async greet(terms: ChannelTerms): Promise<HostMessage<'welcome'>> {
    this.hello(terms)
    return HOST_MESSAGES.welcome.parse(await this.#find((f) => f.type === FRAME.welcome))
  }

  /** A job that its host would take; `over` replaces parts of it. */
  job(id: string, task: Published, input: string | Uint8Array, over: Partial<JobRequest> = {}): JobRequest {
    const { advertiser, policy } = this.target.side
    const bytes = Buffer.from(input)
    const [tariff] = policy.tariffs
    assert.ok(tariff && advertiser.current)
    return {
      id,
      task: task.cid,
      inputHash: sha256(bytes),
      inputBytes: bytes.length,
      inline: 0,
      price: priceFor(tariff, RESOURCES, 20, FEE),
      basis: { offer: Number((JSON.parse(advertiser.current.text) as { sequence: number }).sequence) },
      resources: RESOURCES,
      providers: [],
      ...over,
    }
  }

  voucher(terms: ChannelTerms, task: Published, totals: Totals, signer: Signer = this.signer) {
    const channelId = this.channelId(terms)
    const signature = signer.sign(voucherDigest(this.target.domain, { channelId, taskId: task.taskId, ...totals }))
    return { taskId: task.taskId, ...totalsToWire(totals), signature }
  }

  /** Sends jobs with a voucher that covers them beside what was vouched before. */
  submit(
    terms: ChannelTerms,
    task: Published,
    jobs: readonly JobRequest[],
    inputs: readonly (string | Uint8Array)[],
  ): Totals {
    const before = this.target.side.book.row(this.channelId(terms), task.taskId) ?? emptyRow()
    const totals = nextVoucher(
      before,
      jobs.map(({ price }) => price),
    )
    const vouchers = [this.voucher(terms, task, totals)]
    this.send(
      FRAME.submit,
      { channelId: this.channelId(terms), vouchers, jobs },
      inputs.map((i) => Buffer.from(i)),
    )
    return totals
  }

  async result(
    id: string,
  ): Promise<{ result: HostMessage<'results'>['results'][number]; output: Uint8Array | undefined }> {
    const isIt = (header: Record<string, unknown>) =>
      HOST_MESSAGES.results.parse(header).results.find((one) => one.id === id)
    await this.#find((f) => f.type === FRAME.results && isIt(f.header) !== undefined)
    const frame = this.#seen.find((f) => f.type === FRAME.results && isIt(f.header) !== undefined)
    const result = frame === undefined ? undefined : isIt(frame.header)
    assert.ok(frame && result)
    return { result, output: result.inline === undefined ? undefined : frame.attachments[result.inline] }
  }

  /** The refusal of this job, or of the whole session where no id is given. */
  async refusal(code: ErrorCode, id?: string): Promise<string> {
    const header = await this.#find((f) => f.type === FRAME.refused && f.header['id'] === id)
    const { problem } = HOST_MESSAGES.refused.parse(header)
    assert.equal(problem.code, code, problem.message)
    return problem.message
  }

  async released(): Promise<HostMessage<'released'>> {
    return HOST_MESSAGES.released.parse(await this.#find((f) => f.type === FRAME.released))
  }

  count(type: number): number {
    return this.#seen.filter((f) => f.type === type).length
  }

  forget(): void {
    this.#seen.length = 0
  }

  async event(id: string): Promise<void> {
    await this.#find((f) => f.type === FRAME.event && f.header['id'] === id)
  }

  /** The stream's end, as the host made it. */
  async ended(): Promise<void> {
    const late = new Promise<never>((_, reject) =>
      setTimeout(() => reject(new Error('the host left the stream open')), PATIENCE_MS).unref(),
    )
    await Promise.race([this.stream.closed, late])
  }

  async #find(
    matches: (frame: { type: number; header: Record<string, unknown> }) => boolean,
  ): Promise<Record<string, unknown>> {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      const found = this.#seen.find(matches)
      if (found !== undefined) return found.header
      if (performance.now() > until)
        throw new Error(
          `no such frame came; came: ${JSON.stringify(this.#seen.map(({ type, header }) => [type, header])).slice(0, 1000)}`,
        )
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}

/** What the books of a host say of a channel. */
export function booked(side: HostSide, channelId: Hex): { vouched: bigint; billed: bigint; reserved: bigint } {
  const rows = side.book.rowsOf(channelId)
  const all = (pick: (row: (typeof rows)[number]) => Totals) => rows.reduce((total, row) => total + sum(pick(row)), 0n)
  return { vouched: all((r) => r.vouched), billed: all((r) => r.billed), reserved: all((r) => r.reserved) }
}
