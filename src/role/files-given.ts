/**
 * A files job's input, opened: what its `job.json` says, which files came in the bundle, and what its links hold. Both
 * sides open it: the client before it pays, the host before it starts.
 */
import { HEAD_BYTES, INPUTS, JOB_FILE, MAX_BUNDLE_ENTRIES, parseJobFile } from '../core/bundle.ts'
import type { FileFacts, JobFile, Link } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { Staged } from '../core/plan.ts'
import { quote } from '../core/units.ts'
import { faultOf } from '../bundle/paths.ts'
import { headOf, indexBundle, readBundle } from '../bundle/read.ts'
import type { StagedEntry } from '../engine/engine.ts'
import type { Entry, Ipfs } from '../ipfs/store.ts'
import type { Given } from '../task/format.ts'

export type Source = () => AsyncIterable<Uint8Array>
export type LinkedContent = Pick<Ipfs, 'fetch' | 'list' | 'stat' | 'cat'>

/** `linked` says where the content of a link lies on IPFS, by its path among the inputs. */
export type OpenGiven = Given & { linked: ReadonlyMap<string, string>; folders: ReadonlySet<string> }

/** Throws `bad_input` where the bundle is none, or holds what its `job.json` does not name. */
export async function openGiven(source: Source): Promise<OpenGiven> {
  const { text, files, folders } = await indexBundle(source(), JOB_FILE)
  const job = parseJobFile(text)
  const inputs = new Map([...files].map(([path, facts]) => [inputPath(path, job), facts]))
  requireFiles(job, inputs, folders)
  return { job, files: inputs, linked: new Map(), folders }
}

function inputPath(path: string, { files }: JobFile): string {
  const [room, name = ''] = path.split('/', 2)
  if (room === INPUTS && Object.hasOwn(files, name)) return path.slice(INPUTS.length + 1)
  throw new MecaError('bad_input', `${quote(path)} is in the bundle, but ${JOB_FILE} names no such input`, {
    cure: `put files under ${INPUTS}/NAME and NAME into "files"`,
  })
}

function requireFiles({ files }: JobFile, inputs: ReadonlyMap<string, FileFacts>, folders: ReadonlySet<string>): void {
  for (const [name, kind] of Object.entries(files)) {
    const below = folders.has(`${INPUTS}/${name}`) || [...inputs.keys()].some((path) => path.startsWith(`${name}/`))
    if (kind === 'file' ? inputs.has(name) && !below : below && !inputs.has(name)) {
      if (kind === 'list') requireWhole(name, [...inputs.keys(), ...inputsOf(folders)])
      continue
    }
    throw new MecaError('bad_input', `The input ${quote(name)} is said to be a ${kind}, which the bundle does not hold`)
  }
}

function inputsOf(folders: ReadonlySet<string>): string[] {
  return [...folders].map((path) => path.slice(INPUTS.length + 1))
}

/** The files of a list are told by their numbers alone: 0, 1, … without a hole. */
function requireWhole(name: string, paths: readonly string[]): void {
  const below = paths.flatMap((path) => (path.startsWith(`${name}/`) ? [path.split('/', 2)[1] ?? ''] : []))
  const found = new Set(below)
  for (let i = 0; i < found.size; i++) {
    if (found.has(String(i))) continue
    throw new MecaError('bad_input', `The list ${quote(name)} has ${found.size} members and no ${name}/${i}`, {
      cure: `name its members ${INPUTS}/${name}/0, ${INPUTS}/${name}/1, …`,
    })
  }
}

