/**
 * One admitted files job: open the bundle → fetch → stage → run to the end → collect → judge → pack. The container is the
 * job's own and is gone when this returns. Only the run itself is billed; staging and collecting are the host's time.
 */
import { INLINE_BYTES } from '../core/wire.ts'
import { BUNDLE_TYPE } from '../core/bundle.ts'
import type { OutputFact } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { failpoint } from '../failpoint.ts'
import type { Phase } from '../core/job.ts'
import type { Plan } from '../core/plan.ts'
import { shortage } from '../core/resources.ts'
import type { FilesRun, ImageId, RunOptions } from '../engine/engine.ts'
import type { FileEntry, Ipfs } from '../ipfs/store.ts'
import type { Blobs } from '../store/blobs.ts'
import { requireFiles } from '../task/format.ts'
import type { FilesFormat, FilesJob, Verdict } from '../task/format.ts'
import { endedBy, failed, fetchImage, reasonOf } from './execute.ts'
import type { ExecuteComponents, ExecuteHooks, Execution, Work } from './execute.ts'
import { openGiven, stagedEntries, withLinks } from './files-given.ts'
import type { LinkedContent, OpenGiven, Source } from './files-given.ts'
import { factsOf, gather, look, outputEntries, packResult } from './files-result.ts'
import type { Gathered, OutputEntry, Packing } from './files-result.ts'

export type FilesComponents = {
  run(image: ImageId, plan: Plan, options: RunOptions, signal: AbortSignal): Promise<FilesRun>
  ipfs: LinkedContent & Pick<Ipfs, 'addFolder'>
  blobs: Pick<Blobs, 'write'>
  /** A folder on the disk of the outputs, for what is collected until it is packed. */
  scratch: string
  /** Whose numbers a worker's process has, where a format wants them. */
  worker: { uid: number; gid: number }
  limits: { inputBytes: number; outputBytes: number }
  /** Where outputs that stay here can be fetched. */
  providers(): string[]
}

type Run = { startedAt: number; began: number; endedAt: number; runMs: number }
type Ready = { format: FilesFormat; job: FilesJob; given: OpenGiven; plan: Plan; source: Source }

/** Never throws: whatever happens is told in the execution. */
export async function executeFiles(
  c: ExecuteComponents,
  work: Work,
  hooks: ExecuteHooks,
  signal: AbortSignal,
): Promise<Execution> {
  const ended: Partial<Run> = {}
  let leave: (() => void) | undefined
  try {
    const source = await work.source(signal)
    leave = await c.fleet.room(work.poolKey, work.resources, signal)
    const ready = await prepare(c, work, hooks, source, signal)
    const run = await runPlan(c, work, hooks, ready, ended, signal)
    try {
      enter(c, hooks, 'delivering')
      return await deliver(c, work, ready, run, complete(c, ended), signal)
    } finally {
      await run.dispose()
    }
  } catch (error) {
    const execution = failed(endedBy(signal) ?? statusOf(error, ended), reasonOf(signal, error), c.wallNow())
    return ended.startedAt === undefined ? execution : { ...execution, ...complete(c, ended) }
  } finally {
    leave?.()
  }
}

/** After the start, only what the task itself overdid is its fault: the size of its outputs. */
function statusOf(error: unknown, { startedAt }: Partial<Run>): 'task_failed' | 'host_failed' {
  const its = startedAt !== undefined && error instanceof MecaError && error.code === 'too_large'
  return its ? 'task_failed' : 'host_failed'
}

function enter(c: ExecuteComponents, hooks: ExecuteHooks, phase: Phase): void {
  hooks.clock.enter(phase, c.now())
  hooks.onPhase(phase)
}

async function prepare(
  c: ExecuteComponents,
  work: Work,
  hooks: ExecuteHooks,
  source: Source,
  signal: AbortSignal,
): Promise<Ready> {
  enter(c, hooks, 'fetching')
  const opened = await openGiven(source)
  const given = await withLinks(opened, c.files.ipfs, c.files.limits.inputBytes, signal, (doneBytes, totalBytes) =>
    hooks.onPhase('fetching', { doneBytes, totalBytes }),
  )
  const format = requireFiles(work.task.manifest.format)
  const { descriptor } = work.task
  requireEnough(work, format.resources(descriptor, work.task.manifest.resources, given))
  const job: FilesJob = {
    ...given,
    resources: work.resources,
    maxSeconds: work.maxSeconds,
    startTimeoutMs: c.limits.startTimeoutMs,
    outputBytes: c.files.limits.outputBytes,
    worker: c.files.worker,
  }
  return { format, job, given, plan: format.plan(descriptor, job), source }
}

/** What a job needs may follow from its inputs; it was sold for what its client asked. */
function requireEnough({ resources }: Work, needed: Work['resources']): void {
  const short = shortage(needed, resources)
  if (short === undefined) return
  throw new MecaError('bad_input', `These inputs need more than was asked for: ${short}`, {
    cure: 'ask for more with --memory, --cpus or --gpus',
  })
}

