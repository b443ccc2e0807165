/**
 * The example of a files task, run exactly as a host runs a job: packed, opened, planned, judged, with the host's walls.
 * What it leaves is held against `example/outputs`, file by file.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { entriesOf } from '../bundle/local.ts'
import { packBundle } from '../bundle/write.ts'
import type { BundleEntry } from '../bundle/write.ts'
import { INPUTS, JOB_FILE, NO_PARAMETERS, zJobFile } from '../core/bundle.ts'
import type { JobFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { findingsOf } from '../core/text.ts'
import type { Resources } from '../core/resources.ts'
import type { Engine, ImageId, RunOptions } from '../engine/engine.ts'
import type { FilesFormat, FilesJob, Folder, Verdict } from '../task/format.ts'
import { openGiven, stagedEntries } from './files-given.ts'
import type { LinkedContent, Source } from './files-given.ts'
import { gather, look, outputEntries } from './files-result.ts'
import type { OutputEntry } from './files-result.ts'

const EXAMPLE_JOB = 'example/job.json'
const EXAMPLE_INPUTS = 'example/inputs'
const EXAMPLE_OUTPUTS = 'example/outputs'

export type Example = { job: JobFile; entries: BundleEntry[] }

/** The example that lies in a task folder: values in `example/job.json`, files below `example/inputs/NAME`. */
export async function exampleIn(dir: string, folder: Folder): Promise<Example> {
  const job = await exampleJob(dir, folder)
  const names = new Set(namesBelow(folder, EXAMPLE_INPUTS))
  const entries: BundleEntry[] = []
  const files: JobFile['files'] = {}
  for (const name of names) {
    const found = await entriesOf(join(dir, EXAMPLE_INPUTS, name), `${INPUTS}/${name}`)
    files[name] = found.length === 1 && found[0] !== undefined && !('folder' in found[0]) ? 'file' : 'folder'
    entries.push(...found)
  }
  // A folder of 0, 1, … may be meant as a list, which only the example can say.
  return { job: { ...job, files: { ...files, ...job.files } }, entries }
}

async function exampleJob(dir: string, folder: Folder): Promise<JobFile> {
  if (!folder.files.has(EXAMPLE_JOB)) return NO_PARAMETERS
  const text = await readFile(join(dir, EXAMPLE_JOB), 'utf8')
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new MecaError('invalid_task', `${EXAMPLE_JOB} is not JSON`, { cause, cure: 'write {"values": {}}' })
  }
  const parsed = zJobFile.partial().safeParse(json)
  if (parsed.success) return zJobFile.parse({ ...NO_PARAMETERS, ...parsed.data })
  throw new MecaError('invalid_task', `${EXAMPLE_JOB} is malformed: ${findingsOf(parsed.error)}`, {
    cure: 'write {"values": {"NAME": "text"}, "env": {}, "template": "…"}',
  })
}

function namesBelow(folder: Folder, prefix: string): string[] {
  return [...folder.files.keys()].flatMap((path) =>
    path.startsWith(`${prefix}/`) ? [path.slice(prefix.length + 1).split('/', 1)[0] ?? ''] : [],
  )
}

export type BenchRun = {
  verdict: Verdict
  exitCode: number
  logTail: string
  startMs: number
  runMs: number
  outputs: { path: string; bytes: number }[]
  /** Differences from the example's outputs, in words; undefined where it promises none. */
  differences: string[] | undefined
}

export type FilesBench = {
  engine: Pick<Engine, 'run'>
  limits: { startTimeoutMs: number; maxSeconds: number; outputBytes: number }
  now(): number
}

const NO_LINKS = () => {
  throw new MecaError('invalid_task', 'An example cannot hold links', { cure: 'put the files into example/inputs' })
}
const NO_CONTENT: LinkedContent = { fetch: NO_LINKS, list: NO_LINKS, stat: NO_LINKS, cat: NO_LINKS }

/** Throws what a host would refuse. */
export async function runExample(
  bench: FilesBench,
  task: { format: FilesFormat; descriptor: string; resources: Resources; image: ImageId; dir: string; folder: Folder },
  example: Example,
  options: Omit<RunOptions, 'staged' | 'onStarted'>,
  signal: AbortSignal,
): Promise<BenchRun> {
  const { format, descriptor } = task
  const source: Source = () => packBundle({ path: JOB_FILE, text: JSON.stringify(example.job) }, example.entries)
  const given = await openGiven(source)
  const job: FilesJob = {
    ...given,
    ...bench.limits,
    resources: format.resources(descriptor, task.resources, given),
    worker: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
  }
  const plan = format.plan(descriptor, job)
  const stage = plan.exchange.kind === 'files' ? plan.exchange.stage : []
  const began = bench.now()
  let started = began
  let startedAt = Date.now()
  const onStarted = () => {
    started = bench.now()
    startedAt = Date.now()
  }
  const staged = stagedEntries(stage, given, source, NO_CONTENT, signal)
  const run = await bench.engine.run(task.image, plan, { ...options, staged, onStarted }, signal)
  const ended = bench.now()
  const scratch = await mkdtemp(join(tmpdir(), 'meca-test-'))
  try {
    const gathered = await gather(run, scratch, signal)
    const noted = await look(format.looks?.(descriptor, gathered), gathered, signal)
    const told = { end: run.end, startedAt, endedAt: Date.now(), image: task.image, console: run.console, noted }
    const ran = { ...told, ...gathered }
    const verdict = format.judge(descriptor, job, ran)
    const entries = outputEntries(gathered, verdict)
    return {
      verdict,
      exitCode: run.end.exitCode,
      logTail: run.end.logTail,
      startMs: started - began,
      runMs: ended - started,
      outputs: entries.flatMap((entry) => ('folder' in entry ? [] : [{ path: entry.path, bytes: entry.bytes }])),
      differences: await differences(task.dir, task.folder, entries),
    }
  } finally {
    await run.dispose()
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Names are shown, not contents: they may be large and binary. */
async function differences(
  dir: string,
  folder: Folder,
  entries: readonly OutputEntry[],
): Promise<string[] | undefined> {
  const expected = [...folder.files.keys()].filter((path) => path.startsWith(`${EXAMPLE_OUTPUTS}/`))
  if (expected.length === 0) return undefined
  const actual = new Map(entries.flatMap((entry) => ('folder' in entry ? [] : [[entry.path, entry.place] as const])))
  const folders = new Set(entries.flatMap((entry) => ('folder' in entry ? [entry.path] : [])))
  const told: string[] = []
  for (const path of expected) {
    const name = path.slice(EXAMPLE_OUTPUTS.length + 1)
    const place = actual.get(name)
    if (place === undefined) told.push(folders.has(name) ? `${name} is a folder` : `${name} is missing`)
    else if (!sameBytes(await readFile(join(dir, path)), typeof place === 'string' ? await readFile(place) : place))
      told.push(`${name} differs`)
  }
  return told
}

/** A last newline is what an editor adds, not what a task means. */
function sameBytes(expected: Buffer, actual: Uint8Array): boolean {
  return trimmed(expected).equals(trimmed(Buffer.from(actual)))
}

function trimmed(bytes: Buffer): Buffer {
  return bytes.at(-1) === 10 ? bytes.subarray(0, -1) : bytes
}
