/** The parts of a context that reach out: the settings, the daemon of a home folder, and work that is given an end. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Loaded } from '../config.ts'
import { MecaError } from '../core/errors.ts'
import type { NodeApi } from '../role/api.ts'
import type { GlobalOptions } from './context.ts'
import { findDaemon } from './daemon-file.ts'
import type { World } from './world.ts'

/** How long what was cut short may take to end in good order. */
const GRACE_MS = 3000

/** `secrets` gets what no error text may show. */
export async function loadSettings(world: World, options: GlobalOptions, secrets: string[]): Promise<Loaded> {
  const flags: Record<string, unknown> = { home: options.home }
  for (const text of options.set ?? []) {
    const at = text.indexOf('=')
    if (at < 1)
      throw new MecaError('bad_input', `--set takes KEY=VALUE, got ${JSON.stringify(text)}`, {
        cure: 'see: meca config explain',
      })
    flags[text.slice(0, at)] = text.slice(at + 1)
  }
  const loaded = await world.doors.loadConfig({ flags, file: options.config })
  const { chain, ipfs } = loaded.config
  secrets.push(...[chain.rpc, ipfs.api, loaded.secrets.password].filter((text) => text !== undefined))
  return loaded
}

type OpenNode = Closable<NodeApi>
export type Closable<Api> = { api: Api; close(): unknown }

/** Undefined where no daemon answers. */
export async function daemonOf(
  world: World,
  { config }: Loaded,
  secrets: string[],
  signal: AbortSignal,
): Promise<OpenNode | undefined> {
  const endpoint = await findDaemon(config.home)
  if (endpoint === undefined) return undefined
  secrets.push(endpoint.token)
  return world.doors.connect(endpoint, signal).catch((error: unknown) => {
    // Starting, ending or gone: the home folder's lock says which, when the node is opened here.
    if (error instanceof MecaError && error.code === 'peer_unreachable') return undefined
    throw error
  })
}

export async function useThenClose<Api, T>(
  node: Closable<Api>,
  work: (api: Api) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const done = new AbortController()
  try {
    return await Promise.race([work(node.api), tooLate(signal, done.signal)])
  } finally {
    done.abort()
    await node.close()
  }
}

/** Most work ends by the signal itself, in good order (a job is cancelled at its host); what does not is left behind. */
async function tooLate(signal: AbortSignal, done: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, 'abort', { signal: done })
  await sleep(GRACE_MS, undefined, { signal: done })
  throw new MecaError('cancelled', 'It did not end by itself')
}
