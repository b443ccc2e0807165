/**
 * `npm run chaos:chain [-- --count N --seed S --only NAME]`: N reorganisations, first every step at every depth, then by
 * chance; and every behaviour of a lying endpoint, once for each 120 of them; the worst of them to whole nodes, once. A line
 * for each, a summary as JSON at the end; exit code 1 where a promise broke. NAME is a part of a step's or a behaviour's name.
 */
import { makeCloser } from '../../src/wiring/base.ts'
import { startMarket } from '../chain/market.ts'
import { randomFrom } from '../support/random.ts'
import { runOptions } from '../support/run-options.ts'
import { BEHAVIOURS } from './behaviours.ts'
import { publishTask, underLie } from './lie.ts'
import { lieTo, openLied, SIDES, WORST } from './nodes.ts'
import type { Lied } from './nodes.ts'
import { MAX_DEPTH, MAX_PLAYS, openPlay, playOnce, STEPS } from './play.ts'
import type { Play, Reorg } from './play.ts'
import { TROUBLES } from './troubles.ts'

const { count, seed, only = '' } = runOptions({ count: STEPS.length * MAX_DEPTH, seed: 1 }, ['only'])
const random = randomFrom(seed)
const findings: { name: string; error: unknown }[] = []
const done = { reorganisations: 0, lies: 0, toNodes: 0, troubles: 0 }
const startedAt = performance.now()

/** Every step at every depth, round and round; what lies over the step, and whether transactions survive, by chance. */
function* reorgs(): Generator<Reorg> {
  const steps = STEPS.filter((step) => step.includes(only))
  for (let i = 0; steps.length > 0 && i < count; i++) {
    const step = steps[i % steps.length] ?? 'open'
    const depth = 1 + (Math.floor(i / steps.length) % MAX_DEPTH)
    const blanks = Math.floor(random() * depth)
    yield { step, depth, blanks, comesBack: random() < 0.5, orders: random() < 0.25 }
  }
}

async function attempt(name: string, kind: keyof typeof done, work: () => Promise<unknown>): Promise<void> {
  const since = performance.now()
  try {
    await work()
    say(`ok      ${name}, ${Math.round(performance.now() - since)} ms`)
  } catch (error) {
    findings.push({ name, error })
    say(`BROKEN  ${name}: ${String(error)}`)
  }
  done[kind]++
}

async function playAll(): Promise<void> {
  let play: Play | undefined
  for (const reorg of reorgs()) {
    // After a broken promise the books are what they are; the next play begins anew.
    const broken = findings.length
    play ??= await openPlay()
    const on = play
    const { step, depth, blanks, comesBack, orders } = reorg
    const how = `${blanks} empty, ${comesBack ? 'back' : 'lost'}${orders ? ', a job at once' : ''}`
    const name = `reorganisation by ${depth}, ${how}: ${step}`
    await attempt(name, 'reorganisations', () => playOnce(on, reorg))
    if (play.plays < MAX_PLAYS && findings.length === broken) continue
    await play.stage.close()
    play = undefined
  }
  await play?.stage.close()
}

async function lieAll(): Promise<void> {
  const lies = BEHAVIOURS.filter(({ name }) => name.includes(only))
  const rounds = Math.max(1, Math.floor(count / (STEPS.length * MAX_DEPTH)))
  for (let round = 0; round < rounds; round++) {
    const market = await startMarket()
    const task = await publishTask(market)
    for (const lie of lies) {
      const closer = makeCloser()
      await attempt(`lie: ${lie.name}`, 'lies', () => underLie({ after: closer.add }, market, task, lie))
      await closer.close()
    }
    await market.close()
  }
}

/** After a broken promise the next one begins anew. */
async function lieToNodes(): Promise<void> {
  const lies = WORST.filter(({ name }) => name.includes(only))
  for (const side of lies.length > 0 ? SIDES : []) {
    let lied: Lied | undefined
    for (const lie of lies) {
      const broken = findings.length
      lied ??= await openLied()
      const on = lied
      await attempt(`lie to a whole ${side}: ${lie.name}`, 'toNodes', () => lieTo(on, side, lie))
      if (findings.length === broken) continue
      await lied.play.stage.close()
      lied = undefined
    }
    await lied?.play.stage.close()
  }
}

async function troubleAll(): Promise<void> {
  for (const { name, run } of TROUBLES.filter((trouble) => trouble.name.includes(only))) {
    const closer = makeCloser()
    await attempt(`trouble: ${name}`, 'troubles', () => run({ after: closer.add }))
    await closer.close()
  }
}

function say(text: string): void {
  process.stderr.write(`${text}\n`)
}

await troubleAll()
await lieAll()
await lieToNodes()
await playAll()
for (const { name, error } of findings) {
  say(`\n${name}\n${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
}
const seconds = Math.round((performance.now() - startedAt) / 1000)
process.stdout.write(`${JSON.stringify({ seed, ...done, findings: findings.length, seconds })}\n`)
process.exitCode = findings.length > 0 || Object.values(done).every((n) => n === 0) ? 1 : 0
