/**
 * The host's containers against its hardware: a job gets a warm container, or room for a new one, or a place in a
 * bounded queue. What a container may use is taken from what the owner gave, from the moment it is asked for until it is
 * gone; an idle one makes room when another job needs it.
 */
import { MecaError } from '../core/errors.ts'
import type { LogLine } from '../core/plan.ts'
import { add, fits, NOTHING, shortage, subtract } from '../core/resources.ts'
import type { Resources } from '../core/resources.ts'
import type { Instance } from '../engine/engine.ts'
import type { WarmPool } from '../engine/pool.ts'

export type Lease = {
  readonly instance: Instance
  readonly warm: boolean
  /** The container's output from now on, until the returned function is called. */
  listen(sink: (line: LogLine) => void): () => void
  /** The container serves nobody new: it may still be at work on what was given up. */
  discard(): void
  release(): void
}

type Sink = (line: LogLine) => void

export type Need = { key: string; resources: Resources; start(signal: AbortSignal): Promise<Instance> }

/** Requests at once in one container: task servers take more connections than that, and each holds a body in memory. */
const MAX_IN_CONTAINER = 64

/** The right to ask the pool; `reserved` while it holds room for a container that was not started yet. */
type Ticket = { reserved: boolean }
type Room = Pick<Need, 'key' | 'resources'>
type Waiting = { need: Room; go: (ticket: Ticket) => void }
type Held = { resources: Resources; containers: number; reserved: number; users: number }

export class Fleet {
  readonly total: Resources
  readonly #pool: WarmPool
  readonly #maxQueue: number
  readonly #held = new Map<string, Held>()
  readonly #queue: Waiting[] = []
  /** Jobs that were let in and have not asked for a container yet, by key: their inputs are on the way. */
  readonly #expected = new Map<string, { jobs: number }>()
  readonly #sinks = new WeakMap<Instance, { sinks: Set<Sink>; last: Sink }>()

  /** `makePool` gets the function to call when a container is gone. */
  constructor(total: Resources, maxQueue: number, makePool: (onGone: (key: string) => void) => WarmPool) {
    this.total = total
    this.#maxQueue = maxQueue
    this.#pool = makePool((key) => this.#gone(key))
  }

  /** What a new job could get: idle containers count as free, since they make room. */
  get free(): Resources {
    return subtract(
      this.total,
      this.#sum((held) => held.users > 0),
    )
  }

  get queued(): number {
    return this.#queue.length
  }

