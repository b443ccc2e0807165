/**
 * From an image to a container that can be asked, under one deadline: take a sidecar, create, listen, start, wait for
 * the ready text and then for the port. The end of the container is noticed while waiting, so that a task that crashes
 * is told at once and not when the time is over.
 */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Container } from 'dockerode'
import type Docker from 'dockerode'
import { MecaError } from '../core/errors.ts'
import type { HttpExchange, Plan } from '../core/plan.ts'
import { failpoint } from '../failpoint.ts'
import { aborted, call, cancelled, isGone, reasonOf, statusOf } from './client.ts'
import type { ImageId, StartOptions } from './engine.ts'
import type { Images } from './images.ts'
import { RunningContainer } from './instance.ts'
import { LogBook } from './log-book.ts'
import { sandboxOptions } from './options.ts'
import { removeLater } from './remove-later.ts'
import type { Sidecar } from './sidecar.ts'
import type { SidecarPool } from './sidecar-pool.ts'
import { describeEnd, removeContainer } from './watch.ts'

export type Workshop = {
  docker: Docker
  images: Images
  sidecars: SidecarPool
  /** An image of ours with a shell, for containers that only hold something. */
  ownImage: (signal: AbortSignal) => Promise<string>
  /** What a task with a writable root may write there. */
  rootBytes: number
  labels: Readonly<Record<string, string>>
  seccomp: string
}

type Job = { image: ImageId; plan: Plan; exchange: HttpExchange; options: StartOptions }

export async function startContainer(shop: Workshop, job: Job, signal: AbortSignal): Promise<RunningContainer> {
  const { startTimeoutMs } = job.plan.limits
  const deadline = AbortSignal.timeout(startTimeoutMs)
  const state = { waitingFor: 'a sidecar', tail: () => '' }
  try {
    return await steps(shop, job, state, AbortSignal.any([signal, deadline]))
  } catch (error) {
    if (signal.aborted) throw cancelled('start a container', error)
    if (!deadline.aborted) throw error
    throw new MecaError(
      'start_timeout',
      `The container was not ready within ${startTimeoutMs} ms: it was waiting for ${state.waitingFor}`,
      {
        cause: error,
        cure: 'Look at its log; a slow task needs a longer start time in its package or on the host.',
        details: { logTail: state.tail() },
      },
    )
  }
}

type State = { waitingFor: string; tail: () => string }

async function steps(shop: Workshop, job: Job, state: State, signal: AbortSignal): Promise<RunningContainer> {
  const clock = stopwatch()
  const facts = await shop.images.facts(job.image, signal)
  const sidecar = await shop.sidecars.take(job.exchange.port, signal)
  const over = new AbortController()
  const portOpen = watchPort(sidecar, AbortSignal.any([signal, over.signal]))
  let container: Container | undefined
  let running: RunningContainer | undefined
  try {
    clock.lap('sidecarMs')
    failpoint('engine.sidecar-taken')
    state.waitingFor = 'the engine to start it'
    container = await create(shop, job, facts, sidecar)
    failpoint('engine.created')
    signal.throwIfAborted()
    clock.lap('createMs')
    const book = new LogBook(job.exchange.readyText, job.plan.limits.logBytes, job.options.onLog)
    state.tail = () => book.tail
    running = await run(shop, container, sidecar, book, job, signal)
    clock.lap('runMs')
    failpoint('engine.started')
    await ready(running, portOpen, book, job, state, signal)
    clock.lap('readyMs')
    failpoint('engine.ready')
    Object.assign(running.timings, clock.laps)
    return running
  } catch (error) {
    if (running !== undefined) await running.stop()
    else await Promise.all([container === undefined ? undefined : removeContainer(container), sidecar.remove()])
    throw error
  } finally {
    over.abort()
  }
}

/** Begins before the container exists: the sidecar's helper takes longer to start than most tasks take to listen. */
function watchPort(sidecar: Sidecar, signal: AbortSignal): Promise<void> {
  const open = sidecar.portOpen(signal)
  // Told by whoever awaits it; a start that fails earlier has its own reason.
  open.catch(() => {})
  return open
}

/** Not cancelled half-way: a container that the engine makes after we left would be nobody's. */
async function create(
  shop: Workshop,
  job: Job,
  facts: Parameters<typeof sandboxOptions>[0]['facts'],
  sidecar: Sidecar,
): Promise<Container> {
  const { plan, image, options } = job
  const name = containerName(options.name)
  const wanted = sandboxOptions({
    name,
    imageId: image,
    facts,
    plan,
    sidecarId: sidecar.id,
    labels: shop.labels,
    seccomp: shop.seccomp,
    runtime: options.runtime,
    gpuIds: options.gpuIds,
  })
  return call('create a container', () =>
    shop.docker.createContainer(wanted).catch((error: unknown) => {
      // An engine that went away before it answered may have made it all the same.
      if (isGone(error)) removeLater(shop.docker.getContainer(name))
      return refusal(error)
    }),
  )
}

/** The name is for people; two nodes on one engine may run jobs of the same id. */
export function containerName(name: string): string {
  return `meca-${name.replace(/[^A-Za-z0-9_.-]/g, '-').slice(0, 64)}-${randomBytes(4).toString('hex')}`
}

async function run(
  shop: Workshop,
  container: Container,
  sidecar: Sidecar,
  book: LogBook,
  job: Job,
  signal: AbortSignal,
): Promise<RunningContainer> {
  await startListening(container, book, signal)
  return new RunningContainer(shop.docker, container, sidecar, book, job.exchange)
}

/** Listens before it starts, so that no first line is lost. */
export async function startListening(container: Container, book: LogBook, signal: AbortSignal): Promise<void> {
  const stream = await call(
    'attach to a container',
    () => container.attach({ stream: true, stdout: true, stderr: true }),
    signal,
  )
  book.read(stream instanceof Readable ? stream : new Readable().wrap(stream))
  await call('start a container', () => container.start().catch(refusal), signal)
}

async function ready(
  running: RunningContainer,
  portOpen: Promise<void>,
  book: LogBook,
  job: Job,
  state: State,
  signal: AbortSignal,
): Promise<void> {
  const { port, readyText } = job.exchange
  const ended = running.ended.then((end) => {
    throw new MecaError('start_failed', `The container ended before it was ready: ${describeEnd(end)}`, {
      cure: 'The log says why; the developer can try it with `meca task test`.',
      details: { exitCode: end.exitCode, outOfMemory: end.outOfMemory, logTail: end.logTail },
    })
  })
  state.waitingFor = `${JSON.stringify(readyText)} on its stdout`
  await Promise.race([book.announced, ended, aborted(signal)])
  state.waitingFor = `port ${port} to take connections`
  await Promise.race([portOpen, ended, aborted(signal)])
}

/** What the engine refuses (no such command, a limit it cannot set) is this container's failure, not the engine's. */
export function refusal(error: unknown): never {
  const status = statusOf(error)
  if (status === undefined) throw error
  throw new MecaError('start_failed', `The engine refused the container: ${reasonOf(error).slice(0, 1_000)}`, {
    cause: error,
  })
}

export function stopwatch(): { laps: Record<string, number>; lap: (name: string) => void } {
  const laps: Record<string, number> = {}
  let last = performance.now()
  return {
    laps,
    lap: (name) => {
      const now = performance.now()
      laps[name] = Math.round((now - last) * 10) / 10
      last = now
    },
  }
}
