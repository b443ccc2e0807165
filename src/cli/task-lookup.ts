/** `meca task list`, `show` and `versions`: what is published. */
import type { Command } from 'commander'
import { parseAddress } from '../core/units.ts'
import { printable } from '../core/text.ts'
import type { Parameter } from '../task/format.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { TaskSummary } from '../role/api-developer.ts'
import { money } from './amounts.ts'
import { tokensOf } from './context.ts'
import type { Context } from './context.ts'
import { facts, resources, size, table } from './render.ts'
import { examples, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

export function addLookUp(task: Command, act: Act): void {
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
        return context.withApi(async (api) =>
          showTasks(context, await api.developer.list(options, context.signal), await tokensOf(api)),
        )
      }),
    )
  examples(list, [['meca task list --developer 0x…', "one developer's tasks"]])
  const versions = task
    .command('versions <task>')
    .description('all versions of a task, newest first')
    .action(
      act((context, ref: string) =>
        context.withApi(async (api) =>
          showTasks(context, await api.developer.versions(ref, context.signal), await tokensOf(api)),
        ),
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
        ...details.image.map(({ name, value }): [string, string] => [name, value]),
        ['takes', details.parameters && parametersText(details.parameters)],
      ]),
    })
    context.next(`quote ${ref}`)
  })
}

/** One line for each thing that may be given or will come out. */
function parametersText(parameters: readonly Parameter[]): string {
  return parameters
    .map(({ name, side, kind, required, default: preset, choices, description }) => {
      const notes = [
        kind,
        neededNote(side, required, preset),
        preset === undefined ? undefined : `default ${preset}`,
        choices === undefined || choices.length === 0 ? undefined : `one of ${choices.join(', ')}`,
      ].filter((note) => note !== undefined)
      const about = description === undefined || description === '' ? '' : `: ${description}`
      return printable(`${side} ${name} (${notes.join('; ')})${about}`).slice(0, 300)
    })
    .join('\n')
}

/** What has a default may be left out, and says so by it. */
function neededNote(side: Parameter['side'], required: boolean, preset?: string): string | undefined {
  if (side !== 'input') return undefined
  return required ? 'required' : preset === undefined ? 'optional' : undefined
}

function showTasks({ output }: Context, tasks: readonly TaskSummary[], tokens: TokenInfo[]): void {
  const feeOf = ({ fee, token }: TaskSummary) => money(fee, token, tokens)
  const rows = tasks.map((t) => [`${t.developer}/${t.name}`, t.version, feeOf(t), t.cid, t.retired ? 'retired' : ''])
  output.result({
    json: tasks,
    id: tasks.map(({ cid }) => cid).join('\n'),
    text: tasks.length === 0 ? '' : table(['TASK', 'VERSION', 'FEE', 'CID', ''], rows),
  })
  if (tasks.length === 0) output.say('no tasks are published; publish one with: meca task publish DIR --fee 1000')
}
