/**
 * The room of one files job: its volumes, and a container of ours, the holder. It holds the volumes in memory (a tmpfs
 * volume is empty again as soon as nobody has it mounted), owns the empty network namespace that the task joins (which
 * starts about twice as fast as one with a namespace of its own), and the engine's archive calls put files in and take
 * them out through it. The task's own image is never asked to unpack or to read anything: its root is a stranger's.
 */
import type { Container, ContainerCreateOptions } from 'dockerode'
import { MecaError } from '../core/errors.ts'
import type { FilesExchange } from '../core/plan.ts'
import { call } from './client.ts'
import { WALLS, volumeMount } from './options.ts'
import type { TaskMount } from './options.ts'
import { MAX_INODES, mountOf, placesOf, readVolume } from './places.ts'
import type { Place } from './places.ts'
import type { Workshop } from './start.ts'
import { removeVolume } from './sweep.ts'
import { removeContainer } from './watch.ts'

/** A shell that waits for a line that never comes. */
const HOLDER_MEMORY_BYTES = 16 * 2 ** 20

export type RoomShop = Pick<Workshop, 'docker' | 'labels' | 'seccomp' | 'ownImage'>

export class Room {
  readonly places: readonly Place[]
  readonly #shop: RoomShop
  readonly #prefix: string
  #holder: Container | undefined
  #reader: Promise<Container> | undefined
  #gone: Promise<void> | undefined

  /** `prefix` begins the name of everything in it, so that all of it can be removed whatever was made. */
  constructor(shop: RoomShop, exchange: FilesExchange, prefix: string) {
    this.places = placesOf(exchange, prefix)
    this.#shop = shop
    this.#prefix = prefix
  }

