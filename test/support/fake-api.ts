/**
 * A node without chain, peers or containers, for the API and the command line: it answers with plausible values, keeps
 * the jobs it "ran", and misbehaves on request. `calls` records what it was asked.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { MecaError } from '../../src/core/errors.ts'
import type { Hex } from '../../src/core/units.ts'
import type { NodeApi, NodeInfo } from '../../src/role/api.ts'
import type { DeveloperApi, TaskSummary } from '../../src/role/api-developer.ts'
import type { ClientApi, JobDetails, QuotedHost, RunInput, RunOptions, RunResult } from '../../src/role/api-client.ts'
import type { HostApi, HostStatus } from '../../src/role/api-host.ts'
import type { ChannelSummary, MoneyApi } from '../../src/role/api-money.ts'
import type { Manifest } from '../../src/task/package.ts'

export const HOST: Hex = `0x${'11'.repeat(20)}`
const CLIENT: Hex = `0x${'22'.repeat(20)}`
const TOKEN: Hex = `0x${'00'.repeat(20)}`
const TASK_ID: Hex = `0x${'33'.repeat(32)}`
export const CHANNEL: Hex = `0x${'44'.repeat(32)}`
export const CID = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
const TX: Hex = `0x${'55'.repeat(32)}`
const token = { address: TOKEN, symbol: 'ETH', decimals: 18 }
const resources = { cpuMillis: 1000, memoryBytes: 256 * 2 ** 20, gpus: 0 }
const phases = { queuedMs: 0.1, fetchMs: 0, startMs: 0, runMs: 3, deliverMs: 0.5, totalMs: 4 }

export type Knobs = {
  role: 'host' | 'node'
  /** What the task replies; the input itself where absent. */
  output?: Uint8Array
  contentType: string
  httpStatus: number
  status: RunResult['status']
  /** Thrown by `run`. */
  failure?: MecaError
  /** How long a job takes; it ends sooner when its signal fires. */
  runMs: number
  /** Progress lines told before the result. */
  steps: number
  doctorOk: boolean
  /** How often `status` still shows a running job while draining. */
  busy: number
}

export type FakeNode = {
  api: NodeApi
  knobs: Knobs
  calls: { name: string; args: unknown[] }[]
  cancelled: string[]
}

export function fakeNode(given: Partial<Knobs> = {}): FakeNode {
  const knobs: Knobs = {
    role: 'host',
    contentType: 'application/octet-stream',
    httpStatus: 200,
    status: 'answered',
    runMs: 0,
    steps: 3,
    doctorOk: true,
    busy: 0,
    ...given,
  }
  const calls: FakeNode['calls'] = []
  const cancelled: string[] = []
  const note = <T extends object>(api: T): T =>
    Object.fromEntries(
      Object.entries(api).map(([name, method]: [string, (...args: unknown[]) => unknown]) => [
        name,
        (...args: unknown[]) => {
          calls.push({ name, args })
          return method(...args)
        },
      ]),
    ) as T
  const api: NodeApi = {
    info: async () => info(knobs.role),
    doctor: async () => ({
      ok: knobs.doctorOk,
      findings: [
        { what: 'chain', ok: true, level: 'ok', detail: 'block 12, 20 ms' },
        ...(knobs.doctorOk
          ? []
          : [{ what: 'engine', ok: false, level: 'error' as const, detail: 'no socket', cure: 'start docker' }]),
      ],
    }),
    developer: note(developer(knobs)),
    client: note(client(knobs, cancelled)),
    money: note(money()),
    ...(knobs.role === 'host' ? { host: note(host(knobs)) } : {}),
  }
  return { api, knobs, calls, cancelled }
}

function info(role: 'host' | 'node'): NodeInfo {
  return {
    version: '0.1.0',
    home: '/tmp/home',
    role,
    address: CLIENT,
    peerId: '12D3KooWfake',
    addresses: ['/ip4/127.0.0.1/tcp/4001'],
    peers: 2,
    chainId: 31337,
    contracts: { tasks: HOST, hosts: CLIENT, channels: HOST },
    token,
    tokens: [token],
  }
}

