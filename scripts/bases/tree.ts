/** A root file system as a tar stream. Nothing of the moment goes in, so the same files make the same layer. */
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { pack, type Pack } from 'tar-stream'

export type Entry =
  | { path: string; bytes: Uint8Array; mode?: number }
  | { path: string; link: string }
  | { path: string; folder: true; mode: number }

/** `done` settles when everything was written, and what had to be tidied up is. */
export type Archive = { stream: NodeJS.ReadableStream; done: Promise<unknown> }

const EPOCH = new Date(0)

export function packTree(entries: readonly Entry[]): Archive {
  const tar = pack()
  const sorted = [...foldersOf(entries), ...entries].sort((a, b) => (a.path < b.path ? -1 : 1))
  const done = (async () => {
    for (const entry of sorted) await add(tar, entry)
    tar.finalize()
  })()
  return { stream: Readable.from(tar), done }
}

/** Every folder on the way to an entry that is not an entry itself. */
function foldersOf(entries: readonly Entry[]): Entry[] {
  const named = new Set(entries.map(({ path }) => path))
  const folders = new Set<string>()
  for (const { path } of entries) {
    for (let folder = dirname(path); folder !== '/'; folder = dirname(folder)) folders.add(folder)
  }
  return [...folders].filter((path) => !named.has(path)).map((path) => ({ path, folder: true, mode: 0o755 }))
}

function add(tar: Pack, entry: Entry): Promise<void> {
  const common = { name: entry.path.slice(1), mtime: EPOCH, uid: 0, gid: 0 }
  return new Promise((resolve, reject) => {
    const finished = (error?: Error | null): void => (error ? reject(error) : resolve())
    if ('bytes' in entry) tar.entry({ ...common, mode: entry.mode ?? 0o755 }, Buffer.from(entry.bytes), finished)
    else if ('link' in entry) tar.entry({ ...common, type: 'symlink', linkname: entry.link }, finished)
    else tar.entry({ ...common, name: `${common.name}/`, type: 'directory', mode: entry.mode }, finished)
  })
}
