/** `meca hosts`: who rents out hardware, as this node heard it. */
import type { Command } from 'commander'
import type { HostSummary } from '../role/api.ts'
import { ago, resources, table } from './render.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'

export function addHosts(hosts: Command, act: Act): void {
  examples(hosts, [['meca hosts list', 'who is there']])
  const list = hosts
    .command('list')
    .description('hosts heard of by their offers, or registered on the chain')
    .action(
      act((context) =>
        context.withApi(async (api) => {
          const all = await api.client.hosts()
          const text =
            all.length === 0
              ? ''
              : table(['HOST', 'FREE', 'OF', 'SANDBOX', 'IMAGES', 'HEARD', 'REGISTERED'], all.map(rowOf))
          context.output.result({ json: all, id: all.map(({ host }) => host).join('\n'), text })
          if (all.length === 0) context.output.say('no host was heard; is p2p.bootstrap set? see: meca doctor')
        }),
      ),
    )
  examples(list, [['meca hosts list', 'with what is free, and when they were last heard']])
}

function rowOf({ host, free, total, runtimes, images, heardMsAgo, registered }: HostSummary): string[] {
  const sandbox = runtimes.join(' ')
  return [
    host,
    resources(free),
    resources(total),
    sandbox,
    String(images.length),
    ago(heardMsAgo),
    registered ? 'yes' : 'no',
  ]
}
