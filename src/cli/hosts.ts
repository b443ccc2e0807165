/** `meca hosts`: who rents out hardware, as this node heard it. */
import type { Command } from 'commander'
import type { TokenInfo } from '../role/api-common.ts'
import type { HostSummary } from '../role/api-client.ts'
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
          const [all, { address, tokens }] = await Promise.all([api.client.hosts(), api.info()])
          const text =
            all.length === 0
              ? ''
              : table(
                  ['HOST', 'FREE', 'OF', 'TAKES', 'SANDBOX', 'IMAGES', 'HEARD', 'REGISTERED'],
                  all.map((host) => rowOf(host, address, tokens)),
                )
          context.output.result({ json: all, id: all.map(({ host }) => host).join('\n'), text })
          if (all.length === 0) context.output.say('no host was heard; is p2p.bootstrap set? see: meca doctor')
        }),
      ),
    )
  examples(list, [['meca hosts list', 'with what is free, and when they were last heard']])
}

/** Nobody hears itself, and of a host that is only registered nothing else is known. */
function rowOf(
  { host, heardMsAgo, registered, ...offer }: HostSummary,
  self: string,
  tokens: readonly TokenInfo[],
): string[] {
  const heard = host === self ? 'this host' : ago(heardMsAgo)
  const takes = offer.tariffs.map(({ token }) => tokens.find((t) => t.address === token)?.symbol ?? token)
  const known =
    heardMsAgo === null
      ? ['-', '-', '-', '-', '-']
      : [
          resources(offer.free),
          resources(offer.total),
          takes.join(' '),
          offer.runtimes.join(' '),
          String(offer.images.length),
        ]
  return [host, ...known, heard, registered ? 'yes' : 'no']
}
