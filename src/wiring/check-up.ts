/**
 * What can be examined of a machine where no node runs, or none can: each thing that is missing is a finding with its
 * cure. It needs no password and makes nothing in the home folder.
 */
import { statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { connect } from '../chain/chain.ts'
import { Rpc } from '../chain/rpc.ts'
import type { Config } from '../config.ts'
import { MecaError } from '../core/errors.ts'
import { DockerEngine } from '../engine/docker.ts'
import type { DoctorReport } from '../role/api.ts'
import { readDeployment, requireRpc } from './base.ts'
import { checkEngine, examine, loneCheck, spaceFound } from './doctor.ts'
import type { Found } from './doctor.ts'
import { engineOptions } from './engine.ts'
import { requireWallet, walletAddress } from './keys.ts'

export function checkUp(config: Config, signal: AbortSignal): Promise<DoctorReport> {
  return examine(
    [
      ['wallet', () => checkWallet(config)],
      ['engine', (s) => probe(config, s)],
      ['market', () => checkMarket(config)],
      ['chain', (s) => checkChain(config, s)],
      // Only who has a price is a host.
      ...(config.host.tariffs.length > 0 ? loneCheck(config) : []),
      ['disk', async () => spaceFound(await freeBytes(config.home), config.limits.freeBytes, `for ${config.home}`)],
    ],
    signal,
  )
}

async function checkWallet({ home }: Config): Promise<Found> {
  await requireWallet(home)
  return { level: 'ok', detail: `${await walletAddress(home)} in ${home}` }
}

async function probe(config: Config, signal: AbortSignal): Promise<Found> {
  const engine = new DockerEngine({ owner: `doctor-${process.pid}`, ...engineOptions(config), sidecars: 0 })
  try {
    return await checkEngine(engine, signal)
  } finally {
    await engine.close()
  }
}

async function checkMarket(config: Config): Promise<Found> {
  const { chainId, contracts } = await readDeployment(config)
  return { level: 'ok', detail: `chain ${chainId}, channels at ${contracts.channels}` }
}

/** Without a deployment nothing is known of the chain but that it answers. */
async function checkChain(config: Config, signal: AbortSignal): Promise<Found> {
  const rpc = requireRpc(config)
  const { pollMs, requestTimeoutMs } = config.chain
  const deployment = await readDeployment(config).catch(() => undefined) // the market's own finding says why
  if (deployment === undefined) {
    const id = await new Rpc(rpc, requestTimeoutMs).request('eth_chainId', [], signal)
    return { level: 'ok', detail: `chain ${Number(id)} answers; which contracts are meant is not known` }
  }
  const chain = await connect(rpc, deployment, { signal, pollMs, requestTimeoutMs })
  const { number } = await chain.block(signal)
  return { level: 'ok', detail: `chain ${deployment.chainId} at block ${number}, contracts in place` }
}

/** Of the disk that the home is on, or will be. */
async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder)
    return bavail * bsize
  } catch (cause) {
    if (dirname(folder) !== folder) return freeBytes(dirname(folder))
    throw new MecaError('home_unreadable', 'The free space cannot be told', { cause })
  }
}
