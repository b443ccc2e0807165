/**
 * The flood of forged vouchers: a real host over real libp2p, a flooder in a process of its own, and an honest client
 * whose jobs must all be answered meanwhile. Measures how long the host's event loop kept anybody waiting.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { toHex } from '../../src/core/typed.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import { hdKey } from '../chain/keys.ts'
import type { Done, Orders } from './flooder.ts'
import { RawClient } from './raw-client.ts'
import { FakeEngine, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

export type Flood = {
  seconds: number
  flooder: Done
  /** Honest jobs sent and answered, and the 99th of a hundred of their times. */
  honest: { sent: number; answered: number; p99Ms: number }
  loop: { p50Ms: number; p99Ms: number; maxMs: number }
  /** The same without a flood, just before. */
  quietLoopP99Ms: number
  /** CPU that this process took of a core, with the flood and without: less than the loop's delays a matter of the machine. */
  cpu: { loud: number; quiet: number }
}

const [HOST, MALLORY, ALICE] = [3, 4, 5]
const TASKS = 8
const CHANNELS = 8
const BETWEEN_JOBS_MS = 50
const RESOLUTION_MS = 5

export async function flood(seconds: number, vouchersPerSecond = 1000): Promise<Flood> {
  const stage = await openStage()
  try {
    return await floodOn(stage, seconds, vouchersPerSecond)
  } finally {
    await stage.close()
  }
}

async function floodOn(stage: Stage, seconds: number, vouchersPerSecond: number): Promise<Flood> {
  const { base, closer } = await stage.open('host', HOST, { 'host.maxQueue': 64 })
  const failed = Promise.withResolvers<never>()
  const side = await openHost(base, new FakeEngine().engine, closer, (error) => failed.reject(error))
  const tasks: Published[] = []
  for (let i = 0; i < TASKS; i++) tasks.push(await stage.publish(`task-${i}`, [base]))
  const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
  const alice = await RawClient.connect(target, stage.market.signer(ALICE))
  stage.closer.add(() => alice.close())
  // Enough for every job that a quiet machine fits into the time.
  const honest = await stage.openChannel(ALICE, base.signer.address, 10n ** 19n)
  await alice.greet(honest)
  const work = async (id: string) => {
    const [task] = tasks
    if (task === undefined) throw new Error('no task was published')
    const startedAt = performance.now()
    alice.submit(honest, task, [alice.job(id, task, 'x')], ['x'])
    await alice.result(id)
    alice.forget()
    return performance.now() - startedAt
  }
  const terms = []
  while (terms.length < CHANNELS) terms.push(await stage.openChannel(MALLORY, base.signer.address))
  const [first] = tasks
  if (first === undefined) throw new Error('no task was published')
  const orders: Orders = {
    chainId: base.chain.domain.chainId,
    channels: base.chain.domain.channels,
    addresses: base.peer.addrs().map(String),
    hostPeer: base.peer.peerId,
    privateKey: toHex(hdKey(MALLORY)),
    terms,
    tasks,
    job: JSON.parse(JSON.stringify(alice.job('template', first, 'x'), textOfBigints)) as Record<string, unknown>,
    seconds,
    vouchersPerSecond,
  }
  const quiet = await measured(work, 'quiet', sleep(Math.min(3, seconds) * 1000).then(nothing))
  const loud = await Promise.race([measured(work, 'loud', runFlooder(orders)), failed.promise])
  const cpu = { loud: loud.cpu, quiet: quiet.cpu }
  return { seconds, flooder: loud.result, honest: loud.honest, loop: loud.loop, quietLoopP99Ms: quiet.loop.p99Ms, cpu }
}

/** Honest jobs, one after the other, for as long as `during` lasts. */
async function measured<T>(work: (id: string) => Promise<number>, name: string, during: Promise<T>) {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  const [startedAt, cpuBefore] = [performance.now(), process.cpuUsage()]
  const state = { over: false }
  const result = during.finally(() => (state.over = true))
  const times: number[] = []
  let sent = 0
  while (!state.over) {
    times.push(await work(`${name}-${sent++}`))
    await sleep(BETWEEN_JOBS_MS)
  }
  delays.disable()
  const { user, system } = process.cpuUsage(cpuBefore)
  const cpu = (user + system) / 1000 / (performance.now() - startedAt)
  // The monitor's own period is in what it measures.
  const ms = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS)
  const loop = { p50Ms: ms(delays.percentile(50)), p99Ms: ms(delays.percentile(99)), maxMs: ms(delays.max) }
  const p99Ms = times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0
  return { result: await result, honest: { sent, answered: times.length, p99Ms }, loop, cpu }
}

async function runFlooder(orders: Orders): Promise<Done> {
  const args = [join(import.meta.dirname, 'flooder.ts'), JSON.stringify(orders)]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const [code] = (await once(child, 'close')) as [number | null]
  process.removeListener('exit', kill)
  if (code !== 0) throw new Error(`the flooder ended with ${code}: ${said}`)
  return JSON.parse(said) as Done
}

function textOfBigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}

function nothing(): Done {
  return { vouchers: 0, messages: 0, thrownOut: 0, notLetIn: 0 }
}

export function describeFlood({ seconds, flooder, honest, loop, quietLoopP99Ms, cpu }: Flood): string {
  const n = (value: number) => value.toFixed(1)
  const rate = Math.round(flooder.vouchers / seconds)
  return (
    `${flooder.vouchers} forged vouchers in ${seconds} s (${rate}/s, ${flooder.messages} messages), thrown out ` +
    `${flooder.thrownOut} times, not let in ${flooder.notLetIn} times; event loop p50 ${n(loop.p50Ms)} p99 ${n(loop.p99Ms)} ` +
    `max ${n(loop.maxMs)} ms (quiet p99 ${n(quietLoopP99Ms)}); honest jobs ${honest.answered} of ${honest.sent} answered, ` +
    `p99 ${n(honest.p99Ms)} ms; CPU ${n(cpu.loud * 100)} % of a core (quiet ${n(cpu.quiet * 100)} %)`
  )
}
