/** `meca run`: the task's answer to stdout, everything else (progress, price, next step) to stderr. */
import type { Command } from 'commander'
import { unpackResult } from '../bundle/local.ts'
import { ERRORS, MecaError } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { RunOptions, RunResult } from '../role/api-client.ts'
import { money, sum } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { isFilesResult, requireFolder, showFiles } from './files-output.ts'
import { readInput } from './input.ts'
import { formatOf } from '../task/format.ts'
import { addInputFlags, hasInputs, pack, packInputs } from './job-inputs.ts'
import type { InputFlags, Packed } from './job-inputs.ts'
import { addQuoteFlags, quoteOptions } from './job-flags.ts'
import type { QuoteFlags } from './job-flags.ts'
import { inJson, requireWritable, toFile, toStdout } from './output-text.ts'
import { duration } from './render.ts'
import { openTaskJson, placeOutputs, requireSameTemplate } from './task-json.ts'
import type { TaskJsonJob } from './task-json.ts'
import { collect, examples, pairsOf } from './usage.ts'
import type { Act } from './usage.ts'

type RunFlags = QuoteFlags &
  InputFlags & {
    data?: string
    input?: string
    out?: string
    taskJson?: string
    taskEnv?: string[]
    id?: string
    logs?: boolean
    fail?: boolean
  }

export function addRun(run: Command, act: Act): void {
  run
    .argument(
      '[task]',
      "a CID, developer/name or developer/name@version; with --task-json the file's image where absent",
    )
    .option('--data <text>', 'the input, as it stands')
    .option('--input <file>', 'the input from a file (- is stdin, which is also the default)')
    .option('--out <path>', 'write the answer to this file, or the outputs of a files task into this folder')
    .option('--id <job>', 'name the job: sent again with the same input it costs nothing')
    .option('--logs', 'show what the task prints while it runs')
    .option('--task-json <file>', 'the inputs, variables and outputs of a Kaapana task.json')
    .option('--task-env <name=value>', 'a variable that the task.json may use (repeatable)', collect)
    .option('--fail', "exit with 1 when the task's own HTTP status is 400 or more")
  addInputFlags(addQuoteFlags(run)).action(act(runTask))
  examples(run, [
    [`meca run 0x…/words --data '{"text": "to be or not"}'`, 'the answer goes to stdout'],
    ['meca run 0x…/thumbnail --input photo.png --out small.png', 'bytes in, bytes out'],
    ['meca run 0x…/nuclei --in image=@slide.png --in threshold=40 --out results', 'files in, files out'],
    ['meca run 0x…/words --max-price 0.001 < input.json', 'never pay more than that'],
  ])
}

function runTask(context: Context, named: string | undefined, flags: RunFlags): Promise<number> {
  return context.withApi(async (api) => {
    const written = flags.taskJson === undefined ? undefined : await openWritten(flags.taskJson, flags)
    const ref = named ?? written?.image
    if (ref === undefined) throw new MecaError('bad_input', 'No task is named', { cure: 'write meca run TASK' })
    if (written !== undefined) await requireSameTemplate(api, ref, written, context.signal)
    const packed = await packedInputs(api, ref, flags, written, context.signal)
    const result = await send(context, api, ref, flags, packed).finally(() => packed?.dispose())
    await showResult(context, api, result, flags.out)
    if (written !== undefined && flags.out === undefined && result.outputBytes > 0) {
      const output = await api.client.output(result.job)
      await placeOutputs((folder) => unpackResult(output, folder), written.outputs)
      context.output.say(`outputs are in ${[...written.outputs.values()].join(', ')}`)
    }
    return exitOf(result, flags.fail === true)
  })
}

async function send(
  context: Context,
  api: NodeApi,
  ref: string,
  flags: RunFlags,
  packed: Packed | undefined,
): Promise<RunResult> {
  if (flags.out !== undefined) await requirePlace(flags.out, packed !== undefined)
  const { input } = packed ?? (await readInput(context.world.terminal, flags, context.signal))
  const options: RunOptions = {
    ...(await quoteOptions(flags, api, ref, context.signal)),
    ...(flags.id === undefined ? {} : { id: flags.id }),
    ...(flags.logs === true ? { logs: true } : {}),
  }
  return context.metered(({ onProgress }) => api.client.run(ref, input, options, onProgress, context.signal))
}

