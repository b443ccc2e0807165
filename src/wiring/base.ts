/**
 * What every node has, whatever its role: an owned home folder, its records, its key, the chain, its place in the
 * network, IPFS, and what it hears of the market. Opened in this order, closed in reverse.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { z } from 'zod'
import { connect } from '../chain/chain.ts'
import type { Chain, Deployment } from '../chain/chain.ts'
import { Channels } from '../chain/channels.ts'
import { Hosts } from '../chain/hosts.ts'
import { Tasks as TaskRegistry } from '../chain/tasks.ts'
import { Token } from '../chain/token.ts'
import { Wallet } from '../chain/wallet.ts'
import type { Config } from '../config.ts'
import { MecaError } from '../core/errors.ts'
import type { Signer } from '../core/signature.ts'
import { findingsOf } from '../core/text.ts'
import { NATIVE, zAddress, zCount } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { Ipfs } from '../ipfs/store.ts'
import { offersTopic } from '../p2p/limits.ts'
import { loadIdentity } from '../p2p/identity.ts'
import { joinOffers } from '../p2p/offers.ts'
import type { Offers } from '../p2p/offers.ts'
import { createPeer } from '../p2p/peer.ts'
import type { Peer } from '../p2p/peer.ts'
import { Alarms } from '../role/alarms.ts'
import type { TokenInfo } from '../role/api-common.ts'
import { Currencies } from '../role/currencies.ts'
import type { ChainChannel } from '../role/host-components.ts'
import { Market } from '../role/market.ts'
import { Tasks } from '../role/tasks.ts'
import { Blobs } from '../store/blobs.ts'
import { openHome } from '../store/home.ts'
import type { Home } from '../store/home.ts'
import { Store } from '../store/store.ts'
import { openWalletKey } from './keys.ts'
import { intentStore, openTables } from './tables.ts'
import { tokenList } from './tokens.ts'
import type { Tables } from './tables.ts'

export type Base = {
  config: Config
  home: Home
  store: Store
  tables: Tables
  blobs: Blobs
  signer: Signer
  chain: Chain
  wallet: Wallet
  channels: Channels
  hosts: Hosts
  registry: TaskRegistry
  /** The market's currencies, its own first. */
  tokens: TokenInfo[]
  currencies: Currencies
  peer: Peer
  ipfs: Ipfs
  market: Market
  offers: Offers
  /** A host's own offer joins those that are passed on. */
  ownOffer: { current: { text: string; signature: string } | undefined }
  tasks: Tasks
  /** What the owner must hear while there is time. */
  alarms: Alarms
  log: Logger
  signal: AbortSignal
}

/** Closes what was opened, in reverse; the first failure is thrown after everything was tried. */
export type Closer = { add(close: () => Promise<unknown> | void): void; close(): Promise<void> }

export function makeCloser(): Closer {
  const closers: (() => Promise<unknown> | void)[] = []
  return {
    add: (close) => closers.push(close),
    close: async () => {
      const failures: unknown[] = []
      for (const close of closers.splice(0).reverse()) {
        try {
          await close()
        } catch (error) {
          failures.push(error)
        }
      }
      if (failures.length > 0) throw failures[0]
    },
  }
}

/** What a start waits for earlier transactions: a host must get to look at its channels also while one is stuck. */
const RECOVER_MS = 20_000

export async function openBase(
  config: Config,
  password: string | undefined,
  log: Logger,
  closer: Closer,
  signal: AbortSignal,
): Promise<Base> {
  const home = await openHome(config.home, { floorBytes: config.limits.freeBytes })
  closer.add(() => home.close())
  const signer = await openWalletKey(home, password)
  const deployment = await readDeployment(config)
  const chain = await connect(requireRpc(config), deployment, {
    signal,
    pollMs: config.chain.pollMs,
    requestTimeoutMs: config.chain.requestTimeoutMs,
  })
  await home.pin({ chainId: deployment.chainId, channels: deployment.contracts.channels })
  const store = await Store.open(home)
  closer.add(() => store.close())
  const tables = openTables(store)
  const blobs = await Blobs.open(home, config.limits.blobBytes)
  const wallet = new Wallet(chain, signer, intentStore(store, tables.intents), {
    confirmations: Math.max(1, config.chain.confirmations),
    maxFeePerGas: config.chain.maxFeePerGas,
  })
  const patience = AbortSignal.any([signal, AbortSignal.timeout(RECOVER_MS)])
  await wallet.recover(patience).catch((error: unknown) => {
    signal.throwIfAborted()
    log.warn({ err: error }, 'an earlier transaction is not at its end; the next one takes it up')
  })
  const contracts = { channels: new Channels(chain), hosts: new Hosts(chain), registry: new TaskRegistry(chain) }
  const peer = await openPeer(config, home, deployment, log)
  closer.add(() => peer.close())
  const ipfs = await openIpfs(config, home, peer, signal)
  closer.add(() => ipfs.close())
  const market = new Market(chain.domain, () => Date.now())
  const ownOffer: Base['ownOffer'] = { current: undefined }
  const offers = await joinOffers(peer, {
    topic: offersTopic(deployment.chainId, deployment.contracts.channels),
    validate: (offer, source) => market.validate(offer, source),
    known: () => [
      ...(ownOffer.current === undefined ? [] : [ownOffer.current]),
      ...market.heard().map(({ signed }) => signed),
    ],
  })
  closer.add(() => offers.close())
  const tasks = new Tasks(taskSources(contracts.registry, ipfs), () => Date.now())
  const tokens = await tokenList(chain, config, signal)
  return {
    config,
    home,
    store,
    tables,
    blobs,
    signer,
    chain,
    wallet,
    ...contracts,
    tokens,
    currencies: new Currencies(tokens),
    peer,
    ipfs,
    market,
    offers,
    ownOffer,
    tasks,
    alarms: new Alarms(log.child({ room: 'alarms' }), () => Date.now()),
    log,
    signal,
  }
}

