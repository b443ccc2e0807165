/** The same NodeApi, spoken to a daemon over its HTTP API, so that a command need not know where its node lives. */
import type { NodeApi } from '../role/api.ts'
import type { OnProgress } from '../role/api-common.ts'
import type { DeveloperApi } from '../role/api-developer.ts'
import type { ClientApi, RunOptions } from '../role/api-client.ts'
import type { HostApi } from '../role/api-host.ts'
import type { MoneyApi } from '../role/api-money.ts'
import type { Call } from './call.ts'
import { CALLS } from './calls.ts'
import { runResult } from './client-schemas.ts'
import { LINES_TYPE } from './lines.ts'
import { readLines } from './read-lines.ts'
import { toJson } from './problem.ts'
import { makeRequester, readJson } from './request.ts'
import type { Ask, Endpoint, Requester } from './request.ts'

export type RemoteNode = { api: NodeApi; close(): void }

/** Asks the daemon what it is, which also shows that it is there. Throws `peer_unreachable` or `unauthorized`. */
export async function connect(endpoint: Endpoint, signal: AbortSignal): Promise<RemoteNode> {
  const requester = makeRequester(endpoint)
  const ask = asker(requester)
  const { role } = await ask(CALLS.info, {}, signal)
  return {
    api: {
      info: () => ask(CALLS.info, {}),
      doctor: (at) => ask(CALLS.doctor, {}, at),
      developer: developerOver(ask),
      client: clientOver(ask, requester),
      money: moneyOver(ask),
      ...(role === 'host' ? { host: hostOver(ask) } : {}),
    },
    close: () => requester.close(),
  }
}

/** What goes into paths and queries is text already; what goes into a body is whatever JSON carries. */
type Sendable = Readonly<Record<string, string | undefined>>
type Asker = <S, R>(call: Call<S, R>, args: S, signal?: AbortSignal, onProgress?: OnProgress) => Promise<R>

function asker(requester: Requester): Asker {
  return async (call, args, signal, onProgress) => {
    const message = messageOf(call, args as Sendable)
    if (onProgress === undefined) {
      return requester.receive(message, async (answer) => call.answer.parse(await readJson(answer)), signal)
    }
    const asking = { ...message, headers: { ...message.headers, Accept: LINES_TYPE } }
    return requester.receive(asking, async (answer) => call.answer.parse(await readLines(answer, onProgress)), signal)
  }
}

/** Spreads the arguments over path, query and body as the call's own schemas say. */
function messageOf(
  { method, path, params, query, body }: Pick<Call, 'method' | 'path' | 'params' | 'query' | 'body'>,
  args: Sendable,
): Ask {
  const search = new URLSearchParams()
  for (const name of Object.keys(query.shape)) if (args[name] !== undefined) search.set(name, args[name])
  const filled = Object.keys(params.shape).reduce(
    (text, name) => text.replace(`{${name}}`, encodeURIComponent(args[name] ?? '')),
    path,
  )
  const ask: Ask = { method, path: search.size === 0 ? filled : `${filled}?${search.toString()}` }
  if (body === undefined) return ask
  const part = Object.fromEntries(Object.keys(body.shape).map((name) => [name, args[name]]))
  return { ...ask, headers: { 'Content-Type': 'application/json' }, body: Buffer.from(toJson(part)) }
}

function developerOver(ask: Asker): DeveloperApi {
  return {
    check: (dir, options, signal) => ask(CALLS.checkTask, { dir, ...options }, signal),
    test: (dir, { input, ...options }, onProgress, signal) => {
      const given = input === undefined ? {} : { input: Buffer.from(input).toString('base64') }
      return ask(CALLS.testTask, { dir, ...options, ...given }, signal, onProgress)
    },
    publish: (dir, { fee, ...options }, onProgress, signal) =>
      ask(CALLS.publishTask, { dir, fee: fee.toString(), ...options }, signal, onProgress),
    list: ({ limit, ...options }, signal) => ask(CALLS.listTasks, { limit: String(limit), ...options }, signal),
    async show(task, signal) {
      const { manifest, ...details } = await ask(CALLS.showTask, { task }, signal)
      return { ...details, manifest: { ...manifest, fee: BigInt(manifest.fee) } }
    },
    versions: (task, signal) => ask(CALLS.taskVersions, { task }, signal),
  }
}

function clientOver(ask: Asker, requester: Requester): ClientApi {
  return {
    quote: (task, options, signal) => ask(CALLS.quote, { task, ...asText(options) }, signal),
    async run(task, input, options, onProgress, signal) {
      const { inputBytes, ...rest } = options
      const search = new URLSearchParams(asText(rest)).toString()
      const path = `/v1/tasks/${encodeURIComponent(task)}/run${search === '' ? '' : `?${search}`}`
      const asking: Ask = { method: 'POST', path, body: input, headers: { Accept: LINES_TYPE } }
      return requester.receive(asking, async (answer) => runResult.parse(await readLines(answer, onProgress)), signal)
    },
    output: (job) => requester.stream({ method: 'GET', path: `/v1/jobs/${encodeURIComponent(job)}/output` }),
    jobs: ({ limit }) => ask(CALLS.listJobs, { limit: String(limit) }),
    job: (job) => ask(CALLS.showJob, { job }),
    cancel: async (job) => void (await ask(CALLS.cancelJob, { job })),
    hosts: () => ask(CALLS.listHosts, {}),
  }
}

/** Options as a query string carries them. */
function asText(options: RunOptions): Record<string, string> {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)]))
}

function hostOver(ask: Asker): HostApi {
  return {
    status: () => ask(CALLS.hostStatus, {}),
    why: () => ask(CALLS.hostWhy, {}),
    drain: (on) => ask(CALLS.drainHost, { on }),
    price: ({ cpuMillis, memoryBytes, gpus }, maxSeconds) =>
      ask(CALLS.hostPrice, {
        cpuMillis: String(cpuMillis),
        memoryBytes: String(memoryBytes),
        gpus: String(gpus),
        maxSeconds: String(maxSeconds),
      }),
  }
}

function moneyOver(ask: Asker): MoneyApi {
  return {
    wallet: (signal) => ask(CALLS.wallet, {}, signal),
    channels: (signal) => ask(CALLS.listChannels, {}, signal),
    open: (host, deposit, signal, token) => {
      const inToken = token === undefined ? {} : { token }
      return ask(CALLS.openChannel, { host, deposit: deposit.toString(), ...inToken }, signal)
    },
    close: (channel, signal) => ask(CALLS.closeChannel, { channel }, signal),
    claim: (options, signal) => ask(CALLS.claim, options, signal),
    withdraw: (options, signal) => ask(CALLS.withdraw, options, signal),
    reconcile: (signal) => ask(CALLS.reconcile, {}, signal),
    payout: (to, signal) => (to === undefined ? ask(CALLS.payout, {}, signal) : ask(CALLS.setPayout, { to }, signal)),
    earnings: ({ by, since }, signal) =>
      ask(CALLS.earnings, { by, ...(since === undefined ? {} : { since: String(since) }) }, signal),
    recover: (signal) => ask(CALLS.recoverChannels, {}, signal),
    vouchers: () => ask(CALLS.vouchers, {}),
    restore: (lines, options, signal) => ask(CALLS.restoreVouchers, { lines: [...lines], ...options }, signal),
  }
}
