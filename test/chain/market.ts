/**
 * A chain with the contracts and a few funded keys, for tests: real anvil, ended by `close`. Also the intents in memory
 * that stand for the store, with a knob to fail.
 */
import { hdKey } from './keys.ts'
import { startAnvil } from '../../src/chain/anvil.ts'
import type { AnvilOptions } from '../../src/chain/anvil.ts'
import { connect } from '../../src/chain/chain.ts'
import type { Chain, Deployment } from '../../src/chain/chain.ts'
import { Channels } from '../../src/chain/channels.ts'
import { deploy } from '../../src/chain/deploy.ts'
import { Hosts } from '../../src/chain/hosts.ts'
import { Tasks } from '../../src/chain/tasks.ts'
import { Wallet } from '../../src/chain/wallet.ts'
import type { Intent, IntentStore, WalletOptions } from '../../src/chain/wallet.ts'
import { makeSigner } from '../../src/core/signature.ts'
import type { Signer } from '../../src/core/signature.ts'

const POLL_MS = 20

export type Market = {
  url: string
  chain: Chain
  deployment: Deployment
  tasks: Tasks
  hosts: Hosts
  channels: Channels
  signal: AbortSignal
  signer(index: number): Signer
  wallet(index: number, options?: WalletOptions): Wallet
  /** Moves the chain's clock and makes a block. */
  later(seconds: number): Promise<void>
  rpc(method: string, ...params: unknown[]): Promise<unknown>
  close(): Promise<void>
}

/** The deployer is key 9, which also owns the whole supply of the token. */
export async function startMarket(options: Omit<AnvilOptions, 'signal'> = {}): Promise<Market> {
  const { signal } = new AbortController()
  const anvil = await startAnvil({ ...options, signal })
  const signer = (index: number) => makeSigner(hdKey(index))
  try {
    const token = { name: 'MECA Dollar', symbol: 'MUSD', decimals: 6, supply: 10n ** 15n }
    const deployment = await deploy(anvil.url, signer(9), { signal, pollMs: POLL_MS, token })
    const chain = await connect(anvil.url, deployment, { signal, pollMs: POLL_MS })
    const rpc = (method: string, ...params: unknown[]) => chain.rpc.request(method, params, signal)
    return {
      url: anvil.url,
      chain,
      deployment,
      tasks: new Tasks(chain),
      hosts: new Hosts(chain),
      channels: new Channels(chain),
      signal,
      signer,
      wallet: (index, walletOptions) => new Wallet(chain, signer(index), memoryIntents(), walletOptions),
      later: async (seconds) => {
        await rpc('evm_increaseTime', seconds)
        await rpc('evm_mine')
      },
      rpc,
      close: () => anvil.stop(),
    }
  } catch (error) {
    await anvil.stop()
    throw error
  }
}

/** `all` is what is written down at the moment. */
export function memoryIntents(): IntentStore & { all: Map<string, Intent> } {
  const all = new Map<string, Intent>()
  return {
    all,
    put: async (intent) => void all.set(intent.id, intent),
    list: async () => [...all.values()],
    remove: async (id) => void all.delete(id),
  }
}
