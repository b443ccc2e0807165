/**
 * `npm run crash`: `kill -9` of host, client or both at random moments under parallel load, again and again, and at the end
 * the judge. `-- --count N --seed S --side host|client|both --hosts N`. Exits non-zero where a promise was broken.
 */
import { randomFrom } from '../support/random.ts'
import { anySeed, refuse, runOptions } from '../support/run-options.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import { settleAndJudge } from './settle.ts'
import type { Verdict } from './settle.ts'

export type Side = 'host' | 'client' | 'both'
export type CrashOptions = { count: number; seed: number; side: Side; hosts: number; say?: (line: string) => void }

/** Nodes live so long between two kills: long enough to open channels, short enough to be in the middle of much. */
const LIFE_MS = 4_000
/** And stay dead so long, so that the others try more than once. */
const DEATH_MS = 1_500

async function crashRun(options: CrashOptions): Promise<Verdict & { kills: number; seconds: number }> {
  const { count, seed, side, hosts, say = () => undefined } = options
  const random = randomFrom(seed)
  const began = performance.now()
  const market = await CrashMarket.open({ hosts, signal: new AbortController().signal })
  try {
    const load = new Load(market, randomFrom(seed + 1))
    load.begin()
    let kills = 0
    for (let i = 0; i < count; i++) {
      await pause(random() * LIFE_MS)
      kills += await killSome(market, side, random)
      say(`kill ${i + 1} of ${count}: ${load.told.length} jobs ended`)
    }
    await load.drain()
    const verdict = await settleAndJudge(market, load)
    return { ...verdict, kills, seconds: Math.round((performance.now() - began) / 1000) }
  } finally {
    await market.close()
  }
}

export async function killSome(market: CrashMarket, side: Side, random: () => number): Promise<number> {
  const host = market.hosts[Math.floor(random() * market.hosts.length)]
  const both = side === 'both' ? random() : undefined
  const victims = [
    ...(side === 'client' || (both !== undefined && both > 0.4) ? [market.client] : []),
    ...(host !== undefined && (side === 'host' || (both !== undefined && both < 0.6)) ? [host] : []),
  ]
  await Promise.all(victims.map((seat) => market.kill(seat)))
  await pause(random() * DEATH_MS)
  for (const seat of victims) await market.start(seat)
  return victims.length
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

async function main(): Promise<void> {
  const { side = 'both', seed, ...numbers } = runOptions({ count: 20, seed: anySeed(), hosts: 1 }, ['side'])
  if (side !== 'host' && side !== 'client' && side !== 'both') refuse(`--side is host, client or both, not ${side}`)
  const options = { ...numbers, seed, side } as const
  const { findings, ...counts } = await crashRun({ ...options, say: (line) => process.stderr.write(`${line}\n`) })
  console.log(JSON.stringify({ seed, side, ...counts, findings: findings.length }))
  for (const finding of findings) console.log(finding)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) await main()
