/**
 * A container that runs: how it is asked, how it is ended. The end of the task, of its sidecar and of the engine are
 * told apart, because the first is the task's failure and the others are the host's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import type { Container } from 'dockerode'
import type { Pool } from 'undici'
import { MecaError } from '../core/errors.ts'
import type { ContainerEnd, HttpExchange, LogLine } from '../core/plan.ts'
import { engineGone } from './client.ts'
import type { Instance, Reply, RequestLimits } from './engine.ts'
import type { LogBook } from './log-book.ts'
import { ask, openPool } from './request.ts'
import type { Sidecar } from './sidecar.ts'
import { ContainerWatch, describeEnd, removeContainer } from './watch.ts'

/** A broken connection is noticed before the end of the container that broke it. */
const END_GRACE_MS = 500
/** Exit code, last words and the reason of a container that has ended come within this; a lost engine is told in 10 s. */
const END_TOLD_MS = 5_000

export class RunningContainer implements Instance {
  readonly id: string
  readonly timings: Record<string, number> = {}
  readonly ended: Promise<ContainerEnd>
  readonly #container: Container
  readonly #sidecar: Sidecar
  readonly #book: LogBook
  readonly #exchange: HttpExchange
  readonly #pool: Pool
  readonly #watch: ContainerWatch
  #stopping: Promise<void> | undefined

  /** The container has been started. */
  constructor(docker: Docker, container: Container, sidecar: Sidecar, book: LogBook, exchange: HttpExchange) {
    this.id = container.id
    this.#container = container
    this.#sidecar = sidecar
    this.#book = book
    this.#exchange = exchange
    this.#pool = openPool(sidecar.socketPath, exchange.port)
    this.#watch = new ContainerWatch(docker, container, book)
    this.ended = this.#watch.ended
  }

  setLogSink(sink: ((line: LogLine) => void) | undefined): void {
    this.#book.setSink(sink)
  }

  async request(body: Uint8Array, limits: RequestLimits, signal: AbortSignal): Promise<Reply> {
    signal.throwIfAborted()
    if (this.#watch.end !== undefined) throw this.#whyEnded(this.#watch.end)
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
    this.#watch.markStopped()
    await Promise.all([removeContainer(this.#container), this.#sidecar.remove(), this.#pool.destroy()])
    await this.ended
  }

  async #betterReason(error: MecaError): Promise<MecaError> {
    await Promise.race([this.ended, this.#sidecar.ended, sleep(END_GRACE_MS)])
    if (this.#watch.end === undefined && !this.#sidecar.dead && (await this.#watch.isEnding()))
      await Promise.race([this.ended, sleep(END_TOLD_MS, undefined, { ref: false })])
    // Looked at first: a container that ended by itself is cleaned up at once, which is no reason.
    if (this.#watch.end !== undefined) return this.#whyEnded(this.#watch.end)
    if (this.#watch.killedFor === 'stopped') return stopped()
    if (this.#sidecar.dead) return engineGone('lost the sidecar of a container', 'ask a task', error)
    return error
  }

  #whyEnded(end: ContainerEnd): MecaError {
    if (this.#watch.engineLost) return engineGone('went away', 'ask a task')
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
