/**
 * What this client's own jobs take at each host. An offer is some seconds old, so of twenty jobs in one burst all would
 * go to the same host if each of them looked at the offer alone.
 */
import type { Offer } from '../core/offer.ts'
import type { Standing } from '../core/rank.ts'
import { add, NOTHING, subtract } from '../core/resources.ts'
import type { Resources } from '../core/resources.ts'
import type { Hex } from '../core/units.ts'

/** `since` is what was sent on the word of the offer with this sequence. */
type Load = { jobs: number; all: Resources; since: Resources; sequence: number }

export class ClientLoad {
  readonly #loads = new Map<Hex, Load>()

  of({ host, sequence }: Offer): Pick<Standing, 'inFlight' | 'sinceOffer'> & { jobs: number } {
    const load = this.#loads.get(host)
    if (load === undefined) return { jobs: 0, inFlight: NOTHING, sinceOffer: NOTHING }
    return { jobs: load.jobs, inFlight: load.all, sinceOffer: load.sequence === sequence ? load.since : NOTHING }
  }

  /** Counts a job at its host until the returned function is called, once. */
  take({ host, sequence }: Offer, resources: Resources): () => void {
    const load = this.#loads.get(host) ?? { jobs: 0, all: NOTHING, since: NOTHING, sequence }
    this.#loads.set(host, load)
    if (load.sequence !== sequence) Object.assign(load, { since: NOTHING, sequence })
    load.jobs += 1
    load.all = add(load.all, resources)
    load.since = add(load.since, resources)
    return () => {
      load.jobs -= 1
      load.all = subtract(load.all, resources)
      if (load.sequence === sequence) load.since = subtract(load.since, resources)
      if (load.jobs === 0) this.#loads.delete(host)
    }
  }
}
