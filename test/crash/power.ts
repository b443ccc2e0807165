/**
 * A power cut: the home lies on an ext4 file system in a file; in the middle of writing the writer is stopped, the file
 * copied as it is (what was not synced is not in it), and the copy mounted after the check that a boot would make.
 * The copy takes some milliseconds, so it is no exact instant, and a disk that lies about its flushes is not covered.
 *
 * `--unsynced` does the same with LevelDB's default writes, which must lose something, or the test proves nothing.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { Head } from '../../src/store/head.ts'
import { newestTip, Tail } from '../../src/store/tail.ts'
import { checkImage, copyImage, makeExt4, mountImage, unmount } from './mounts.ts'
import { assertKept, runFromCommandLine, startWriter } from './support.ts'
import type { Promised } from './support.ts'

type Cut = { promised: Promised; lines: string[] }

/** Cuts the power `count` times, each time checking that everything that was promised is there. */
export async function powerLoop(count: number): Promise<{ cuts: number; promises: number }> {
  let promises = 0
  for (let i = 0; i < count; i++) {
    await cutOnce({}, async (folder, { promised, lines }) => {
      await assertTailReached(folder, lines.length - 1)
      await assertKept(folder, promised)
      promises += lines.length
    })
  }
  return { cuts: count, promises }
}

/** Tail and head must be on the disk before anything is promised, or records could be lost behind them without a trace. */
async function assertTailReached(folder: string, promises: number): Promise<void> {
  const { head, mark } = await Head.open(join(folder, 'head'), false)
  await head.close()
  const { tail, groups } = await Tail.open(join(folder, 'tail'), mark.group ?? 0, false)
  await tail.close()
  const { seq } = newestTip(groups) ?? mark.tip
  assert.ok(seq >= promises, `${promises} records were promised, tail and head say ${seq}`)
}

/** How many promises a database without syncing breaks in one power cut. */
export async function lostUnsynced(): Promise<number> {
  let lost = 0
  await cutOnce({ unsynced: true }, async (folder, { promised }) => {
    const database = new Level(join(folder, 'database'))
    const kept = await database.get('0').catch(() => undefined) // it may not even open, which is a loss too
    await database.close()
    lost = (promised.get('0') ?? 0) - Number(kept?.split(' ')[0] ?? 0)
  })
  return lost
}

async function cutOnce(
  options: { unsynced?: boolean },
  check: (folder: string, cut: Cut) => Promise<void>,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'meca-crash-power-'))
  const [disk, copy, point, after] = ['disk', 'copy', 'point', 'after'].map((name) => join(root, name)) as [
    string,
    string,
    string,
    string,
  ]
  try {
    await makeExt4(disk)
    await mountImage(disk, point)
    let cut: Cut
    try {
      cut = await interrupt(join(point, 'home'), options, () => copyImage(disk, copy))
    } finally {
      await unmount(point)
    }
    await checkImage(copy)
    await mountImage(copy, after)
    try {
      await check(join(after, 'home'), cut)
    } finally {
      await unmount(after)
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

async function interrupt(
  folder: string,
  options: { unsynced?: boolean },
  atThatMoment: () => Promise<void>,
): Promise<Cut> {
  const writer = startWriter(folder, options)
  await writer.promises(100 + Math.floor(Math.random() * 3000))
  writer.kill('SIGSTOP')
  await untilStopped(writer.pid)
  await atThatMoment()
  writer.kill('SIGKILL')
  return writer.ended()
}

/** A signal is sent, not obeyed, when `kill` returns; a promise made after the copy would be no broken one. */
async function untilStopped(pid: number): Promise<void> {
  for (;;) {
    const threads = await readFile(`/proc/${pid}/stat`, 'utf8')
    if (/\) [TtZ] /.test(threads)) return
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

await runFromCommandLine(import.meta.url, powerLoop, 20)
