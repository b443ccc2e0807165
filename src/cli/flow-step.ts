/**
 * One step of a workflow as a job: its inputs packed, what other steps left taken from their hosts' IPFS or from the folder
 * of the run, its outputs left on IPFS where only other steps read them, and written down where people do.
 */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { entriesOf, unpackResult } from '../bundle/local.ts'
import type { BundleEntry } from '../bundle/write.ts'
import { INPUTS } from '../core/bundle.ts'
import type { JobFile } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import { ANSWER } from '../flow/flow.ts'
import type { Flow, Step, StepInput } from '../flow/flow.ts'
import { StepFailed } from '../flow/run.ts'
import type { StepReport } from '../flow/run.ts'
import type { NodeApi } from '../role/api.ts'
import type { RunInput, RunOptions, RunResult } from '../role/api-client.ts'
import type { Context } from './context.ts'
import { isFilesResult } from './files-output.ts'
import { stepJobId } from './flow.ts'
import { quoteOptions } from './job-flags.ts'
import { pack } from './job-inputs.ts'
import { failureOf } from './run.ts'

export type RunnerParts = {
  api: NodeApi
  flow: Flow
  out: string
  /** What places in the flow are relative to. */
  base: string
  state: { id: string; attempts: Record<string, number> }
  save(): Promise<void>
  context: Context
}

type Results = ReadonlyMap<string, StepReport>

/** A host that failed was not paid, and another may do better. */
const HOST_TRIES = 3

export function stepRunner(parts: RunnerParts) {
  return async (step: Step, results: Results, signal: AbortSignal): Promise<Partial<StepReport>> => {
    const packed = await inputOf(parts, step, results, signal)
    try {
      const result = await runTried(parts, step, packed.input, signal)
      return { result, ...(await written(parts, step, result)) }
    } finally {
      await packed.dispose()
    }
  }
}

/** A step that failed is tried anew by the next run of the command, as a new job; one that was cut off is asked for again. */
async function runTried(parts: RunnerParts, step: Step, input: RunInput, signal: AbortSignal): Promise<RunResult> {
  const { state } = parts
  const hash = await hashOf(input)
  for (let tries = 1; ; tries++) {
    const attempt = state.attempts[step.name] ?? 1
    const id = stepJobId(state.id, step.name, hash, attempt)
    const result = await parts.api.client.run(
      step.task,
      input,
      await optionsOf(parts, step, id),
      () => undefined,
      signal,
    )
    if (result.status === 'answered' && (result.httpStatus ?? 200) < 400) return result
    state.attempts[step.name] = attempt + 1
    await parts.save()
    // What an earlier run of the command failed at is tried anew, once more at least.
    const again = result.replayed || result.status === 'host_failed'
    if (!again || tries >= HOST_TRIES) throw new StepFailed(result, failureOf(result))
  }
}

async function optionsOf({ api, context }: RunnerParts, step: Step, id: string): Promise<RunOptions> {
  const { task, maxPrice, maxSeconds, host } = step
  const flags = {
    ...(maxPrice === undefined ? {} : { maxPrice }),
    ...(maxSeconds === undefined ? {} : { maxSeconds: String(maxSeconds) }),
    ...(host === undefined ? {} : { host }),
  }
  return { id, ...(await quoteOptions(flags, api, task, context.signal)) }
}

type StepPacked = { input: RunInput; dispose(): Promise<void> }

async function inputOf(parts: RunnerParts, step: Step, results: Results, signal: AbortSignal): Promise<StepPacked> {
  if (step.data !== undefined)
    return { input: await dataOf(parts, step, step.data, results), dispose: () => Promise.resolve() }
  const entries: BundleEntry[] = []
  const job: JobFile = {
    v: 1,
    values: {},
    files: {},
    links: {},
    env: step.env,
    ...(step.template === undefined ? {} : { template: step.template }),
    keepOnIpfs: isRead(parts.flow, step) && !isWanted(parts.flow, step),
  }
  for (const [name, input] of step.inputs) await addInput(parts, step, name, input, results, job, entries)
  return pack(job, entries, signal)
}

