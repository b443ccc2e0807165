/**
 * `npm start`: a whole paid job with real parts, told while it happens. A chain, a developer, a client and two hosts run
 * as processes of their own; a task is built, published, found, paid for, run cold, warm and eight times in parallel,
 * and settled to the last unit. Leaves nothing behind unless `--stay` keeps the market up.
 */
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { inheritedEnvironment, loadConfig } from '../src/config.ts'
import { asMecaError, MecaError } from '../src/core/errors.ts'
import { formatDecimal } from '../src/core/units.ts'
import { DockerEngine } from '../src/engine/docker.ts'
import { connect } from '../src/http/client.ts'
import type { RemoteNode } from '../src/http/client.ts'
import type { NodeApi } from '../src/role/api.ts'
import type { RunResult } from '../src/role/api-client.ts'
import type { ReconcileReport } from '../src/role/api-money.ts'
import { startDevnet } from '../src/wiring/devnet.ts'
import type { Devnet, Member } from '../src/wiring/devnet.ts'
import { engineOptions } from '../src/wiring/engine.ts'

const FEE = 100_000_000_000_000n
const TASK = resolve(import.meta.dirname, '../examples/meca-words')
const SECONDS = 60
const REMOVE_MS = 30_000

const { values: flags } = parseArgs({
  options: { json: { type: 'boolean', default: false }, stay: { type: 'boolean', default: false } },
})
const ending = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.once(name, () => ending.abort(new MecaError('cancelled', 'interrupted')))
const begun = performance.now()
/** The engine's name of the published image, once there is one; hosts pulled it under names of their own. */
const images = new Set<string>()

try {
  await main(ending.signal)
} catch (error) {
  // What is cut short fails in many ways; there is one reason.
  process.exitCode = ending.signal.aborted ? interrupted() : failed(error)
}

function interrupted(): number {
  say(`npm start was interrupted after ${seconds(begun)}; nothing is left behind.`)
  return 130
}

function failed(error: unknown): number {
  const { message, cure, exitCode, cause } = asMecaError(error)
  process.stderr.write(
    `npm start failed: ${message}\n${cure === undefined ? '' : `  to do: ${cure}\n`}${cause instanceof Error ? `  because: ${cause.message}\n` : ''}`,
  )
  return exitCode
}