const summary: TaskSummary = {
  task: TASK_ID,
  cid: CID,
  name: 'words',
  version: '1.0.0',
  developer: HOST,
  fee: '1000',
  token: TOKEN,
  retired: false,
}

const manifest: Manifest = {
  schemaVersion: 1,
  name: 'words',
  version: '1.0.0',
  title: 'Words',
  description: 'Counts words',
  format: 'meca',
  developer: HOST,
  fee: 1000n,
  token: TOKEN,
  image: { manifest: `sha256:${'a'.repeat(64)}`, id: `sha256:${'b'.repeat(64)}`, platform: 'linux/amd64', bytes: 1000 },
  resources,
  determinism: 'exact',
  needsNetwork: false,
  descriptor: 'config.json',
}

function developer(knobs: Knobs): DeveloperApi {
  const found = (ref: string) => {
    if (ref.includes('missing')) throw new MecaError('not_found', `No task ${ref}`, { cure: 'meca task list' })
  }
  return {
    check: async (dir) => ({ dir, format: 'meca', ok: true, findings: [] }),
    async test(dir, { input }, onProgress) {
      for (let i = 0; i < knobs.steps; i++) onProgress({ kind: 'step', step: 'building', detail: `layer ${i}` })
      return {
        dir,
        format: 'meca',
        ok: true,
        findings: [],
        imageId: `sha256:${'b'.repeat(64)}`,
        resources,
        buildMs: 1,
        startMs: 2,
        runMs: 3,
        httpStatus: 200,
        output: { text: input === undefined ? 'example' : Buffer.from(input).toString() },
        ...(input === undefined ? { sameAsExample: true, expected: { text: 'example' } } : {}),
        logTail: '',
      }
    },
    async publish(_dir, options, onProgress) {
      onProgress({ kind: 'bytes', step: 'adding', doneBytes: 500, totalBytes: 1000 })
      const { retired: _retired, fee: _fee, ...rest } = summary
      return { ...rest, fee: options.fee.toString(), format: 'meca', tx: TX, gas: '90000', bytes: 1000, newBytes: 400 }
    },
    list: async ({ limit }) => [summary].slice(0, limit),
    async show(ref) {
      found(ref)
      return { ...summary, payee: HOST, manifest, atHand: true, descriptor: '{}', image: [] }
    },
    async versions(ref) {
      found(ref)
      return [summary]
    },
  }
}

const quoted: QuotedHost = {
  host: HOST,
  hostAmount: '9000',
  developerAmount: '1000',
  gasEstimate: '70000',
  total: '10000',
  imageAtHand: true,
  channelOpen: false,
  lock: { how: 'open', amount: '1000000' },
  freeCpus: 2,
  freeMemoryBytes: 2 ** 30,
  queueFree: 8,
  runtimes: ['runc'],
}
const refusals = [{ host: CLIENT, code: 'refused', reason: '4 CPUs asked, 2 there' }]

