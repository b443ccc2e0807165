/**
 * The Docker engine on this machine: keeps the promise of `engine.ts` by handing each call to the file that knows it.
 * Everything it makes carries the owner's label, so that two nodes on one daemon never touch each other's containers.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import type { Readable } from 'node:stream'
import type Docker from 'dockerode'
import { MecaError } from '../core/errors.ts'
import type { Plan } from '../core/plan.ts'
import { connect } from './client.ts'
import type {
  Engine,
  EngineInfo,
  FilesRun,
  ImageId,
  ImageSource,
  Instance,
  PullProgress,
  RunOptions,
  StartOptions,
} from './engine.ts'
import { runFiles } from './files-run.ts'
import { Images } from './images.ts'
import { readImageFile, resolveImage } from './look.ts'
import { probeEngine, selfTest } from './probe.ts'
import { DEFAULT_ROOT_BYTES } from './root-budget.ts'
import { sidecarImage } from './sidecar-image.ts'
import { SidecarPool } from './sidecar-pool.ts'
import { startContainer } from './start.ts'
import type { Workshop } from './start.ts'
import { folderPrefix, ownLabels, sweepContainers, sweepFolders, sweepVolumes } from './sweep.ts'

export type DockerEngineOptions = {
  /** Who owns what we make: one value per home folder, the same after every restart. */
  owner: string
  socketPath?: string
  /** An image with socat and sh; empty to make one from this machine's own. */
  sidecarImage?: string
  /** Sidecars kept ready. */
  sidecars?: number
  /** What a task whose root is writable may write there. */
  rootBytes?: number
  /** Parent of the folders for unix sockets; short, and on a file system that the daemon sees under the same path. */
  socketFolder?: string
}

/** Where MECA tasks listen, so sidecars for it are made ahead. */
const USUAL_PORT = 8080

export class DockerEngine implements Engine {
  readonly name = 'docker'
  readonly #options: DockerEngineOptions
  readonly #docker: Docker
  readonly #images: Images
  readonly #sidecars: SidecarPool
  readonly #shop: Workshop
  readonly #session = randomUUID()
  #sidecarImage: Promise<string> | undefined

  constructor(options: DockerEngineOptions) {
    this.#options = options
    this.#docker = connect(options.socketPath ?? '/var/run/docker.sock')
    this.#images = new Images(this.#docker)
    const seccomp = readFileSync(new URL('../../config/seccomp.json', import.meta.url), 'utf8')
    const shared = { docker: this.#docker, labels: ownLabels(options.owner, this.#session), seccomp }
    this.#sidecars = new SidecarPool({
      ...shared,
      image: (signal) => this.#imageForSidecars(signal),
      size: options.sidecars ?? 2,
      port: USUAL_PORT,
      parentFolder: options.socketFolder ?? tmpdir(),
      folderPrefix: folderPrefix(options.owner),
    })
    const ownImage = (signal: AbortSignal) => this.#imageForSidecars(signal)
    this.#shop = {
      ...shared,
      images: this.#images,
      sidecars: this.#sidecars,
      ownImage,
      rootBytes: options.rootBytes ?? DEFAULT_ROOT_BYTES,
    }
  }

  /** Also makes the first sidecars, because a node that probes is about to start something. */
  async probe(signal: AbortSignal): Promise<EngineInfo> {
    const image = await this.#imageForSidecars(signal)
    const info = await probeEngine(this.#docker, (runtime) => selfTest(this, image, runtime, signal), signal)
    await this.#sidecars.refill()
    return info
  }

  pull(source: ImageSource, signal: AbortSignal, onProgress?: (p: PullProgress) => void): Promise<ImageId> {
    return this.#images.pull(source, signal, onProgress)
  }

  has(image: ImageId, signal: AbortSignal): Promise<boolean> {
    return this.#images.has(image, signal)
  }

  async start(image: ImageId, plan: Plan, options: StartOptions, signal: AbortSignal): Promise<Instance> {
    const { exchange } = plan
    if (exchange.kind !== 'http') throw new MecaError('bad_input', 'start() takes http plans; this one exchanges files')
    try {
      return await startContainer(this.#shop, { image, plan, exchange, options }, signal)
    } finally {
      this.#sidecars.refillSoon()
    }
  }

  async run(image: ImageId, plan: Plan, options: RunOptions, signal: AbortSignal): Promise<FilesRun> {
    const { exchange } = plan
    if (exchange.kind !== 'files')
      throw new MecaError('bad_input', 'run() takes files plans; this one is asked over HTTP')
    return runFiles(this.#shop, { image, plan, exchange, options }, signal)
  }

  async sweep(signal: AbortSignal): Promise<number> {
    const { owner, socketFolder } = this.#options
    const containers = await sweepContainers(this.#docker, owner, this.#session, signal)
    const volumes = await sweepVolumes(this.#docker, owner, this.#session, signal)
    return (
      containers + volumes + (await sweepFolders(socketFolder ?? tmpdir(), folderPrefix(owner), this.#sidecars.folder))
    )
  }

  build(
    folder: string,
    buildArgs: Readonly<Record<string, string>>,
    signal: AbortSignal,
    onLog?: (line: string) => void,
  ): Promise<ImageId> {
    return this.#images.build(folder, buildArgs, signal, onLog)
  }

  save(image: ImageId, signal: AbortSignal): Promise<Readable> {
    return this.#images.save(image, signal)
  }

  file(image: ImageId, path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return readImageFile(this.#docker, this.#shop.labels, image, path, maxBytes, signal)
  }

  resolve(reference: string, signal: AbortSignal): Promise<ImageId | undefined> {
    return resolveImage(this.#docker, reference, signal)
  }

  remove(image: ImageId, signal: AbortSignal): Promise<void> {
    return this.#images.remove(image, signal)
  }

  /** Instances belong to whoever started them; here go the spare sidecars and their folder. */
  close(): Promise<void> {
    return this.#sidecars.close()
  }

  /** Made once; a failed attempt is tried again, because somebody may have installed socat since. */
  #imageForSidecars(signal: AbortSignal): Promise<string> {
    this.#sidecarImage ??= sidecarImage(this.#docker, this.#options.sidecarImage ?? '', signal).catch(
      (error: unknown) => {
        this.#sidecarImage = undefined
        throw error
      },
    )
    return this.#sidecarImage
  }
}
