/**
 * How a client ranks the offers that it heard: who fits, at which price, and what else there is for or against a host.
 */
import { MecaError } from './errors.ts'
import { isUnreliable, STRANGER } from './experience.ts'
import type { Experience } from './experience.ts'
import type { Offer } from './offer.ts'
import { add, greater, NOTHING, shareOf, shortage, subtract } from './resources.ts'
import type { Resources } from './resources.ts'
import { costUp, priceFor, total } from './tariff.ts'
import type { Price, Tariff } from './tariff.ts'
import { MAX_AMOUNT } from './units.ts'
import type { Hex } from './units.ts'

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

/**
 * How a client stands with a host: what it remembers, the hardware that its own jobs take there, of that what was sent
 * since the offer, which the offer cannot know, and whether a channel can pay the job.
 */
export type Standing = { past: Experience; inFlight: Resources; sinceOffer: Resources; hasChannel: boolean }

export type StandingOf = (offer: Offer, need: bigint) => Standing

export const NO_STANDING: Standing = { past: STRANGER, inFlight: NOTHING, sinceOffer: NOTHING, hasChannel: false }

export type Candidate = { offer: Offer; price: Price; imageAtHand: boolean; reliable: boolean; score: number }
export type Refusal = { host: Hex; code: string; reason: string }

/** A job that waits, or whose image has to be fetched first, is worth half again as much elsewhere. */
const DELAY = 1.5
/** Opening a channel costs gas and a confirmation: prices within a tenth of each other do not make up for it. */
const NEW_CHANNEL = 1.1
/** What a host that is wholly at work is worse than an idle one: less than anything else here, so it parts equals. */
const CROWD = 0.05

/**
 * Who can do it, best first, and why the others cannot. The score is the price, made dearer by what costs time, gas or
 * trust; failures double it for each per answer. Whoever is unreliable stands behind all others, whatever its price: a
 * price of nothing, which no factor makes dearer, must not bring a host that never delivers to the front again and again.
 */
export function rank(
  offers: readonly Offer[],
  wanted: Wanted,
  standing: StandingOf = () => NO_STANDING,
): { candidates: Candidate[]; refusals: Refusal[] } {
  const candidates: Candidate[] = []
  const refusals: Refusal[] = []
  for (const offer of offers) {
    const refusal = misfit(offer, wanted)
    if (refusal !== undefined) refusals.push({ host: offer.host, ...refusal })
    else candidates.push(candidate(offer, wanted, standing))
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

function candidate(offer: Offer, wanted: Wanted, standingOf: StandingOf): Candidate {
  const price = priceOf(offer, wanted)
  if (price === undefined) throw new MecaError('internal', 'a candidate without a price')
  const standing = standingOf(offer, total(price))
  const { past, hasChannel } = standing
  const imageAtHand = offer.images.includes(wanted.task)
  const trust = 1 + (2 * past.failed) / (past.answered + 1)
  const effort = (imageAtHand ? 1 : DELAY) * (hasChannel ? 1 : NEW_CHANNEL) * crowding(offer, wanted, standing)
  const score = Number(total(price) + 1n) * effort * trust
  return { offer, price, imageAtHand, reliable: !isUnreliable(past), score }
}

/**
 * How long the way to a free place is. A job with a container of its own waits for those before it; requests share
 * containers, so that only the host's own word says that they would wait.
 */
function crowding(offer: Offer, wanted: Wanted, { inFlight, sinceOffer }: Standing): number {
  const load = shareOf(greater(add(subtract(offer.total, offer.free), sinceOffer), inFlight), offer.total)
  const own = wanted.takesFiles === true
  const free = own ? subtract(offer.free, sinceOffer) : offer.free
  const waits = shortage(wanted.resources, free) !== undefined
  return (waits ? DELAY * (own ? Math.max(1, load) : 1) : 1) * (1 + CROWD * load)
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
