/**
 * Sidecars made ahead. A container that joins a ready namespace starts about three times as fast as one that gets a
 * bridge, as long as a namespace is ready; making one costs as much as a start, so it happens after a start and never
 * during one.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { MecaError } from '../core/errors.ts'
import { Sidecar } from './sidecar.ts'

/** The kernel's limit on a unix socket's path is 107 bytes; the sidecar's file takes up to 20 of them. */
const MAX_FOLDER_LENGTH = 80

/** Making a sidecar keeps the engine busy for about a tenth of a second; a warm-up request should not meet that. */
const QUIET_MS = 300

export type SidecarPoolOptions = {
  docker: Docker
  image: (signal: AbortSignal) => Promise<string>
  labels: Readonly<Record<string, string>>
  seccomp: string
  /** How many to keep ready. */
  size: number
  /** The port that most tasks listen on; sidecars for others are made when asked. */
  port: number
  /** Where socket folders go, and how ours start. */
  parentFolder: string
  folderPrefix: string
}

export class SidecarPool {
  readonly #options: SidecarPoolOptions
  readonly #ready: Sidecar[] = []
  readonly #closing = new AbortController()
  #making: Promise<string> | undefined
  /** Where the sockets are, once there are any. */
  folder: string | undefined
  #refilling: Promise<void> | undefined

  constructor(options: SidecarPoolOptions) {
    this.#options = options
  }

  /** A sidecar that is the caller's from now on. */
  async take(port: number, signal: AbortSignal): Promise<Sidecar> {
    if (port !== this.#options.port) return this.#make(port, signal)
    for (let sidecar = this.#ready.shift(); sidecar !== undefined; sidecar = this.#ready.shift()) {
      if (!sidecar.dead) return sidecar
      await sidecar.remove()
    }
    return this.#make(port, signal)
  }

  /** Fills up in the background, once the container that was just started had time for its first request. */
  refillSoon(): void {
    setTimeout(() => void this.refill(), QUIET_MS).unref()
  }

  /** Resolves when the pool is full, or when it cannot be filled. */
  refill(): Promise<void> {
    this.#refilling ??= this.#fill().finally(() => {
      this.#refilling = undefined
    })
    return this.#refilling
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#refilling
    await Promise.all(this.#ready.splice(0).map((sidecar) => sidecar.remove()))
    if (this.folder !== undefined) await rmdir(this.folder).catch(stillInUse)
  }

  async #fill(): Promise<void> {
    const { signal } = this.#closing
    try {
      while (!signal.aborted && this.#ready.length < this.#options.size) {
        const sidecar = await this.#make(this.#options.port, signal)
        this.#ready.push(sidecar)
      }
    } catch {
      // The next start makes its own sidecar and reports what is wrong to somebody who waits for it.
    }
  }

  async #make(port: number, signal: AbortSignal): Promise<Sidecar> {
    const { docker, image, labels, seccomp } = this.#options
    const [imageId, parent] = await Promise.all([image(signal), this.#parent()])
    const id = randomBytes(6).toString('hex')
    const input = { docker, imageId, name: `meca-sidecar-${id}`, folder: join(parent, id), port, labels, seccomp }
    return Sidecar.make(input, signal)
  }

  /** A new folder with a name nobody can guess and mode 0700, so that no other user can stand in its place. */
  #parent(): Promise<string> {
    const path = join(this.#options.parentFolder, this.#options.folderPrefix)
    if (path.length > MAX_FOLDER_LENGTH) {
      throw new MecaError(
        'bad_config',
        `The folder for sockets, ${path}, has ${path.length} characters; at most ${MAX_FOLDER_LENGTH} work`,
        {
          cure: 'Set engine.socketFolder to a shorter path.',
        },
      )
    }
    this.#making ??= mkdtemp(path).then((folder) => (this.folder = folder))
    return this.#making
  }
}

/** An instance that somebody still holds keeps its folder; it goes with the next sweep. */
function stillInUse(error: unknown): void {
  if ((error as { code?: unknown }).code !== 'ENOTEMPTY') throw error
}
