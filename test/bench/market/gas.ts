/**
 * Gas for a channel that pays N jobs, from its opening to everybody's money in hand, read from the chain's receipts.
 * The host collects when it is told to, so that each figure is one claim and not a matter of the clock.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { openWorld } from '../../support/world.ts'
import type { World } from '../../support/world.ts'
import { round } from './figures.ts'
import { BODY, FEE, RUN, taskFolder } from './stage.ts'
import type { Closer } from '../../../src/wiring/base.ts'

export type Gas = { jobs: number; perJob: number; total: number; steps: Record<string, number>; ratio: number }

const CHANNELS = [1, 10, 1000] as const
const IN_FLIGHT = 64
/** Three transactions for each job, measured (perf.md 5). */
const MECANYWHERE = 628_779
const NEVER = '1000000000000000000000000'
const EXACT_MS = 500
const DEPOSIT = 50n * 10n ** 18n

export async function measureGas(closer: Closer, signal: AbortSignal): Promise<Gas[]> {
  const world = await openWorld({ hostFlags: { 'host.claimThreshold': NEVER } })
  closer.add(() => world.close())
  const published = await world.developer.api.developer.publish(
    await taskFolder(closer),
    { fee: FEE, version: '1.0.0', name: 'bench', buildArgs: { BASE: 'meca-base/node' }, skipTest: true },
    () => undefined,
    signal,
  )
  const measured: Gas[] = []
  for (const jobs of CHANNELS) measured.push(await oneChannel(world, published.cid, jobs, signal))
  return measured
}

async function oneChannel(
  { client, developer, hosts, anvil }: World,
  cid: string,
  jobs: number,
  signal: AbortSignal,
): Promise<Gas> {
  const [host] = hosts
  if (host === undefined) throw new Error('the world has no host')
  const steps: Record<string, number> = {}
  const step = async <T>(name: string, work: Promise<T>): Promise<T> => {
    const before = await blockNumber(anvil.url)
    const result = await work
    steps[name] = await gasSince(anvil.url, before)
    return result
  }
  const { channel } = await step('open', client.api.money.open((await host.api.info()).address, DEPOSIT, signal))
  await step(
    'jobs',
    runJobs(jobs, () => client.api.client.run(cid, BODY, RUN, () => undefined, signal)),
  )
  // The client says the exact sum a moment after its last result.
  await sleep(EXACT_MS)
  await step('claim', host.api.money.claim({ channel }, signal))
  await step('release', client.api.money.close(channel, signal))
  await step('withdraw host', host.api.money.withdraw({}, signal))
  await step('withdraw developer', developer.api.money.withdraw({}, signal))
  const total = Object.values(steps).reduce((a, b) => a + b, 0)
  return { jobs, perJob: round(total / jobs, 1), total, steps, ratio: round(total / jobs / MECANYWHERE, 5) }
}

async function runJobs(jobs: number, run: () => Promise<unknown>): Promise<void> {
  let left = jobs
  const caller = async () => {
    while (left-- > 0) await run()
  }
  await Promise.all(Array.from({ length: Math.min(IN_FLIGHT, jobs) }, caller))
}

async function blockNumber(url: string): Promise<number> {
  return Number(await ask(url, 'eth_blockNumber', []))
}

async function gasSince(url: string, before: number): Promise<number> {
  const last = await blockNumber(url)
  let gas = 0
  for (let block = before + 1; block <= last; block++) {
    const receipts = (await ask(url, 'eth_getBlockReceipts', [`0x${block.toString(16)}`])) as { gasUsed: string }[]
    for (const { gasUsed } of receipts) gas += Number(gasUsed)
  }
  return gas
}

async function ask(url: string, method: string, params: unknown[]): Promise<unknown> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  return ((await answer.json()) as { result: unknown }).result
}