async function addInput(
  parts: RunnerParts,
  step: Step,
  name: string,
  input: StepInput,
  results: Results,
  job: JobFile,
  entries: BundleEntry[],
): Promise<void> {
  if (input.kind === 'value') job.values[name] = input.text
  else if (input.kind === 'link') job.links[name] = { cid: input.cid }
  else if (input.kind === 'place') await addPlace(resolve(parts.base, input.path), name, job, entries)
  else {
    const { folder, result } = produced(step, name, input, results)
    const fact = result.outputs?.[input.output]
    if (fact?.cid !== undefined)
      job.links[name] = { cid: fact.cid, ...(result.providers === undefined ? {} : { providers: result.providers }) }
    else await addPlace(join(folder ?? parts.out, input.output), name, job, entries)
  }
}

async function addPlace(place: string, name: string, job: JobFile, entries: BundleEntry[]): Promise<void> {
  const found = await entriesOf(place, `${INPUTS}/${name}`)
  job.files[name] = found.length === 1 && found[0] !== undefined && !('folder' in found[0]) ? 'file' : 'folder'
  entries.push(...found)
}

/** Throws `bad_input` where the other step answered and left no such output. */
function produced(
  step: Step,
  name: string,
  { step: from, output }: Extract<StepInput, { kind: 'output' }>,
  results: Results,
): { folder: string | undefined; result: RunResult } {
  const report = results.get(from)
  const left = report?.result?.outputs === undefined ? [ANSWER] : Object.keys(report.result.outputs)
  if (report?.result !== undefined && left.includes(output)) return { folder: report.folder, result: report.result }
  throw new MecaError('bad_input', `The input ${name} of ${step.name} was not produced: ${from} left no ${output}`, {
    cure: `it left ${left.join(', ')}`,
  })
}

async function dataOf(parts: RunnerParts, step: Step, data: StepInput, results: Results): Promise<RunInput> {
  if (data.kind === 'value') return Buffer.from(data.text)
  if (data.kind === 'link')
    throw new MecaError('bad_input', `data of ${step.name} cannot be a link`, { cure: 'fetch it, and write @FILE' })
  if (data.kind === 'place') return fileInput(resolve(parts.base, data.path))
  const { folder } = produced(step, 'data', data, results)
  return fileInput(join(folder ?? parts.out, data.output))
}

async function fileInput(file: string): Promise<RunInput> {
  const [entry] = await entriesOf(file, `${INPUTS}/data`)
  if (entry === undefined || 'folder' in entry)
    throw new MecaError('bad_input', `${file} is a folder`, { cure: 'an http task is asked with one file' })
  return { file, bytes: entry.bytes }
}

async function hashOf(input: RunInput): Promise<string> {
  const hash = createHash('sha256')
  if (input instanceof Uint8Array) return hash.update(input).digest('hex')
  await pipeline(createReadStream(input.file), hash)
  return hash.digest('hex')
}

/** People want what no step reads, and what they named a folder for; http answers are needed here to be passed on. */
function isWanted(flow: Flow, step: Step): boolean {
  return step.out === undefined ? !isRead(flow, step) : step.out !== false
}

function isRead(flow: Flow, { name }: Step): boolean {
  return flow.steps.some(({ inputs, data }) =>
    [...inputs.values(), data].some((input) => input?.kind === 'output' && input.step === name),
  )
}

async function written({ api, flow, out }: RunnerParts, step: Step, result: RunResult): Promise<{ folder?: string }> {
  const isFiles = isFilesResult(result)
  if (isFiles && !isWanted(flow, step)) return {}
  const folder = resolve(out, typeof step.out === 'string' ? step.out : step.name)
  const output = await api.client.output(result.job)
  if (isFiles) await unpackResult(output, folder)
  else {
    await mkdir(folder, { recursive: true })
    await pipeline(Readable.from(output), createWriteStream(join(folder, ANSWER)))
  }
  return { folder }
}
