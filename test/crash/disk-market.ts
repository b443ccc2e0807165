/**
 * `npm run crash:disk [-- --count N]`: the disk under a host's home fills up while it works, N times. It refuses new jobs
 * with the reason, loses nothing, and goes on when there is room again; killed on the full disk, it starts there too.
 */
import assert from 'node:assert/strict'
import { cp, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../src/store/files.ts'
import { randomFrom } from '../support/random.ts'
import { runOptions } from '../support/run-options.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import { mountTmpfs, unmountAtLast } from './mounts.ts'
import { settleAndJudge } from './settle.ts'
import type { Verdict } from './settle.ts'

/** A host's home takes some 30 MiB with its ballast; the rest is there to be filled. */
const DISK = '160m'
/** The least that a host wants free before it takes a job, in these runs. */
const FLOOR_BYTES = 64 * 2 ** 20
const REFUSED_MS = 20_000

async function diskRun(
  count: number,
  say: (line: string) => void = () => undefined,
): Promise<Verdict & { refusals: number }> {
  const market = await CrashMarket.open({ signal: new AbortController().signal })
  const { home } = market.host.member
  try {
    await moveToDisk(market)
    const load = new Load(market, randomFrom(1))
    let refusals = 0
    try {
      for (let i = 0; i < count; i++) {
        load.begin(4)
        const filler = await fill(home, i % 2 === 0 ? FLOOR_BYTES / 2 : 0)
        refusals += await untilRefused(market)
        // Every other time there is not a byte left, and the host has to start like that.
        if (i % 2 === 1) await restartOnFullDisk(market)
        await rm(filler)
        await load.drain()
        const alive = await market.isAlive(market.host)
        const result = await load.one('plain')
        const why = `${load.refused.at(-1)?.code}; its process ${alive ? 'lives' : 'has ended'}: ${market.host.complaint()}`
        assert.equal(result?.status, 'answered', `a host whose disk has room again takes no job: ${why}`)
        say(`disk full ${i + 1} of ${count}: ${refusals} jobs refused, ${load.told.length} ended`)
      }
      return { ...(await settleAndJudge(market, load)), refusals }
    } finally {
      await load.drain()
    }
  } finally {
    await market.stop()
    await unmountAtLast(home)
    await market.close()
  }
}

/** The host's home on a small file system of its own, under the same path. */
async function moveToDisk(market: CrashMarket): Promise<void> {
  const { home } = market.host.member
  const aside = `${home}-aside`
  await market.terminate(market.host)
  await cp(home, aside, { recursive: true })
  await mountTmpfs(home, DISK)
  await cp(aside, home, { recursive: true })
  await rm(aside, { recursive: true })
  await market.start(market.host, { MECA_LIMITS_FREE_BYTES: String(FLOOR_BYTES) })
}

/** Others write to the same disk until only so much is left. */
async function fill(home: string, leftBytes: number): Promise<string> {
  const path = join(home, '.tmp-others')
  const { bavail, bsize } = await statfs(home)
  const bytes = Math.max(0, bavail * bsize - leftBytes)
  await writeFile(path, Buffer.alloc(bytes)).catch((error: unknown) => {
    // The host writes at the same time: then it is as full as can be, which is what was wanted.
    if (!hasCode(error, 'ENOSPC')) throw error
  })
  return path
}

/** Resolves to the number of jobs that the host refused for want of space. */
async function untilRefused(market: CrashMarket): Promise<number> {
  const refused = async () => {
    const { host } = await market.api(market.host)
    const { refused: all = [] } = (await host?.why()) ?? {}
    return all.find(({ code }) => code === 'disk_full')?.count ?? 0
  }
  const until = performance.now() + REFUSED_MS
  for (;;) {
    // A host that can no longer write its records has ended itself, which refuses everything.
    const count = await refused().catch(() => 1)
    if (count > 0) return count
    assert.ok(performance.now() < until, `on a full disk no job was refused within ${REFUSED_MS / 1000} s`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

async function restartOnFullDisk(market: CrashMarket): Promise<void> {
  if (await market.isAlive(market.host)) await market.kill(market.host)
  await market.start(market.host, { MECA_LIMITS_FREE_BYTES: String(FLOOR_BYTES) })
}

async function main(): Promise<void> {
  const { count } = runOptions({ count: 6 })
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const { findings, ...counts } = await diskRun(count, say)
  console.log(JSON.stringify({ ...counts, findings: findings.length }))
  for (const finding of findings) console.log(finding)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) await main()
