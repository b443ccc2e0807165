/** Builds the client's story over the rooms, and the questions that people ask about its jobs. */
import { randomBytes } from 'node:crypto'
import { openChannel, topUpChannel } from '../chain/deposit.ts'
import { total } from '../core/tariff.ts'
import { toHex } from '../core/typed.ts'
import { knownCode } from '../core/errors.ts'
import type { ClientJob } from '../core/records.ts'
import { getData, putData } from '../p2p/data.ts'
import { openJobs } from '../p2p/jobs.ts'
import type { ClientApi, HostSummary, JobDetails, JobSummary, QuotedHost, RunResult } from '../role/api-client.ts'
import { Book } from '../role/book.ts'
import type { ClientComponents, HostAddress } from '../role/client-components.ts'
import type { Caps } from '../role/currencies.ts'
import type { KnownPhase } from '../role/client-phases.ts'
import { toResult } from '../role/client-records.ts'
import { Client } from '../role/client.ts'
import { Payer } from '../role/payer.ts'
import type { Recovery } from '../role/recover.ts'
import { balanceOf, chainChannel } from './base.ts'
import type { Base, Closer } from './base.ts'
import { takeUpCutOff } from './cut-off.ts'
import { LogKeeper } from './logs.ts'
import { meetHosts } from './meet.ts'
import { quoteReport } from './quote-side.ts'
import { makeRecovery, recoverWhereEmpty } from './recover-side.ts'
import { registeredCheck } from './registered.ts'

export type ClientSide = { book: Book; payer: Payer; client: Client; recovery: Recovery; api: ClientApi }

/** An empty market is listened to for so long before a command says that there is no host. */
const OFFERS_WAIT_MS = 5_000
/** What a job may wait for room at its host. */
const QUEUE_MS = 600_000

export async function openClient(base: Base, closer: Closer): Promise<ClientSide> {
  const book = await Book.open(base.store, base.tables, 'client')
  const logs = new LogKeeper(base.store, base.tables.logs)
  const components = clientComponents(base, book, logs)
  const payer = new Payer(components)
  const client = new Client(components, {
    market: base.market,
    tasks: base.tasks,
    payer,
    registered: registeredCheck(base),
    providers: (cid) => providersOf(base, cid),
    overheadMs: base.config.limits.fetchTimeoutMs + base.config.limits.startTimeoutMs + QUEUE_MS,
    defaultMaxSeconds: Math.ceil(base.config.limits.runTimeoutMs / 1000),
    defaultMaxPrice: capsOf(base, 'client.maxPrice', base.config.client.maxPrice),
    offersWaitMs: OFFERS_WAIT_MS,
    onLog: (id, line) => logs.add(id, line),
  })
  await client.recover()
  await payer.recover(base.signal)
  closer.add(() => client.close())
  takeUpCutOff(base, book, client, closer)
  meetHosts(base, closer)
  const recovery = makeRecovery(base, book, client)
  recoverWhereEmpty(base, book, payer, recovery)
  return { book, payer, client, recovery, api: clientApi(base, client, payer, logs) }
}

export function clientComponents(base: Base, book: Book, logs: Pick<LogKeeper, 'add'>): ClientComponents {
  const { peer, config, channels, wallet, currencies } = base
  // A stranger's offer must not send us knocking on doors of our own network.
  const target = (host: HostAddress) => {
    const addresses = host.addresses.filter((address) => peer.mayDial(address))
    return addresses.length > 0 ? addresses : host.peerId
  }
  return {
    ...base,
    domain: base.chain.domain,
    peerId: peer.peerId,
    book,
    link: {
      openJobs: (host, signal) => openJobs(peer, target(host), signal),
      put: async (host, header, upload, signal) => void (await putData(peer, target(host), header, upload, { signal })),
      get: async (host, header, maxBytes, signal) =>
        (await getData(peer, target(host), header, { signal, maxBytes })).body,
    },
    chain: {
      state: (id, signal) => chainChannel(channels, id, signal),
      settle: async (signal) => void (await wallet.recover(signal)),
      open: (terms, deposit, signal) => openChannel(base, terms, deposit, signal),
      topUp: (terms, amount, signal) => topUpChannel(base, terms, amount, signal),
      balance: (token, signal) => balanceOf(base, token, signal),
    },
    spending: {
      depositJobs: config.client.depositJobs,
      depositCap: currencies.caps('client.depositCap', config.client.depositCap),
      closeDelaySeconds: config.client.closeDelaySeconds,
      perDayCap: capsOf(base, 'client.perDayCap', config.client.perDayCap),
      perHostCap: capsOf(base, 'client.perHostCap', config.client.perHostCap),
    },
    // Eight bytes are enough among one client's channels; the zeros before them make every claim cheaper.
    randomSalt: () => toHex(Buffer.concat([Buffer.alloc(24), randomBytes(8)])),
    maxOutputBytes: Math.max(config.limits.outputBytes, config.limits.filesOutputBytes),
    // Only for jobs of this channel: a host could else fill the disk with lines for jobs that never were.
    onLateLog: (channelId, id, line) => {
      if (base.tables.clientJobs.getSync(id)?.channelId === channelId) logs.add(id, line)
    },
    wallNow: () => Date.now(),
  }
}

