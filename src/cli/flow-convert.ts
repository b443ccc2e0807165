/** `meca flow convert`: workflows of Borealis and Kaapana, written as ours. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Command } from 'commander'
import { stringify } from 'yaml'
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'
import { fromBorealis, fromKaapana } from '../flow/convert.ts'
import type { Converted } from '../flow/convert.ts'
import type { Context } from './context.ts'
import { collect, examples, pairsOf } from './usage.ts'
import type { Act } from './usage.ts'

type Flags = { from: string; out: string; map?: string[]; taskEnv?: string[] }

export function convertFlow(flow: Command, act: Act): void {
  const convert = flow
    .command('convert <files...>')
    .description('a list of DockerTasks (borealis) or task.json files (kaapana) as a workflow')
    .requiredOption('--from <system>', 'borealis or kaapana')
    .option('--out <folder>', 'where flow.yml goes, and folders of tasks to publish', '.')
    .option('--map <name=task>', 'under which name a task or image is published (repeatable)', collect)
    .option('--task-env <name=value>', 'a variable that a task.json may use (repeatable)', collect)
    .action(act(convertFiles))
  examples(convert, [
    ['meca flow convert workflow.json --from borealis --out wf', 'wf/flow.yml, and a folder to publish for each task'],
    ['meca flow convert a/task.json b/task.json --from kaapana --map segment=0x…/segment', 'channels tie the steps'],
  ])
}

async function convertFiles({ output, next }: Context, files: string[], flags: Flags): Promise<void> {
  const texts = await Promise.all(files.map((file) => textOf(file)))
  const { flow, folders } = converted(files, texts, flags)
  await mkdir(flags.out, { recursive: true })
  const target = join(flags.out, 'flow.yml')
  await writeFile(target, stringify(flow))
  for (const [folder, record] of Object.entries(folders)) {
    await mkdir(join(flags.out, folder), { recursive: true })
    await writeFile(join(flags.out, folder, 'docker-task.json'), record)
  }
  output.result({
    json: { file: target, flow, folders: Object.keys(folders) },
    id: target,
    text: [target, ...Object.keys(folders).map((folder) => join(flags.out, folder, 'docker-task.json'))].join('\n'),
  })
  next(`flow check ${target}`)
}

function converted(files: readonly string[], texts: readonly string[], flags: Flags): Converted {
  const refs = new Map(Object.entries(pairsOf(flags.map ?? [], '--map')))
  if (flags.from === 'kaapana') return fromKaapana(texts, refs, pairsOf(flags.taskEnv ?? [], '--task-env'))
  if (flags.from === 'borealis' && texts.length === 1) return fromBorealis(texts[0] ?? '', files[0] ?? '', refs)
  throw new MecaError('bad_input', `A workflow of ${quote(flags.from)} in ${texts.length} files is not understood`, {
    cure: 'give --from borealis with one file, or --from kaapana with its task.json files',
  })
}

function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MecaError('bad_input', `The file ${file} cannot be read`, {
      cause,
      cure: 'check its name and permissions',
    })
  })
}
