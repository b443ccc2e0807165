/**
 * `meca host start` and `meca node start`: the node with its API, until a signal. The first signal drains (a host takes
 * no more jobs and finishes those it has), the second does not wait for them.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { asMecaError } from '../core/errors.ts'
import { loneEndpoint } from '../core/lone-endpoint.ts'
import { parseAddress, parseDuration } from '../core/units.ts'
import type { NodeApi, NodeInfo } from '../role/api.ts'
import type { Loaded } from '../config.ts'
import type { Context } from './context.ts'
import { TOKEN_FILE, writeDaemon } from './daemon-file.ts'
import { examples } from './usage.ts'
import type { Act } from './usage.ts'
import type { Role, RunningNode } from './world.ts'

/** Jobs end by themselves within their own limits; this only sets how soon the end is seen. */
const DRAIN_POLL_MS = 100

type StartFlags = { drainTimeout: string; whileStdin?: boolean; payout?: string }

export function addDaemon(noun: Command, act: Act, role: Role): void {
  const start = noun
    .command('start')
    .description('run until Ctrl-C, with an API on loopback for other commands and programs')
    .option('--drain-timeout <time>', 'at the end, wait for jobs under way at most so long', '10m')
    .option('--while-stdin', 'end, too, when stdin closes; for programs that start this one and may be killed')
    .action(act((context, flags: StartFlags) => runDaemon(context, role, flags)))
  if (role === 'host')
    start.option('--payout <address>', 'where earnings go, best a cold address; the same as --set host.payout=…')
  examples(start, [
    [`meca ${role} start`, 'Ctrl-C once to drain, twice to stop at once'],
    [`meca ${role} start --home ~/two --json`, 'one line of JSON when it is ready'],
  ])
}

async function runDaemon(context: Context, role: Role, flags: StartFlags): Promise<void> {
  const drainTimeoutMs = parseDuration(flags.drainTimeout, '--drain-timeout')
  const end =
    flags.whileStdin === true ? AbortSignal.any([context.signal, closed(context.world.terminal.stdin)]) : context.signal
  if (flags.payout !== undefined) context.set(`host.payout=${parseAddress(flags.payout, '--payout')}`)
  const loaded = await context.settings()
  const node = await context.openNode({ role, daemon: true })
  try {
    await serve(context, loaded, node, { end, drainTimeoutMs })
  } finally {
    await node.close()
  }
}

async function serve(
  context: Context,
  loaded: Loaded,
  node: RunningNode,
  { end, drainTimeoutMs }: { end: AbortSignal; drainTimeoutMs: number },
): Promise<void> {
  const { home, api, limits } = loaded.config
  const { doors, urgent } = context.world
  const token = randomBytes(32).toString('base64url')
  const options = { api: node.api, token, ...api, maxInputBytes: Math.max(limits.inputBytes, limits.filesInputBytes) }
  const server = await doors.startServer(options, loaded, urgent)
  try {
    const removeFiles = await writeDaemon(home, { url: server.url, token })
    try {
      const info = await node.api.info()
      announce(context, info, server.url, join(home, TOKEN_FILE))
      if (info.role === 'host') warn(context, loaded)
      await untilEnd(end, node.failed)
      await drain(context, node.api, drainTimeoutMs)
    } finally {
      await removeFiles()
    }
  } finally {
    await server.close()
  }
}

/** Fires when whoever holds the other end is gone. */
function closed(stdin: Readable): AbortSignal {
  const controller = new AbortController()
  const fire = () => controller.abort()
  stdin.once('end', fire).once('close', fire).once('error', fire).resume()
  return controller.signal
}

/** Resolves at the signal; throws where the node cannot go on. */
async function untilEnd(signal: AbortSignal, failed: Promise<unknown> | undefined): Promise<void> {
  const asked = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
  const why = await Promise.race([asked, failed ?? asked])
  if (why !== undefined) throw asMecaError(why)
}

function announce({ output }: Context, info: NodeInfo, url: string, tokenFile: string): void {
  const { role, address, peerId, addresses, home } = info
  output.result({
    json: { ready: true, role, url, address, peerId, addresses, home, pid: process.pid, tokenFile },
    id: url,
    text: `ready: ${url} as ${role} ${address}`,
  })
  for (const at of addresses) output.say(`listening on ${at}`)
  output.say(`try: curl -H "Authorization: Bearer $(cat '${tokenFile}')" ${url}/v1/info`)
}

/** In words beside the log, since whoever starts a host sees these lines. */
function warn({ output }: Context, { config }: Loaded): void {
  const lone = loneEndpoint(config.chain, config.host.exposureTotal)
  if (lone !== undefined) output.say(`warning: ${lone.detail}\n  do: ${lone.cure}`)
}

async function drain({ output, world }: Context, { host }: NodeApi, timeoutMs: number): Promise<void> {
  if (host === undefined || world.urgent.aborted) return
  await host.drain(true)
  const end = AbortSignal.any([world.urgent, AbortSignal.timeout(timeoutMs)])
  for (let told = false; !end.aborted; told = true) {
    const { running, queued } = await host.status()
    if (running.length + queued === 0) return
    if (!told) output.say(`draining: ${running.length} jobs run, ${queued} wait; Ctrl-C again stops at once`)
    await sleep(DRAIN_POLL_MS, undefined, { signal: end }).catch(() => undefined) // then the loop sees the end
  }
}
