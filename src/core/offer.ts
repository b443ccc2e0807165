/**
 * What a host says of itself: the offer's text, its rules, and how a client ranks the offers it heard.
 * An offer is signed over its exact text. A tariff in a valid offer is a standing quote.
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import { MAX_RUN_SECONDS } from './job.ts'
import { shortage, zResources } from './resources.ts'
import type { Resources } from './resources.ts'
import { recover } from './signature.ts'
import { costUp, priceFor, total, zTariff } from './tariff.ts'
import type { Price, Tariff } from './tariff.ts'
import { findingsOf } from './text.ts'
import { offerDigest } from './typed.ts'
import type { Domain } from './typed.ts'
import { MAX_AMOUNT, zAddress, zCid, zCount, zSignature } from './units.ts'
import type { Hex } from './units.ts'

/** Longest life of an offer: what a host says of its free capacity is worth nothing after five minutes. */
export const MAX_OFFER_TTL_MS = 300_000
/** Clocks of honest machines differ; more than a minute is a broken clock or a replay. */
export const MAX_SKEW_MS = 60_000
/** Images named in an offer: with 60 bytes a CID this keeps an offer well under the topic's 64 KiB. */
export const MAX_IMAGES = 200

/** A stranger's word that people read in a refusal: nothing in it may steer a terminal. */
const zWord = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,39}$/)

export const zOffer = z.strictObject({
  v: z.literal(1),
  chainId: zCount,
  channels: zAddress,
  host: zAddress,
  peerId: z.string().regex(/^[A-Za-z0-9]{20,100}$/),
  addresses: z
    .array(
      z
        .string()
        .max(300)
        .regex(/^[\x21-\x7e]+$/),
    )
    .max(16),
  sequence: zCount,
  issuedAt: zCount,
  expiresAt: zCount,
  tariffs: z.array(zTariff).min(1).max(8),
  platform: zWord,
  total: zResources,
  free: zResources,
  queueFree: zCount,
  formats: z.array(zWord).max(10),
  runtimes: z.array(zWord).max(10),
  allowsNetwork: z.boolean(),
  maxSeconds: z.number().int().min(1).max(MAX_RUN_SECONDS),
  maxInputBytes: zCount,
  maxOutputBytes: zCount,
  /** Inputs of files tasks, which are not held in memory. */
  maxFilesInputBytes: zCount.optional(),
  minCloseDelaySeconds: zCount,
  images: z.array(zCid).max(MAX_IMAGES),
})
export type Offer = z.infer<typeof zOffer>

export const zSignedOffer = z.strictObject({ text: z.string().max(60_000), signature: zSignature })
export type SignedOffer = z.infer<typeof zSignedOffer>

/**
 * The offer in a signed text. Throws `not_verified` for a wrong signature, chain or lifetime, `protocol` for a text
 * that is no offer. `now` in ms.
 */
export function openOffer(domain: Domain, signed: SignedOffer, now: number): Offer {
  let json: unknown
  try {
    json = JSON.parse(signed.text)
  } catch (cause) {
    throw new MecaError('protocol', 'The offer is not JSON', { cause })
  }
  const parsed = zOffer.safeParse(json)
  if (!parsed.success) throw new MecaError('protocol', `The offer is malformed: ${findingsOf(parsed.error)}`)
  const offer = parsed.data
  const wrong = wrongWith(offer, domain, now)
  if (wrong !== undefined) throw new MecaError('not_verified', `The offer of ${offer.host} ${wrong}`)
  if (recover(offerDigest(domain, signed.text), signed.signature) !== offer.host) {
    throw new MecaError('not_verified', `The offer is not signed by ${offer.host}`)
  }
  return offer
}

/** Cheap checks before the signature: whatever fails here costs a flooder more than us. */
function wrongWith(offer: Offer, domain: Domain, now: number): string | undefined {
  if (offer.chainId !== domain.chainId || offer.channels !== domain.channels) return 'is for another market'
  if (offer.issuedAt > now + MAX_SKEW_MS) return 'comes from the future'
  if (offer.expiresAt < offer.issuedAt) return 'expires before it begins'
  if (offer.expiresAt - offer.issuedAt > MAX_OFFER_TTL_MS) return 'lives too long'
  if (offer.expiresAt < now) return 'has expired'
  return undefined
}

/** What a client is looking for. `fee` is the developer's, in `token`. */
export type Wanted = {
  task: string
  format: string
  token: Hex
  fee: bigint
  resources: Resources
  platform: string
  maxSeconds: number
  inputBytes: number
  /** The input is a bundle of files. */
  takesFiles?: boolean
  needsNetwork: boolean
  closeDelaySeconds: number
  runtime?: string
  maxPrice?: bigint
}

/** What a client remembers of a host: it weighs in the rank. */
export type Experience = { answered: number; failed: number }

export type Candidate = { offer: Offer; price: Price; imageAtHand: boolean; reliable: boolean; score: number }
export type Refusal = { host: Hex; code: string; reason: string }

