/**
 * Takes what a task left, through the engine's archive stream and never by a path on this host. Regular files and
 * folders are handed on; links, pipes, devices and names that cannot be carried are told and left. Bytes are counted by
 * the size that a reader would have to take, so that a file full of holes costs what it seems to be.
 */
import { Readable } from 'node:stream'
import type { Container } from 'dockerode'
import { extract } from 'tar-stream'
import type { Header } from 'tar-stream'
import { MAX_BUNDLE_ENTRIES, MAX_PATH_BYTES } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { Collected } from '../core/plan.ts'
import { call, cancelled, statusOf, translate } from './client.ts'
import type { CollectedEntry } from './engine.ts'
import type { Place } from './places.ts'
import type { Room } from './room.ts'

/** Throws `too_large` beyond the bytes or the number of entries. */
export async function* collect(
  room: Room,
  wanted: readonly Collected[],
  outputBytes: number,
  signal: AbortSignal,
): AsyncGenerator<CollectedEntry> {
  const budget = new Budget(outputBytes)
  for (const collected of wanted) yield* collectOne(room, collected, budget, signal)
  await room.requireHeld(signal)
}

async function* collectOne(
  room: Room,
  { name, path }: Collected,
  budget: Budget,
  signal: AbortSignal,
): AsyncGenerator<CollectedEntry> {
  const place = room.placeOf(path)
  if (place === undefined)
    throw new MecaError('invalid_task', `The plan collects ${path}, which lies in none of its mounts`)
  const reader = await room.readerOf(place, signal)
  const found = await lookAt(reader, place, path, signal)
  if (found === 'absent') return
  if (found === 'there') yield* walk(reader, { name, path: heldPath(place, path) }, budget, signal)
  else yield { kind: 'left', name, path: '', why: found.why }
}

function heldPath(place: Place, path: string): string {
  return `${place.holdsAt}${path.slice(place.path.length)}`
}

/** The engine follows links in the folders that lead to a path, so each of them is looked at first. The task has ended: nothing moves. */
async function lookAt(
  reader: Container,
  place: Place,
  path: string,
  signal: AbortSignal,
): Promise<'absent' | 'there' | { why: string }> {
  const below = path.slice(place.path.length).split('/').slice(1)
  for (let depth = 1; depth <= below.length; depth++) {
    const part = `${place.path}/${below.slice(0, depth).join('/')}`
    const mode = await modeOf(reader, heldPath(place, part), signal)
    if (mode === undefined) return 'absent'
    const kind = kindOf(mode)
    if (kind !== 'file' && kind !== 'folder') return { why: kind }
    if (kind === 'file' && depth < below.length) return 'absent'
  }
  return 'there'
}

/** Go's bits for what a file is, as the engine's header has them. */
const KINDS = [
  [2 ** 31, 'folder'],
  [2 ** 27, 'a symbolic link'],
  [2 ** 26, 'a device'],
  [2 ** 25, 'a named pipe'],
  [2 ** 24, 'a socket'],
  [2 ** 21, 'a device'],
  [2 ** 19, 'no regular file'],
] as const

function kindOf(mode: number): string {
  return KINDS.find(([bit]) => Math.floor(mode / bit) % 2 === 1)?.[1] ?? 'file'
}

/** Undefined where there is nothing. */
async function modeOf(reader: Container, path: string, signal: AbortSignal): Promise<number | undefined> {
  return call(
    'look at an output',
    async (abortSignal) => {
      try {
        const answer = (await reader.infoArchive({ path, abortSignal })) as NodeJS.ReadableStream & {
          headers: Record<string, string>
        }
        answer.resume()
        const text = Buffer.from(answer.headers['x-docker-container-path-stat'] ?? '', 'base64').toString()
        return (JSON.parse(text) as { mode: number }).mode
      } catch (error) {
        if (statusOf(error) === 404) return undefined
        throw error
      }
    },
    signal,
  )
}