async function main(signal: AbortSignal): Promise<void> {
  say('A market on this machine: a chain, a developer, a client and two hosts, each a process of its own.')
  const devnet = await startDevnet({ hosts: 2, signal, onStep: (step, detail) => tell(step, detail ?? '') })
  try {
    const summary = await play(devnet, signal)
    say(`Played in ${seconds(begun)}.`)
    if (flags.json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`)
    if (!summary.settled)
      throw new MecaError('not_verified', 'The ledgers and the chain do not agree; see the lines above')
    if (flags.stay) await stay(devnet, signal)
  } finally {
    await devnet.close()
    await removeImages()
  }
  say('Nothing is left behind.')
}

/** Its names go with it. What the engine does not let go is the next start's to remove, not a reason to fail. */
async function removeImages(): Promise<void> {
  const engine = engineHere()
  for (const id of images)
    await engine
      .remove(id, AbortSignal.timeout(REMOVE_MS))
      .catch((error: unknown) => say(`The image ${id} stays in the engine: ${asMecaError(error).message}`))
  await engine.close()
}

/** The engine that the market uses, too. */
function engineHere(): DockerEngine {
  const { config } = loadConfig({ env: inheritedEnvironment(), cwd: '/' })
  return new DockerEngine({ ...engineOptions(config), owner: 'npm-start', sidecars: 0 })
}

type Actors = { developer: NodeApi; client: NodeApi; hosts: NodeApi[] }

async function play(devnet: Devnet, signal: AbortSignal) {
  const remotes = await Promise.all(
    [devnet.developer, devnet.client, ...devnet.hosts].map((member) => reach(member, signal)),
  )
  try {
    const [developer, client, ...hosts] = remotes.map(({ api }) => api)
    if (developer === undefined || client === undefined) throw new MecaError('internal', 'a market without people')
    return await story({ developer, client, hosts }, signal)
  } finally {
    for (const remote of remotes) remote.close()
  }
}

async function story(actors: Actors, signal: AbortSignal) {
  const { developer, client, hosts } = actors
  const before = await balances(actors, signal)
  say('The developer builds the image, tries its example behind the walls of a host, and publishes it.')
  const published = await developer.developer.publish(
    TASK,
    { fee: FEE, version: `1.0.${Date.now()}`, buildArgs: { BASE: 'meca-base/node' } },
    onStep('publish'),
    signal,
  )
  tell('published', `${published.cid}, ${mib(published.bytes)} MiB, fee ${eth(published.fee)} a job`)
  await takeOutOfEngine(developer, published.cid, signal)
  const quote = await untilQuoted(client, published.cid, signal)
  for (const host of quote.hosts)
    tell(
      'offer',
      `${host.host} at most ${eth(host.total)} for ${SECONDS} s, ${host.imageAtHand ? 'image at hand' : 'image to be fetched'}`,
    )
  say('The client runs it: cold (channel opened, image fetched, container started), warm, then eight at once.')
  const cold = await run(client, published.cid, 'cold', signal)
  const warm = await run(client, published.cid, 'warm', signal)
  const parallelBegun = performance.now()
  const parallel = await Promise.all(Array.from({ length: 8 }, () => run(client, published.cid, undefined, signal)))
  tell('eight at once', `${seconds(parallelBegun)} for all`)
  const jobs = [cold, warm, ...parallel]
  const gas = await settle(actors, signal)
  const after = await balances(actors, signal)
  const checks = await Promise.all([client, ...hosts].map((node) => node.money.reconcile(signal)))
  const settled = report(jobs, before, after, checks)
  return {
    task: published,
    jobs,
    gas,
    balances: { before, after },
    reconcile: checks,
    settled,
    totalMs: Math.round(performance.now() - begun),
  }
}

/** All of them share this machine's engine; without the image in it, a host has to fetch it as it would elsewhere. */
async function takeOutOfEngine(developer: NodeApi, task: string, signal: AbortSignal): Promise<void> {
  const { manifest } = await developer.developer.show(task, signal)
  images.add(manifest.image.id)
  const engine = engineHere()
  await engine.remove(manifest.image.id, signal)
  await engine.close()
}

async function run(client: NodeApi, task: string, name: string | undefined, signal: AbortSignal): Promise<RunResult> {
  const input = await readFile(join(TASK, 'example_input.bin'))
  const result = await client.client.run(task, input, { maxSeconds: SECONDS }, () => undefined, signal)
  const { phases, price } = result
  if (result.status !== 'answered')
    throw new MecaError('task_failed', `The job ended as ${result.status}: ${result.problem?.message ?? ''}`)
  if (name === undefined) return result
  tell(
    name,
    `queued ${phases.queuedMs} ms, fetched ${phases.fetchMs}, started ${phases.startMs}, ran ${phases.runMs}; cost ${eth(price.host)} + ${eth(price.developer)} fee`,
  )
  const output: Uint8Array[] = []
  for await (const chunk of await client.client.output(result.job)) output.push(chunk)
  tell('', `answer: ${Buffer.concat(output).toString('utf8').trim().slice(0, 100)}`)
  return result
}

/** Hosts collect, everybody draws, the client takes its deposit back with the hosts' word. */
async function settle({ developer, client, hosts }: Actors, signal: AbortSignal) {
  say('Settling: the hosts claim what they billed, host and developer withdraw, the client takes its deposit back.')
  const claims = await Promise.all(hosts.map((host) => claimAll(host, signal)))
  for (const { tx, gas, host, developer: fee } of claims)
    if (tx !== null) tell('claimed', `${eth(host)} for the host, ${eth(fee)} for the developer, ${gas} gas`)
  const closed = []
  for (const channel of await client.money.channels(signal))
    closed.push(await client.money.close(channel.channel, signal))
  for (const { channel, deposit, claimed } of closed)
    tell(
      'closed',
      `${channel.slice(0, 18)}…, ${eth((BigInt(deposit) - BigInt(claimed)).toString())} of ${eth(deposit)} came back`,
    )
  const withdrawals = await Promise.all([...hosts, developer].map((node) => node.money.withdraw({}, signal)))
  for (const { tx, gas, amount, to } of withdrawals)
    if (tx !== null) tell('withdrawn', `${eth(amount)} to ${to}, ${gas} gas`)
  return { claims, withdrawals }
}

/** The client tells what it owes a moment after its last job; a claim before that would leave some for the next one. */
async function claimAll(host: NodeApi, signal: AbortSignal) {
  for (let i = 0; i < 40; i++) {
    const owed = (await host.host?.status())?.atRisk.some(({ unclaimed }) => unclaimed !== '0') ?? false
    const report = await host.money.claim({}, signal)
    if (!owed || report.tx !== null) return report
    await new Promise((done) => setTimeout(done, 50))
  }
  throw new MecaError('timeout', 'A host could not collect what it billed')
}

function report(
  jobs: readonly RunResult[],
  before: Balances,
  after: Balances,
  checks: readonly ReconcileReport[],
): boolean {
  say('Balances (ETH), after all gas:')
  for (const [name, amount] of Object.entries(after)) {
    const change = BigInt(amount) - BigInt(before[name] ?? '0')
    tell(name, `${eth(before[name] ?? '0')} → ${eth(amount)} (${change >= 0n ? '+' : ''}${eth(change.toString())})`)
  }
  const lines = checks.flatMap(({ lines: all }) => all)
  const settled = lines.every(({ difference }) => difference === '0')
  const billed = jobs.reduce((all, { price }) => all + BigInt(price.host) + BigInt(price.developer), 0n)
  tell(
    'agreement',
    `${jobs.length} jobs, ${eth(billed.toString())} billed; ${lines.length} sums compared with the chain, ${settled ? 'every one equal to the last wei' : 'NOT all equal'}`,
  )
  for (const line of lines.filter(({ difference }) => difference !== '0')) tell('differs', JSON.stringify(line))
  return settled
}

type Balances = Record<string, string>

async function balances({ developer, client, hosts }: Actors, signal: AbortSignal): Promise<Balances> {
  const named: [string, NodeApi][] = [
    ['developer', developer],
    ['client', client],
    ...hosts.map((host, i): [string, NodeApi] => [`host ${i + 1}`, host]),
  ]
  const rows = await Promise.all(
    named.map(async ([name, node]) => [name, (await node.money.wallet(signal)).balances[0]?.wallet ?? '0'] as const),
  )
  return Object.fromEntries(rows)
}

async function untilQuoted(client: NodeApi, task: string, signal: AbortSignal) {
  for (let i = 0; i < 100; i++) {
    const quote = await client.client.quote(task, { maxSeconds: SECONDS }, signal)
    if (quote.hosts.length === 2) return quote
    await new Promise((done) => setTimeout(done, 100))
  }
  return client.client.quote(task, { maxSeconds: SECONDS }, signal)
}

async function reach({ home, api }: Member, signal: AbortSignal): Promise<RemoteNode> {
  return connect({ url: api, token: await readFile(join(home, 'token'), 'utf8') }, signal)
}

async function stay(devnet: Devnet, signal: AbortSignal): Promise<void> {
  say(`The market stays up until Ctrl-C. Its people live in ${devnet.folder}; for instance:`)
  say(`  scripts/meca task list --home ${devnet.client.home}`)
  const asked = new Promise<undefined>((done) =>
    signal.addEventListener('abort', () => done(undefined), { once: true }),
  )
  const lost = await Promise.race([devnet.lost, asked])
  if (lost !== undefined) throw lost
}

function onStep(what: string) {
  return (progress: Parameters<Parameters<NodeApi['developer']['publish']>[2]>[0]) => {
    if (progress.kind === 'step' && progress.detail === undefined) tell(what, progress.step)
  }
}

function say(text: string): void {
  process.stderr.write(`\n${text}\n`)
}

function tell(what: string, text: string): void {
  process.stderr.write(`  ${seconds(begun).padStart(7)}  ${what.padEnd(14)} ${text}\n`)
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}

function eth(wei: string): string {
  return formatDecimal(BigInt(wei), 18)
}

function mib(bytes: number): string {
  return (bytes / 2 ** 20).toFixed(1)
}
