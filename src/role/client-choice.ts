/**
 * Which host is asked: the offers heard, without hosts that the chain does not know, ranked by fit, price and what was
 * experienced with each of them so far.
 */
import { MecaError } from '../core/errors.ts'
import { MAX_RUN_SECONDS } from '../core/job.ts'
import { rank } from '../core/offer.ts'
import type { Candidate, Experience, Offer, Refusal, Wanted } from '../core/offer.ts'
import type { Resources } from '../core/resources.ts'
import { costUp } from '../core/tariff.ts'
import { MAX_AMOUNT } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { QuoteOptions } from './api-client.ts'
import type { ClientComponents } from './client-components.ts'
import { capIn } from './currencies.ts'
import type { Caps } from './currencies.ts'
import type { Market } from './market.ts'
import { formatOf } from '../task/format.ts'
import type { KnownTask } from './tasks.ts'

export type ChoiceParts = {
  market: Market
  /** Undefined where the chain does not know this host. */
  registered(host: Hex, signal: AbortSignal): Promise<boolean>
  defaultMaxSeconds: number
  /** The owner's cap on one job where the caller names none. */
  defaultMaxPrice: Caps | undefined
  /** How long to listen for offers before saying that there are none. */
  offersWaitMs: number
}

export class Choice {
  readonly #parts: ChoiceParts
  readonly #c: Pick<ClientComponents, 'spending' | 'currencies'>
  readonly #experience = new Map<Hex, Experience>()

  constructor(parts: ChoiceParts, c: Pick<ClientComponents, 'spending' | 'currencies'>) {
    this.#parts = parts
    this.#c = c
  }

  /** Who can do it, and why the others cannot. */
  async choose(
    task: KnownTask,
    options: QuoteOptions & { inputBytes: number; resources?: Resources },
    signal: AbortSignal,
  ): Promise<{ candidates: Candidate[]; refusals: Refusal[] }> {
    const wanted = this.#wanted(task, options)
    const heard = await this.#offers(options.host, signal)
    const unregistered: Refusal[] = []
    const offers: Offer[] = []
    for (const { offer } of heard) {
      if (await this.#parts.registered(offer.host, signal)) offers.push(offer)
      else unregistered.push({ host: offer.host, code: 'unregistered', reason: 'is not registered on chain' })
    }
    const { candidates, refusals } = rank(
      offers,
      wanted,
      (host) => this.#experience.get(host) ?? { answered: 0, failed: 0 },
    )
    const told = refusals.map((refusal) => this.#told(refusal, offers, wanted))
    return { candidates, refusals: [...told, ...unregistered] }
  }

  /** One more job that went well, or badly, with this host. */
  count(host: Hex, good: boolean, times = 1): void {
    const past = this.#experience.get(host) ?? { answered: 0, failed: 0 }
    const next = good ? { answered: past.answered + times } : { failed: past.failed + times }
    this.#experience.set(host, { ...past, ...next })
  }

  #wanted(task: KnownTask, options: QuoteOptions & { inputBytes: number; resources?: Resources }): Wanted {
    const { manifest } = task
    const { token } = manifest
    const maxPrice =
      options.maxPrice ?? capIn(this.#parts.defaultMaxPrice, token, 'client.maxPrice', this.#c.currencies)
    const maxSeconds = options.maxSeconds ?? this.#parts.defaultMaxSeconds
    requireSeconds(maxSeconds)
    return {
      task: task.cid,
      format: manifest.format,
      token: manifest.token,
      fee: manifest.fee,
      resources: options.resources ?? manifest.resources,
      platform: manifest.image.platform,
      maxSeconds,
      inputBytes: options.inputBytes,
      takesFiles: formatOf(manifest.format).kind === 'files',
      needsNetwork: manifest.needsNetwork,
      closeDelaySeconds: this.#c.spending.closeDelaySeconds,
      ...(options.runtime === undefined ? {} : { runtime: options.runtime }),
      ...(maxPrice === undefined ? {} : { maxPrice }),
    }
  }

  /** With amounts and currencies as people know them. */
  #told(refusal: Refusal, offers: readonly Offer[], wanted: Wanted): Refusal {
    const { currencies } = this.#c
    const tariffs = offers.find(({ host }) => host === refusal.host)?.tariffs ?? []
    const { token, maxPrice = MAX_AMOUNT } = wanted
    if (refusal.code === 'token') {
      const taken = tariffs.map((tariff) => currencies.name(tariff.token)).join(' and ')
      return { ...refusal, reason: `takes ${taken}, not ${currencies.name(token)}` }
    }
    const tariff = tariffs.find((t) => t.token === token)
    if (refusal.code !== 'price' || tariff === undefined) return refusal
    const most = costUp(tariff, wanted.resources, wanted.maxSeconds * 1000) + wanted.fee
    const [cost, cap] = [currencies.show(most, token), currencies.show(maxPrice, token)]
    return { ...refusal, reason: `costs up to ${cost}, the cap is ${cap}` }
  }

  /** A node that has just started hears of the market within a moment, so an empty one is given that moment. */
  async #offers(host: Hex | undefined, signal: AbortSignal) {
    const heard = () => this.#parts.market.heard().filter(({ offer }) => host === undefined || offer.host === host)
    const until = performance.now() + this.#parts.offersWaitMs
    while (heard().length === 0 && performance.now() < until) {
      signal.throwIfAborted()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return heard()
  }
}

/** Why no host could be had; `asked` is the one that was asked for. */
export function nobody(refusals: readonly Refusal[], asked: Hex | undefined): MecaError {
  const reasons = refusals.map(({ host, reason }) => `${host} ${reason}`).join('; ')
  // A host that does not take the currency would not be an answer at any price.
  const takers = refusals.filter(({ code }) => code !== 'token')
  const onlyPrice = takers.length > 0 && takers.every(({ code }) => code === 'price')
  if (onlyPrice)
    return new MecaError('price_cap', `Every host costs more than the cap: ${reasons}`.slice(0, 3000), {
      cure: 'raise --max-price',
      details: { refusals },
    })
  if (refusals.length === 0) {
    return new MecaError(
      'no_host',
      asked === undefined
        ? 'No host offers anything on this market just now'
        : `The host ${asked} offers nothing just now`,
      { cure: 'see meca doctor: are you connected to the market?' },
    )
  }
  return new MecaError('no_host', `No host can run this: ${reasons}`.slice(0, 3000), {
    cure: 'see meca quote',
    details: { refusals },
  })
}

/** Checked before anything is written: what no host takes must not become a record that nobody can read. */
function requireSeconds(seconds: number): void {
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_RUN_SECONDS) return
  throw new MecaError('bad_input', `A job cannot be given ${seconds} s`, {
    cure: `give --max-seconds a whole number between 1 and ${MAX_RUN_SECONDS}`,
  })
}