/**
 * Who can do it, best first, and why the others cannot. The score is the price, made dearer by what costs time or
 * trust: half again without the image, half again when the job would queue, and double for each failure per answer.
 * Whoever failed three times and more often than it answered stands behind all others, whatever its price: a price of
 * nothing, which no factor makes dearer, must not bring a host that never delivers to the front again and again.
 */
export function rank(
  offers: readonly Offer[],
  wanted: Wanted,
  experience: (host: Hex) => Experience = () => ({ answered: 0, failed: 0 }),
): { candidates: Candidate[]; refusals: Refusal[] } {
  const candidates: Candidate[] = []
  const refusals: Refusal[] = []
  for (const offer of offers) {
    const refusal = misfit(offer, wanted)
    if (refusal !== undefined) refusals.push({ host: offer.host, ...refusal })
    else candidates.push(candidate(offer, wanted, experience(offer.host)))
  }
  candidates.sort(better)
  return { candidates, refusals }
}

/** A total order, so that every client that heard the same ranks the same, in whatever order it heard it. */
function better(a: Candidate, b: Candidate): number {
  if (a.reliable !== b.reliable) return a.reliable ? -1 : 1
  if (a.score !== b.score) return a.score - b.score
  if (a.offer.host !== b.offer.host) return a.offer.host < b.offer.host ? -1 : 1
  return b.offer.sequence - a.offer.sequence
}

function candidate(offer: Offer, wanted: Wanted, past: Experience): Candidate {
  const price = priceOf(offer, wanted)
  if (price === undefined) throw new MecaError('internal', 'a candidate without a price')
  const imageAtHand = offer.images.includes(wanted.task)
  const queued = shortage(wanted.resources, offer.free) !== undefined
  const trust = 1 + (2 * past.failed) / (past.answered + 1)
  const score = Number(total(price) + 1n) * (imageAtHand ? 1 : 1.5) * (queued ? 1.5 : 1) * trust
  const reliable = past.failed < 3 || past.failed <= past.answered
  return { offer, price, imageAtHand, reliable, score }
}

function tariffOf(offer: Offer, wanted: Wanted): Tariff | undefined {
  return offer.tariffs.find((t) => t.token === wanted.token)
}

function priceOf(offer: Offer, wanted: Wanted): Price | undefined {
  const tariff = tariffOf(offer, wanted)
  return tariff === undefined ? undefined : priceFor(tariff, wanted.resources, wanted.maxSeconds, wanted.fee)
}

/** The first reason why this host cannot do it, with both numbers. */
function misfit(offer: Offer, wanted: Wanted): { code: string; reason: string } | undefined {
  const short = shortage(wanted.resources, offer.total)
  if (short !== undefined) return { code: 'capacity', reason: short }
  if (!offer.formats.includes(wanted.format))
    return { code: 'format', reason: `runs ${offer.formats.join(', ')}, not ${wanted.format}` }
  if (offer.platform !== wanted.platform)
    return { code: 'platform', reason: `is ${offer.platform}, the image is for ${wanted.platform}` }
  if (wanted.runtime !== undefined && !offer.runtimes.includes(wanted.runtime)) {
    return { code: 'runtime', reason: `offers ${offer.runtimes.join(', ')}, not ${wanted.runtime}` }
  }
  if (wanted.needsNetwork && !offer.allowsNetwork) return { code: 'network', reason: 'allows no network to tasks' }
  if (wanted.maxSeconds > offer.maxSeconds)
    return { code: 'time', reason: `runs at most ${offer.maxSeconds} s, ${wanted.maxSeconds} s asked` }
  const cap = (wanted.takesFiles ? offer.maxFilesInputBytes : undefined) ?? offer.maxInputBytes
  if (wanted.inputBytes > cap)
    return { code: 'input', reason: `takes ${cap} bytes of input, ${wanted.inputBytes} given` }
  if (wanted.closeDelaySeconds < offer.minCloseDelaySeconds) {
    return {
      code: 'close_delay',
      reason: `wants channels with a close delay of ${offer.minCloseDelaySeconds} s, ${wanted.closeDelaySeconds} s offered`,
    }
  }
  if (shortage(wanted.resources, offer.free) !== undefined && offer.queueFree === 0) {
    return { code: 'busy', reason: `${shortage(wanted.resources, offer.free)} free, and the queue is full` }
  }
  return priceMisfit(offer, wanted)
}

function priceMisfit(offer: Offer, wanted: Wanted): { code: string; reason: string } | undefined {
  const tariff = tariffOf(offer, wanted)
  if (tariff === undefined) return { code: 'token', reason: `does not take ${wanted.token}` }
  const most = costUp(tariff, wanted.resources, wanted.maxSeconds * 1000) + wanted.fee
  const cap = wanted.maxPrice !== undefined && wanted.maxPrice < MAX_AMOUNT ? wanted.maxPrice : MAX_AMOUNT
  return most > cap ? { code: 'price', reason: `costs up to ${most}, the cap is ${cap}` } : undefined
}
