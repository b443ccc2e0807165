/**
 * What this node knows of tasks: the package under a CID and the registry's entry for it, held against each other. The
 * package names its developer and its fee; an entry that disagrees was made by somebody else, and the task is refused.
 */
import { LRUCache } from 'lru-cache'
import { cidOf, taskIdOf } from '../core/cid.ts'
import { MecaError } from '../core/errors.ts'
import { parseAddress, quote, zHash } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import { MANIFEST, MAX_MANIFEST_BYTES, parseManifest } from '../task/package.ts'
import type { Manifest } from '../task/package.ts'

export type RegistryEntry = {
  taskId: Hex
  developer: Hex
  payee: Hex
  fee: bigint
  token: Hex
  name: string
  version: string
  retired: boolean
}

export type KnownTask = { cid: string; taskId: Hex; manifest: Manifest; descriptor: string; entry: RegistryEntry }

/** The parts of the other rooms that this needs. */
export type TaskSources = {
  /** The bytes at `cid/path`, at most `maxBytes`. */
  read(
    path: string,
    options: { maxBytes: number; providers: readonly string[]; signal: AbortSignal },
  ): Promise<Uint8Array>
  entry(taskId: Hex, signal: AbortSignal): Promise<RegistryEntry | undefined>
  latest(developer: Hex, name: string, signal: AbortSignal): Promise<Hex | undefined>
  version(developer: Hex, name: string, version: string, signal: AbortSignal): Promise<Hex | undefined>
}

/** A descriptor is a page or two; Cytomine's largest published one has 20 KiB. */
const MAX_DESCRIPTOR_BYTES = 512 * 1024
const MAX_KNOWN = 1000
/** A task may be retired or its payee changed meanwhile: the entry is read anew after this. */
const ENTRY_AGE_MS = 300_000

const NAMES = 'give developer/name, developer/name@version, or the CID that meca task publish printed'

export class Tasks {
  readonly #known = new LRUCache<string, { task: KnownTask; readAt: number }>({ max: MAX_KNOWN })
  readonly #loading = new Map<string, Promise<KnownTask>>()
  readonly #sources: TaskSources
  readonly #now: () => number

  constructor(sources: TaskSources, now: () => number) {
    this.#sources = sources
    this.#now = now
  }

  /** What is known already and fresh: the path of a warm job waits for nothing. */
  cached(cid: string): KnownTask | undefined {
    const known = this.#known.get(cid)
    return known !== undefined && this.#now() - known.readAt < ENTRY_AGE_MS ? known.task : undefined
  }

  /**
   * The task under this CID. Throws `not_found` where the registry has no entry, `invalid_task` where package and entry
   * disagree, `ipfs_unreachable` where nobody has it.
   */
  async get(cid: string, signal: AbortSignal, providers: readonly string[] = []): Promise<KnownTask> {
    const cached = this.cached(cid)
    if (cached !== undefined) return cached
    const entry = await this.#entry(cid, signal)
    const old = this.#known.get(cid)?.task
    const task = old === undefined ? await this.#loadOnce(cid, entry, providers, signal) : { ...old, entry }
    this.#known.set(cid, { task, readAt: this.#now() })
    return task
  }

  /** `ref` is a CID, the task's id on chain, `developer/name` or `developer/name@version`. Throws `bad_input` or `not_found`. */
  async resolve(ref: string, signal: AbortSignal): Promise<string> {
    if (!ref.includes('/')) return cidOf(idFrom(ref))
    const [, who, name, version] = /^([^/]+)\/([^/@]+)(?:@(.+))?$/.exec(ref) ?? []
    if (who === undefined || name === undefined) {
      throw new MecaError('bad_input', `${JSON.stringify(ref)} names no task`, {
        cure: NAMES,
      })
    }
    const developer = parseAddress(who, 'the developer')
    const taskId = await (version === undefined
      ? this.#sources.latest(developer, name, signal)
      : this.#sources.version(developer, name, version, signal))
    if (taskId === undefined) {
      throw new MecaError(
        'not_found',
        `${developer} has published no ${name}${version === undefined ? '' : `@${version}`}`,
        { cure: 'see meca task list' },
      )
    }
    return cidOf(taskId)
  }

  async #entry(cid: string, signal: AbortSignal): Promise<RegistryEntry> {
    const entry = await this.#sources.entry(taskIdOf(cid), signal)
    if (entry === undefined)
      throw new MecaError('not_found', `No task ${cid} is published on this chain`, { cure: 'see meca task list' })
    return entry
  }

  /**
   * Twenty jobs at once on a task that is new here fetch its package once. Whoever waits for another's fetch makes its own
   * where that one failed: it may have been given up by who asked, or have known no providers.
   */
  async #loadOnce(
    cid: string,
    entry: RegistryEntry,
    providers: readonly string[],
    signal: AbortSignal,
  ): Promise<KnownTask> {
    const other = this.#loading.get(cid)
    if (other !== undefined) {
      const task = await orStopped(other, signal)
      if (task !== undefined) return { ...task, entry }
    }
    const own = this.#load(cid, entry, providers, signal)
    this.#loading.set(cid, own)
    try {
      return await own
    } finally {
      if (this.#loading.get(cid) === own) this.#loading.delete(cid)
    }
  }

  async #load(
    cid: string,
    entry: RegistryEntry,
    providers: readonly string[],
    signal: AbortSignal,
  ): Promise<KnownTask> {
    const manifest = parseManifest(await this.#text(`${cid}/${MANIFEST}`, MAX_MANIFEST_BYTES, providers, signal))
    const wrong = disagreement(manifest, entry)
    if (wrong !== undefined) {
      throw new MecaError('invalid_task', `The registry's entry for ${cid} is not its package's: ${wrong}`, {
        cure: 'use the task that the developer named in the package has published',
      })
    }
    const descriptor = await this.#text(`${cid}/${manifest.descriptor}`, MAX_DESCRIPTOR_BYTES, providers, signal)
    return { cid, taskId: entry.taskId, manifest, descriptor, entry }
  }

  async #text(path: string, maxBytes: number, providers: readonly string[], signal: AbortSignal): Promise<string> {
    const bytes = await this.#sources.read(path, { maxBytes, providers, signal })
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    } catch (cause) {
      throw new MecaError('invalid_task', `${path} is not UTF-8 text`, { cause })
    }
  }
}

/** What another asked for; undefined where that failed. Throws where the one who waits was stopped. */
async function orStopped<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const stop = () => reject(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  try {
    return await Promise.race([work.catch(() => undefined), promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Throws `bad_input`, with all the ways there are to name a task. */
function idFrom(ref: string): Hex {
  const id = zHash.safeParse(ref.toLowerCase())
  if (id.success) return id.data
  try {
    return taskIdOf(ref)
  } catch (cause) {
    throw new MecaError('bad_input', `${quote(ref)} names no task`, { cause, cure: NAMES })
  }
}

function disagreement(manifest: Manifest, entry: RegistryEntry): string | undefined {
  const pairs: [string, unknown, unknown][] = [
    ['developer', manifest.developer, entry.developer],
    ['fee', manifest.fee, entry.fee],
    ['token', manifest.token, entry.token],
    ['name', manifest.name, entry.name],
    ['version', manifest.version, entry.version],
  ]
  const [what, inPackage, onChain] = pairs.find(([, a, b]) => a !== b) ?? []
  return what === undefined
    ? undefined
    : `the ${what} in the package is ${String(inPackage)}, on chain ${String(onChain)}`
}
