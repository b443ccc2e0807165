/** `meca config`: every setting, its value, where that came from and what it hid. */
import type { Command } from 'commander'
import type { Explained } from '../config.ts'
import type { Context } from './context.ts'
import { toJson } from './output.ts'
import { table } from './render.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addConfig(config: Command, act: Act): void {
  examples(config, [['meca config explain', 'every setting, its value and its origin']])
  const explain = config
    .command('explain [key]')
    .description('one setting or all: value, origin, and what it hid')
    .action(act(explainAll))
  examples(explain, [
    ['meca config explain', 'all of them'],
    ['meca config explain chain.rpc', 'one, with what it hid'],
  ])
}

async function explainAll(context: Context, key: string | undefined): Promise<void> {
  const loaded = await context.settings()
  const all = loaded.explain(key)
  context.output.result({ json: all, text: table(['SETTING', 'VALUE', 'FROM', 'HID'], all.map(rowOf)) })
}

function rowOf({ key, value, origin, hidden }: Explained): string[] {
  const shown = (part: unknown) => (part === undefined ? '-' : typeof part === 'string' ? part : toJson(part))
  return [key, shown(value), origin, hidden.map((other) => `${shown(other.value)} (${other.origin})`).join(', ')]
}
