/**
 * What a host says of itself: the offer's text and its rules.
 * An offer is signed over its exact text. A tariff in a valid offer is a standing quote.
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import { MAX_RUN_SECONDS } from './job.ts'
import { zResources } from './resources.ts'
import { recover } from './signature.ts'
import { zTariff } from './tariff.ts'
import { findingsOf } from './text.ts'
import { offerDigest } from './typed.ts'
import type { Domain } from './typed.ts'
import { zAddress, zCid, zCount, zSignature } from './units.ts'

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
