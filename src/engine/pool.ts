/**
 * Warm containers, by a key that the caller makes of everything that must be the same: image, resources, trust. One
 * container serves many requests at once; it ends when nobody used it for a while, when it ended by itself, or when a
 * user says that it is not fit for others.
 */
import { MecaError } from '../core/errors.ts'
import { aborted } from './client.ts'
import type { Instance } from './engine.ts'

/** The time, and how to wait; tests hold their own. */
export type Clock = {
  now(): number
  /** Calls back once; the result cancels it. */
  after(ms: number, callback: () => void): () => void
}

const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, callback) => {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

export type WarmPoolOptions = {
  idleMs: number
  clock?: Clock
  /** The container under this key is gone and its resources are free again. */
  onGone?: (key: string) => void
  /** A container could not be ended; it is labelled and will be swept. */
  onStopError?: (error: unknown) => void
}

/** The right to use an instance until `release`, which is safe to repeat. */
export type Lease = {
  readonly instance: Instance
  /** False for whoever caused or awaited the start. */
  readonly warm: boolean
  /** With `discard` the instance serves nobody new and ends with its last user: after a time-out it may still be at work. */
  release(fate?: 'keep' | 'discard'): void
}

type Entry = {
  key: string
  starting: Promise<Instance>
  /** Ends the start when nobody waits for it any more. */
  giveUp: AbortController
  instance: Instance | undefined
  users: number
  idleSinceMs: number
  cancelTimer: () => void
  stopping: Promise<void> | undefined
}

export class WarmPool {
  readonly #options: WarmPoolOptions
  readonly #clock: Clock
  /** Those that take new users. */
  readonly #open = new Map<string, Entry>()
  /** Everything that is not yet removed, retired ones included. */
  readonly #all = new Set<Entry>()
  #closed = false

  constructor(options: WarmPoolOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** A warm instance, or the one that `make` starts; several callers at once share one start. */
  async acquire(key: string, make: (signal: AbortSignal) => Promise<Instance>, signal: AbortSignal): Promise<Lease> {
    signal.throwIfAborted()
    if (this.#closed) throw new MecaError('cancelled', 'The pool of warm containers is closed')
    const entry = this.#open.get(key) ?? this.#begin(key, make)
    const warm = entry.instance !== undefined
    entry.users += 1
    entry.cancelTimer()
    try {
      const instance = entry.instance ?? (await Promise.race([entry.starting, aborted(signal)]))
      return this.#lease(entry, instance, warm)
    } catch (error) {
      this.#leave(entry, 'keep')
      throw error
    }
  }

  /** Ends idle containers, longest idle first, until `enough` says so; for a host that needs their room. */
  async dropIdle(enough: () => boolean = () => false): Promise<number> {
    const idle = [...this.#open.values()].filter((entry) => entry.users === 0 && entry.instance !== undefined)
    idle.sort((a, b) => a.idleSinceMs - b.idleSinceMs)
    let dropped = 0
    for (const entry of idle) {
      if (enough()) break
      if (entry.users > 0) continue
      await this.#retire(entry)
      dropped += 1
    }
    return dropped
  }

  /** What is held, for the host's owner. */
  list(): { key: string; users: number; idleMs: number }[] {
    const now = this.#clock.now()
    return [...this.#all].map(({ key, users, idleSinceMs }) => ({
      key,
      users,
      idleMs: users > 0 ? 0 : now - idleSinceMs,
    }))
  }

  has(key: string): boolean {
    return this.#open.get(key)?.instance !== undefined
  }

  /** Ends everything, also what is in use. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#all].map((entry) => this.#retire(entry)))
  }

  #begin(key: string, make: (signal: AbortSignal) => Promise<Instance>): Entry {
    const giveUp = new AbortController()
    const starting = make(giveUp.signal)
    const entry: Entry = {
      key,
      starting,
      giveUp,
      instance: undefined,
      users: 0,
      idleSinceMs: this.#clock.now(),
      cancelTimer: () => {},
      stopping: undefined,
    }
    this.#open.set(key, entry)
    this.#all.add(entry)
    starting.then(
      (instance) => {
        entry.instance = instance
        void instance.ended.then(() => this.#retire(entry))
      },
      () => this.#forget(entry),
    )
    return entry
  }

  #lease(entry: Entry, instance: Instance, warm: boolean): Lease {
    let held = true
    return {
      instance,
      warm,
      release: (fate = 'keep') => {
        if (held) this.#leave(entry, fate)
        held = false
      },
    }
  }

  #leave(entry: Entry, fate: 'keep' | 'discard'): void {
    entry.users -= 1
    if (fate === 'discard') this.#close(entry)
    if (entry.users > 0 || !this.#all.has(entry)) return
    entry.idleSinceMs = this.#clock.now()
    const wanted = entry.instance !== undefined && this.#open.get(entry.key) === entry
    if (!wanted) void this.#retire(entry)
    else entry.cancelTimer = this.#clock.after(this.#options.idleMs, () => void this.#retire(entry))
  }

  #close(entry: Entry): void {
    if (this.#open.get(entry.key) === entry) this.#open.delete(entry.key)
  }

  /** Takes it from the open ones at once, so that nobody is handed a container that is going. */
  #retire(entry: Entry): Promise<void> {
    this.#close(entry)
    entry.cancelTimer()
    entry.stopping ??= this.#stop(entry)
    return entry.stopping
  }

  async #stop(entry: Entry): Promise<void> {
    entry.giveUp.abort()
    try {
      const instance = entry.instance ?? (await entry.starting.catch(() => undefined))
      await instance?.stop()
    } catch (error) {
      this.#options.onStopError?.(error)
    }
    this.#forget(entry)
  }

  #forget(entry: Entry): void {
    this.#close(entry)
    if (this.#all.delete(entry)) this.#options.onGone?.(entry.key)
  }
}
