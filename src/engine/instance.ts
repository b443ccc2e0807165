/**
 * A container that runs: how its end is noticed, how it is asked, how it is ended. The end of the task, of its sidecar
 * and of the engine are told apart, because the first is the task's failure and the others are the host's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { Container } from 'dockerode'
import type { Pool } from 'undici'
import { MecaError } from '../core/errors.ts'
import type { ContainerEnd, HttpExchange, LogLine } from '../core/plan.ts'
import { call, engineGone, exitCodeOf, isGone, statusOf } from './client.ts'
import type { Instance, Reply, RequestLimits } from './engine.ts'
import type { LogBook } from './log-book.ts'
import { ask, openPool } from './request.ts'
import type { Sidecar } from './sidecar.ts'

/** The log's last bytes arrive beside the exit code; both are on this machine. */
const LAST_WORDS_MS = 1_000
/** A container that somebody removed was killed first. */
const REMOVED = 137
/** A broken connection is noticed before the end of the container that broke it. */
const END_GRACE_MS = 500

export class RunningContainer implements Instance {
  readonly id: string
  readonly timings: Record<string, number> = {}
  readonly ended: Promise<ContainerEnd>
  readonly #docker: Docker
  readonly #container: Container
  readonly #sidecar: Sidecar
  readonly #book: LogBook
  readonly #exchange: HttpExchange
  readonly #pool: Pool
  #end: ContainerEnd | undefined
  #killedFor: ContainerEnd['killedFor']
  #engineLost = false
  #stopping: Promise<void> | undefined

  /** The container has been started: from here on its end is watched. */
  constructor(docker: Docker, container: Container, sidecar: Sidecar, book: LogBook, exchange: HttpExchange) {
    this.id = container.id
    this.#docker = docker
    this.#container = container
    this.#sidecar = sidecar
    this.#book = book
    this.#exchange = exchange
    this.#pool = openPool(sidecar.socketPath, exchange.port)
    this.ended = this.#watch()
    void book.overBudget.then(() => this.#kill('log budget'))
  }

  setLogSink(sink: ((line: LogLine) => void) | undefined): void {
    this.#book.setSink(sink)
  }

  async request(body: Uint8Array, limits: RequestLimits, signal: AbortSignal): Promise<Reply> {
    signal.throwIfAborted()
    if (this.#end !== undefined) throw this.#whyEnded(this.#end)
    this.#book.renewBudget()
    try {
      return await ask(this.#pool, this.#exchange, body, limits, signal)
    } catch (error) {
      if (!(error instanceof MecaError) || error.code !== 'task_failed') throw error
      throw await this.#betterReason(error)
    }
  }

  /** Ends the container and removes it, its sidecar and its folder. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    if (this.#end === undefined) this.#killedFor ??= 'stopped'
    await Promise.all([removeContainer(this.#container), this.#sidecar.remove(), this.#pool.destroy()])
    await this.ended
  }

  async #kill(reason: ContainerEnd['killedFor']): Promise<void> {
    this.#killedFor ??= reason
    // Refused when it has just ended by itself or the engine is gone: both are seen by the watch.
    await call('end a container', (abortSignal) => this.#container.kill({ abortSignal })).catch(() => {})
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
      return await exitCodeOf(this.#docker, this.id)
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

  async #betterReason(error: MecaError): Promise<MecaError> {
    await Promise.race([this.ended, this.#sidecar.ended, sleep(END_GRACE_MS)])
    // Looked at first: a container that ended by itself is cleaned up at once, which is no reason.
    if (this.#end !== undefined) return this.#whyEnded(this.#end)
    if (this.#killedFor === 'stopped') return stopped()
    if (this.#sidecar.dead) return engineGone('lost the sidecar of a container', 'ask a task', error)
    return error
  }

  #whyEnded(end: ContainerEnd): MecaError {
    if (this.#engineLost) return engineGone('went away', 'ask a task')
    if (end.killedFor === 'stopped') return stopped()
    return new MecaError('task_failed', `The task's container ended: ${describeEnd(end)}`, {
      details: { exitCode: end.exitCode, outOfMemory: end.outOfMemory, logTail: end.logTail },
      cure: 'Its log says why; the developer can try it with `meca task test`.',
    })
  }
}

/** The task did nothing wrong, so this is not its failure. */
function stopped(): MecaError {
  return new MecaError('cancelled', 'The container was stopped by this host before the task answered', {
    cure: 'Run it again.',
  })
}

/** Forced, with its anonymous volumes; absent or half removed is what we want. */
export async function removeContainer(container: Container): Promise<void> {
  await call('remove a container', (abortSignal) =>
    container.remove({ force: true, v: true, abortSignal }).catch((error: unknown) => {
      // What is left behind when the engine is gone carries our label and is swept at the next start.
      if (statusOf(error) !== 404 && statusOf(error) !== 409 && !isGone(error)) throw error
    }),
  )
}

export function describeEnd(end: ContainerEnd): string {
  if (end.killedFor === 'log budget') return 'it printed more than its log budget'
  if (end.killedFor !== undefined) return `it was ended (${end.killedFor})`
  if (end.outOfMemory) return 'it needed more memory than it has (exit code 137)'
  return `exit code ${end.exitCode}`
}
