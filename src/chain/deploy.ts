/** Brings the contracts to a chain that has none. Whoever deploys keeps no power over them. */
import { AbiCoder, getCreateAddress } from 'ethers'
import { MecaError } from '../core/errors.ts'
import type { Signer } from '../core/signature.ts'
import type { Hex } from '../core/units.ts'
import { NATIVE } from '../core/units.ts'
import { channelsBytecode, devTokenBytecode, hostsBytecode, tasksBytecode } from './abi.ts'
import { Chain } from './chain.ts'
import type { ChainOptions, Deployment } from './chain.ts'
import { Wallet } from './wallet.ts'

/** `tokenSupply`: also deploys the market's own token (6 decimals) and gives it all to the deployer. */
export type DeployOptions = ChainOptions & { tokenSupply?: bigint }

/** Throws `chain_unreachable`, `insufficient_funds` or `chain_refused`. The key must send nothing else meanwhile. */
export async function deploy(rpcUrl: string, deployer: Signer, options: DeployOptions): Promise<Deployment> {
  const { signal } = options
  const nowhere = { tasks: NATIVE, hosts: NATIVE, channels: NATIVE } as const
  const asker = new Chain(rpcUrl, { chainId: 0, contracts: nowhere }, options)
  const chainId = await asker.chainId(signal)
  const wallet = new Wallet(new Chain(rpcUrl, { chainId, contracts: nowhere }, options), deployer, forgetful())
  const make = async (what: string, code: Hex, types: readonly string[], args: readonly unknown[]): Promise<Hex> => {
    const data = (code + AbiCoder.defaultAbiCoder().encode(types, args).slice(2)) as Hex
    const { contract } = await wallet.send({ data }, `deploy ${what}`, signal)
    if (contract === undefined) throw new MecaError('chain_unreachable', `The chain names no address for ${what}`)
    return contract
  }

  const tasks = await make('Tasks', tasksBytecode, [], [])
  // Hosts and Channels name each other, so the address of the second is foretold; its constructor checks it.
  const nonce = await asker.transactionCount(deployer.address, 'pending', signal)
  const foretold = getCreateAddress({ from: deployer.address, nonce: nonce + 1 })
  const hosts = await make('Hosts', hostsBytecode, ['address'], [foretold])
  const channels = await make('Channels', channelsBytecode, ['address', 'address'], [tasks, hosts])
  if (options.tokenSupply === undefined) return { chainId, contracts: { tasks, hosts, channels } }
  const token = await make('DevToken', devTokenBytecode, ['uint256'], [options.tokenSupply])
  return { chainId, contracts: { tasks, hosts, channels }, token }
}

/** A deployment that breaks off is begun anew, so there is nothing to take up again. */
function forgetful() {
  return { put: async () => {}, list: async () => [], remove: async () => {} }
}
