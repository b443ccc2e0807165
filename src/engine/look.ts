/** Looks at an image without running it: by its name, and one file in it. Nothing of the image is executed. */
import { posix } from 'node:path'
import { Readable } from 'node:stream'
import type Docker from 'dockerode'
import { extract } from 'tar-stream'
import { MecaError } from '../core/errors.ts'
import { call, statusOf } from './client.ts'
import type { ImageId } from './engine.ts'
import { removeContainer } from './watch.ts'

/** A name or an id, by its characters and parts; whether it is one is the engine's to say. */
const REFERENCE = /^\w[\w.:@-]*(\/\w[\w.:@-]*)*$/

/** The id behind a name; undefined where the engine has no such image. */
export async function resolveImage(
  docker: Docker,
  reference: string,
  signal: AbortSignal,
): Promise<ImageId | undefined> {
  // Anything else would become another address of the engine's API.
  if (!REFERENCE.test(reference)) return undefined
  try {
    const found = await call('look for the image', () => docker.getImage(reference).inspect(), signal)
    return found.Id
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  }
}

/** One regular file; undefined where there is none, or something else of that name. Throws `too_large`. */
export async function readImageFile(
  docker: Docker,
  labels: Readonly<Record<string, string>>,
  image: ImageId,
  path: string,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  signal.throwIfAborted()
  // Not cancelled half-way: what the engine makes after we left would be nobody's.
  const container = await call('make a container to look into', () =>
    docker.createContainer({ Image: image, Cmd: ['-'], NetworkDisabled: true, Labels: { ...labels } }),
  )
  try {
    const archive = await call(
      'read a file of the image',
      () => container.getArchive({ path, abortSignal: signal }),
      signal,
    )
    return await onlyFile(Readable.from(archive), posix.basename(path), maxBytes)
  } catch (error) {
    if (isAbsent(error)) return undefined
    throw error
  } finally {
    await removeContainer(container)
  }
}

async function onlyFile(archive: Readable, name: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const tar = extract()
  archive.on('error', (error) => tar.destroy(error)).pipe(tar)
  try {
    for await (const entry of tar) {
      const { type, size, name: found } = entry.header
      if (type !== 'file' || found !== name) return undefined
      if (size > maxBytes) {
        throw new MecaError('too_large', `${name} in the image has ${size} bytes, at most ${maxBytes} are read`)
      }
      const chunks: Uint8Array[] = []
      for await (const chunk of entry as AsyncIterable<Uint8Array>) chunks.push(chunk)
      return Buffer.concat(chunks)
    }
    return undefined
  } finally {
    archive.destroy()
  }
}

function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404 || (error instanceof MecaError && statusOf(error.cause) === 404)
}
