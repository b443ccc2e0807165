/** `meca flow`: workflows of tasks over the market, resumed where they were left. */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import { readFlow } from '../flow/flow.ts'
import type { Flow } from '../flow/flow.ts'
import { runFlow } from '../flow/run.ts'
import type { StepReport } from '../flow/run.ts'
import { money, sum } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { convertFlow } from './flow-convert.ts'
import { openState } from './flow-state.ts'
import { stepRunner } from './flow-step.ts'
import { duration, table } from './render.ts'
import { examples, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

type RunFlags = { out: string; id?: string; atOnce: string }

export function addFlow(flow: Command, act: Act): void {
  const run = flow
    .command('run <file>')
    .description('run its steps, what can run at once at once; started again it goes on where it was')
    .option('--out <folder>', 'where outputs go, a folder for each step, and what is needed to go on', 'flow-out')
    .option('--id <name>', 'name the run instead of finding it by its folder')
    .option('--at-once <n>', 'steps under way at most', '8')
    .action(act(runFile))
  examples(run, [
    ['meca flow run pipeline.yml --out results', 'every step on whatever host fits'],
    ['meca flow run pipeline.yml --out results', 'the same again: what is done is not paid again'],
  ])
  const check = flow
    .command('check <file>')
    .description('read it and say in which order its steps would run; nothing is paid')
    .action(act(checkFile))
  examples(check, [['meca flow check pipeline.yml', 'every fault with its line']])
  convertFlow(flow, act)
}

async function openFlow(file: string): Promise<Flow> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MecaError('bad_input', `The file ${file} cannot be read`, {
      cause,
      cure: 'check its name and permissions',
    })
  })
  return readFlow(text, file)
}

async function checkFile({ output }: Context, file: string): Promise<void> {
  const { name, steps } = await openFlow(file)
  output.result({
    json: { flow: name, steps: steps.map(({ name: step, task }) => ({ step, task })) },
    text: table(
      ['STEP', 'TASK', 'READS FROM'],
      steps.map((step) => [
        step.name,
        step.task,
        [...step.inputs.values()].flatMap((i) => (i.kind === 'output' ? [`${i.step}.${i.output}`] : [])).join(', '),
      ]),
    ),
  })
}

function runFile(context: Context, file: string, flags: RunFlags): Promise<number> {
  return context.withApi(async (api) => {
    const flow = await openFlow(file)
    const out = resolve(flags.out)
    const { state, save } = await openState(out, flags.id)
    const reports = await context.metered(async ({ onProgress }) => {
      const parts = {
        runStep: stepRunner({ api, flow, out, base: dirname(resolve(file)), state, save, context }),
        atOnce: wholeOf(flags.atOnce, '--at-once', 64),
        onState: ({ step, state: now, problem }: StepReport) =>
          onProgress({ kind: 'step', step, detail: problem === undefined ? now : `${now}: ${problem.message}` }),
      }
      return runFlow(flow, parts, context.signal)
    })
    const ok = reports.every((report) => report.state === 'done')
    const tokens = await tokensOf(api)
    context.output.result({
      json: { flow: flow.name, id: state.id, ok, out, steps: reports },
      id: out,
      text: table(
        ['STEP', 'STATE', 'COST', 'TIME', 'JOB', ''],
        reports.map(({ step, state: ended, result, problem, folder }) => [
          step,
          ended,
          result === undefined
            ? '-'
            : money(sum(result.price.host, result.price.developer), result.price.token, tokens),
          result === undefined ? '-' : duration(result.phases.totalMs),
          result?.job ?? '-',
          problem?.message ?? folder ?? '',
        ]),
      ),
    })
    if (!ok) context.next(`flow run ${file} --out ${flags.out}`)
    return ok ? 0 : 1
  })
}

/** The same step with the same inputs has the same job, whichever run of the command asks for it. */
export function stepJobId(run: string, step: string, inputHash: string, attempt: number): string {
  const mark = createHash('sha256').update(`${step}\n${inputHash}\n${attempt}`).digest('hex').slice(0, 16)
  return `${run.slice(0, 20)}.${step.slice(0, 24)}.${mark}`
}
