/**
 * What a developer may name as a task: a folder, a bundle (a zip with its descriptor and image archive), an image archive,
 * or an image in the local engine. All become a folder, and an image where it is not to be made from that folder.
 */
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { unzip } from '../bundle/zip.ts'
import { MecaError } from '../core/errors.ts'
import type { Engine, ImageId } from '../engine/engine.ts'

/** An image that is finished: a file of `docker save` or an OCI archive, or one that the engine has already. */
export type FinishedImage = { kind: 'archive'; file: string } | { kind: 'engine'; image: ImageId }

/** `folder` is ours to remove where it was made for this. */
export type TaskSource = { folder: string; image: FinishedImage | undefined; dispose(): Promise<void> }

/** What the bench wants of an engine. */
export type BenchEngine = Pick<Engine, 'start' | 'run' | 'build' | 'save' | 'file' | 'resolve'> & {
  /** A finished image out of an archive. */
  load(archive: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<ImageId>
}

const ZIP_MARK = Buffer.from('PK\u0003\u0004')

/**
 * `image` names an archive or an image of the engine that takes the place of what the folder would give. Throws `not_found`
 * or `bad_input`, `invalid_task` for a broken zip.
 */
export async function openSource(
  place: string,
  image: string | undefined,
  engine: () => Promise<Pick<BenchEngine, 'resolve'>>,
  signal: AbortSignal,
): Promise<TaskSource> {
  const finished = image === undefined ? undefined : await finishedImage(image, engine, signal)
  const path = resolve(place)
  const kind = await kindOf(path)
  if (kind === 'folder') return { folder: path, image: finished, dispose: () => Promise.resolve() }
  if (kind === 'zip') return inOwnFolder((folder) => unzip(path, folder, signal), finished)
  if (kind === 'file') return inOwnFolder(() => Promise.resolve(), finished ?? { kind: 'archive', file: path })
  const found = await (await engine()).resolve(place, signal)
  if (found !== undefined) return inOwnFolder(() => Promise.resolve(), finished ?? { kind: 'engine', image: found })
  throw new MecaError('not_found', `There is no folder, file or image ${place}`, {
    cure: 'give the path of a task folder, bundle or image archive, or the name of an image; meca task init makes a folder',
  })
}

async function finishedImage(
  image: string,
  engine: () => Promise<Pick<BenchEngine, 'resolve'>>,
  signal: AbortSignal,
): Promise<FinishedImage> {
  const file = resolve(image)
  if ((await kindOf(file)) === 'file') return { kind: 'archive', file }
  const found = await (await engine()).resolve(image, signal)
  if (found !== undefined) return { kind: 'engine', image: found }
  throw new MecaError('not_found', `There is no archive and no image ${image}`, {
    cure: 'give a file of docker save, or the name or id of an image that this engine has',
  })
}

async function kindOf(path: string): Promise<'folder' | 'zip' | 'file' | undefined> {
  const info = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined
    throw new MecaError('bad_input', `${path} cannot be read: ${error.message}`, {
      cause: error,
      cure: 'check its name and permissions',
    })
  })
  if (info === undefined) return undefined
  if (info.isDirectory()) return 'folder'
  const file = await open(path)
  try {
    const { buffer } = await file.read(Buffer.alloc(ZIP_MARK.length), 0, ZIP_MARK.length, 0)
    return buffer.equals(ZIP_MARK) ? 'zip' : 'file'
  } finally {
    await file.close()
  }
}

async function inOwnFolder(
  fill: (folder: string) => Promise<void>,
  image: FinishedImage | undefined,
): Promise<TaskSource> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-task-'))
  const dispose = () => rm(folder, { recursive: true, force: true })
  try {
    await fill(folder)
    return { folder, image, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** An archive's bytes, in the engine's own form or as they lie. */
export async function archiveOf(
  origin: FinishedImage | undefined,
  image: ImageId,
  engine: Pick<Engine, 'save'>,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  return origin?.kind === 'archive' ? createReadStream(origin.file) : engine.save(image, signal)
}
