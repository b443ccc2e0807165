/** `meca node`: a daemon for clients and developers, so that commands and programs share one node. */
import type { Command } from 'commander'
import { addDaemon } from './daemon.ts'
import type { Act } from './usage.ts'

export function addNode(program: Command, act: Act): void {
  addDaemon(program.command('node').description('keep this node running, with its API'), act, 'node')
}