  /** Makes the volumes and, not yet started, the holder. Whoever called this calls `dispose`, also when it failed. */
  async open(signal: AbortSignal): Promise<void> {
    const image = await this.#shop.ownImage(signal)
    await all(this.places.flatMap((place) => this.#plainVolumes(place)))
    signal.throwIfAborted()
    await all(this.places.filter((place) => place.kind === 'layered').map((place) => this.#joinedVolume(place)))
    signal.throwIfAborted()
    const mounts = this.places.flatMap(holderMounts)
    this.#holder = await this.#container('holder', image, mounts)
    signal.throwIfAborted()
  }

  /** From here on what is put into the volumes stays there. */
  async hold(signal: AbortSignal): Promise<Container> {
    const { holder } = this
    await call('start a holder of volumes', (abortSignal) => holder.start({ abortSignal }), signal)
    return holder
  }

  placeOf(path: string): Place | undefined {
    return mountOf(this.places, path)
  }

  /** The container that sees what the task left at this place. */
  async readerOf(place: Place, signal: AbortSignal): Promise<Container> {
    if (place.kind !== 'layered') return this.holder
    this.#reader ??= this.#makeReader(signal)
    return this.#reader
  }

  get holder(): Container {
    if (this.#holder === undefined)
      throw new MecaError('internal', 'The volumes of a job were used before they were made')
    return this.#holder
  }

  /** Throws `engine_unavailable` where what the task wrote into memory is lost. */
  async requireHeld(signal: AbortSignal): Promise<void> {
    const held = await call(
      'look at a holder of volumes',
      (abortSignal) => this.holder.inspect({ abortSignal }),
      signal,
    )
    if (held.State.Running && !held.State.Restarting) return
    throw new MecaError('engine_unavailable', 'The holder of a job’s volumes ended, and what the task wrote is lost', {
      cure: 'Run it again; somebody removed a container of ours, or the machine had no memory left.',
    })
  }

  /** Safe to repeat. */
  dispose(): Promise<void> {
    this.#gone ??= this.#dispose()
    return this.#gone
  }

  async #dispose(): Promise<void> {
    const { docker } = this.#shop
    await all(['holder', 'reader'].map((role) => removeContainer(docker.getContainer(`${this.#prefix}-${role}`))))
    await all(this.places.flatMap((place) => volumesOf(place).map((name) => removeVolume(docker, name))))
  }

  #plainVolumes(place: Place): Promise<void>[] {
    const disk = place.kind === 'memory' ? [] : [this.#volume(place.disk)]
    return place.kind === 'disk' ? disk : [...disk, this.#volume(place.memory, tmpfs(place.sizeBytes))]
  }

  async #joinedVolume(place: Place): Promise<void> {
    const { docker } = this.#shop
    const folder = async (name: string) =>
      (await call('inspect a volume', (abortSignal) => docker.getVolume(name).inspect({ abortSignal }))).Mountpoint
    const [lower, upper] = await Promise.all([folder(place.disk), folder(place.memory)])
    if (/[,:\\]/.test(lower + upper)) {
      throw new MecaError(
        'engine_unavailable',
        `The engine keeps its volumes in ${lower}, a path that cannot be layered`,
        {
          cure: 'Give the engine a data folder without comma, colon and backslash.',
        },
      )
    }
    const o = `lowerdir=${lower},upperdir=${upper}/u,workdir=${upper}/w`
    await this.#volume(place.joined, { type: 'overlay', device: 'overlay', o })
  }

  /** Not cancelled half-way: what the engine makes after we left would be nobody's. */
  async #volume(name: string, options: Record<string, string> = {}): Promise<void> {
    const { docker, labels } = this.#shop
    const wanted = { Name: name, Driver: 'local', DriverOpts: options, Labels: { ...labels } }
    await call('make a volume', () => docker.createVolume(wanted))
  }

  async #makeReader(signal: AbortSignal): Promise<Container> {
    const layered = this.places.filter((place) => place.kind === 'layered')
    const mounts = layered.map((place) => ({ path: place.holdsAt, volume: readVolume(place), writable: true }))
    return this.#container('reader', await this.#shop.ownImage(signal), mounts)
  }

  #container(role: 'holder' | 'reader', image: string, mounts: readonly TaskMount[]): Promise<Container> {
    const options = holderOptions(`${this.#prefix}-${role}`, image, mounts, this.#shop)
    return call('make a holder of volumes', () => this.#shop.docker.createContainer(options))
  }
}

/** Its root is writable because archives are unpacked from there; nobody inside can write to it. */
export function holderOptions(
  name: string,
  image: string,
  mounts: readonly TaskMount[],
  { labels, seccomp }: Pick<RoomShop, 'labels' | 'seccomp'>,
): ContainerCreateOptions {
  return {
    name,
    Image: image,
    User: '65534:65534',
    Entrypoint: ['/bin/sh', '-c'],
    Cmd: ['read end'],
    Env: [],
    Hostname: 'task',
    OpenStdin: true,
    Labels: { ...labels },
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGKILL',
    HostConfig: {
      ...WALLS,
      NetworkMode: 'none',
      Dns: ['127.0.0.1'],
      SecurityOpt: ['no-new-privileges', `seccomp=${seccomp}`],
      ReadonlyRootfs: false,
      Memory: HOLDER_MEMORY_BYTES,
      MemorySwap: HOLDER_MEMORY_BYTES,
      PidsLimit: 8,
      Mounts: mounts.map(volumeMount),
    },
  }
}

function holderMounts(place: Place): TaskMount[] {
  const below = { path: place.holdsAt, volume: place.kind === 'memory' ? place.memory : place.disk, writable: true }
  return place.kind === 'layered' ? [below, { path: place.upperAt, volume: place.memory, writable: true }] : [below]
}

function tmpfs(sizeBytes: number): Record<string, string> {
  return { type: 'tmpfs', device: 'tmpfs', o: `size=${sizeBytes},nr_inodes=${MAX_INODES},nosuid,nodev` }
}

function volumesOf(place: Place): string[] {
  if (place.kind === 'disk') return [place.disk]
  return place.kind === 'memory' ? [place.memory] : [place.joined, place.disk, place.memory]
}

/** Waits for every one before it throws, so that nothing is made after the cleaning up. */
export async function all<T extends readonly Promise<unknown>[] | []>(
  works: T,
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(works)
  return Promise.all(works)
}
