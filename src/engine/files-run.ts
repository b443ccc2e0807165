/**
 * A files plan, carried out: make its room, carry the inputs in, run to the end under our own clock, and keep what was
 * written until it has been taken. Whatever fails or is cancelled, and whenever, everything made here is removed.
 */
import type { Container } from 'dockerode'
import { MecaError } from '../core/errors.ts'
import type { ContainerEnd, FilesExchange, Plan } from '../core/plan.ts'
import { failpoint } from '../failpoint.ts'
import { aborted, call, cancelled, engineGone } from './client.ts'
import { collect } from './collect.ts'
import type { CollectedEntry, FilesRun, ImageId, RunOptions } from './engine.ts'
import { LogBook } from './log-book.ts'
import { sandboxOptions } from './options.ts'
import { taskMount } from './places.ts'
import { Room, all } from './room.ts'
import { stage } from './stage.ts'
import { watchRoot } from './root-budget.ts'
import { containerName, refusal, startListening, stopwatch } from './start.ts'
import type { Workshop } from './start.ts'
import { ContainerWatch, removeContainer } from './watch.ts'

export type FilesJob = { image: ImageId; plan: Plan; exchange: FilesExchange; options: RunOptions }

export async function runFiles(shop: Workshop, job: FilesJob, signal: AbortSignal): Promise<FilesRun> {
  if (signal.aborted) throw cancelled('run a container', signal.reason)
  const run = new Run(shop, job)
  try {
    await run.toTheEnd(signal)
    return run
  } catch (error) {
    await run.dispose()
    if (signal.aborted) throw cancelled('run a container', error)
    throw error
  }
}

class Run implements FilesRun {
  readonly timings: Record<string, number> = {}
  readonly #shop: Workshop
  readonly #job: FilesJob
  readonly #name: string
  readonly #room: Room
  readonly #book: LogBook
  #end: ContainerEnd | undefined

  constructor(shop: Workshop, job: FilesJob) {
    this.#shop = shop
    this.#job = job
    this.#name = containerName(job.options.name)
    this.#room = new Room(shop, job.exchange, this.#name)
    this.#book = new LogBook('', job.plan.limits.logBytes, job.options.onLog, true)
  }

  get end(): ContainerEnd {
    if (this.#end === undefined) throw new MecaError('internal', 'The end of a run was asked for before it came')
    return this.#end
  }

  get console(): Uint8Array {
    return this.#book.console
  }

  outputs(signal: AbortSignal): AsyncIterable<CollectedEntry> {
    return collect(this.#room, this.#job.exchange.collect, this.#job.plan.limits.outputBytes, signal)
  }

  async dispose(): Promise<void> {
    await removeContainer(this.#shop.docker.getContainer(this.#name))
    await this.#room.dispose()
  }

  async toTheEnd(signal: AbortSignal): Promise<void> {
    const clock = stopwatch()
    await this.#room.open(signal)
    failpoint('engine.room-made')
    clock.lap('roomMs')
    const [container] = await all([this.#create(signal), this.#stage(signal)])
    failpoint('engine.staged')
    clock.lap('stageMs')
    const started = await this.#start(container, signal)
    failpoint('engine.files-started')
    clock.lap('startMs')
    this.#job.options.onStarted?.()
    this.#end = await this.#watched(started, signal)
    failpoint('engine.files-ended')
    clock.lap('runMs')
    Object.assign(this.timings, clock.laps)
  }

  async #stage(signal: AbortSignal): Promise<void> {
    const { options, plan } = this.#job
    await stage(await this.#room.hold(signal), this.#room.places, options.staged, plan.user, signal)
  }

  /** Not cancelled half-way: a container that the engine makes after we left would be nobody's. */
  async #create(signal: AbortSignal): Promise<Container> {
    const { plan, image, options } = this.#job
    const wanted = sandboxOptions({
      name: this.#name,
      imageId: image,
      facts: await this.#shop.images.facts(image, signal),
      plan,
      sidecarId: this.#room.holder.id,
      mounts: this.#room.places.map(taskMount),
      labels: this.#shop.labels,
      seccomp: this.#shop.seccomp,
      runtime: options.runtime,
      gpuIds: options.gpuIds,
    })
    return call('create a container', () => this.#shop.docker.createContainer(wanted).catch(refusal))
  }

  async #start(container: Container, signal: AbortSignal): Promise<Started> {
    const { startTimeoutMs } = this.#job.plan.limits
    const deadline = AbortSignal.timeout(startTimeoutMs)
    try {
      await startListening(container, this.#book, AbortSignal.any([signal, deadline]))
      return { container, watch: new ContainerWatch(this.#shop.docker, container, this.#book) }
    } catch (error) {
      if (signal.aborted || !deadline.aborted) throw error
      throw new MecaError('start_timeout', `The engine did not start the container within ${startTimeoutMs} ms`, {
        cause: error,
        cure: 'Try again when this host is less busy, or let it wait longer.',
      })
    }
  }

  async #watched({ container, watch }: Started, signal: AbortSignal): Promise<ContainerEnd> {
    const { plan } = this.#job
    const timer = setTimeout(() => void watch.kill('time limit'), plan.limits.runTimeoutMs)
    const over = new AbortController()
    if (plan.writableRoot) void watchRoot(this.#shop, container.id, watch, over.signal)
    try {
      const end = await Promise.race([watch.ended, aborted(signal)])
      if (watch.engineLost) throw engineGone('went away', 'run a task')
      return end
    } finally {
      clearTimeout(timer)
      over.abort()
      watch.markStopped()
    }
  }
}

type Started = { container: Container; watch: ContainerWatch }
