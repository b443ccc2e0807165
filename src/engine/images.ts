/**
 * Images of the engine: brought in by digest, known by the digest of their configuration, built for developers, saved
 * as archives. Tags are never used to run anything: an archive can move another task's tag.
 */
import { PassThrough, Readable } from 'node:stream'
import type Docker from 'dockerode'
import { LRUCache } from 'lru-cache'
import { MecaError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import { quote } from '../core/units.ts'
import { call, cancelled, isGone, statusOf, translate } from './client.ts'
import type { ImageId, ImageSource, PullProgress } from './engine.ts'
import { imageFacts } from './image-facts.ts'
import type { ImageFacts } from './image-facts.ts'

/** What the daemon writes while it pulls or builds, one JSON document a line. */
type Event = {
  id?: string
  status?: string
  stream?: string
  error?: string
  aux?: { ID?: string }
  progressDetail?: { current?: number; total?: number }
}

export class Images {
  readonly #docker: Docker
  /** Facts never change under an id; the cap is a memory bound. */
  readonly #facts = new LRUCache<ImageId, ImageFacts>({ max: 1_000 })

  constructor(docker: Docker) {
    this.#docker = docker
  }

  async pull(source: ImageSource, signal: AbortSignal, onProgress?: (p: PullProgress) => void): Promise<ImageId> {
    if (await this.has(source.imageId, signal)) return source.imageId
    await this.#follow(
      'pull the image',
      'ipfs_unreachable',
      signal,
      (abortSignal) => this.#docker.pull(source.reference, { abortSignal }),
      (event) => {
        if (event.id !== undefined) onProgress?.(progressOf(event.id, event))
      },
    )
    return this.#check(source, signal)
  }

  async has(image: ImageId, signal: AbortSignal): Promise<boolean> {
    return (await this.#inspect(image, signal)) !== undefined
  }

  async facts(image: ImageId, signal: AbortSignal): Promise<ImageFacts> {
    const known = this.#facts.get(image)
    if (known !== undefined) return known
    const found = await this.#known(image, signal)
    const facts = imageFacts(found.Config)
    this.#facts.set(image, facts)
    return facts
  }

  /** The context is the whole folder but for what its .dockerignore names. */
  async build(
    folder: string,
    buildArgs: Readonly<Record<string, string>>,
    signal: AbortSignal,
    onLog?: (line: string) => void,
  ): Promise<ImageId> {
    let imageId: string | undefined
    const options = { rm: true, forcerm: true, buildargs: { ...buildArgs } }
    await this.#follow(
      'build the image',
      'invalid_task',
      signal,
      (abortSignal) => this.#docker.buildImage({ context: folder, src: ['.'] }, { ...options, abortSignal }),
      (event) => {
        imageId = event.aux?.ID ?? imageId
        if (event.stream !== undefined) onLog?.(event.stream.replace(/\n$/, ''))
      },
    )
    if (imageId === undefined)
      throw new MecaError('engine_unavailable', 'The engine built an image and did not say which')
    return imageId
  }

  /** The caller reads the stream to its end or destroys it; the signal destroys it too. */
  async save(image: ImageId, signal: AbortSignal): Promise<Readable> {
    await this.#known(image, signal)
    const source = await call('save the image', () => this.#docker.getImage(image).get(), signal)
    const archive = new PassThrough({ signal })
    source.on('error', (error) => archive.destroy(translate(error, 'save the image')))
    archive.on('close', () => {
      if (source instanceof Readable) source.destroy()
    })
    source.pipe(archive)
    return archive
  }

  async remove(image: ImageId, signal: AbortSignal): Promise<void> {
    await call(
      'remove the image',
      () =>
        this.#docker
          .getImage(image)
          .remove({ force: true })
          .catch((error: unknown) => {
            if (statusOf(error) !== 404) throw error
          }),
      signal,
    )
    this.#facts.delete(image)
  }

  async #known(image: ImageId, signal: AbortSignal): Promise<Docker.ImageInspectInfo> {
    const found = await this.#inspect(image, signal)
    if (found !== undefined) return found
    throw new MecaError('not_found', `The engine has no image ${quote(image)}`, { cure: 'Pull it first.' })
  }

  /** Overlay stores know an image by its configuration's digest, containerd's store by its manifest's. */
  async #check(source: ImageSource, signal: AbortSignal): Promise<ImageId> {
    const found = await this.#inspect(source.reference, signal)
    const manifestDigest = source.reference.split('@')[1]
    if (found !== undefined && (found.Id === source.imageId || found.Id === manifestDigest)) return found.Id
    if (found !== undefined) await this.remove(found.Id, signal)
    throw new MecaError(
      'invalid_task',
      `The image ${source.reference} became ${found?.Id ?? 'nothing'} in the engine; the task says ${source.imageId}`,
      {
        cure: 'The package contradicts itself; ask its developer to publish it again.',
      },
    )
  }

  async #inspect(reference: string, signal: AbortSignal): Promise<Docker.ImageInspectInfo | undefined> {
    return call(
      'inspect an image',
      () =>
        this.#docker
          .getImage(reference)
          .inspect()
          .catch((error: unknown) => {
            if (statusOf(error) === 404) return undefined
            throw error
          }),
      signal,
    )
  }

  /** Pulls and builds take as long as they take, so the caller's signal is their only end. */
  async #follow(
    what: string,
    code: ErrorCode,
    signal: AbortSignal,
    begin: (s: AbortSignal) => Promise<NodeJS.ReadableStream>,
    onEvent: (e: Event) => void,
  ): Promise<void> {
    signal.throwIfAborted()
    try {
      for await (const event of events(await begin(signal))) {
        if (event.error !== undefined)
          throw new MecaError(code, `The engine could not ${what}: ${event.error.slice(0, 1_000)}`)
        onEvent(event)
      }
    } catch (error) {
      if (signal.aborted) throw cancelled(what, error)
      throw translate(error, what, isGone(error) ? 'engine_unavailable' : code)
    }
  }
}

/** One JSON document a line, as the daemon writes them. */
async function* events(stream: NodeJS.ReadableStream): AsyncGenerator<Event> {
  let rest = ''
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line.trim() !== '') yield JSON.parse(line) as Event
  }
  if (rest.trim() !== '') yield JSON.parse(rest) as Event
}

function progressOf(layer: string, event: Event): PullProgress {
  const { current = 0, total = 0 } = event.progressDetail ?? {}
  return { layer, status: event.status ?? '', doneBytes: current, totalBytes: total }
}
