/**
 * How hosts did so far, kept over restarts: most commands are processes of their own, and each would else go to the
 * same broken host first. It may be lost; then it is learned again.
 */
import { faded, learned, STRANGER } from '../core/experience.ts'
import type { Experience } from '../core/experience.ts'
import type { Hex } from '../core/units.ts'
import type { Store } from '../store/store.ts'
import type { Table } from '../store/tables.ts'

/** Hosts remembered, as many as offers are: in one row of about 100 bytes each. Who was not met for longest is forgotten. */
const MAX_HOSTS = 1000
/** Jobs end in bursts; they are written down together. */
const WRITE_AFTER_MS = 1000
const KEY = 'hosts'

export type HostExperience = Experience & { host: Hex }

export type MemoryParts = {
  store: Pick<Store, 'commit'>
  tables: { experience: Table<HostExperience[]> }
  log: { warn(facts: object, text: string): void }
  wallNow(): number
}

export class ClientMemory {
  readonly #c: MemoryParts
  /** In the order in which they were met last. */
  readonly #hosts = new Map<Hex, Experience>()
  #timer: NodeJS.Timeout | undefined

  constructor(c: MemoryParts) {
    this.#c = c
  }

  /** At start. A row that cannot be read is written anew with the next job. */
  async recover(): Promise<void> {
    try {
      for (const { host, ...past } of (await this.#c.tables.experience.get(KEY)) ?? []) this.#hosts.set(host, past)
    } catch (error) {
      this.#c.log.warn({ err: error }, 'what was known of hosts cannot be read and is learned again')
    }
  }

  of(host: Hex): Experience {
    return faded(this.#hosts.get(host) ?? STRANGER, this.#c.wallNow())
  }

  /** One more job that went well, or badly, with this host. */
  count(host: Hex, good: boolean, times = 1): void {
    const next = learned(this.#hosts.get(host) ?? STRANGER, good, this.#c.wallNow(), times)
    this.#hosts.delete(host)
    this.#hosts.set(host, next)
    const [oldest] = this.#hosts.keys()
    if (this.#hosts.size > MAX_HOSTS && oldest !== undefined) this.#hosts.delete(oldest)
    this.#timer ??= setTimeout(() => void this.#write(), WRITE_AFTER_MS).unref()
  }

  async close(): Promise<void> {
    if (this.#timer !== undefined) await this.#write()
  }

  async #write(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const rows = [...this.#hosts].map(([host, past]) => ({ host, ...past }))
    await this.#c.store.commit({ rows: [this.#c.tables.experience.put(KEY, rows)] }).catch((error: unknown) => {
      this.#c.log.warn({ err: error }, 'what was learned of hosts was not written down')
    })
  }
}
