/** `meca task`: the developer's path from a folder to a published task. */
import type { Command } from 'commander'
import type { CheckReport } from '../role/api-developer.ts'
import type { Context } from './context.ts'
import { imageOf, placeOf, readInput } from './input.ts'
import { textOfOutput } from './output-text.ts'
import { duration, facts, resources, size } from './render.ts'
import { initTask, TEMPLATE_HELP } from './task-init.ts'
import { addLookUp } from './task-lookup.ts'
import { addPublish } from './task-publish.ts'
import { collect, examples, pairsOf } from './usage.ts'
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
    .option('--template <name>', TEMPLATE_HELP)
    .action(
      act((context, dir: string, options: { format: string; template?: string }) => initTask(context, dir, options)),
    )
  examples(init, [
    ['meca task init words', 'a task in JavaScript'],
    ['meca task init words --template python', 'one in Python (Flask)'],
    ['meca task init nuclei --format cytomine', 'a Cytomine task; also kaapana and borealis'],
  ])
}

function addCheck(task: Command, act: Act): void {
  const check = task
    .command('check <dir>')
    .description('find what is wrong in a task folder, without building it')
    .option('--format <format>', 'where the folder fits several')
    .option('--image <image>', 'an archive or an image of the local engine, instead of what the folder would give')
    .action(
      act((context, dir: string, options: { format?: string; image?: string }) =>
        context.withBench(async (bench) => {
          const report = await bench.check(placeOf(dir), originOf(options), context.signal)
          context.output.result({ json: report, text: findingsText(report) })
          if (report.ok) context.next(`task test ${dir}`)
          return report.ok ? 0 : 2
        }),
      ),
    )
  examples(check, [['meca task check words', 'every finding at once, each with its cure']])
}

type TestFlags = { format?: string; image?: string; buildArg?: string[]; data?: string; input?: string }

function addTest(task: Command, act: Act): void {
  const test = task
    .command('test <dir>')
    .description("build the task and run its example with a host's own limits and walls")
    .option('--format <format>', 'where the folder fits several')
    .option('--image <image>', 'an archive or an image of the local engine, instead of what the folder would give')
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
      ...originOf(flags),
      buildArgs: pairsOf(flags.buildArg ?? [], '--build-arg'),
      ...(given === undefined ? {} : { input: await given.bytes() }),
    }
    const report = await context.metered(({ onProgress }) =>
      bench.test(placeOf(dir), options, onProgress, context.signal),
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
        ['exit code', report.exitCode?.toString()],
        ['output', report.output === undefined ? undefined : textOfOutput(report.output)],
        ['outputs', report.outputs?.map(({ path, bytes }) => `${path} (${size(bytes)})`).join(', ')],
        ['problem', report.problem],
        ['warnings', report.warnings?.join('; ')],
        ['expected', same === false && report.expected !== undefined ? textOfOutput(report.expected) : undefined],
        ['as in the example', same === undefined ? undefined : same ? 'yes' : 'no'],
        ['logs', report.ok ? undefined : report.logTail],
      ]),
    })
    const again = (flags.buildArg ?? []).map((pair) => ` --build-arg ${pair}`).join('')
    if (report.ok) context.next(`task publish ${dir} --fee 1000${again}`)
    return report.ok ? 0 : 1
  })
}

function findingsText({ findings, format }: Pick<CheckReport, 'findings' | 'format'>): string {
  if (findings.length === 0) return `no findings (format ${format})`
  return findings.map(({ level, where, what, cure }) => `${level}: ${where}: ${what}\n  do: ${cure}`).join('\n')
}

function originOf({ format, image }: { format?: string; image?: string }): { format?: string; image?: string } {
  return { ...(format === undefined ? {} : { format }), ...(image === undefined ? {} : { image: imageOf(image) }) }
}