/** Nothing is paid for what has nowhere to go. */
async function requirePlace(out: string, isFiles: boolean): Promise<void> {
  if (isFiles) await requireFolder(out)
  else if (out !== '-') await requireWritable(out)
}

function openWritten(file: string, flags: RunFlags): Promise<TaskJsonJob> {
  if (flags.in === undefined && flags.template === undefined && flags.env === undefined)
    return openTaskJson(file, pairsOf(flags.taskEnv ?? [], '--task-env'), flags.outIpfs === true)
  throw new MecaError('bad_input', 'A task.json says inputs, variables and template itself', {
    cure: 'leave --in, --env and --template away, or write them into the file',
  })
}

async function packedInputs(
  api: NodeApi,
  ref: string,
  flags: RunFlags,
  written: TaskJsonJob | undefined,
  signal: AbortSignal,
): Promise<Packed | undefined> {
  if (written !== undefined) return pack(written.job, written.entries, signal)
  if (hasInputs(flags)) return packInputs(flags, signal)
  if (flags.data !== undefined || flags.input !== undefined) return undefined
  // A files task may need no inputs at all; nothing is waited for on stdin then.
  const { manifest } = await api.developer.show(ref, signal)
  return formatOf(manifest.format).kind === 'files' ? packInputs(flags, signal) : undefined
}

/** The result as `meca run` and `meca job result` show it; `stored` where it was not asked for just now. */
export async function showResult(
  context: Context,
  api: NodeApi,
  result: RunResult,
  out: string | undefined,
  stored = result.replayed,
): Promise<void> {
  if (isFilesResult(result)) {
    await showFiles(context, api, result, out)
    return tell(context, result, stored, await tokensOf(api))
  }
  const { output } = context
  const answered = result.status === 'answered'
  const bytes = answered ? await api.client.output(result.job) : undefined
  const where = out === '-' ? undefined : out
  if (bytes !== undefined && where !== undefined) {
    const outputFile = await toFile(bytes, where, result.job)
    output.result({ json: { ...result, outputFile }, text: '', id: outputFile })
  } else if (output.json) {
    output.result({
      json: bytes === undefined ? result : { ...result, output: await inJson(bytes, result.outputBytes, result.job) },
      text: '',
    })
  } else if (bytes !== undefined) {
    await toStdout(context, bytes)
  }
  tell(context, result, stored, await tokensOf(api))
}

function tell(context: Context, result: RunResult, stored: boolean, tokens: TokenInfo[]): void {
  const { output } = context
  const { price, phases, host, job } = result
  const shown = (amount: string) => money(amount, price.token, tokens)
  if (result.status !== 'answered' && !output.json) output.error(context.explain(failureOf(result)))
  if (result.httpStatus !== undefined && result.httpStatus >= 400)
    output.say(`the task answered with HTTP status ${result.httpStatus}`)
  const cost = `cost ${shown(sum(price.host, price.developer))} (host ${shown(price.host)}, developer ${shown(price.developer)})`
  const times = `${duration(phases.totalMs)} (fetch ${duration(phases.fetchMs)}, start ${duration(phases.startMs)}, run ${duration(phases.runMs)})`
  const how = stored ? 'stored result' : result.warm ? 'warm' : 'cold'
  output.say(output.paint('dim', `${cost} · ${times} · ${how} · host ${host} · job ${job}`))
  context.next(`job ${result.status === 'answered' ? 'show' : 'logs'} ${job}`)
}

const CODES: Record<Exclude<RunResult['status'], 'answered'>, ErrorCode> = {
  task_failed: 'task_failed',
  host_failed: 'start_failed',
  cancelled: 'cancelled',
}

export function exitOf({ status, problem, httpStatus }: RunResult, fail: boolean): number {
  if (status === 'answered') return fail && httpStatus !== undefined && httpStatus >= 400 ? 1 : 0
  return ERRORS[problem?.code ?? CODES[status]].exit
}

export function failureOf({ status, problem, job, host, logTail }: RunResult): MecaError {
  const code = problem?.code ?? (status === 'answered' ? 'internal' : CODES[status])
  return new MecaError(code, problem?.message ?? `Job ${job} ended as ${status} on host ${host}`, {
    cure: problem?.cure ?? `see its logs: meca job logs ${job}`,
    details: { ...problem?.details, ...(logTail === undefined ? {} : { logTail }) },
  })
}