function client(knobs: Knobs, cancelled: string[]): ClientApi {
  const jobs = new Map<string, { result: RunResult; output: Uint8Array }>()
  const jobOf = (id: string) => {
    const job = jobs.get(id)
    if (job === undefined) throw new MecaError('not_found', `No job ${id}`, { cure: 'meca job list' })
    return job
  }
  const summaryOf = (result: RunResult): JobDetails => ({
    job: result.job,
    task: result.task,
    name: 'words',
    host: result.host,
    state: result.status,
    price: result.price,
    createdAt: 1_700_000_000_000,
    endedAt: 1_700_000_000_004,
    result,
    why: { chosen: quoted, refusals },
    logs: [
      { stream: 'stdout', text: 'meca-init-done' },
      { stream: 'stderr', text: 'one request' },
    ],
  })
  return {
    quote: async (task, { maxSeconds = 60 }) => ({
      task,
      name: 'words',
      maxSeconds,
      resources,
      token,
      hosts: [quoted],
      refusals,
    }),
    async run(task, given, options, onProgress, signal) {
      if (knobs.failure !== undefined) throw knobs.failure
      const input = await bytesOf(given)
      for (let i = 0; i < knobs.steps; i++) onProgress({ kind: 'phase', phase: 'running', at: i })
      if (options.logs === true) onProgress({ kind: 'log', line: { stream: 'stdout', text: 'hello from the task' } })
      const id = options.id ?? `j-${jobs.size + 1}`
      const job = resultOf(task, id, input, options, knobs, jobs.get(id))
      if (knobs.runMs > 0) await sleep(knobs.runMs, undefined, { signal }).catch(() => stop(id, cancelled))
      jobs.set(id, job)
      return job.result
    },
    async output(id) {
      const { output } = jobOf(id)
      return (async function* () {
        for (let at = 0; at < output.length; at += 65_536) yield output.subarray(at, at + 65_536)
      })()
    },
    jobs: async ({ limit }) =>
      [...jobs.values()].slice(0, limit).map(({ result }) => {
        const { result: _result, why: _why, logs: _logs, ...rest } = summaryOf(result)
        return rest
      }),
    job: async (id) => summaryOf(jobOf(id).result),
    async cancel(id) {
      cancelled.push(id)
    },
    hosts: async () => [
      {
        host: HOST,
        peerId: '12D3KooWhost',
        addresses: [],
        free: resources,
        total: resources,
        runtimes: ['runc'],
        tariffs: [{ token: TOKEN, perJob: '100', perCpuSecond: '10', perGibSecond: '5', perGpuSecond: '0' }],
        images: [CID],
        heardMsAgo: 900,
        registered: true,
      },
    ],
  }
}

function stop(id: string, cancelled: string[]): never {
  cancelled.push(id)
  throw new MecaError('cancelled', `Job ${id} was cancelled`)
}

async function bytesOf(input: RunInput): Promise<Uint8Array> {
  return 'file' in input ? readFile(input.file) : input
}

function resultOf(
  task: string,
  job: string,
  input: Uint8Array,
  { maxPrice }: RunOptions,
  knobs: Knobs,
  before: { result: RunResult; output: Uint8Array } | undefined,
): { result: RunResult; output: Uint8Array } {
  if (maxPrice !== undefined && maxPrice < 10_000n) {
    throw new MecaError('price_cap', `The cheapest quote is 10000, the cap is ${maxPrice}`, {
      cure: 'raise --max-price',
    })
  }
  const inputHash = sha(input)
  if (before !== undefined && before.result.inputHash === inputHash) {
    return { ...before, result: { ...before.result, replayed: true } }
  }
  if (before !== undefined)
    throw new MecaError('job_conflict', `Job ${job} had another input`, { cure: 'another --id' })
  const output = knobs.output ?? input
  const failed = knobs.status !== 'answered'
  const result: RunResult = {
    job,
    task,
    host: HOST,
    status: knobs.status,
    ...(failed ? { exitCode: 3 } : { httpStatus: knobs.httpStatus }),
    contentType: knobs.contentType,
    inputHash,
    outputHash: sha(output),
    outputBytes: output.length,
    price: { quoted: '10000', host: '8000', developer: failed ? '0' : '1000', token: TOKEN },
    receipt: `0x${'ab'.repeat(65)}`,
    phases,
    warm: true,
    replayed: false,
    ...(failed ? { problem: { code: 'task_failed', message: 'exit code 3' }, logTail: 'Traceback: boom' } : {}),
  }
  return { result, output }
}

function sha(bytes: Uint8Array): Hex {
  return `0x${createHash('sha256').update(bytes).digest('hex')}`
}

