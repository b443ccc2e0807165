/** The market of `meca devnet`: started, told in one line, kept until Ctrl-C. */
import { join } from 'node:path'
import type { MecaError } from '../core/errors.ts'
import type { TokenInfo } from '../role/api-common.ts'
import type { PlayToken } from '../wiring/devnet-token.ts'
import type { Context } from './context.ts'

const EXAMPLE = join(import.meta.dirname, '..', '..', 'examples', 'meca-words')

export async function runDevnet(context: Context, options: { hosts: number; token?: PlayToken }): Promise<void> {
  const { output, world, signal } = context
  const onStep = (step: string, detail?: string) => output.say(detail === undefined ? step : `${step} ${detail}`)
  const devnet = await world.doors.startDevnet({ ...options, signal, onStep })
  try {
    const { chainId, rpc, contracts, token, developer, client, hosts: members, folder } = devnet
    const told = {
      chainId,
      rpc,
      contracts,
      ...(token === undefined ? {} : { token }),
      developer,
      client,
      hosts: members,
    }
    output.result({
      json: told,
      id: folder,
      text: [
        `chain      ${chainId} at ${rpc}`,
        ...(token === undefined ? [] : [`token      ${token.symbol}, ${token.decimals} decimals, ${token.address}`]),
        `developer  ${developer.address}  --home ${developer.home}  ${developer.api}`,
        `client     ${client.address}  --home ${client.home}  ${client.api}`,
        ...members.map((host, i) => `host ${i + 1}     ${host.address}  --home ${host.home}  ${host.api}`),
      ].join('\n'),
    })
    output.say('the market is up; Ctrl-C ends it and leaves nothing behind')
    if (token !== undefined) output.say(`the hosts take ${token.symbol} and ETH: a task says which with --token`)
    output.say(
      `try: meca task publish ${EXAMPLE} --fee ${feeIn(token)} --home ${developer.home}${baseFlag(devnet.base)}`,
    )
    await untilEnd(signal, devnet.lost)
  } finally {
    await devnet.close()
  }
}

/** Without a registry the example's own base image cannot be had; the one made here does as well. */
function baseFlag(base: string | undefined): string {
  return base === undefined ? '' : ` --build-arg BASE=${base}`
}

/** Worth less than the work, as in the chain's own currency. */
function feeIn(token: TokenInfo | undefined): string {
  if (token === undefined) return '1000'
  return token.decimals < 3 ? `1${token.symbol}` : `0.001${token.symbol}`
}

async function untilEnd(signal: AbortSignal, lost: Promise<MecaError>): Promise<void> {
  const asked = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const loss = await Promise.race([asked, lost])
  if (loss !== undefined) throw loss
}
