/**
 * Warm jobs: the whole paid path, the same through the client's HTTP API, and plain keep-alive HTTP to the same image on
 * a bridge, in turns, so that whatever else the machine does falls on all three alike.
 */
import { Pool } from 'undici'
import { median, quantile, round } from './figures.ts'
import { cpuMs } from './processes.ts'
import { BODY, RUN } from './stage.ts'
import type { Stage } from './stage.ts'

export type Way = 'direct' | 'paid' | 'http'
export type Row = { p50Ms: number; p99Ms: number; perSecond: number; ratio: number }
/** Time of the processor for a paid job: what other programs do shows in it least. */
export type Cpu = { clientMs: number; hostMs: number }
export type Load = { inFlight: number; rounds: number; cpu: Cpu } & Record<Way, Row>

const IN_FLIGHT = [1, 8, 64] as const

export type LoadOptions = { rounds: number; roundMs: number; warmUpMs: number }

export async function measureLoad(
  stage: Stage,
  directUrl: string,
  options: LoadOptions,
  signal: AbortSignal,
): Promise<Load[]> {
  const direct = new Pool(directUrl, { connections: 64, pipelining: 1 })
  const api = new Pool(stage.daemon.url, { connections: 64, pipelining: 1 })
  const authorization = `Bearer ${stage.daemon.token}`
  const path = `/v1/tasks/${stage.task.cid}/run?maxSeconds=${RUN.maxSeconds}`
  const ways: Record<Way, () => Promise<void>> = {
    direct: () => post(direct, '/', {}),
    paid: () => paid(stage, signal),
    http: () => post(api, path, { authorization }),
  }
  try {
    for (const way of Object.values(ways)) await drive(way, 64, options.warmUpMs)
    const loads: Load[] = []
    for (const inFlight of IN_FLIGHT) loads.push(await compare(ways, inFlight, options, stage.hostPid))
    return loads
  } finally {
    await Promise.all([direct.destroy(), api.destroy()])
  }
}

async function compare(
  ways: Record<Way, () => Promise<void>>,
  inFlight: number,
  { rounds, roundMs }: LoadOptions,
  hostPid: number,
): Promise<Load> {
  const cpu = { clientMs: 0, hostMs: 0, jobs: 0 }
  const all: Record<Way, Driven[]> = { direct: [], paid: [], http: [] }
  for (let i = 0; i < rounds; i++) {
    all.direct.push(await drive(ways.direct, inFlight, roundMs))
    const [client, host] = [await cpuMs(process.pid), await cpuMs(hostPid)]
    const paid = await drive(ways.paid, inFlight, roundMs)
    cpu.clientMs += (await cpuMs(process.pid)) - client
    cpu.hostMs += (await cpuMs(hostPid)) - host
    cpu.jobs += paid.count
    all.paid.push(paid)
    all.http.push(await drive(ways.http, inFlight, roundMs))
  }
  const row = (way: Way): Row => ({
    p50Ms: round(median(all[way].map(({ p50Ms }) => p50Ms)), 3),
    p99Ms: round(median(all[way].map(({ p99Ms }) => p99Ms)), 2),
    perSecond: Math.round(median(all[way].map(({ perSecond }) => perSecond))),
    ratio: round(median(all[way].map(({ p50Ms }, i) => p50Ms / (all.direct[i]?.p50Ms ?? NaN)))),
  })
  return {
    inFlight,
    rounds,
    cpu: { clientMs: round(cpu.clientMs / cpu.jobs, 3), hostMs: round(cpu.hostMs / cpu.jobs, 3) },
    direct: row('direct'),
    paid: row('paid'),
    http: row('http'),
  }
}

type Driven = Omit<Row, 'ratio'> & { count: number }

/** `inFlight` callers, each of which asks again as soon as it has its answer. */
async function drive(once: () => Promise<void>, inFlight: number, forMs: number): Promise<Driven> {
  // Not counted: the host has room for one container, so a client that takes its turn starts one of its own.
  await once()
  const took: number[] = []
  const began = performance.now()
  const caller = async () => {
    while (performance.now() - began < forMs) {
      const from = performance.now()
      await once()
      took.push(performance.now() - from)
    }
  }
  await Promise.all(Array.from({ length: inFlight }, caller))
  const seconds = (performance.now() - began) / 1000
  return { p50Ms: median(took), p99Ms: quantile(took, 0.99), perSecond: took.length / seconds, count: took.length }
}

async function paid({ client, task }: Stage, signal: AbortSignal): Promise<void> {
  const result = await client.client.run(task.cid, BODY, RUN, () => undefined, signal)
  if (result.status !== 'answered') throw new Error(`a job ended as ${result.status}: ${result.problem?.message}`)
  let bytes = 0
  for await (const chunk of await client.client.output(result.job)) bytes += chunk.length
  if (bytes !== BODY.length) throw new Error(`${bytes} bytes came back`)
}

async function post(pool: Pool, path: string, headers: Record<string, string>): Promise<void> {
  const { statusCode, body } = await pool.request({ method: 'POST', path, headers, body: BODY })
  const bytes = Buffer.from(await body.arrayBuffer())
  if (statusCode !== 200 || bytes.length !== BODY.length) throw new Error(`status ${statusCode}: ${bytes.toString()}`)
}