class Budget {
  readonly #limitBytes: number
  #bytes = 0
  #entries = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  take(bytes: number): void {
    this.#bytes += bytes
    this.#entries += 1
    if (this.#bytes > this.#limitBytes) throw tooLarge(`${this.#bytes} bytes or more`, `${this.#limitBytes} bytes`)
    if (this.#entries > MAX_BUNDLE_ENTRIES)
      throw tooLarge(`more than ${MAX_BUNDLE_ENTRIES} files and folders`, `${MAX_BUNDLE_ENTRIES}`)
  }
}

function tooLarge(much: string, cap: string): MecaError {
  return new MecaError('too_large', `The task left ${much} of output; at most ${cap} are taken`, {
    cure: 'Let it write less, or pack many small files into an archive; a host may also allow more output.',
  })
}

async function* walk(
  reader: Container,
  { name, path }: { name: string; path: string },
  budget: Budget,
  signal: AbortSignal,
): AsyncGenerator<CollectedEntry> {
  const source = await archiveOf(reader, path, signal)
  const tar = extract()
  // The error reaches the reader of the entries through the tar.
  source.on('error', (error) => tar.destroy(error)).pipe(tar)
  try {
    for await (const stream of tar) {
      const entry = entryOf(name, stream.header)
      budget.take(entry.kind === 'left' || stream.header.type === 'directory' ? 0 : (stream.header.size ?? 0))
      const bytes = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
      yield entry.kind === 'file' ? { ...entry, body: bodyOf(bytes) } : entry
      while ((await bytes.next()).done !== true);
    }
  } catch (error) {
    if (signal.aborted) throw cancelled('take the outputs', error)
    throw translate(error, 'take the outputs')
  } finally {
    source.destroy()
    tar.destroy()
  }
}

/** The signal ends the stream too; a call's own deadline must not, because reading takes as long as it takes. */
async function archiveOf(reader: Container, path: string, signal: AbortSignal): Promise<Readable> {
  const stream = await call('take an output', () => reader.getArchive({ path, abortSignal: signal }), signal)
  return stream instanceof Readable ? stream : new Readable().wrap(stream)
}

/** One who stops reading leaves the stream as it is: the rest is skipped, not torn down. */
async function* bodyOf(bytes: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (let next = await bytes.next(); next.done !== true; next = await bytes.next()) yield next.value
}

type Bare = { kind: 'file'; name: string; path: string; bytes: number } | Exclude<CollectedEntry, { kind: 'file' }>

/** The archive's names begin with the collected path's last part. */
function entryOf(name: string, header: Header): Bare {
  const path = header.name.replace(/\/+$/, '').split('/').slice(1).join('/')
  const fault = faultOf(path)
  if (fault !== undefined) return { kind: 'left', name, path: shown(path), why: fault }
  if (header.type === 'directory') return { kind: 'folder', name, path }
  if (header.type === 'file' || header.type === 'contiguous-file')
    return { kind: 'file', name, path, bytes: header.size }
  return { kind: 'left', name, path, why: WORDS[header.type] }
}

const WORDS = {
  link: 'a second name of another file (hard link)',
  symlink: 'a symbolic link',
  fifo: 'a named pipe',
  'block-device': 'a device',
  'character-device': 'a device',
} as const

function faultOf(path: string): string | undefined {
  if (path === '') return undefined
  if (path.includes('\uFFFD')) return 'a name that is not UTF-8'
  if (/\p{Cc}/u.test(path)) return 'a name with control characters'
  if (path.includes('\\')) return 'a name with a backslash'
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return `a name of more than ${MAX_PATH_BYTES} bytes`
  if (path.split('/').some((part) => part === '' || part === '.' || part === '..'))
    return 'a name that leaves its folder'
  return undefined
}

/** A name that cannot be carried is at least told, in a form that can. */
function shown(path: string): string {
  return path.replace(/\p{Cc}/gu, '?').slice(0, 200)
}
