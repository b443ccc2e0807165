/** The market of `meca devnet`: started, told in one line, kept until Ctrl-C. */
import { join } from 'node:path'
import type { MecaError } from '../core/errors.ts'
import type { Context } from './context.ts'

const EXAMPLE = join(import.meta.dirname, '..', '..', 'examples', 'meca-words')

export async function runDevnet(context: Context, { hosts }: { hosts: number }): Promise<void> {
  const { output, world, signal } = context
  const onStep = (step: string, detail?: string) => output.say(detail === undefined ? step : `${step} ${detail}`)
  const devnet = await world.doors.startDevnet({ hosts, signal, onStep })
  try {
    const { chainId, rpc, contracts, developer, client, hosts: members, folder } = devnet
    const told = { chainId, rpc, contracts, developer, client, hosts: members }
    output.result({
      json: told,
      id: folder,
      text: [
        `chain      ${chainId} at ${rpc}`,
        `developer  ${developer.address}  --home ${developer.home}  ${developer.api}`,
        `client     ${client.address}  --home ${client.home}  ${client.api}`,
        ...members.map((host, i) => `host ${i + 1}     ${host.address}  --home ${host.home}  ${host.api}`),
      ].join('\n'),
    })
    output.say('the market is up; Ctrl-C ends it and leaves nothing behind')
    output.say(`try: meca task publish ${EXAMPLE} --fee 1000 --home ${developer.home}${baseFlag(devnet.base)}`)
    await untilEnd(signal, devnet.lost)
  } finally {
    await devnet.close()
  }
}

/** Without a registry the example's own base image cannot be had; the one made here does as well. */
function baseFlag(base: string | undefined): string {
  return base === undefined ? '' : ` --build-arg BASE=${base}`
}

async function untilEnd(signal: AbortSignal, lost: Promise<MecaError>): Promise<void> {
  const asked = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const loss = await Promise.race([asked, lost])
  if (loss !== undefined) throw loss
}