  get queueFree(): number {
    return Math.max(0, this.#maxQueue - this.#queue.length)
  }

  get warm(): number {
    return this.#pool.list().length
  }

  /**
   * Throws `busy` where the job could neither start nor wait. Jobs whose input is still on its way count as if they had
   * come, or a client that promises inputs and sends none could fill the memory with jobs.
   */
  requireRoom(key: string, resources: Resources): void {
    const own = this.#expected.get(key)?.jobs ?? 0
    const all = [...this.#expected.values()].reduce((sum, { jobs }) => sum + jobs, 0)
    if (all < this.queueFree) return
    const startable = this.#canUse(key, own) || (own < MAX_IN_CONTAINER && fits(resources, this.free))
    if (startable && all < MAX_IN_CONTAINER + this.#maxQueue) return
    throw new MecaError(
      'busy',
      `${shortage(resources, this.free) ?? 'the containers of this task are full'}, and ${this.#queue.length + all} jobs wait already`,
      {
        cure: 'try again later, or choose another host',
      },
    )
  }

  /** Counts a job that was let in, until the returned function is called: when it asks for a container, or has ended. */
  expect(key: string): () => void {
    const expected = this.#expected.get(key) ?? { jobs: 0 }
    this.#expected.set(key, expected)
    expected.jobs += 1
    let counted = true
    return () => {
      if (counted && --expected.jobs === 0) this.#expected.delete(key)
      counted = false
    }
  }

  /** A container that is ready. Waits in the order of arrival. */
  async acquire(need: Need, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    const ticket = (await this.#tryEnter(need)) ?? (await this.#wait(need, signal))
    const start = (startSignal: AbortSignal) => {
      this.#started(need.key, ticket)
      return need.start(startSignal)
    }
    try {
      return this.#lease(need.key, await this.#pool.acquire(need.key, start, signal))
    } catch (error) {
      this.#giveBack(need.key, ticket) // Before others are let in: what was reserved is free again.
      this.#leave(need.key)
      throw error
    } finally {
      this.#giveBack(need.key, ticket)
    }
  }

  /**
   * Room for a container of the caller's own, which nobody shares: `key` must be nobody else's. Waits in the order of
   * arrival; the room is given back by the returned function.
   */
  async room(key: string, resources: Resources, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted()
    const need = { key, resources }
    const ticket = (await this.#tryEnter(need)) ?? (await this.#wait(need, signal))
    let held = true
    return () => {
      if (!held) return
      held = false
      this.#giveBack(key, ticket)
      this.#leave(key)
    }
  }

  async close(): Promise<void> {
    await this.#pool.close()
  }

  #lease(key: string, { instance, warm, release }: Awaited<ReturnType<WarmPool['acquire']>>): Lease {
    let fate: 'keep' | 'discard' = 'keep'
    let held = true
    return {
      instance,
      warm,
      listen: (sink) => this.#listen(instance, sink),
      discard: () => (fate = 'discard'),
      release: () => {
        if (!held) return
        held = false
        release(fate)
        this.#leave(key)
      },
    }
  }

  #listen(instance: Instance, sink: (line: LogLine) => void): () => void {
    const heard = this.#sinks.get(instance) ?? { sinks: new Set(), last: sink }
    this.#sinks.set(instance, heard)
    heard.sinks.add(sink)
    heard.last = sink
    instance.setLogSink((line) => {
      // What a task printed while it answered arrives a moment after its answer; then it belongs to the job before.
      if (heard.sinks.size === 0) heard.last(line)
      for (const each of heard.sinks) each(line)
    })
    return () => heard.sinks.delete(sink)
  }

  /** A place in a container that is there, or in one for which there is room, perhaps after ending an idle one. */
  async #tryEnter(need: Room): Promise<Ticket | undefined> {
    const ticket = this.#enter(need)
    if (ticket !== undefined || !fits(need.resources, this.free)) return ticket
    await this.#pool.dropIdle(() => fits(need.resources, this.#unheld()))
    return this.#enter(need)
  }

  #enter(need: Room): Ticket | undefined {
    const held = this.#held.get(need.key) ?? { resources: need.resources, containers: 0, reserved: 0, users: 0 }
    const reserved = !this.#canUse(need.key)
    if (reserved && (held.users >= MAX_IN_CONTAINER || !fits(need.resources, this.#unheld()))) return undefined
    if (reserved) held.reserved += 1
    held.users += 1
    this.#held.set(need.key, held)
    return { reserved }
  }

  /** The room that was reserved is the container's now. */
  #started(key: string, ticket: Ticket): void {
    this.#giveBack(key, ticket)
    const held = this.#held.get(key)
    if (held !== undefined) held.containers += 1
  }

  #giveBack(key: string, ticket: Ticket): void {
    const held = this.#held.get(key)
    if (ticket.reserved && held !== undefined) held.reserved -= 1
    ticket.reserved = false
  }

  #canUse(key: string, expected = 0): boolean {
    const held = this.#held.get(key)
    return held !== undefined && held.containers + held.reserved > 0 && held.users + expected < MAX_IN_CONTAINER
  }

  #unheld(): Resources {
    return subtract(
      this.total,
      this.#sum(() => true),
    )
  }

  #sum(counts: (held: Held) => boolean): Resources {
    let sum = NOTHING
    for (const held of this.#held.values()) {
      for (let i = 0; i < held.containers + held.reserved && counts(held); i++) sum = add(sum, held.resources)
    }
    return sum
  }

  async #wait(need: Room, signal: AbortSignal): Promise<Ticket> {
    // It may have fired while room was made; a listener would never hear of it.
    signal.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<Ticket>()
    const waiting: Waiting = { need, go: resolve }
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    this.#queue.push(waiting)
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', stop)
      const index = this.#queue.indexOf(waiting)
      if (index >= 0) this.#queue.splice(index, 1)
    }
  }

  #leave(key: string): void {
    const held = this.#held.get(key)
    if (held !== undefined) held.users -= 1
    this.#tidy(key)
  }

  #gone(key: string): void {
    const held = this.#held.get(key)
    if (held !== undefined) held.containers -= 1
    this.#tidy(key)
  }

  #tidy(key: string): void {
    const held = this.#held.get(key)
    if (held !== undefined && held.users <= 0 && held.containers + held.reserved <= 0) this.#held.delete(key)
    void this.#pump()
  }

  /** Lets in who can go, in order; one that needs much does not hold up one that fits beside it. */
  async #pump(): Promise<void> {
    for (const waiting of [...this.#queue]) {
      const ticket = this.#queue.includes(waiting) ? await this.#tryEnter(waiting.need) : undefined
      if (ticket === undefined) continue
      const index = this.#queue.indexOf(waiting)
      if (index >= 0) {
        this.#queue.splice(index, 1)
        waiting.go(ticket)
      } else {
        this.#giveBack(waiting.need.key, ticket)
        this.#leave(waiting.need.key)
      }
    }
  }
}
