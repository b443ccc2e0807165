/**
 * `npm run crash:rot [-- --count N --seed S]`: flips a bit or cuts a file of a host's and of a client's home after real
 * work, N times each: the next start raises the alarm or finds every record as it was, and never goes well with others.
 */
import { randomFrom } from '../support/random.ts'
import { anySeed, runOptions } from '../support/run-options.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import { rotHome } from './rot.ts'
import type { Tally } from './rot.ts'

/** Enough for many records, and for table files beside the newest log once the nodes were restarted. */
const WORK_MS = 6_000

async function rotMarket(count: number, seed: number): Promise<{ host: Tally; client: Tally }> {
  const market = await CrashMarket.open({ signal: new AbortController().signal })
  try {
    const load = new Load(market, randomFrom(seed))
    for (let round = 0; round < 2; round++) {
      load.begin()
      await new Promise((resolve) => setTimeout(resolve, WORK_MS))
      await market.kill(market.host)
      await market.kill(market.client)
      await Promise.all([market.start(market.host), market.start(market.client)])
      await load.drain()
    }
    await market.stop()
    const [host, client] = [market.host.member.home, market.client.member.home]
    return { host: await rotHome(host, count, seed), client: await rotHome(client, count, seed) }
  } finally {
    await market.close()
  }
}

async function main(): Promise<void> {
  const { count, seed } = runOptions({ count: 200, seed: anySeed() })
  // What it finds it throws: a start that went well with other records.
  console.log(JSON.stringify(await rotMarket(count, seed)))
}

if (process.argv[1] === import.meta.filename) await main()
