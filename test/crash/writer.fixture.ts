/**
 * A process that pays for as long as it lives: CALLERS at once, each raising its own row by one and saying `caller jobs`
 * on stdout once the store promised that it is on disk. Whoever kills it compares what was said with what is there.
 *
 * `--unsynced` writes the same rows with LevelDB's default instead, to show that a test would notice the difference.
 */
import { mkdirSync, writeSync } from 'node:fs'
import { Level } from 'level'
import { asMecaError } from '../../src/core/errors.ts'
import { armFailpoints } from '../../src/failpoint.ts'
import { openWorld, pay } from '../store/support.ts'
import type { World } from '../store/support.ts'
import { CALLERS } from './support.ts'

const [folder = '', mode] = process.argv.slice(2)
armFailpoints(process.env.MECA_FAILPOINTS ?? '')

if (mode === '--unsynced') await payUnsynced()
else await paySynced()

async function paySynced(): Promise<void> {
  const world = await openWorld(folder)
  say('ready')
  try {
    await Promise.all(Array.from({ length: CALLERS }, (_, caller) => keepPaying(world, String(caller))))
  } catch (error) {
    say(`failed ${asMecaError(error).code}`)
    process.exit(1)
  }
}

async function keepPaying(world: World, caller: string): Promise<void> {
  for (let jobs = (world.vouchers.getSync(caller)?.jobs ?? 0) + 1; ; jobs++) {
    await pay(world, caller, { jobs, hostAmount: BigInt(jobs) * 10n ** 18n })
    say(`${caller} ${jobs}`)
  }
}

async function payUnsynced(): Promise<void> {
  mkdirSync(folder, { recursive: true })
  const database = new Level(`${folder}/database`)
  await database.open()
  say('ready')
  for (let jobs = 1; ; jobs++) {
    await database.put('0', `${jobs} ${'x'.repeat(300)}`)
    say(`0 ${jobs}`)
  }
}

/** At once: what stands in a buffer when the process is killed was never said. */
function say(line: string): void {
  writeSync(1, `${line}\n`)
}
