/**
 * `npm run crash:power [-- --count N --seed S]`: the homes of a host and a client lie on ext4 file systems in files; under
 * load one of the two is stopped, its file copied as it is, the process killed, and the node started on the copy after the
 * check that a boot would make. Whatever was not synced is gone, as in a power cut; the judge says whether it mattered.
 */
import { cp, mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '../role/stage.ts'
import { randomFrom } from '../support/random.ts'
import { anySeed, runOptions } from '../support/run-options.ts'
import { Load } from './load.ts'
import { CrashMarket } from './market.ts'
import type { Seat } from './market.ts'
import { checkImage, copyImage, makeExt4, mountImage, unmountAtLast } from './mounts.ts'
import { settleAndJudge } from './settle.ts'
import type { Verdict } from './settle.ts'

const DISK_BYTES = 256 * 2 ** 20
/** The disks are small, so the nodes ask for little room. */
const ENV = { MECA_LIMITS_FREE_BYTES: String(8 * 2 ** 20) }
/** Between two cuts. */
const LIFE_MS = 4_000

type Disk = { seat: Seat; image: string }

async function powerRun(
  count: number,
  seed: number,
  say: (line: string) => void = () => undefined,
): Promise<Verdict & { cuts: number }> {
  const random = randomFrom(seed)
  const market = await CrashMarket.open({ signal: new AbortController().signal })
  const disks: Disk[] = []
  try {
    for (const seat of [market.host, market.client]) disks.push(await moveToDisk(market, seat))
    const load = new Load(market, randomFrom(seed + 1))
    load.begin()
    for (let i = 0; i < count; i++) {
      await new Promise((resolve) => setTimeout(resolve, random() * LIFE_MS))
      const disk = disks[Math.floor(random() * disks.length)]
      if (disk !== undefined) await cutPower(market, disk)
      say(`cut ${i + 1} of ${count}: ${load.told.length} jobs ended`)
    }
    await load.drain()
    return { ...(await settleAndJudge(market, load)), cuts: count }
  } finally {
    await market.stop()
    for (const { seat } of disks) await unmountAtLast(seat.member.home)
    await market.close()
  }
}

async function moveToDisk(market: CrashMarket, seat: Seat): Promise<Disk> {
  const { home } = seat.member
  const image = join(market.folder, `disk-of-${seat.role}`)
  await market.terminate(seat)
  await rename(home, `${home}-aside`)
  await makeExt4(image, DISK_BYTES)
  await mkdir(home)
  await mountImage(image, home)
  await cp(`${home}-aside`, home, { recursive: true })
  await rm(`${home}-aside`, { recursive: true })
  await market.start(seat, ENV)
  return { seat, image }
}

/** What the process could still have done after the copy would be no broken promise, so it stands still meanwhile. */
async function cutPower(market: CrashMarket, { seat, image }: Disk): Promise<void> {
  const copy = `${image}-copy`
  process.kill(seat.pid, 'SIGSTOP')
  await eventually('the node stands still', async () => / [Tt] /.test(await readFile(`/proc/${seat.pid}/stat`, 'utf8')))
  await copyImage(image, copy)
  await market.kill(seat)
  // The last thread of a killed process may be a moment behind; its mount goes with it.
  await unmountAtLast(seat.member.home)
  await rename(copy, image)
  await checkImage(image)
  await mountImage(image, seat.member.home)
  await market.start(seat, ENV)
}

async function main(): Promise<void> {
  const { count, seed } = runOptions({ count: 10, seed: anySeed() })
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const { findings, ...counts } = await powerRun(count, seed, say)
  console.log(JSON.stringify({ seed, ...counts, findings: findings.length }))
  for (const finding of findings) console.log(finding)
  process.exitCode = findings.length === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) await main()
