/**
 * How a host tells the market what it has: a fresh signed offer while it lives, sooner when its free capacity changed.
 * Recent offers are remembered, because the tariff in each stands until it expires.
 */
import { MAX_IMAGES } from '../core/offer.ts'
import type { Offer, SignedOffer } from '../core/offer.ts'
import type { Signer } from '../core/signature.ts'
import type { Tariff } from '../core/tariff.ts'
import { offerDigest } from '../core/typed.ts'
import type { Domain } from '../core/typed.ts'
import { toWire } from '../core/wire.ts'
import { failpoint } from '../failpoint.ts'
import type { HostPolicy } from './admission.ts'
import type { Fleet } from './fleet.ts'

export type AdvertiserComponents = {
  domain: Domain
  signer: Signer
  peerId: string
  policy: HostPolicy
  fleet: Fleet
  ttlMs: number
  addresses(): string[]
  /** CIDs of tasks whose image the engine has, most recently used first. */
  images(): readonly string[]
  open(): boolean
  publish(offer: SignedOffer): Promise<unknown>
  onError(error: unknown): void
  wallNow(): number
}

/** A changed capacity is told at most so often: gossip is not a load meter. */
const MIN_INTERVAL_MS = 5_000
/** A request that was on its way when its offer expired is still honoured. */
const GRACE_MS = 30_000

export class Advertiser {
  readonly #c: AdvertiserComponents
  readonly #recent = new Map<number, Offer>()
  #current: SignedOffer | undefined
  #toldAt = 0
  #toldFree = ''
  #timer: NodeJS.Timeout | undefined

  constructor(c: AdvertiserComponents) {
    this.#c = c
  }

  get current(): SignedOffer | undefined {
    return this.#current
  }

  /** The tariffs of an offer that still stands. */
  offered(sequence: number): readonly Tariff[] | undefined {
    const offer = this.#recent.get(sequence)
    return offer !== undefined && this.#c.wallNow() <= offer.expiresAt + GRACE_MS ? offer.tariffs : undefined
  }

  async start(): Promise<void> {
    await this.#tell()
    this.#timer = setInterval(
      () => void this.#tick().catch((error: unknown) => this.#c.onError(error)),
      MIN_INTERVAL_MS,
    ).unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  async #tick(): Promise<void> {
    const due = this.#c.wallNow() - this.#toldAt > this.#c.ttlMs / 3
    if (due || this.#toldFree !== this.#state()) await this.#tell()
  }

  async #tell(): Promise<void> {
    if (!this.#c.open()) return
    const offer = this.#make()
    const text = JSON.stringify(toWire(offer))
    this.#current = { text, signature: this.#c.signer.sign(offerDigest(this.#c.domain, text)) }
    this.#recent.set(offer.sequence, offer)
    for (const [sequence, { expiresAt }] of this.#recent) {
      if (expiresAt + GRACE_MS < offer.issuedAt) this.#recent.delete(sequence)
    }
    this.#toldAt = offer.issuedAt
    this.#toldFree = this.#state()
    failpoint('host.offer-signed')
    await this.#c.publish(this.#current)
  }

  #state(): string {
    return JSON.stringify([this.#c.fleet.free, this.#c.fleet.queueFree === 0, this.#c.images().length])
  }

  /** The sequence is the time, so that it grows across restarts without being written down. */
  #make(): Offer {
    const { domain, signer, peerId, policy, fleet, ttlMs } = this.#c
    const now = this.#c.wallNow()
    return {
      v: 1,
      chainId: domain.chainId,
      channels: domain.channels,
      host: signer.address,
      peerId,
      addresses: this.#c.addresses().slice(0, 16),
      sequence: Math.max(now, ...[...this.#recent.keys()].map((s) => s + 1)),
      issuedAt: now,
      expiresAt: now + ttlMs,
      tariffs: [...policy.tariffs],
      platform: policy.platform,
      total: policy.total,
      free: fleet.free,
      queueFree: fleet.queueFree,
      formats: [...policy.formats],
      runtimes: [...policy.runtimes],
      allowsNetwork: policy.allowsNetwork,
      maxSeconds: policy.maxSeconds,
      maxInputBytes: policy.maxInputBytes,
      maxOutputBytes: policy.maxOutputBytes,
      maxFilesInputBytes: policy.maxFilesInputBytes,
      minCloseDelaySeconds: policy.minCloseDelaySeconds,
      images: this.#c.images().slice(0, MAX_IMAGES),
    }
  }
}
