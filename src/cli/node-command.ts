/** `meca node`: a daemon for clients and developers, so that commands and programs share one node. */
import type { Command } from 'commander'
import { addDaemon } from './daemon.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addNode(node: Command, act: Act): void {
  examples(node, [['meca node start', 'until Ctrl-C']])
  addDaemon(node, act, 'node')
}
