/**
 * Which host is asked: the offers heard, without hosts that the chain does not know, ranked by fit, price, what this
 * client has with each of them already, and how they did so far.
 */
import { MecaError } from '../core/errors.ts'
import { MAX_RUN_SECONDS } from '../core/job.ts'
import type { Offer } from '../core/offer.ts'
import { rank } from '../core/rank.ts'
import type { Candidate, Refusal, Wanted } from '../core/rank.ts'
import type { Resources } from '../core/resources.ts'
import { costUp } from '../core/tariff.ts'
import { MAX_AMOUNT } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { QuoteOptions } from './api-client.ts'
import type { ClientComponents } from './client-components.ts'
import { capIn } from './currencies.ts'
import type { Caps } from './currencies.ts'
import { ClientLoad } from './client-load.ts'
import { ClientMemory } from './client-memory.ts'
import type { Market } from './market.ts'
import type { Payer } from './payer.ts'
import { formatOf } from '../task/format.ts'
import type { KnownTask } from './tasks.ts'

export type ChoiceParts = {
  market: Market
  payer: Pick<Payer, 'hasRoom'>
  /** Undefined where the chain does not know this host. */
  registered(host: Hex, signal: AbortSignal): Promise<boolean>
  defaultMaxSeconds: number
  /** The owner's cap on one job where the caller names none. */
  defaultMaxPrice: Caps | undefined
  /** How long to listen for offers before saying that there are none. */
  offersWaitMs: number
}

/** What was asked for and who is there; ranked when it is needed, since each job that is sent changes the rank. */
type Asked = { wanted: Wanted; offers: Offer[]; unregistered: Refusal[] }
export type Choices = { candidates: Candidate[]; refusals: Refusal[] }

export class Choice {
  readonly memory: ClientMemory
  readonly #parts: ChoiceParts
  readonly #c: Pick<ClientComponents, 'spending' | 'currencies'>
  readonly #load = new ClientLoad()

  constructor(parts: ChoiceParts, c: ClientComponents) {
    this.#parts = parts
    this.#c = c
    this.memory = new ClientMemory(c)
  }

  /** Who can do it, and why the others cannot. */
  async choose(
    task: KnownTask,
    options: QuoteOptions & { inputBytes: number; resources?: Resources },
    signal: AbortSignal,
  ): Promise<Choices> {
    return this.#rank(await this.#ask(task, options, signal))
  }

  /**
   * The best host that was not tried yet, with a place taken there in the same turn, so that the next job of a burst sees
   * it; `done` gives it back. `others` says why not the others; without a candidate there is nobody left.
   */
  async take(
    task: KnownTask,
    options: QuoteOptions & { inputBytes: number; resources: Resources },
    tried: ReadonlyMap<Hex, Refusal>,
    signal: AbortSignal,
  ): Promise<{ candidate?: Candidate; others: Refusal[]; done: () => void }> {
    const { candidates, refusals } = this.#rank(await this.#ask(task, options, signal))
    const others = refusals.filter(({ host }) => !tried.has(host))
    const candidate = candidates.find(({ offer }) => !tried.has(offer.host))
    if (candidate === undefined) return { others, done: () => undefined }
    return {
      candidate,
      others: [...others, ...tried.values()],
      done: this.#load.take(candidate.offer, options.resources),
    }
  }

  async #ask(
    task: KnownTask,
    options: QuoteOptions & { inputBytes: number; resources?: Resources },
    signal: AbortSignal,
  ): Promise<Asked> {
    const wanted = this.#wanted(task, options)
    const heard = await this.#offers(options.host, signal)
    const unregistered: Refusal[] = []
    const offers: Offer[] = []
    for (const { offer } of heard) {
      if (await this.#parts.registered(offer.host, signal)) offers.push(offer)
      else unregistered.push({ host: offer.host, code: 'unregistered', reason: 'is not registered on chain' })
    }
    return { wanted, offers, unregistered }
  }

  #rank({ wanted, offers, unregistered }: Asked): Choices {
    const { candidates, refusals } = rank(offers, wanted, (offer, need) => {
      const { jobs, ...load } = this.#load.of(offer)
      // Where jobs are under way, a channel is open or about to be.
      const hasChannel = jobs > 0 || this.#parts.payer.hasRoom(offer.host, wanted.token, need)
      return { past: this.memory.of(offer.host), ...load, hasChannel }
    })
    return {
      candidates,
      refusals: [...refusals.map((refusal) => this.#told(refusal, offers, wanted)), ...unregistered],
    }
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