const zDeployment: z.ZodType<Deployment> = z
  .object({
    chainId: zCount,
    contracts: z.strictObject({ tasks: zAddress, hosts: zAddress, channels: zAddress }),
    token: zAddress.optional(),
  })
  .transform(({ token, ...rest }) => ({ ...rest, ...(token === undefined ? {} : { token }) }))

/** Throws `bad_config` where it is not set, not there, or something else. */
export async function readDeployment(config: Config): Promise<Deployment> {
  const file = config.chain.deployment
  if (file === undefined) {
    throw new MecaError('bad_config', 'chain.deployment is not set: which contracts does this node work with?', {
      cure: 'give the deployment file of a market, or start one of your own with meca devnet',
    })
  }
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new MecaError('bad_config', `The deployment file ${file} cannot be read`, {
      cause,
      cure: 'check chain.deployment',
    })
  })
  try {
    const parsed = zDeployment.safeParse(JSON.parse(text))
    if (parsed.success) return parsed.data
    throw new Error(findingsOf(parsed.error))
  } catch (cause) {
    throw new MecaError('bad_config', `${file} is not a deployment file`, {
      cause,
      cure: 'it must hold {chainId, contracts: {tasks, hosts, channels}}',
    })
  }
}

export function requireRpc(config: Config): string {
  if (config.chain.rpc !== undefined) return config.chain.rpc
  throw new MecaError('bad_config', 'chain.rpc is not set: no chain can be asked', {
    cure: 'set chain.rpc, or start a market of your own with meca devnet',
  })
}

async function openPeer(config: Config, home: Home, { chainId, contracts }: Deployment, log: Logger): Promise<Peer> {
  const identity = await loadIdentity(join(home.paths.keys, 'peer.key'))
  const room = log.child({ room: 'p2p' })
  return createPeer({
    identity,
    listen: config.p2p.listen,
    announce: config.p2p.announce,
    bootstrap: config.p2p.bootstrap,
    mdns: config.p2p.mdns,
    dht: config.p2p.dht,
    relay: config.p2p.relay,
    topics: [offersTopic(chainId, contracts.channels)],
    onError: (component, text) => room.debug({ component }, text),
  })
}

async function openIpfs(config: Config, home: Home, peer: Peer, signal: AbortSignal): Promise<Ipfs> {
  if (config.ipfs.kind === 'kubo') {
    const { openKubo } = await import('../ipfs/kubo.ts')
    return openKubo({ url: config.ipfs.api, signal })
  }
  const { openHelia } = await import('../ipfs/helia.ts')
  return openHelia({ libp2p: peer.libp2p, home: home.paths.blocks })
}

function taskSources(registry: TaskRegistry, ipfs: Ipfs): ConstructorParameters<typeof Tasks>[0] {
  return {
    read: async (path, { maxBytes, providers, signal }) => {
      if (providers.length > 0) await ipfs.fetch(path, { signal, maxBytes, providers })
      return ipfs.read(path, { signal, maxBytes })
    },
    entry: (taskId, signal) => registry.get(taskId, signal),
    latest: async (developer, name, signal) => (await registry.byName(developer, name, undefined, signal))?.taskId,
    version: async (developer, name, version, signal) =>
      (await registry.byName(developer, name, version, signal))?.taskId,
  }
}

/** A channel's state in the terms of the stories. */
export async function chainChannel(channels: Channels, channelId: Hex, signal: AbortSignal): Promise<ChainChannel> {
  const { state, deposit, claimed, closesAt } = await channels.state(channelId, signal)
  return { deposit, claimed, closesAt, closed: state === 'finished' }
}

export async function balanceOf(base: Base, token: Hex, signal: AbortSignal): Promise<bigint> {
  return token === NATIVE
    ? base.chain.balance(base.signer.address, signal)
    : new Token(base.chain, token).balance(base.signer.address, signal)
}
