/** `meca version` (and `meca --version`). */
import type { Command } from 'commander'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addVersion(version: Command, act: Act): void {
  version.action(
    act(async ({ output, world }) => {
      output.result({ json: { version: world.version, node: process.version }, text: world.version })
    }),
  )
  examples(version, [['meca version --json', 'with the version of Node.js']])
}
