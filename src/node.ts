/**
 * The wiring: from settings to a running node, and back down in reverse. Only this file and `wiring/` see every room;
 * the stories in `role/` are handed what they need. A node of role `node` is client and developer; a host is that and
 * rents out its hardware.
 */
import { readFileSync } from 'node:fs'
import type { Loaded } from './config.ts'
import { MecaError } from './core/errors.ts'
import type { Engine } from './engine/engine.ts'
import { DockerEngine } from './engine/docker.ts'
import { failpoint } from './failpoint.ts'
import type { Log } from './log.ts'
import type { NodeApi } from './role/api.ts'
import { makeCloser, openBase } from './wiring/base.ts'
import type { Base } from './wiring/base.ts'
import { openClient } from './wiring/client-side.ts'
import { developerApi } from './wiring/developer-side.ts'
import { doctor } from './wiring/doctor.ts'
import { engineOptions } from './wiring/engine.ts'
import { hostApi } from './wiring/host-api.ts'
import { startJanitor } from './wiring/janitor.ts'
import { openHost } from './wiring/host-side.ts'
import type { HostSide } from './wiring/host-side.ts'
import { moneyApi } from './wiring/money-side.ts'

export type RunningNode = {
  readonly api: NodeApi
  /** Fires when something must stop the node, such as records that cannot be written any more; carries why. */
  readonly failed: Promise<unknown>
  /** Ends what runs, keeps what is owed. */
  close(): Promise<void>
}

/** Throws what the rooms throw at their start; whatever was opened by then is closed again. */
export async function openNode(
  loaded: Loaded,
  role: 'host' | 'node',
  log: Log,
  signal: AbortSignal,
): Promise<RunningNode> {
  const closer = makeCloser()
  const ending = new AbortController()
  const failed = Promise.withResolvers<unknown>()
  try {
    const life = AbortSignal.any([signal, ending.signal])
    const base = await openBase(loaded.config, loaded.secrets.password, log, closer, life)
    const engine = lazyEngine(base, closer.add)
    startJanitor(base, closer)
    const client = await openClient(base, closer)
    const host = role === 'host' ? await openHost(base, await engine(), closer, failed.resolve) : undefined
    const close = async () => {
      failpoint('node.closing')
      ending.abort(new MecaError('engine_unavailable', 'The node is shutting down'))
      await closer.close()
    }
    return { api: apiOf(base, engine, client, host), failed: failed.promise, close }
  } catch (error) {
    ending.abort()
    await closer.close().catch((cause: unknown) => log.warn({ err: cause }, 'closing after a failed start'))
    throw error
  }
}

function apiOf(
  base: Base,
  engine: () => Promise<Engine>,
  client: Awaited<ReturnType<typeof openClient>>,
  host: HostSide | undefined,
): NodeApi {
  return {
    info: async () => info(base, host === undefined ? 'node' : 'host'),
    doctor: (signal) => doctor(base, engine, host, signal),
    developer: developerApi(base, engine),
    client: client.api,
    money: moneyApi(base, client, host),
    ...(host === undefined ? {} : { host: hostApi(base, host) }),
  }
}

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

function info(base: Base, role: 'host' | 'node'): Awaited<ReturnType<NodeApi['info']>> {
  const { chainId, contracts } = base.chain.deployment
  const [token] = base.tokens
  if (token === undefined) throw new MecaError('internal', 'the market has no token')
  return {
    version,
    home: base.home.folder,
    role,
    address: base.signer.address,
    peerId: base.peer.peerId,
    addresses: base.peer.addrs(),
    peers: base.peer.libp2p.getConnections().length,
    chainId,
    contracts,
    token,
    tokens: base.tokens,
  }
}

/** The engine is reached for when it is first needed: a client has none, and a developer one only while building. */
function lazyEngine(base: Base, addCloser: (close: () => Promise<unknown>) => void): () => Promise<Engine> {
  let engine: Engine | undefined
  return async () => {
    if (engine !== undefined) return engine
    const made = new DockerEngine({ owner: base.home.id, ...engineOptions(base.config) })
    addCloser(() => made.close())
    engine = made
    return made
  }
}
