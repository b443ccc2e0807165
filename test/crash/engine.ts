/**
 * `npm run crash:engine [-- --count N]`: in the middle of a job, `kill -9` of a Docker engine of our own, of the task's
 * process and of its sidecar, N times each. The job has an end of a typed kind within ten seconds and is charged only
 * where the task answered; once the engine is back the next job works; and the judge has nothing to say.
 */
import assert from 'node:assert/strict'
import type { RunResult } from '../../src/role/api-client.ts'
import { randomFrom } from '../support/random.ts'
import { runOptions } from '../support/run-options.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import { OwnEngine } from './own-engine.ts'
import { settleAndJudge } from './settle.ts'
import type { Verdict } from './settle.ts'

/** `engine with files`: the engine, under a job that has volumes. */
type Victim = 'engine' | 'task' | 'sidecar' | 'engine with files'
const VICTIMS: readonly Victim[] = ['engine', 'task', 'sidecar', 'engine with files']
/** Phases in which a job has something in the engine; one with files is not in any of them for long. */
const HELD = new Set(['starting', 'running', 'delivering'])

/** G6: typed failure within this, and the next job within that once the engine is back. */
const TOLD_MS = 10_000
const RECOVERED_MS = 30_000

type Told = { victim: Victim; status: string; code: string | undefined; toldMs: number; recoveredMs: number }

async function engineRun(
  count: number,
  say: (line: string) => void = () => undefined,
): Promise<Verdict & { told: Told[] }> {
  const engine = await OwnEngine.open()
  try {
    const market = await CrashMarket.open({ signal: new AbortController().signal })
    try {
      await moveTo(engine, market)
      const load = new Load(market, randomFrom(1))
      await load.one('plain')
      const told: Told[] = []
      for (let i = 0; i < count; i++) {
        for (const victim of VICTIMS) {
          told.push(await killOne(engine, market, load, victim))
          say(JSON.stringify(told.at(-1)))
        }
      }
      const verdict = await settleAndJudge(market, load)
      return { ...verdict, findings: [...verdict.findings, ...told.flatMap(tooLate), ...(await leftIn(engine))], told }
    } finally {
      await market.close()
    }
  } finally {
    await engine.close()
  }
}

/** The host's containers are in this engine from now on. */
export async function moveTo({ socket }: OwnEngine, market: CrashMarket): Promise<void> {
  await market.terminate(market.host)
  await market.start(market.host, { MECA_ENGINE_SOCKET: `unix://${socket}` })
}

export async function killOne(engine: OwnEngine, market: CrashMarket, load: Load, victim: Victim): Promise<Told> {
  const isEngine = victim === 'engine' || victim === 'engine with files'
  const job = load.one(victim === 'engine with files' ? 'files' : 'wait')
  await market.until('the job runs', async () => {
    const { host } = await market.api(market.host)
    const { running = [] } = (await host?.status()) ?? {}
    return running.some(({ phase }) => (victim === 'engine with files' ? HELD.has(phase) : phase === 'running'))
  })
  const killedAt = performance.now()
  if (isEngine) await engine.kill()
  else process.kill(await pidOf(engine, victim), 'SIGKILL')
  const result = await job
  const toldMs = Math.round(performance.now() - killedAt)
  assert.ok(result, `the job whose ${victim} was killed has no end`)
  requireFair(victim, result)
  if (isEngine) await engine.start()
  const backAt = performance.now()
  while ((await load.one('plain'))?.status !== 'answered') {
    assert.ok(
      performance.now() - backAt < RECOVERED_MS,
      `no job works ${RECOVERED_MS / 1000} s after the ${victim} was killed`,
    )
  }
  const recoveredMs = Math.round(performance.now() - backAt)
  await market.until('no volume of a job is left', async () => {
    const { Volumes } = await engine.docker.listVolumes()
    return (Volumes ?? []).length === 0
  })
  return { victim, status: result.status, code: result.problem?.code, toldMs, recoveredMs }
}

/** A container goes on without its engine, so its task may still answer; what did not answer earns no fee. */
function requireFair(victim: Victim, { status, price, problem }: RunResult): void {
  if (status === 'answered') return assert.match(victim, /^engine/, `a task answered after its ${victim} was killed`)
  assert.ok(problem?.code, `a job whose ${victim} was killed ended without a reason`)
  assert.equal(price.developer, '0')
  if (victim !== 'task') assert.equal(price.host, '0', `${victim} killed, ${status}, and ${price.host} charged`)
}

/** The container of the task, or the one whose network it is in. */
async function pidOf({ docker }: OwnEngine, victim: Victim): Promise<number> {
  for (const { Id } of await docker.listContainers()) {
    const { HostConfig, State } = await docker.getContainer(Id).inspect()
    const joined = /^container:(.+)$/.exec(HostConfig.NetworkMode ?? '')?.[1]
    if (joined === undefined) continue
    return victim === 'task' ? State.Pid : (await docker.getContainer(joined).inspect()).State.Pid
  }
  throw new Error('no container is in the network of another')
}

function tooLate({ victim, toldMs }: Told): string[] {
  return toldMs > TOLD_MS ? [`told late: ${toldMs} ms after the ${victim} was killed`] : []
}

export async function leftIn({ docker }: OwnEngine): Promise<string[]> {
  return (await docker.listContainers({ all: true })).map(
    ({ Names }) => `left behind in the second engine: ${Names.join()}`,
  )
}

async function main(): Promise<void> {
  const { count } = runOptions({ count: 5 })
  const { findings, told, jobs } = await engineRun(count, (line) => process.stderr.write(`${line}\n`))
  console.log(
    JSON.stringify({
      kills: told.length,
      jobs,
      slowestMs: Math.max(...told.map(({ toldMs }) => toldMs)),
      findings: findings.length,
    }),
  )
  for (const finding of findings) console.log(finding)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) await main()