function capsOf({ currencies }: Base, setting: string, amounts: readonly string[] | undefined): Caps | undefined {
  return amounts === undefined ? undefined : currencies.caps(setting, amounts)
}

/** Hosts that say they have the image, then this node itself, which has the package's text at least. */
function providersOf(base: Base, cid: string): string[] {
  const having = base.market.heard().filter(({ offer }) => offer.images.includes(cid))
  return [...having.slice(0, 4).flatMap(({ offer }) => offer.addresses.slice(0, 1)), ...base.peer.addrs().slice(0, 2)]
}

function clientApi(base: Base, client: Client, payer: Payer, logs: LogKeeper): ClientApi {
  const { clientJobs } = base.tables
  return {
    quote: (ref, options, signal) => quoteReport(base, client, payer, ref, options, signal),
    run: (ref, input, options, onProgress, signal) => client.run(ref, input, options, onProgress, signal),
    output: (job) => client.answers.output(job),
    cancel: (id) => client.cancel(id),
    jobs: async ({ limit }) => {
      const all: ClientJob[] = []
      for await (const [, job] of clientJobs.entries()) all.push(job)
      return all
        .sort((a, b) => b.createdAt - a.createdAt)
        .slice(0, limit)
        .map((job) => jobSummary(job, client.phase(job)))
    },
    job: async (id) => {
      const job = await client.answers.record(id)
      const result = job.state === 'done' ? await client.answers.result(job) : undefined
      return jobDetails(jobSummary(job, client.phase(job)), job, await logs.read(id), result)
    },
    hosts: () => hostList(base),
  }
}

function jobSummary(job: ClientJob, { phase, at, isFollowed }: KnownPhase): JobSummary {
  const receipt = job.signed?.receipt
  return {
    job: job.id,
    task: job.cid,
    name: job.name,
    host: job.host,
    state: job.state === 'done' ? toResult(job, true).status : job.state === 'sent' ? phase : job.state,
    ...(job.state === 'sent' ? { underWay: { since: at, isFollowed } } : {}),
    price: {
      quoted: total(job.price).toString(),
      host: (receipt?.hostAmount ?? 0n).toString(),
      developer: (receipt?.developerAmount ?? 0n).toString(),
      token: job.price.token,
    },
    createdAt: job.createdAt,
    ...(job.endedAt === undefined ? {} : { endedAt: job.endedAt }),
  }
}

function jobDetails(
  summary: JobSummary,
  job: ClientJob,
  logs: JobDetails['logs'],
  result: RunResult | undefined,
): JobDetails {
  const problem = job.problem
  return {
    ...summary,
    ...(result === undefined ? {} : { result }),
    ...(problem === undefined ? {} : { problem: problemOf(problem) }),
    why: { ...chosenHost(job), refusals: job.refusals },
    logs,
  }
}

function chosenHost({ host, price, chosen }: ClientJob): { chosen?: QuotedHost } {
  if (chosen === undefined) return {}
  const { imageAtHand, channelOpen, free, queueFree, runtimes } = chosen
  return {
    chosen: {
      host,
      hostAmount: price.hostAmount.toString(),
      developerAmount: price.developerAmount.toString(),
      gasEstimate: '0',
      total: total(price).toString(),
      imageAtHand,
      channelOpen,
      freeCpus: free.cpuMillis / 1000,
      freeMemoryBytes: free.memoryBytes,
      queueFree,
      runtimes,
    },
  }
}

function problemOf({ code, message, cure }: NonNullable<ClientJob['problem']>): NonNullable<JobDetails['problem']> {
  return { code: knownCode(code), message, ...(cure === undefined ? {} : { cure }) }
}

async function hostList(base: Base): Promise<HostSummary[]> {
  const registered = new Map((await base.hosts.list(base.signal)).map((entry) => [entry.host, entry]))
  const heard = base.market.heard().map(({ offer, at }): HostSummary => {
    const isRegistered = registered.delete(offer.host)
    const tariffs = offer.tariffs.map((t) => ({
      token: t.token,
      perJob: t.perJob.toString(),
      perCpuSecond: t.perCpuSecond.toString(),
      perGibSecond: t.perGibSecond.toString(),
      perGpuSecond: t.perGpuSecond.toString(),
    }))
    const { host, peerId, addresses, free, runtimes, images } = offer
    return {
      host,
      peerId,
      addresses,
      free,
      total: offer.total,
      runtimes,
      tariffs,
      images,
      heardMsAgo: Date.now() - at,
      registered: isRegistered,
    }
  })
  const silent = [...registered.values()].map(({ host, peerId, metadata }): HostSummary => {
    const nothing = { cpuMillis: 0, memoryBytes: 0, gpus: 0 }
    return {
      host,
      peerId,
      addresses: metadata.split(' ').filter((a) => a !== ''),
      free: nothing,
      total: nothing,
      runtimes: [],
      tariffs: [],
      images: [],
      heardMsAgo: null,
      registered: true,
    }
  })
  return [...heard, ...silent]
}
