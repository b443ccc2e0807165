/**
 * The end of a started container: noticed, explained, or brought about. Why we killed it is decided by our own mark,
 * set before the kill, because the engine tells every kill as the same 137.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { Container } from 'dockerode'
import { MecaError } from '../core/errors.ts'
import type { ContainerEnd } from '../core/plan.ts'
import { call, exitCodeOf, isGone, statusOf } from './client.ts'
import type { LogBook } from './log-book.ts'
import { removeLater } from './remove-later.ts'

/** The log's last bytes arrive beside the exit code; both are on this machine. */
const LAST_WORDS_MS = 1_000
/** The kernel ends a killed process at once, unless it is stuck in the kernel itself. */
const KILL_GRACE_MS = 10_000
/** A container that somebody removed was killed first. */
const REMOVED = 137

export class ContainerWatch {
  /** Never rejects. */
  readonly ended: Promise<ContainerEnd>
  readonly #docker: Docker
  readonly #container: Container
  readonly #book: LogBook
  #end: ContainerEnd | undefined
  #killedFor: ContainerEnd['killedFor']
  #engineLost = false

  /** The container has been started: from here on its end is watched. */
  constructor(docker: Docker, container: Container, book: LogBook) {
    this.#docker = docker
    this.#container = container
    this.#book = book
    this.ended = this.#watch()
    void book.overBudget.then(() => this.kill('log budget'))
  }

  get end(): ContainerEnd | undefined {
    return this.#end
  }

  get killedFor(): ContainerEnd['killedFor'] {
    return this.#killedFor
  }

  /** How it ended is not known: the engine went away under it. */
  get engineLost(): boolean {
    return this.#engineLost
  }

  /** Whether it has ended or is about to, also where that has not been told yet: on a busy machine the news take seconds. */
  async isEnding(): Promise<boolean> {
    if (this.#end !== undefined || this.#killedFor !== undefined) return true
    try {
      const { State } = await call('inspect a container', (abortSignal) => this.#container.inspect({ abortSignal }))
      return !State.Running
    } catch {
      // It was removed, or its engine is lost: the watch ends for either.
      return true
    }
  }

  /** For whoever removes the container next. */
  markStopped(): void {
    if (this.#end === undefined) this.#killedFor ??= 'stopped'
  }

  async kill(reason: ContainerEnd['killedFor']): Promise<void> {
    if (this.#end !== undefined) return
    this.#killedFor ??= reason
    // Refused when it has just ended by itself or the engine is gone: both are seen by the watch.
    await call('end a container', (abortSignal) => this.#container.kill({ abortSignal })).catch(() => {})
    await Promise.race([this.ended, sleep(KILL_GRACE_MS, undefined, { ref: false })])
    // A sandbox that lost a part of itself does not end by a kill (measured with gVisor out of memory); removal ends it.
    if (this.end === undefined) await removeContainer(this.#container).catch(() => {})
  }

  async #watch(): Promise<ContainerEnd> {
    const exitCode = await this.#exitCode()
    await Promise.race([this.#book.drained, sleep(LAST_WORDS_MS, undefined, { ref: false })])
    this.#end = {
      exitCode,
      outOfMemory:
        exitCode === 137 && !this.#engineLost && this.#killedFor === undefined && (await this.#outOfMemory()),
      ...(this.#killedFor === undefined ? {} : { killedFor: this.#killedFor }),
      logTail: this.#book.tail,
    }
    return this.#end
  }

  async #exitCode(): Promise<number> {
    try {
      return await exitCodeOf(this.#docker, this.#container.id)
    } catch (error) {
      return statusOf(error) === 404 ? REMOVED : this.#exitCodeAfterBreak()
    }
  }

  /** A wait that breaks says only that a connection broke; the engine is asked again before it is called lost. */
  async #exitCodeAfterBreak(): Promise<number> {
    try {
      const { State } = await call('inspect a container', (abortSignal) => this.#container.inspect({ abortSignal }))
      return State.Running ? await this.#exitCode() : State.ExitCode
    } catch (error) {
      const cause = error instanceof MecaError ? error.cause : error
      this.#engineLost = statusOf(cause) !== 404
      return REMOVED
    }
  }

  async #outOfMemory(): Promise<boolean> {
    try {
      return (await call('inspect a container', (abortSignal) => this.#container.inspect({ abortSignal }))).State
        .OOMKilled
    } catch {
      // Removed already: the question has no answer any more, and 137 is told as a kill.
      return false
    }
  }
}

/** Forced, with its anonymous volumes; absent or half removed is what we want. */
export async function removeContainer(container: Container): Promise<void> {
  await call('remove a container', (abortSignal) =>
    container.remove({ force: true, v: true, abortSignal }).catch((error: unknown) => {
      if (isGone(error)) removeLater(container)
      else if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error
    }),
  )
}

export function describeEnd(end: ContainerEnd): string {
  if (end.killedFor === 'log budget') return 'it printed more than its log budget'
  if (end.killedFor === 'disk budget') return 'it wrote more into its root file system than it may'
  if (end.killedFor !== undefined) return `it was ended (${end.killedFor})`
  if (end.outOfMemory) return 'it needed more memory than it has (exit code 137)'
  return `exit code ${end.exitCode}`
}
