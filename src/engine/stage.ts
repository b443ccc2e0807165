/**
 * Carries what a job brings into its volumes, as one archive that is written while the engine unpacks it; nothing is
 * held in memory but the chunk under way. Whoever the task runs as can read all of it, and write where the plan says so.
 */
import { Readable } from 'node:stream'
import type { Container } from 'dockerode'
import { pack } from 'tar-stream'
import type { Pack } from 'tar-stream'
import { MAX_BUNDLE_ENTRIES } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { Plan } from '../core/plan.ts'
import { quote } from '../core/units.ts'
import { cancelled, isGone, reasonOf, translate } from './client.ts'
import type { StagedEntry } from './engine.ts'
import { isPlainPath, mountOf } from './places.ts'
import type { Place } from './places.ts'

/** Takes as long as its source gives: the caller's signal is its end. */
export async function stage(
  holder: Container,
  places: readonly Place[],
  staged: AsyncIterable<StagedEntry>,
  user: Plan['user'],
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted()
  const archive = pack()
  // Told by whichever of the two below fails.
  archive.on('error', () => undefined)
  const stop = () => archive.destroy(cancelled('carry the inputs into the container'))
  signal.addEventListener('abort', stop, { once: true })
  const body = Readable.from(archive as AsyncIterable<Uint8Array>, { objectMode: false })
  const writing = new Archive(archive, places, user).fill(staged)
  writing.catch((error: unknown) => archive.destroy(asError(error)))
  const unpacking = holder.putArchive(body, { path: '/' })
  unpacking.catch((error: unknown) => archive.destroy(asError(error)))
  const [wrote, unpacked] = await Promise.allSettled([writing, unpacking])
  signal.removeEventListener('abort', stop)
  body.destroy()
  signal.throwIfAborted()
  // What the source said comes first: the engine only saw an archive that broke off.
  if (wrote.status === 'rejected' && wrote.reason instanceof MecaError) throw wrote.reason
  if (unpacked.status === 'rejected') throw refusedBy(unpacked.reason)
  if (wrote.status === 'rejected') throw wrote.reason
}

function refusedBy(error: unknown): MecaError {
  if (isGone(error)) return translate(error, 'take the inputs')
  const full = /no space left/i.test(reasonOf(error))
  return new MecaError(
    full ? 'disk_full' : 'start_failed',
    `The engine could not take the inputs: ${reasonOf(error).slice(0, 500)}`,
    {
      cause: error,
      ...(full ? { cure: 'Make room on the disk of the container engine.' } : {}),
    },
  )
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}

type Owner = { uid: number; gid: number }

class Archive {
  readonly #tar: Pack
  readonly #places: readonly Place[]
  readonly #owner: Owner
  /** Paths in the archive that exist by now. */
  readonly #folders = new Set<string>()
  readonly #mtime = new Date()
  #entries = 0

  constructor(tar: Pack, places: readonly Place[], user: Plan['user']) {
    this.#tar = tar
    this.#places = places
    this.#owner = ownerOf(user)
  }

  async fill(staged: AsyncIterable<StagedEntry>): Promise<void> {
    for (const place of this.#places) await this.#root(place)
    for (const place of this.#places) await this.#mountPoint(place)
    for await (const entry of staged) {
      if (++this.#entries > MAX_BUNDLE_ENTRIES) throw tooMany()
      const { place, name } = this.#locate(entry)
      await this.#parents(place, entry.kind === 'folder' ? `${name}/` : name)
      if (entry.kind === 'file') await this.#file(place, name, entry)
    }
    this.#tar.finalize()
  }

  /** The upper layer's folder decides who may write into the mount itself. */
  async #root(place: Place): Promise<void> {
    if (place.kind === 'layered') {
      await this.#folder(place, `${place.upperAt.slice(1)}/u`)
      await this.#folder(place, `${place.upperAt.slice(1)}/w`)
    }
    await this.#folder(place, place.holdsAt.slice(1))
  }

  /** A mount inside another needs a folder to stand on: nobody could make one in a read-only mount. */
  async #mountPoint(inner: Place): Promise<void> {
    const outer = mountOf(
      this.#places.filter((place) => place !== inner),
      inner.path,
    )
    if (outer !== undefined) await this.#parents(outer, `${nameIn(outer, inner.path)}/`)
  }

  #locate({ path, kind }: StagedEntry): { place: Place; name: string } {
    const place = isPlainPath(path) ? mountOf(this.#places, path) : undefined
    if (place === undefined || (kind === 'file' && path === place.path)) {
      throw new MecaError('bad_input', `${quote(path)} does not lie in a folder that the task's plan has`, {
        cure: 'Name inputs by plain relative paths.',
      })
    }
    return { place, name: nameIn(place, path) }
  }

  async #parents(place: Place, name: string): Promise<void> {
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
      await this.#folder(place, name.slice(0, slash))
    }
  }

  async #folder(place: Place, name: string): Promise<void> {
    if (name === '' || this.#folders.has(name)) return
    this.#folders.add(name)
    const mode = place.writable ? 0o777 : 0o755
    await new Promise<void>((resolve, reject) => {
      this.#tar.entry({ name, type: 'directory', mode, mtime: this.#mtime, ...this.#owner }, (error) =>
        error ? reject(error) : resolve(),
      )
    })
  }

  async #file(place: Place, name: string, entry: StagedEntry & { kind: 'file' }): Promise<void> {
    const done = Promise.withResolvers<void>()
    done.promise.catch(() => undefined) // Told below, or by the error that came before it.
    const mode = place.writable ? 0o666 : 0o644
    const sink = this.#tar.entry({ name, size: entry.bytes, mode, mtime: this.#mtime, ...this.#owner }, (error) =>
      error ? done.reject(error) : done.resolve(),
    )
    // The same error ends the whole archive, and is told there.
    sink.on('error', () => undefined)
    let written = 0
    for await (const chunk of entry.body instanceof Uint8Array ? [entry.body] : entry.body) {
      written += chunk.length
      if (written > entry.bytes) break
      if (!sink.write(chunk))
        await Promise.race([new Promise<void>((resolve) => sink.once('drain', resolve)), done.promise])
    }
    if (written !== entry.bytes) throw wrongSize(entry, written)
    sink.end(undefined)
    await done.promise
  }
}

/** In the holder's own tree, as an archive writes it. */
function nameIn(place: Place, path: string): string {
  return `${place.holdsAt.slice(1)}${path.slice(place.path.length)}`
}

/** Root where the image decides: such files are readable by everybody, and writable where the plan says so. */
function ownerOf(user: Plan['user']): Owner {
  if (user === 'image') return { uid: 0, gid: 0 }
  const [uid = 0, gid = 0] = (user === 'nobody' ? '65534:65534' : user).split(':').map(Number)
  return { uid, gid }
}

function wrongSize({ path, bytes }: { path: string; bytes: number }, written: number): MecaError {
  return new MecaError('bad_input', `${path} was announced with ${bytes} bytes, and ${written} came`, {
    cure: 'Let nothing write to the inputs while a job is sent.',
  })
}

function tooMany(): MecaError {
  return new MecaError('too_large', `The job has more than ${MAX_BUNDLE_ENTRIES} input files and folders`, {
    cure: 'Pack many small files into an archive of their own.',
  })
}
