/**
 * Whether a host takes a job: every check of a request that needs no waiting, each with its reason and the numbers. The
 * cheap ones come first. Nothing here changes anything.
 */
import { MecaError } from '../core/errors.ts'
import { shortage } from '../core/resources.ts'
import type { Resources } from '../core/resources.ts'
import { recover } from '../core/signature.ts'
import { priceFor } from '../core/tariff.ts'
import type { Tariff } from '../core/tariff.ts'
import { quoteDigest } from '../core/typed.ts'
import type { Domain } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { decode, zQuote } from '../core/wire.ts'
import type { JobRequest, Quote } from '../core/wire.ts'
import { formatOf } from '../task/format.ts'
import type { Currencies } from './currencies.ts'
import type { KnownTask } from './tasks.ts'

/** What the host's owner decided, and what the engine was found to be able to do. */
export type HostPolicy = {
  tariffs: readonly Tariff[]
  total: Resources
  formats: readonly string[]
  runtimes: readonly string[]
  platform: string
  allowsNetwork: boolean
  maxSeconds: number
  maxInputBytes: number
  maxOutputBytes: number
  /** Inputs of files tasks are read where they lie, so more of them fits. */
  maxFilesInputBytes: number
  minCloseDelaySeconds: number
}

export type AdmissionContext = {
  domain: Domain
  host: Hex
  policy: HostPolicy
  /** The tariffs of a recent offer of ours, if it still stands. */
  offered(sequence: number): readonly Tariff[] | undefined
  currencies: Currencies
  now: number
}

/** Throws `refused`, `bad_input`, `payment`, `quote_expired` or `not_allowed`. */
export function checkRequest(context: AdmissionContext, request: JobRequest, task: KnownTask): void {
  checkTask(context, request.resources, request.price.maxSeconds, request.inputBytes, task)
  if (request.runtime !== undefined && !context.policy.runtimes.includes(request.runtime)) {
    throw refusal(`The runtime ${request.runtime} is not offered here, only ${context.policy.runtimes.join(', ')}`)
  }
  checkPrice(context, request, task)
}

/** The part that a quote checks too. */
export function checkTask(
  context: Pick<AdmissionContext, 'policy'>,
  resources: Resources,
  maxSeconds: number,
  inputBytes: number,
  task: KnownTask,
): void {
  const { policy } = context
  const { manifest } = task
  if (task.entry.retired) throw refusal(`The task ${task.cid} was retired by its developer`)
  if (!policy.formats.includes(manifest.format)) throw refusal(`Tasks of format ${manifest.format} are not run here`)
  if (manifest.image.platform !== policy.platform)
    throw refusal(`The image is for ${manifest.image.platform}, this host is ${policy.platform}`)
  if (manifest.needsNetwork && !policy.allowsNetwork) {
    throw new MecaError('not_allowed', 'The task asks for the network, which the owner of this host does not allow', {
      cure: 'choose a host that allows it',
    })
  }
  const short = shortage(resources, policy.total)
  if (short !== undefined) throw refusal(`The host is too small: ${short}`)
  const under = shortage(manifest.resources, resources)
  if (under !== undefined) throw new MecaError('bad_input', `The task needs more than was asked for: ${under}`)
  if (maxSeconds > policy.maxSeconds)
    throw refusal(`Jobs run at most ${policy.maxSeconds} s here, ${maxSeconds} s asked`)
  const cap = formatOf(manifest.format).kind === 'files' ? policy.maxFilesInputBytes : policy.maxInputBytes
  if (inputBytes > cap) throw new MecaError('too_large', `The input has ${inputBytes} bytes, this host takes ${cap}`)
}

function checkPrice(context: AdmissionContext, request: JobRequest, task: KnownTask): void {
  const { price } = request
  const { currencies } = context
  const show = (amount: bigint) => currencies.show(amount, price.token)
  if (price.token !== task.entry.token) {
    const [sold, given] = [task.entry.token, price.token].map((token) => currencies.name(token))
    throw new MecaError('payment', `The task is sold in ${sold}, the job offers ${given}`)
  }
  if (price.developerAmount !== task.entry.fee) {
    const [fee, given] = [task.entry.fee, price.developerAmount].map(show)
    throw new MecaError('payment', `The developer's fee is ${fee}, the job offers ${given}`)
  }
  const asked =
    'quote' in request.basis ? quotedAmount(context, request, request.basis.quote) : offeredAmount(context, request)
  if (price.hostAmount < asked) {
    throw new MecaError(
      'payment',
      `The host's part costs up to ${show(asked)}, the job offers ${show(price.hostAmount)}`,
    )
  }
}

function offeredAmount(context: AdmissionContext, request: JobRequest): bigint {
  const sequence = 'offer' in request.basis ? request.basis.offer : -1
  const tariff = context.offered(sequence)?.find((t) => t.token === request.price.token)
  if (tariff === undefined) {
    throw new MecaError('quote_expired', `The offer ${sequence} does not stand any more`, {
      cure: 'look at the newest offer, or ask for a quote',
    })
  }
  return priceFor(tariff, request.resources, request.price.maxSeconds, 0n).hostAmount
}

function quotedAmount(
  context: AdmissionContext,
  request: JobRequest,
  signed: { text: string; signature: Hex },
): bigint {
  const quote = openQuote(context.domain, signed, context.host)
  if (quote.expiresAt < context.now) {
    throw new MecaError(
      'quote_expired',
      `The quote expired ${Math.ceil((context.now - quote.expiresAt) / 1000)} s ago`,
      { cure: 'ask again' },
    )
  }
  const same =
    quote.task === request.task &&
    quote.token === request.price.token &&
    quote.maxSeconds >= request.price.maxSeconds &&
    shortage(request.resources, quote.resources) === undefined
  if (!same) throw new MecaError('payment', 'The quote is for another job')
  return quote.hostAmount
}

/** The quote in a signed text. Throws `not_verified` where `host` did not sign it, `protocol` where it is none. */
export function openQuote(domain: Domain, signed: { text: string; signature: Hex }, host: Hex): Quote {
  if (recover(quoteDigest(domain, signed.text), signed.signature) !== host) {
    throw new MecaError('not_verified', `The quote is not signed by ${host}`)
  }
  let json: unknown
  try {
    json = JSON.parse(signed.text)
  } catch (cause) {
    throw new MecaError('protocol', 'The quote is not JSON', { cause })
  }
  return decode(zQuote, json, 'quote')
}

function refusal(message: string): MecaError {
  return new MecaError('refused', message, { cure: 'see meca quote for hosts that fit' })
}
