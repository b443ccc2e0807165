/** Brings the contracts to a chain that has none. Whoever deploys keeps no power over them. */
import { AbiCoder, getCreateAddress } from 'ethers'
import { MecaError } from '../core/errors.ts'
import type { Signer } from '../core/signature.ts'
import type { Hex } from '../core/units.ts'
import { NATIVE } from '../core/units.ts'
import { channelsBytecode, devTokenBytecode, hostsBytecode, tasksBytecode } from './abi.ts'
import { Chain } from './chain.ts'
import type { ChainOptions, Deployment } from './chain.ts'
import { Token } from './token.ts'
import { Wallet } from './wallet.ts'

/** A token for play, with permit: the deployer gets all of it and gives the shares. Amounts in its smallest unit. */
export type NewToken = {
  name: string
  symbol: string
  decimals: number
  supply: bigint
  shares?: readonly { to: Hex; amount: bigint }[]
}

/** `token`: also deploys the market's own token. */
export type DeployOptions = ChainOptions & { token?: NewToken }

type Maker = {
  chain: Chain
  wallet: Wallet
  make(what: string, code: Hex, types: readonly string[], args: readonly unknown[]): Promise<Hex>
}

/** Throws `chain_unreachable`, `insufficient_funds` or `chain_refused`. The key must send nothing else meanwhile. */
export async function deploy(rpcUrl: string, deployer: Signer, options: DeployOptions): Promise<Deployment> {
  const { signal } = options
  const maker = await openMaker(rpcUrl, deployer, options)
  const { chain, make } = maker
  const { chainId } = chain.deployment
  const tasks = await make('Tasks', tasksBytecode, [], [])
  // Hosts and Channels name each other, so the address of the second is foretold; its constructor checks it.
  const nonce = await chain.transactionCount(deployer.address, 'pending', signal)
  const foretold = getCreateAddress({ from: deployer.address, nonce: nonce + 1 })
  const hosts = await make('Hosts', hostsBytecode, ['address'], [foretold])
  const channels = await make('Channels', channelsBytecode, ['address', 'address'], [tasks, hosts])
  if (options.token === undefined) return { chainId, contracts: { tasks, hosts, channels } }
  return { chainId, contracts: { tasks, hosts, channels }, token: await makeToken(maker, options.token, signal) }
}

/** One more token on a chain that is there. */
export async function deployToken(
  rpcUrl: string,
  deployer: Signer,
  token: NewToken,
  options: ChainOptions,
): Promise<Hex> {
  return makeToken(await openMaker(rpcUrl, deployer, options), token, options.signal)
}

async function makeToken({ chain, wallet, make }: Maker, token: NewToken, signal: AbortSignal): Promise<Hex> {
  const { name, symbol, decimals, supply, shares = [] } = token
  const types = ['string', 'string', 'uint8', 'uint256']
  const address = await make('DevToken', devTokenBytecode, types, [name, symbol, decimals, supply])
  const erc20 = new Token(chain, address)
  for (const { to, amount } of shares) await erc20.transfer(wallet, to, amount, signal)
  return address
}

async function openMaker(rpcUrl: string, deployer: Signer, options: ChainOptions): Promise<Maker> {
  const { signal } = options
  const nowhere = { tasks: NATIVE, hosts: NATIVE, channels: NATIVE } as const
  const chainId = await new Chain(rpcUrl, { chainId: 0, contracts: nowhere }, options).chainId(signal)
  const chain = new Chain(rpcUrl, { chainId, contracts: nowhere }, options)
  const wallet = new Wallet(chain, deployer, forgetful())
  const make: Maker['make'] = async (what, code, types, args) => {
    const data = (code + AbiCoder.defaultAbiCoder().encode(types, args).slice(2)) as Hex
    const { contract } = await wallet.send({ data }, `deploy ${what}`, signal)
    if (contract === undefined) throw new MecaError('chain_unreachable', `The chain names no address for ${what}`)
    return contract
  }
  return { chain, wallet, make }
}

/** A deployment that breaks off is begun anew, so there is nothing to take up again. */
function forgetful() {
  return { put: async () => {}, list: async () => [], remove: async () => {} }
}