function host(knobs: Knobs): HostApi {
  let state: HostStatus['state'] = 'open'
  const status = async (): Promise<HostStatus> => ({
    address: HOST,
    state,
    registered: true,
    total: resources,
    free: resources,
    running: knobs.busy-- > 0 ? [{ job: 'j-9', task: CID, client: CLIENT, phase: 'running', sinceMs: 10 }] : [],
    queued: 0,
    warm: 1,
    images: 1,
    engine: { version: '20.10', runtimes: ['runc'] },
    earned: [{ token: TOKEN, jobs: 3, hostAmount: '24000', developerAmount: '3000', claimed: '24000', withdrawn: '0' }],
    atRisk: [
      {
        token: TOKEN,
        unclaimed: '9000',
        closing: '4000',
        closesInSeconds: 1800,
        leftBehind: '0',
        unconfirmed: '0',
        lost: '0',
      },
    ],
    alarms: [
      { name: 'claim', level: 'error', detail: 'What is owed could not be claimed', cure: 'send gas', since: 1 },
    ],
  })
  return {
    status,
    why: async () => ({
      requests: 4,
      accepted: 3,
      answered: 3,
      refused: [{ code: 'busy', count: 1, last: '2 CPUs asked, 1 there' }],
      token: TOKEN,
      medianPrice: '9000',
      ownPrice: '8000',
      advice: ['offer one more CPU'],
    }),
    async drain(on) {
      state = on ? 'draining' : 'open'
      return status()
    },
    price: async () => [{ hostAmount: '9000', token: TOKEN }],
  }
}

function money(): MoneyApi {
  const channel: ChannelSummary = {
    channel: CHANNEL,
    side: 'client',
    client: CLIENT,
    host: HOST,
    token: TOKEN,
    state: 'open',
    deposit: '1000000',
    locked: '1000000',
    vouched: '10000',
    billed: '9000',
    claimed: '0',
    refundable: '991000',
    rows: [
      {
        task: TASK_ID,
        cid: CID,
        vouched: { jobs: 1, host: '9000', developer: '1000' },
        billed: { jobs: 1, host: '8000', developer: '1000' },
        claimed: { jobs: 0, host: '0', developer: '0' },
      },
    ],
  }
  return {
    wallet: async () => ({
      address: CLIENT,
      balances: [{ token, wallet: '1500000000000000000', credit: '0', locked: '1000000' }],
    }),
    channels: async () => [channel],
    open: async (address, deposit) => ({ ...channel, host: address, deposit: deposit.toString() }),
    close: async (id) => ({ ...channel, channel: id, state: 'closing', closesAt: 1_700_000_900_000 }),
    claim: async () => ({ tx: TX, gas: '52000', rows: 1, host: '8000', developer: '1000', token: TOKEN, others: [] }),
    withdraw: async () => ({ tx: TX, gas: '40000', amount: '8000', to: HOST, token: TOKEN }),
    payout: async (to) => ({ host: CLIENT, payee: to ?? CLIENT, registered: true, tx: to === undefined ? null : TX }),
    earnings: async ({ by }) => ({
      by,
      lines: [
        {
          role: 'host' as const,
          key: by === 'task' ? CID : null,
          token: TOKEN,
          run: 3,
          hostAmount: '24000',
          developerAmount: '3000',
          claimed: '20000',
          withdrawn: '10000',
          atRisk: '4000',
        },
      ],
      checks: [
        { role: 'host' as const, token: TOKEN, what: 'sums', ledger: '1', chain: '1', difference: '0', ok: true },
      ],
      ok: true,
      difference: '0',
      notes: [],
    }),
    recover: async () => ({
      channels: [
        {
          channel: CHANNEL,
          host: HOST,
          token: TOKEN,
          state: 'open' as const,
          deposit: '1000000',
          claimed: '0',
          vouched: '10000',
          billed: '9000',
        },
      ],
    }),
    vouchers: async () => ({ lines: ['{"version":1}'] }),
    restore: async (lines) => ({
      adopted: lines.length - 1,
      known: 0,
      collected: 0,
      refused: 1,
      rows: lines.map((_, i) =>
        i > 0 ? { outcome: 'adopted' } : { outcome: 'refused', code: 'bad_input', reason: 'no' },
      ),
    }),
    reconcile: async () => ({
      ok: true,
      lines: [
        {
          channel: CHANNEL,
          task: TASK_ID,
          token: TOKEN,
          what: 'claimed',
          ledger: '9000',
          chain: '8000',
          difference: '1000',
          ok: true,
        },
      ],
    }),
  }
}
