/**
 * What a files job leaves: collected out of the container into a scratch folder of ours (under numbers, so that no name
 * of the task's choosing touches our disk), judged by the format, and packed in one order. Whoever collects disposes.
 */
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CONSOLE_FILE, HEAD_BYTES, OUTPUTS, RESULT_FILE } from '../core/bundle.ts'
import type { FileFacts, OutputFact, ResultFile } from '../core/bundle.ts'
import { faultOf } from '../bundle/paths.ts'
import { packBundle } from '../bundle/write.ts'
import type { BundleEntry } from '../bundle/write.ts'
import type { CollectedEntry, FilesRun } from '../engine/engine.ts'
import type { Look, Noted, Verdict } from '../task/format.ts'

/** Told to people; the rest is only counted. */
const MAX_TOLD = 100
/** Heads kept of all outputs together. */
const MAX_HEADS_BYTES = 64 * 2 ** 20
const LOOK_BYTES = 2 ** 20

export type Gathered = {
  /** By collected path (`NAME`, `NAME/a/b`): what a format may look at, and where the bytes are. */
  files: Map<string, FileFacts & { place: string }>
  folders: Set<string>
  leftOut: { path: string; why: string }[]
  headBytes: number
  dispose(): Promise<void>
}

/** Brings a run's outputs into a folder under `scratch`. */
export async function gather(run: FilesRun, scratch: string, signal: AbortSignal): Promise<Gathered> {
  const folder = await mkdtemp(join(scratch, 'outputs-'))
  const gathered: Gathered = {
    files: new Map(),
    folders: new Set(),
    leftOut: [],
    headBytes: 0,
    dispose: () => rm(folder, { recursive: true, force: true }),
  }
  try {
    for await (const entry of run.outputs(signal)) await keep(entry, gathered, folder, signal)
    return gathered
  } catch (error) {
    await gathered.dispose()
    throw error
  }
}

async function keep(entry: CollectedEntry, gathered: Gathered, folder: string, signal: AbortSignal): Promise<void> {
  const path = entry.path === '' ? entry.name : `${entry.name}/${entry.path}`
  const fault = entry.kind === 'left' ? entry.why : faultOf(path)
  if (fault !== undefined) gathered.leftOut.push({ path, why: fault })
  else if (entry.kind === 'folder') gathered.folders.add(path)
  else if (entry.kind === 'file') await keepFile(path, entry.body, gathered, folder, signal)
}

async function keepFile(
  path: string,
  body: AsyncIterable<Uint8Array>,
  gathered: Gathered,
  folder: string,
  signal: AbortSignal,
): Promise<void> {
  const place = join(folder, String(gathered.files.size))
  const room = Math.min(HEAD_BYTES, MAX_HEADS_BYTES - gathered.headBytes)
  const head: Uint8Array[] = []
  let bytes = 0
  const watched = async function* () {
    for await (const chunk of body) {
      const wanted = room - Math.min(bytes, room)
      if (wanted > 0) head.push(Uint8Array.from(chunk.subarray(0, wanted)))
      bytes += chunk.length
      yield chunk
    }
  }
  await pipeline(Readable.from(watched(), { objectMode: false }), createWriteStream(place), { signal })
  gathered.headBytes += Math.min(bytes, room)
  gathered.files.set(path, { bytes, head: Buffer.concat(head), place })
}

/** Reads what a format must see whole, file by file, from where it was gathered. */
export async function look(
  looks: ReadonlyMap<string, Look> | undefined,
  { files }: Gathered,
  signal: AbortSignal,
): Promise<Map<string, Noted>> {
  const noted = new Map<string, Noted>()
  for (const [path, { take, end }] of looks ?? []) {
    const place = files.get(path)?.place
    if (place === undefined) continue
    for await (const chunk of createReadStream(place, { highWaterMark: LOOK_BYTES, signal }) as AsyncIterable<Buffer>)
      if (!take(chunk)) break
    noted.set(path, end())
  }
  return noted
}

/** A file or folder that the receipt's hash will cover. `path` is below `outputs/`. */
export type OutputEntry = { path: string; folder: true } | { path: string; bytes: number; place: string | Uint8Array }

/** What counts as output by the verdict, in the order of its bundle. */
export function outputEntries(gathered: Gathered, verdict: Verdict): OutputEntry[] {
  const kept = new Set(verdict.outputs)
  const isKept = (path: string) => kept.has(path.split('/', 1)[0] ?? '')
  return [
    ...[...gathered.folders].filter(isKept).map((path) => ({ path, folder: true as const })),
    ...[...gathered.files].flatMap(([path, { bytes, place }]) => (isKept(path) ? [{ path, bytes, place }] : [])),
    ...verdict.texts.map(({ path, content }) => ({ path, bytes: content.length, place: content })),
  ]
}

export function factsOf(entries: readonly OutputEntry[]): Record<string, OutputFact> {
  const facts = new Map<string, OutputFact>()
  for (const entry of entries) {
    const name = entry.path.split('/', 1)[0] ?? ''
    const kind = 'folder' in entry || entry.path !== name ? 'folder' : 'file'
    const before = facts.get(name) ?? { kind, files: 0, bytes: 0 }
    const file = 'folder' in entry ? { files: 0, bytes: 0 } : { files: 1, bytes: entry.bytes }
    facts.set(name, { kind, files: before.files + file.files, bytes: before.bytes + file.bytes })
  }
  return Object.fromEntries([...facts].sort(([a], [b]) => (a < b ? -1 : 1)))
}

export type Packing = {
  exitCode: number
  verdict: Verdict
  entries: readonly OutputEntry[]
  /** What the outputs are, with CIDs where they stayed on IPFS. */
  outputs: Record<string, OutputFact>
  providers?: readonly string[]
  leftOut: Gathered['leftOut']
  console: Uint8Array
}

/** The result as one stream; the same run gives the same bytes. */
export function packResult(packing: Packing): AsyncGenerator<Uint8Array> {
  const inBundle = packing.entries.filter(({ path }) => packing.outputs[path.split('/', 1)[0] ?? '']?.cid === undefined)
  return packBundle({ path: RESULT_FILE, text: resultText(packing) }, [
    ...inBundle.map(toEntry),
    ...(packing.console.length === 0
      ? []
      : [{ path: CONSOLE_FILE, bytes: packing.console.length, body: () => [packing.console] }]),
  ])
}

function toEntry(entry: OutputEntry): BundleEntry {
  const path = `${OUTPUTS}/${entry.path}`
  if ('folder' in entry) return { path, folder: true }
  const { bytes, place } = entry
  return {
    path,
    bytes,
    body: () => (typeof place === 'string' ? createReadStream(place) : [place]) as AsyncIterable<Uint8Array>,
  }
}

function resultText({ exitCode, verdict, outputs, providers, leftOut }: Packing): string {
  const result: ResultFile = {
    v: 1,
    exitCode,
    ...(verdict.skipped === true ? { skipped: true } : {}),
    outputs,
    ...(providers === undefined || providers.length === 0 ? {} : { providers: providers.slice(0, 8) }),
    warnings: verdict.warnings.slice(0, MAX_TOLD).map((text) => text.slice(0, 1000)),
    leftOut: leftOut.slice(0, MAX_TOLD).map(({ path, why }) => ({ path: path.slice(0, 300), why: why.slice(0, 200) })),
  }
  return JSON.stringify(result)
}
