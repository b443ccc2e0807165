/**
 * One flipped bit, or a file cut short, anywhere in the state of a stopped or killed node: the next start either raises the alarm
 * or finds every record as it was. What must never happen is a start that goes well with other records.
 *
 * `stops` are starts that LevelDB itself ended by an assertion, before anything of ours could speak.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { closeWorld, openWorld, pay } from '../store/support.ts'
import { runFromCommandLine } from './support.ts'

export type Outcome = { number: number; file: string; what: string; end: 'opening' | 'alarm' | 'harmless' }

export type Tally = {
  seed: number
  tried: number
  alarms: number
  harmless: number
  stops: number
  byFile: Record<string, number[]>
}

export async function rotLoop(count: number, seed = Date.now() % 2 ** 31): Promise<Tally> {
  const root = await mkdtemp(join(tmpdir(), 'meca-crash-rot-'))
  try {
    const good = join(root, 'good')
    await fill(join(root, 'work'), good)
    return await rotHome(good, count, seed)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** Damages copies of this home, which no process may have open; the copies lie beside it and go again. */
export async function rotHome(good: string, count: number, seed: number): Promise<Tally> {
  const outcomes: Outcome[] = []
  while (outcomes.length < count) outcomes.push(...(await tryFrom(good, seed, outcomes.length, count)))
  return summary(seed, outcomes)
}

/** The last outcome is still `opening` where the process was ended by LevelDB. */
async function tryFrom(good: string, seed: number, from: number, count: number): Promise<Outcome[]> {
  const fixture = new URL('./rot.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [fixture, good, `${seed}`, `${from}`, `${count}`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [said, complaint] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (complaint += chunk))
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  assert.ok(code === 0 || (signal === 'SIGABRT' && complaint.includes('leveldb')), `seed ${seed}: ${complaint}`)
  const lines = said.split('\n').filter((line) => line !== '')
  return [...new Map(lines.map((line) => JSON.parse(line) as Outcome).map((o) => [o.number, o])).values()]
}

/**
 * Closed and opened between, so that there are table files and not only the newest log. What is kept is what a killed
 * process leaves: its head does not count the newest writes, which stand in the tail.
 */
async function fill(folder: string, killed: string): Promise<void> {
  for (let round = 0; round < 3; round++) {
    const world = await openWorld(folder)
    for (let i = 0; i < 100; i++) {
      const key = `${i % 30}`
      await Promise.all([
        pay(world, key, { jobs: i, hostAmount: BigInt(round) }),
        pay(world, `once-${round}-${i}`, { jobs: i, hostAmount: 1n }),
      ])
    }
    if (round === 2) await cpNewest(folder, killed)
    await closeWorld(world)
  }
  await cp(folder, killed, { recursive: true, force: false })
}

async function cpNewest(folder: string, to: string): Promise<void> {
  for (const file of ['head', 'tail']) await cp(join(folder, file), join(to, file))
}

function summary(seed: number, outcomes: readonly Outcome[]): Tally {
  const ends = ['alarm', 'harmless', 'opening'] as const
  const counts = (list: readonly Outcome[]) => ends.map((end) => list.filter((o) => o.end === end).length)
  const [alarms = 0, harmless = 0, stops = 0] = counts(outcomes)
  const byFile = Object.entries(Object.groupBy(outcomes, (o) => o.file)).map(([file, list]) => [
    file,
    counts(list ?? []),
  ])
  return {
    seed,
    tried: outcomes.length,
    alarms,
    harmless,
    stops,
    byFile: Object.fromEntries(byFile) as Tally['byFile'],
  }
}

await runFromCommandLine(import.meta.url, (count) => rotLoop(count), 1000)
