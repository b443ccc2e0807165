/** `meca task`: the developer's path from a folder to a published task. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { parseAddress } from '../core/units.ts'
import type { CheckReport, PublishOptions, TaskSummary } from '../role/api.ts'
import { AMOUNT_HELP, money, readAmount } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { readInput } from './input.ts'
import { textOfOutput } from './output-text.ts'
import { duration, facts, resources, size, table } from './render.ts'
import { initTask, TEMPLATES } from './task-init.ts'
import { collect, examples, pairsOf, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

export function addTask(task: Command, act: Act): void {
  examples(task, [
    ['meca task init words --template node', 'a working task to start from'],
    ['meca task test words', 'run its example as a host would'],
    ['meca task publish words --fee 1000', 'offer it to everybody'],
  ])
  addInit(task, act)
  addCheck(task, act)
  addTest(task, act)
  addPublish(task, act)
  addLookUp(task, act)
}

function addInit(task: Command, act: Act): void {
  const init = task
    .command('init <dir>')
    .description('write a working task to start from')
    .option('--format <format>', 'the container contract it follows', 'meca')
    .option('--template <name>', TEMPLATES.join(', '), 'node')
    .action(
      act((context, dir: string, options: { format: string; template: string }) => initTask(context, dir, options)),
    )
  examples(init, [
    ['meca task init words', 'a task in JavaScript'],
    ['meca task init words --template python', 'one in Python (Flask)'],
  ])
}

function addCheck(task: Command, act: Act): void {
  const check = task
    .command('check <dir>')
    .description('find what is wrong in a task folder, without building it')
    .option('--format <format>', 'where the folder fits several')
    .action(
      act((context, dir: string, options: { format?: string }) =>
        context.withBench(async (bench) => {
          const report = await bench.check(resolve(dir), options)
          context.output.result({ json: report, text: findingsText(report) })
          if (report.ok) context.next(`task test ${dir}`)
          return report.ok ? 0 : 2
        }),
      ),
    )
  examples(check, [['meca task check words', 'every finding at once, each with its cure']])
}

type TestFlags = { format?: string; buildArg?: string[]; data?: string; input?: string }

function addTest(task: Command, act: Act): void {
  const test = task
    .command('test <dir>')
    .description("build the task and run its example with a host's own limits and walls")
    .option('--format <format>', 'where the folder fits several')
    .option('--build-arg <name=value>', 'for the Dockerfile (repeatable)', collect)
    .option('--data <text>', 'an input of your own instead of the example')
    .option('--input <file>', 'the same from a file')
    .action(act(testTask))
  examples(test, [
    ['meca task test words', 'run example_input.bin, compare with example_output.bin'],
    [`meca task test words --data '{"text": "hi"}'`, 'run another input'],
  ])
}

function testTask(context: Context, dir: string, flags: TestFlags): Promise<number> {
  return context.withBench(async (bench) => {
    const given =
      flags.data === undefined && flags.input === undefined
        ? undefined
        : await readInput(context.world.terminal, flags, context.signal)
    const options = {
      ...formatOf(flags),
      buildArgs: pairsOf(flags.buildArg ?? [], '--build-arg'),
      ...(given === undefined ? {} : { input: await given.bytes() }),
    }
    const report = await context.metered(({ onProgress }) =>
      bench.test(resolve(dir), options, onProgress, context.signal),
    )
    const same = report.sameAsExample
    context.output.result({
      json: report,
      text: facts([
        ['result', report.ok ? context.output.paint('green', 'works') : context.output.paint('red', 'does not work')],
        ['findings', findingsText(report)],
        ['needs', resources(report.resources)],
        [
          'times',
          `build ${duration(report.buildMs)}, start ${duration(report.startMs)}, run ${duration(report.runMs)}`,
        ],
        ['HTTP', report.httpStatus?.toString()],
        ['output', textOfOutput(report.output)],
        ['expected', same === false && report.expected !== undefined ? textOfOutput(report.expected) : undefined],
        ['as in the example', same === undefined ? undefined : same ? 'yes' : 'no'],
        ['logs', report.ok ? undefined : report.logTail],
      ]),
    })
    if (report.ok) context.next(`task publish ${dir} --fee 1000`)
    return report.ok ? 0 : 1
  })
}

type PublishFlags = {
  fee: string
  token?: string
  name?: string
  version?: string
  format?: string
  payee?: string
  determinism?: 'exact' | 'none'
  buildArg?: string[]
  test: boolean
}

function addPublish(task: Command, act: Act): void {
  const publish = task
    .command('publish <dir>')
    .description('build, pack, put on IPFS and register a task')
    .requiredOption('--fee <amount>', `what you earn for each run: ${AMOUNT_HELP}`)
    .option('--token <address>', "the fee's token; the market's own where absent")
    .option('--name <name>', "instead of the folder's own name")
    .option('--version <version>', 'of this package, like 1.2.0')
    .option('--format <format>', 'where the folder fits several')
    .option('--payee <address>', 'who gets the fee; you where absent')
    .option('--determinism <kind>', 'exact (the same input gives the same bytes) or none')
    .option('--build-arg <name=value>', 'for the Dockerfile (repeatable)', collect)
    .option('--no-test', 'do not run the example first')
    .action(act(publishTask))
  examples(publish, [
    ['meca task publish words --fee 1000', 'a thousand of the smallest unit a run'],
    ['meca task publish words --fee 0.0001ETH --version 1.1.0', 'a new version; unchanged layers cost nothing'],
  ])
}

function publishTask(context: Context, dir: string, flags: PublishFlags): Promise<void> {
  return context.withApi(async (api) => {
    const fee = await readAmount(flags.fee, '--fee', async () => (await api.info()).token)
    const options: PublishOptions = {
      fee,
      ...formatOf(flags),
      ...(flags.token === undefined ? {} : { token: parseAddress(flags.token, '--token') }),
      ...(flags.payee === undefined ? {} : { payee: parseAddress(flags.payee, '--payee') }),
      ...(flags.name === undefined ? {} : { name: flags.name }),
      ...(flags.version === undefined ? {} : { version: flags.version }),
      ...(flags.determinism === undefined ? {} : { determinism: flags.determinism }),
      ...(flags.test ? {} : { skipTest: true }),
      buildArgs: pairsOf(flags.buildArg ?? [], '--build-arg'),
    }
    const done = await context.metered(({ onProgress }) =>
      api.developer.publish(resolve(dir), options, onProgress, context.signal),
    )
    const ref = `${done.developer}/${done.name}`
    context.output.result({
      json: done,
      id: done.cid,
      text: facts([
        ['published', `${ref}@${done.version}`],
        ['cid', done.cid],
        ['fee', money(done.fee, done.token, await tokensOf(api))],
        ['bytes', `${size(done.bytes)}, ${size(done.newBytes)} of them new`],
        ['transaction', `${done.tx} (${done.gas} gas)`],
      ]),
    })
    context.next(`quote ${ref}`)
  })
}

function addLookUp(task: Command, act: Act): void {
  const list = task
    .command('list')
    .description('published tasks, newest first')
    .option('--developer <address>', 'of one developer')
    .option('--limit <n>', 'at most so many', '50')
    .action(
      act((context, flags: { developer?: string; limit: string }) => {
        const developer =
          flags.developer === undefined ? {} : { developer: parseAddress(flags.developer, '--developer') }
        const options = { ...developer, limit: wholeOf(flags.limit, '--limit', 1000) }
        return context.withApi(async (api) => showTasks(context, await api.developer.list(options, context.signal)))
      }),
    )
  examples(list, [['meca task list --developer 0x…', "one developer's tasks"]])
  const versions = task
    .command('versions <task>')
    .description('all versions of a task, newest first')
    .action(
      act((context, ref: string) =>
        context.withApi(async (api) => showTasks(context, await api.developer.versions(ref, context.signal))),
      ),
    )
  examples(versions, [['meca task versions 0x…/words', 'its history']])
  const show = task.command('show <task>').description('one task: what it does, needs and costs').action(act(showTask))
  examples(show, [
    ['meca task show 0x…/words', 'the latest version'],
    ['meca task show 0x…/words@1.0.0', 'one version'],
  ])
}

function showTask(context: Context, ref: string): Promise<void> {
  return context.withApi(async (api) => {
    const details = await api.developer.show(ref, context.signal)
    const { manifest } = details
    context.output.result({
      json: details,
      id: details.cid,
      text: facts([
        ['task', `${details.developer}/${details.name}@${details.version}${details.retired ? ' (retired)' : ''}`],
        ['title', manifest.title],
        ['about', manifest.description],
        ['cid', details.cid],
        ['format', manifest.format],
        ['fee', money(details.fee, details.token, await tokensOf(api))],
        ['needs', resources(manifest.resources)],
        ['image', `${manifest.image.platform}, ${size(manifest.image.bytes)}${details.atHand ? ', at hand' : ''}`],
      ]),
    })
    context.next(`quote ${ref}`)
  })
}

function showTasks({ output }: Context, tasks: readonly TaskSummary[]): void {
  const rows = tasks.map((t) => [`${t.developer}/${t.name}`, t.version, t.fee, t.cid, t.retired ? 'retired' : ''])
  output.result({
    json: tasks,
    id: tasks.map(({ cid }) => cid).join('\n'),
    text: tasks.length === 0 ? '' : table(['TASK', 'VERSION', 'FEE', 'CID', ''], rows),
  })
  if (tasks.length === 0) output.say('no tasks are published; publish one with: meca task publish DIR --fee 1000')
}

function findingsText({ findings, format }: Pick<CheckReport, 'findings' | 'format'>): string {
  if (findings.length === 0) return `no findings (format ${format})`
  return findings.map(({ level, where, what, cure }) => `${level}: ${where}: ${what}\n  do: ${cure}`).join('\n')
}

function formatOf({ format }: { format?: string }): { format?: string } {
  return format === undefined ? {} : { format }
}
