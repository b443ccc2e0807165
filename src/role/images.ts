/**
 * How a task's image reaches this host's engine: blocks from IPFS, every check of our own, then a pull by digest from the
 * registry on loopback. The engine fetches only layers that it lacks, and ends up with exactly the id that the package
 * names. Two jobs on one new task share one fetch.
 */
import { MecaError } from '../core/errors.ts'
import type { Engine, ImageId, PullProgress } from '../engine/engine.ts'
import { failpoint } from '../failpoint.ts'
import type { ReadFile } from '../image/layer.ts'
import type { VerifiedImage } from '../image/verify.ts'
import type { Registry } from '../image/registry.ts'
import type { FetchProgress, Ipfs } from '../ipfs/store.ts'
import type { KnownTask } from './tasks.ts'

export type ImagesComponents = {
  ipfs: Ipfs
  engine: Engine
  registry: Registry
  verify(read: ReadFile, signal: AbortSignal): Promise<VerifiedImage>
  maxImageBytes: number
  /** Names of images at hand, so that they are known after a restart. */
  remember(cid: string): Promise<void>
}

type Fetching = {
  done: Promise<ImageId>
  listeners: Set<(p: PullProgress) => void>
  waiting: number
  abort: AbortController
}

export class Images {
  readonly #c: ImagesComponents
  readonly #fetching = new Map<string, Fetching>()
  /** CIDs of tasks whose image the engine was seen to have, most recent last. */
  readonly #atHand = new Set<string>()

  constructor(c: ImagesComponents, known: Iterable<string>) {
    this.#c = c
    for (const cid of known) this.#atHand.add(cid)
  }

  /** Most recently used first. */
  list(): string[] {
    return [...this.#atHand].reverse()
  }

  /** Makes sure that the engine has the image. Throws `ipfs_unreachable`, `invalid_task`, `too_large`, `engine_unavailable`. */
  async ensure(
    task: KnownTask,
    providers: readonly string[],
    signal: AbortSignal,
    onProgress: (p: PullProgress) => void,
  ): Promise<ImageId> {
    const { id } = task.manifest.image
    if (await this.#c.engine.has(id, signal)) {
      await this.#note(task.cid)
      return id
    }
    const fetching = this.#fetching.get(task.cid) ?? this.#begin(task, providers)
    fetching.listeners.add(onProgress)
    fetching.waiting++
    try {
      return await abortable(fetching.done, signal)
    } finally {
      fetching.listeners.delete(onProgress)
      // Nobody waits any more: what nobody pays for is not fetched.
      if (--fetching.waiting === 0) fetching.abort.abort()
    }
  }

  #begin(task: KnownTask, providers: readonly string[]): Fetching {
    const abort = new AbortController()
    const listeners = new Set<(p: PullProgress) => void>()
    const tell = (p: PullProgress) => {
      for (const listener of listeners) listener(p)
    }
    const done = this.#fetch(task, providers, abort.signal, tell).finally(() => this.#fetching.delete(task.cid))
    // Everybody who waits sees the failure; without this one that nobody awaits any more would end the process.
    done.catch(() => undefined)
    const fetching = { done, listeners, waiting: 0, abort }
    this.#fetching.set(task.cid, fetching)
    return fetching
  }

  async #fetch(
    { cid, manifest }: KnownTask,
    providers: readonly string[],
    signal: AbortSignal,
    tell: (p: PullProgress) => void,
  ): Promise<ImageId> {
    const { ipfs, engine, registry, verify, maxImageBytes } = this.#c
    if (manifest.image.bytes > maxImageBytes) {
      throw new MecaError('too_large', `The image has ${manifest.image.bytes} bytes, this host takes ${maxImageBytes}`)
    }
    const onProgress = (p: FetchProgress) =>
      tell({ layer: cid, status: 'fetching', doneBytes: p.localBytes, totalBytes: p.totalBytes })
    failpoint('image.before-fetch')
    await ipfs.fetch(`${cid}/image`, { signal, maxBytes: maxImageBytes, providers, onProgress })
    const read: ReadFile = (path, options) => ipfs.cat(`${cid}/image/${path}`, options)
    failpoint('image.fetched')
    const image = await verify(read, signal)
    failpoint('image.verified')
    if (image.manifestDigest !== manifest.image.manifest || image.imageId !== manifest.image.id) {
      throw new MecaError(
        'invalid_task',
        `The package names the image ${manifest.image.id}, its layout holds ${image.imageId}`,
      )
    }
    const allowed = registry.allow(cid, image)
    try {
      await engine.pull({ reference: allowed.reference, imageId: image.imageId }, signal, tell)
    } finally {
      allowed.end()
    }
    failpoint('image.loaded')
    await this.#note(cid)
    return image.imageId
  }

  async #note(cid: string): Promise<void> {
    const isNew = !this.#atHand.delete(cid)
    this.#atHand.add(cid)
    if (isNew) await this.#c.remember(cid)
  }
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
