/**
 * What a developer may name as a task: a folder, a bundle (a zip with its descriptor and image archive), an image archive,
 * or an image in the local engine. All become a folder, and an image where it is not to be made from that folder.
 */
import { createReadStream } from 'node:fs'
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
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
const GZIP_MARK = Buffer.from([0x1f, 0x8b])
const TAR_MARK = Buffer.from('ustar')
const TAR_MARK_AT = 257

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
  const found = isAbsolute(place) ? undefined : await (await engine()).resolve(place, signal)
  if (found !== undefined) return inOwnFolder(() => Promise.resolve(), finished ?? { kind: 'engine', image: found })
  throw new MecaError('not_found', `There is no folder${isAbsolute(place) ? ' or file' : ', file or image'} ${place}`, {
    cure: 'give the path of a task folder, bundle or image archive, or an image of the engine with its tag, like name:latest; meca task init makes a folder',
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
  // To open a pipe waits for its other end, and a device has none.
  const head = info.isFile() ? await headOf(path) : Buffer.alloc(0)
  if (head.subarray(0, ZIP_MARK.length).equals(ZIP_MARK)) return 'zip'
  if (isArchive(head)) return 'file'
  const why = info.isFile() ? (head.length === 0 ? 'an empty file' : 'neither a zip nor a tar') : 'no regular file'
  throw new MecaError('invalid_task', `${path} is ${why}`, {
    cure: 'give a task folder, a zip of its content, or an image archive (docker save, an OCI layout as tar, also gzipped)',
  })
}

async function headOf(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(TAR_MARK_AT + TAR_MARK.length), 0, undefined, 0)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

function isArchive(head: Buffer): boolean {
  const isTar = head.subarray(TAR_MARK_AT, TAR_MARK_AT + TAR_MARK.length).equals(TAR_MARK)
  return isTar || head.subarray(0, GZIP_MARK.length).equals(GZIP_MARK)
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
