/** `meca job`: what this node ran as a client. */
import type { Command } from 'commander'
import { MecaError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { JobDetails, JobSummary } from '../role/api-client.ts'
import { money, sum } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { refusalsText } from './quote.ts'
import { ago, date, duration, facts, table } from './render.ts'
import { exitOf, showResult } from './run.ts'
import { examples, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

export function addJob(job: Command, act: Act): void {
  examples(job, [
    ['meca job list', 'the last jobs'],
    ['meca job why j-1', 'why this host and not another'],
  ])
  const list = job
    .command('list')
    .description('newest first')
    .option('--limit <n>', 'at most so many', '20')
    .action(act((context, { limit }: { limit: string }) => listJobs(context, wholeOf(limit, '--limit', 1000))))
  examples(list, [['meca job list --limit 5', 'the last five']])
  const verbs: [string, string, (context: Context, details: JobDetails, tokens: TokenInfo[]) => void][] = [
    ['show', 'its state, price, times and hashes', showJob],
    ['logs', 'what it printed', showLogs],
    ['why', 'why this host, and why not the others', showWhy],
  ]
  for (const [verb, what, show] of verbs) {
    const command = job.command(`${verb} <job>`).description(what)
    command.action(
      act((context, id: string) =>
        context.withApi(async (api) => show(context, await api.client.job(id), await tokensOf(api))),
      ),
    )
    examples(command, [[`meca job ${verb} j-1`, what]])
  }
  addResult(job, act)
  const cancel = job
    .command('cancel <job>')
    .description('end a job that is under way')
    .action(
      act((context, id: string) =>
        context.withApi(async (api) => {
          await api.client.cancel(id)
          context.output.result({ json: { job: id, cancelled: true }, id, text: `job ${id} is being cancelled` })
        }),
      ),
    )
  examples(cancel, [['meca job cancel j-1', 'only what ran so far is billed']])
}

function addResult(job: Command, act: Act): void {
  const result = job
    .command('result <job>')
    .description('its answer once more; costs nothing')
    .option('--out <path>', 'write the answer to this file, or the outputs of a files task into this folder')
    .action(
      act((context, id: string, { out }: { out?: string }) =>
        context.withApi(async (api) => {
          const { result: ended, problem, state } = await api.client.job(id)
          if (ended === undefined) {
            throw new MecaError(
              problem?.code ?? 'not_found',
              problem?.message ?? `Job ${id} has no result, it is ${state}`,
              {
                cure: problem?.cure ?? `look at it: meca job show ${id}`,
              },
            )
          }
          await showResult(context, api, ended, out, true)
          return exitOf(ended, false)
        }),
      ),
    )
  examples(result, [['meca job result j-1 --out answer.json', 'into a file']])
}

function listJobs(context: Context, limit: number): Promise<void> {
  return context.withApi(async (api) => {
    const [jobs, tokens] = [await api.client.jobs({ limit }), await tokensOf(api)]
    const rows = jobs.map((j) => [j.job, j.name, stateOf(j), costOf(j, tokens), date(j.createdAt) ?? '', j.host ?? '-'])
    context.output.result({
      json: jobs,
      id: jobs.map(({ job }) => job).join('\n'),
      text: jobs.length === 0 ? '' : table(['JOB', 'TASK', 'STATE', 'COST', 'AT (UTC)', 'HOST'], rows),
    })
    if (jobs.length === 0) context.output.say('no jobs yet; run one with: meca run TASK --data …')
  })
}

/** A phase is what it is in now, or where nobody follows it any more, what its host said last. */
export function stateOf({ state, underWay }: Pick<JobSummary, 'state' | 'underWay'>, now = Date.now()): string {
  if (underWay === undefined || underWay.isFollowed) return state
  return `${state}, heard ${ago(Math.max(0, now - underWay.since))}`
}

function costOf({ price }: JobSummary, tokens: TokenInfo[]): string {
  return money(sum(price.host, price.developer), price.token, tokens)
}

function showJob({ output }: Context, details: JobDetails, tokens: TokenInfo[]): void {
  const { result, problem, price } = details
  const phases = result?.phases
  output.result({
    json: details,
    id: details.job,
    text: facts([
      ['job', details.job],
      ['task', `${details.name} ${details.task}`],
      ['state', stateOf(details)],
      ['host', details.host ?? 'none'],
      ['cost', `${costOf(details, tokens)} (quoted ${money(price.quoted, price.token, tokens)})`],
      ['at (UTC)', [date(details.createdAt), date(details.endedAt)].filter((text) => text !== undefined).join(' to ')],
      [
        'times',
        phases &&
          Object.entries(phases)
            .map(([name, ms]) => `${name.replace(/Ms$/, '')} ${duration(ms)}`)
            .join(', '),
      ],
      ['HTTP', result?.httpStatus?.toString()],
      ['exit code', result?.exitCode?.toString()],
      ['input', result?.inputHash],
      ['output', result && `${result.outputHash} (${result.outputBytes} bytes)`],
      [
        'problem',
        problem && `${problem.code}: ${problem.message}${problem.cure === undefined ? '' : `\ndo: ${problem.cure}`}`,
      ],
    ]),
  })
}

function showLogs({ output }: Context, { job, logs }: JobDetails): void {
  output.result({ json: { job, logs }, text: logs.map(({ text }) => printable(text)).join('\n') })
  if (logs.length === 0) output.say('it printed nothing')
}

function showWhy({ output }: Context, { job, why, host, price }: JobDetails, tokens: TokenInfo[]): void {
  const { chosen, refusals } = why
  const reason =
    chosen === undefined
      ? host === null
        ? 'no host was chosen'
        : `${host} was chosen`
      : `${chosen.host} was chosen: at most ${money(chosen.total, price.token, tokens)}, image ${chosen.imageAtHand ? 'at hand' : 'to be fetched'}, channel ${chosen.channelOpen ? 'open' : 'to be opened'}`
  output.result({ json: { job, ...why }, text: `${reason}\n${refusalsText(refusals)}` })
}