/** Brings the content of the job's links here; together with the bundle it may not be larger than `maxBytes`. */
export async function withLinks(
  given: OpenGiven,
  ipfs: LinkedContent,
  maxBytes: number,
  signal: AbortSignal,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<OpenGiven> {
  const files = new Map(given.files)
  const linked = new Map<string, string>()
  let left = maxBytes - [...files.values()].reduce((sum, { bytes }) => sum + bytes, 0)
  for (const [name, link] of Object.entries(given.job.links)) {
    await bring(ipfs, link, left, signal, onProgress)
    for (const { path, at, bytes } of await filesUnder(ipfs, name, link.cid, signal)) {
      left -= bytes
      files.set(path, {
        bytes,
        head: await headOf(ipfs.cat(at, { signal, maxBytes: Infinity, length: HEAD_BYTES }), HEAD_BYTES),
      })
      linked.set(path, at)
    }
  }
  return { ...given, files, linked }
}

async function bring(
  ipfs: LinkedContent,
  { cid, providers = [] }: Link,
  maxBytes: number,
  signal: AbortSignal,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<void> {
  await ipfs.fetch(cid, {
    signal,
    maxBytes: Math.max(0, maxBytes),
    providers,
    onProgress: ({ localBytes, totalBytes }) => onProgress(localBytes, totalBytes),
  })
}

type Found = { path: string; at: string; bytes: number }

async function filesUnder(ipfs: LinkedContent, name: string, cid: string, signal: AbortSignal): Promise<Found[]> {
  const { directory, bytes } = await ipfs.stat(cid, signal)
  if (!directory) return [{ path: name, at: cid, bytes }]
  const found: Found[] = []
  await walk(ipfs, name, cid, found, signal)
  return found
}

async function walk(ipfs: LinkedContent, path: string, at: string, found: Found[], signal: AbortSignal): Promise<void> {
  for (const entry of await ipfs.list(at, signal)) {
    const below = { path: requireName(path, entry), at: entry.cid, bytes: entry.bytes }
    if (entry.directory) await walk(ipfs, below.path, below.at, found, signal)
    else found.push(below)
    if (found.length > MAX_BUNDLE_ENTRIES)
      throw new MecaError('too_large', `The link of ${path} holds more than ${MAX_BUNDLE_ENTRIES} files`)
  }
}

function requireName(path: string, { name }: Entry): string {
  const whole = `${path}/${name}`
  const fault = faultOf(whole) ?? (name.includes('/') ? 'has a slash in it' : undefined)
  if (fault === undefined) return whole
  throw new MecaError('bad_input', `The name ${quote(whole)} behind a link ${fault}`)
}

/** Everything that a plan wants in the container: texts and folders, then files as they come out of bundle and links. */
export async function* stagedEntries(
  stage: readonly Staged[],
  given: OpenGiven,
  source: Source,
  ipfs: LinkedContent,
  signal: AbortSignal,
): AsyncGenerator<StagedEntry> {
  for (const item of stage) {
    if (item.kind === 'text') {
      const body = Buffer.from(item.text)
      yield { kind: 'file', path: item.path, bytes: body.length, body }
    } else if (item.kind === 'folder') yield { kind: 'folder', path: item.path }
  }
  yield* fromBundle(stage, source)
  for (const [path, at] of given.linked) {
    const bytes = given.files.get(path)?.bytes ?? 0
    for (const place of placesOf(stage, `${INPUTS}/${path}`))
      yield { kind: 'file', path: place, bytes, body: ipfs.cat(at, { signal, maxBytes: bytes }) }
  }
}

/** The bundle is read once more for every further place that wants the same entry, which is rare. */
async function* fromBundle(stage: readonly Staged[], source: Source): AsyncGenerator<StagedEntry> {
  for (let round = 0, more = true; more; round++) {
    more = false
    for await (const entry of readBundle(source())) {
      const places = placesOf(stage, entry.path)
      const place = places[round]
      if (places.length > round + 1) more = true
      if (place === undefined) continue
      if (entry.kind === 'folder') yield { kind: 'folder', path: place }
      else yield { kind: 'file', path: place, bytes: entry.bytes, body: entry.body }
    }
  }
}

function placesOf(stage: readonly Staged[], path: string): string[] {
  return stage.flatMap((item) => {
    if (item.kind === 'text' || item.from === undefined) return []
    if (item.from === path) return [item.path]
    return item.kind === 'folder' && path.startsWith(`${item.from}/`) ? [item.path + path.slice(item.from.length)] : []
  })
}
