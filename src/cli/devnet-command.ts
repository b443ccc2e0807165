/** `meca devnet`: a whole market on this machine; its processes are the business of devnet.ts. */
import type { Command } from 'commander'
import { examples, wholeOf } from './usage.ts'
import type { Act } from './usage.ts'

export function addDevnet(devnet: Command, act: Act): void {
  devnet.option('--hosts <n>', 'how many hosts', '2').action(
    act(async (context, { hosts }: { hosts: string }) => {
      const { runDevnet } = await import('./devnet.ts')
      await runDevnet(context, { hosts: wholeOf(hosts, '--hosts', 16) })
    }),
  )
  examples(devnet, [
    ['meca devnet', 'Ctrl-C ends it and leaves nothing behind'],
    ['meca devnet --hosts 3 --json', 'one line when the market is ready: who lives where'],
  ])
}
