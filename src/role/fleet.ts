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

export type Need = { key: string; resources: Resources; start(signal: AbortSignal): Promise<Instance> }

/** Requests at once in one container: task servers take more connections than that, and each holds a body in memory. */
const MAX_IN_CONTAINER = 64

type Waiting = { need: Need; go: () => void }
type Held = { resources: Resources; containers: number; users: number }

export class Fleet {
  readonly total: Resources
  readonly #pool: WarmPool
  readonly #maxQueue: number
  readonly #held = new Map<string, Held>()
  readonly #queue: Waiting[] = []
  readonly #sinks = new WeakMap<Instance, Set<(line: LogLine) => void>>()

  /** `makePool` gets the function to call when a container is gone. */
  constructor(total: Resources, maxQueue: number, makePool: (onGone: (key: string) => void) => WarmPool) {
    this.total = total
    this.#maxQueue = maxQueue
    this.#pool = makePool((key) => this.#gone(key))
  }

  /** What a new job could get: idle containers count as free, since they make room. */
  get free(): Resources {
    return subtract(this.total, this.#sum((held) => held.users > 0))
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

  /** Throws `busy` where the job could neither start nor wait. */
  requireRoom(key: string, resources: Resources): void {
    if (this.queueFree > 0 || this.#canUse(key) || fits(resources, this.free)) return
    throw new MecaError('busy', `${shortage(resources, this.free) ?? 'the containers of this task are full'}, and ${this.#queue.length} jobs wait already`, {
      cure: 'try again later, or choose another host',
    })
  }

  /** A container that is ready. Waits in the order of arrival. */
  async acquire(need: Need, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    if (!(await this.#tryEnter(need))) await this.#wait(need, signal)
    try {
      const lease = await this.#pool.acquire(need.key, need.start, signal)
      return this.#lease(need.key, lease)
    } catch (error) {
      this.#leave(need.key)
      throw error
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
    const sinks = this.#sinks.get(instance) ?? new Set()
    this.#sinks.set(instance, sinks.add(sink))
    instance.setLogSink((line) => {
      for (const each of sinks) each(line)
    })
    return () => sinks.delete(sink)
  }

  /** A place in a container that is there, or in one for which there is room, perhaps after ending an idle one. */
  async #tryEnter(need: Need): Promise<boolean> {
    if (this.#enter(need)) return true
    if (!fits(need.resources, this.free)) return false
    await this.#pool.dropIdle(() => fits(need.resources, this.#unheld()))
    return this.#enter(need)
  }

  #enter(need: Need): boolean {
    const held = this.#held.get(need.key)
    if (this.#canUse(need.key) && held !== undefined) {
      held.users += 1
      return true
    }
    if (!fits(need.resources, this.#unheld())) return false
    const next = held ?? { resources: need.resources, containers: 0, users: 0 }
    next.containers += 1
    next.users += 1
    this.#held.set(need.key, next)
    return true
  }

  #canUse(key: string): boolean {
    const held = this.#held.get(key)
    return held !== undefined && held.containers > 0 && held.users < MAX_IN_CONTAINER
  }

  #unheld(): Resources {
    return subtract(this.total, this.#sum(() => true))
  }

  #sum(counts: (held: Held) => boolean): Resources {
    let sum = NOTHING
    for (const held of this.#held.values()) {
      for (let i = 0; i < held.containers && counts(held); i++) sum = add(sum, held.resources)
    }
    return sum
  }

  async #wait(need: Need, signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiting: Waiting = { need, go: resolve }
    const stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    this.#queue.push(waiting)
    try {
      await promise
    } finally {
      signal.removeEventListener('abort', stop)
      const index = this.#queue.indexOf(waiting)
      if (index >= 0) this.#queue.splice(index, 1)
    }
  }

  #leave(key: string): void {
    const held = this.#held.get(key)
    if (held !== undefined) held.users -= 1
    void this.#pump()
  }

  #gone(key: string): void {
    const held = this.#held.get(key)
    if (held !== undefined) {
      held.containers -= 1
      if (held.containers <= 0 && held.users <= 0) this.#held.delete(key)
    }
    void this.#pump()
  }

  /** Lets in who can go, in order; one that needs much does not hold up one that fits beside it. */
  async #pump(): Promise<void> {
    for (const waiting of [...this.#queue]) {
      if (!this.#queue.includes(waiting) || !(await this.#tryEnter(waiting.need))) continue
      const index = this.#queue.indexOf(waiting)
      if (index >= 0) {
        this.#queue.splice(index, 1)
        waiting.go()
      } else this.#leave(waiting.need.key)
    }
  }
}
