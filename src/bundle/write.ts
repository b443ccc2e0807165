/**
 * Writes bundles: the same entries give the same bytes, whoever packs them and when, so that a job sent twice has one
 * hash and an exact task one output hash.
 */
import { pack } from 'tar-stream'
import type { Pack } from 'tar-stream'
import { MecaError } from '../core/errors.ts'
import { comparePaths, requirePath } from './paths.ts'

/** `body` is read once, when the entry's turn comes, and must give exactly `bytes`. */
export type BundleFile = { path: string; bytes: number; body: () => AsyncIterable<Uint8Array> | Iterable<Uint8Array> }
export type BundleEntry = BundleFile | { path: string; folder: true }

const EPOCH = new Date(0)

/** `first` leads whatever else there is; the rest is sorted here. Throws `bad_input` for a name that cannot stand in a bundle. */
export async function* packBundle(
  first: { path: string; text: string },
  entries: readonly BundleEntry[],
): AsyncGenerator<Uint8Array> {
  const sorted = entries.toSorted((a, b) => comparePaths(a.path, b.path))
  for (const { path } of sorted) requirePath(path)
  const tar = pack()
  // Who stops reading ends the writing: it would else wait for room for ever, with a file open.
  const over = Promise.withResolvers<never>()
  over.promise.catch(() => undefined)
  const written = writeAll(tar, first, sorted, over.promise)
  tar.on('error', () => undefined) // Thrown to the reader below, or nobody reads any more.
  // Listened to while the bytes flow; what goes wrong ends the stream too.
  written.catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))))
  try {
    yield* tar as AsyncIterable<Uint8Array>
  } finally {
    tar.destroy()
    over.reject(new MecaError('cancelled', 'The bundle is not read any more'))
  }
  await written
}

async function writeAll(
  tar: Pack,
  first: { path: string; text: string },
  entries: readonly BundleEntry[],
  over: Promise<never>,
): Promise<void> {
  const head = Buffer.from(first.text)
  await writeFile(tar, { path: first.path, bytes: head.length, body: () => [head] }, over)
  for (const entry of entries) await ('folder' in entry ? writeFolder(tar, entry.path) : writeFile(tar, entry, over))
  tar.finalize()
}

function writeFolder(tar: Pack, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry({ name: path, type: 'directory', mode: 0o755, mtime: EPOCH, uid: 0, gid: 0 }, (error) =>
      error ? reject(error) : resolve(),
    )
  })
}

async function writeFile(tar: Pack, { path, bytes, body }: BundleFile, over: Promise<never>): Promise<void> {
  const done = Promise.withResolvers<void>()
  const sink = tar.entry(
    { name: path, type: 'file', size: bytes, mode: 0o644, mtime: EPOCH, uid: 0, gid: 0 },
    (error) => (error ? done.reject(error) : done.resolve()),
  )
  sink.on('error', () => undefined)
  done.promise.catch(() => undefined) // Told below, or by the error that came before it.
  let written = 0
  for await (const chunk of body()) {
    written += chunk.length
    if (written > bytes) break
    if (!sink.write(chunk)) await drained(sink, [done.promise, over])
  }
  if (written !== bytes) {
    throw new MecaError(
      'bad_input',
      `${path} changed while it was read: ${bytes} bytes were announced, ${written} came`,
      {
        cure: 'let nothing write to the inputs while a job is sent',
      },
    )
  }
  sink.end(undefined)
  await Promise.race([done.promise, over])
}

/** A stream that was destroyed never drains; its entry's end says why. */
function drained(sink: Pick<NodeJS.EventEmitter, 'once'>, ends: Promise<void>[]): Promise<void> {
  return Promise.race([new Promise<void>((resolve) => sink.once('drain', () => resolve())), ...ends])
}
