/**
 * A whole market in one process for tests: a real chain, real contracts, real libp2p and IPFS between the nodes, the
 * real engine. Every node has a home folder of its own. `close` leaves nothing behind.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HDNodeWallet } from 'ethers'
import { startAnvil } from '../../src/chain/anvil.ts'
import type { Anvil } from '../../src/chain/anvil.ts'
import { deploy } from '../../src/chain/deploy.ts'
import type { NewToken } from '../../src/chain/deploy.ts'
import type { Deployment } from '../../src/chain/chain.ts'
import { loadConfig } from '../../src/config.ts'
import { makeSigner } from '../../src/core/signature.ts'
import { fromHex } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { createLog, Redaction } from '../../src/log.ts'
import { openNode } from '../../src/node.ts'
import type { RunningNode } from '../../src/node.ts'
import { prepareHome } from '../../src/wiring/prepare.ts'

/** The mnemonic that every development chain knows; its accounts own play money. */
const MNEMONIC = 'test test test test test test test test test test test junk'

export type World = {
  anvil: Anvil
  deployment: Deployment
  folder: string
  developer: RunningNode
  client: RunningNode
  hosts: RunningNode[]
  /** Opens a further node; `account` is the index of the chain's funded account that is its key. */
  open(name: string, role: 'host' | 'node', account: number, flags?: Record<string, unknown>): Promise<RunningNode>
  close(): Promise<void>
}

export type WorldOptions = {
  hosts?: number
  hostFlags?: Record<string, unknown>
  clientFlags?: Record<string, unknown>
  /** The market's own currency; hosts and clients say in their flags what they take and spend of it. */
  token?: NewToken
  log?: string
}

export function accountKey(index: number): Uint8Array {
  return fromHex(HDNodeWallet.fromPhrase(MNEMONIC, undefined, `m/44'/60'/0'/0/${index}`).privateKey as Hex)
}

export async function openWorld(options: WorldOptions = {}): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-world-'))
  const ending = new AbortController()
  const { signal } = ending
  const anvil = await startAnvil({ signal, mnemonic: MNEMONIC })
  const token = options.token === undefined ? {} : { token: options.token }
  const deployment = await deploy(anvil.url, makeSigner(accountKey(9)), { signal, pollMs: 50, ...token })
  const deploymentFile = join(folder, 'deployment.json')
  await writeFile(deploymentFile, JSON.stringify(deployment))
  const nodes: RunningNode[] = []
  let bootstrap: string[] = []
  const open: World['open'] = async (name, role, account, flags = {}) => {
    const home = join(folder, name)
    await prepareHome({
      folder: home,
      password: 'play',
      keep: true,
      rounds: 1024,
      privateKey: accountKey(account),
    }).catch(() => undefined)
    const loaded = loadConfig({
      env: {},
      cwd: folder,
      file: new URL('../../config/devnet.yml', import.meta.url).pathname,
      flags: {
        home,
        'chain.rpc': anvil.url,
        'chain.deployment': deploymentFile,
        'p2p.bootstrap': bootstrap.join(' '),
        ...flags,
      },
    })
    const log = createLog({ level: options.log ?? 'silent', redaction: new Redaction() })
    const node = await openNode(loaded, role, log, signal)
    nodes.push(node)
    return node
  }
  const developer = await open('developer', 'node', 1)
  bootstrap = (await developer.api.info()).addresses
  const hosts: RunningNode[] = []
  for (let i = 0; i < (options.hosts ?? 1); i++)
    hosts.push(await open(`host${i + 1}`, 'host', 3 + i, options.hostFlags))
  const client = await open('client', 'node', 2, options.clientFlags)
  return {
    anvil,
    deployment,
    folder,
    developer,
    client,
    hosts,
    open,
    close: async () => {
      for (const node of nodes.reverse()) await node.close()
      await anvil.stop()
      ending.abort()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