async function runPlan(
  c: ExecuteComponents,
  work: Work,
  hooks: ExecuteHooks,
  { plan, given, source }: Ready,
  ended: Partial<Run>,
  signal: AbortSignal,
): Promise<FilesRun> {
  const image = await fetchImage(c, work, hooks, signal)
  enter(c, hooks, 'starting')
  const staged = stagedEntries(
    plan.exchange.kind === 'files' ? plan.exchange.stage : [],
    given,
    source,
    c.files.ipfs,
    signal,
  )
  const onStarted = () => {
    Object.assign(ended, { startedAt: c.wallNow(), began: c.now() })
    enter(c, hooks, 'running')
  }
  const { onLog } = hooks
  const options = {
    name: work.name,
    staged,
    onStarted,
    ...(work.runtime === undefined ? {} : { runtime: work.runtime }),
    ...(onLog === undefined ? {} : { onLog }),
  }
  const run = await c.files.run(image, plan, options, signal)
  Object.assign(ended, complete(c, ended))
  return run
}

/** The first end counts: what comes after it is not the task's time. */
function complete(c: ExecuteComponents, run: Partial<Run>): { startedAt: number; endedAt: number; runMs: number } {
  const { startedAt = c.wallNow(), endedAt = c.wallNow() } = run
  return { startedAt, endedAt, runMs: run.runMs ?? (run.began === undefined ? 0 : c.now() - run.began) }
}

async function deliver(
  c: ExecuteComponents,
  work: Work,
  { format, job }: Ready,
  run: FilesRun,
  times: { startedAt: number; endedAt: number; runMs: number },
  signal: AbortSignal,
): Promise<Execution> {
  const gathered = await gather(run, c.files.scratch, signal)
  failpoint('files.collected')
  try {
    const { descriptor } = work.task
    const noted = await look(format.looks?.(descriptor, gathered), gathered, signal)
    const verdict = format.judge(descriptor, job, {
      end: run.end,
      ...times,
      image: work.task.manifest.image.id,
      files: gathered.files,
      folders: gathered.folders,
      console: run.console,
      leftOut: gathered.leftOut,
      noted,
    })
    const packed = await pack(c, run, gathered, verdict, job.job.keepOnIpfs, signal)
    return { ...executionOf(verdict, run), ...packed, ...times }
  } finally {
    await gathered.dispose()
  }
}

function executionOf(verdict: Verdict, { end }: FilesRun): Pick<Execution, 'status' | 'outcome'> {
  const { status, problem, skipped } = verdict
  const told =
    problem === undefined
      ? {}
      : {
          problem: { code: problem.code ?? 'task_failed', message: problem.message.slice(0, 4000), ...cureOf(problem) },
        }
  return {
    status,
    outcome: {
      exitCode: end.exitCode,
      contentType: BUNDLE_TYPE,
      warm: false,
      ...(skipped === true ? { skipped } : {}),
      ...told,
      ...(status === 'answered' ? {} : { logTail: end.logTail.slice(-8000) }),
    },
  }
}

function cureOf({ cure }: NonNullable<Verdict['problem']>): { cure?: string } {
  return cure === undefined ? {} : { cure: cure.slice(0, 1000) }
}

async function pack(
  c: ExecuteComponents,
  run: FilesRun,
  gathered: Gathered,
  verdict: Verdict,
  keepOnIpfs: boolean,
  signal: AbortSignal,
): Promise<Pick<Execution, 'output' | 'stored' | 'keptCid'>> {
  const entries = outputEntries(gathered, verdict)
  const kept = keepOnIpfs && entries.length > 0 ? await keep(c, entries, signal) : undefined
  const packing: Packing = {
    exitCode: run.end.exitCode,
    verdict,
    entries,
    outputs: kept?.outputs ?? factsOf(entries),
    ...(kept === undefined ? {} : { providers: c.files.providers() }),
    leftOut: gathered.leftOut,
    console: run.console,
  }
  const keptCid = kept === undefined ? {} : { keptCid: kept.cid }
  const small = await inMemory(packing)
  if (small !== undefined) return { output: small, ...keptCid }
  const { hash, bytes } = await c.files.blobs.write(packResult(packing), {
    signal,
    maxBytes: 2 * c.files.limits.outputBytes,
  })
  failpoint('files.packed')
  return { output: new Uint8Array(0), stored: { hash, bytes }, ...keptCid }
}

/** A header, its extension and the padding of one entry. */
const ENTRY_BYTES = 2560

/** What surely fits beside a message is not worth a file. */
async function inMemory(packing: Packing): Promise<Uint8Array | undefined> {
  const { entries, console } = packing
  const content = entries.reduce((sum, entry) => sum + ('folder' in entry ? 0 : entry.bytes) + ENTRY_BYTES, 0)
  if (content + console.length + 4 * ENTRY_BYTES > INLINE_BYTES) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of packResult(packing)) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  return bytes.length > INLINE_BYTES ? undefined : bytes
}

/** Each output under a CID of its own, below one root that is pinned. */
async function keep(
  c: ExecuteComponents,
  entries: readonly OutputEntry[],
  signal: AbortSignal,
): Promise<{ cid: string; outputs: Record<string, OutputFact> }> {
  const { ipfs } = c.files
  const files = entries.flatMap((entry): FileEntry[] =>
    'folder' in entry
      ? []
      : [{ path: entry.path, content: typeof entry.place === 'string' ? { file: entry.place } : entry.place }],
  )
  const { cid } = await ipfs.addFolder(files, { signal })
  failpoint('files.kept')
  const outputs = factsOf(entries)
  for (const { name, cid: own } of await ipfs.list(cid, signal)) {
    const fact = outputs[name]
    if (fact !== undefined) outputs[name] = { ...fact, cid: own }
  }
  return { cid, outputs }
}
