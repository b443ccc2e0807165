/**
 * `npm run crash:points`: `kill -9` at every failpoint that the program has, in a market under load, then a restart and
 * the judge. `-- --rounds N --seed S --only NAME`. A place that is never reached fails, for then nothing was tried there.
 */
import { once } from 'node:events'
import { FAILPOINTS } from '../../src/failpoint.ts'
import type { Failpoint } from '../../src/failpoint.ts'
import { randomFrom } from '../support/random.ts'
import { anySeed, refuse, runOptions } from '../support/run-options.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import { settleAndJudge } from './settle.ts'
import type { Verdict } from './settle.ts'
import { VISITS } from './visits.ts'
import type { Stage } from './visits.ts'

const POINTS = Object.keys(FAILPOINTS) as Failpoint[]

type Options = { points: readonly Failpoint[]; rounds: number; seed: number; say?: (line: string) => void }

/** Long enough for jobs of every kind, and a claim, to come by. */
const REACHED_MS = 40_000
/** Before a later hit counts: every kind of job is among the first few. */
const LATEST_HIT = 6

async function pointsRun(options: Options): Promise<Verdict & { kills: number; seconds: number }> {
  const { points, rounds, seed, say = () => undefined } = options
  const began = performance.now()
  const { signal } = new AbortController()
  const market = await CrashMarket.open({ signal })
  try {
    const stage: Stage = { market, load: new Load(market, randomFrom(seed + 1)), signal }
    const { kills, unreached } = await visitAll(stage, points, rounds, randomFrom(seed), say)
    const verdict = await settleAndJudge(market, stage.load)
    const findings = [...unreached, ...verdict.findings]
    return { ...verdict, findings, kills, seconds: Math.round((performance.now() - began) / 1000) }
  } finally {
    await market.close()
  }
}

export async function visitAll(
  stage: Stage,
  points: readonly Failpoint[],
  rounds: number,
  random: () => number,
  say: (line: string) => void,
): Promise<{ kills: number; unreached: string[] }> {
  let kills = 0
  const unreached: string[] = []
  await stage.load.one('plain')
  for (let round = 1; round <= rounds; round++) {
    for (const point of points) {
      const hit = round > 1 && VISITS[point].often === true ? 1 + Math.floor(random() * LATEST_HIT) : 1
      const reached = await visit(stage, point, hit)
      if (reached) kills++
      else unreached.push(`never reached: ${point}, hit ${hit}`)
      say(`${reached ? 'killed at' : 'NEVER REACHED'} ${point}, hit ${hit}, round ${round}`)
    }
  }
  return { kills, unreached }
}

/** False where the process was not killed there. */
async function visit(stage: Stage, point: Failpoint, hit: number): Promise<boolean> {
  const { market, load } = stage
  const { who, before, provoke } = VISITS[point]
  await before?.(stage)
  if (who === 'nobody') {
    await provoke?.(stage)
    return true
  }
  const seat = who === 'host' ? market.host : market.client
  await market.kill(seat)
  const first = await market.start(seat, { MECA_FAILPOINTS: `${point}=kill@${hit}` })
  const dead = first === 'killed' ? Promise.resolve(true) : killed(market, who)
  const work = provoke === undefined ? undefined : provoke(stage)
  if (provoke === undefined) load.begin(4)
  const reached = await dead
  if (!reached) await market.kill(seat)
  await market.start(seat)
  await work
  await load.drain()
  await load.one('plain')
  return reached
}

async function killed(market: CrashMarket, who: 'host' | 'client'): Promise<boolean> {
  const { child } = who === 'host' ? market.host : market.client
  if (child === undefined) return false
  if (child.signalCode !== null) return child.signalCode === 'SIGKILL'
  const late = AbortSignal.timeout(REACHED_MS)
  await once(child, 'exit', { signal: late }).catch(() => undefined) // too late: it lives
  return child.signalCode === 'SIGKILL'
}

async function main(): Promise<void> {
  const { rounds, seed, only = '' } = runOptions({ rounds: 1, seed: anySeed() }, ['only'])
  const points = POINTS.filter((name) => name.includes(only))
  if (points.length === 0) refuse(`--only ${only} names no place; do: see src/failpoint.ts`)
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const { findings, ...counts } = await pointsRun({ points, rounds, seed, say })
  console.log(JSON.stringify({ seed, points: points.length, ...counts, findings: findings.length }))
  for (const finding of findings) console.log(finding)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) await main()
