/** What the long runs mount must not outlive them, also where they are stopped in the middle. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { noMounts, unmountAtLast } from './mounts.ts'

/** Mounts one file twice over and gives one place back, then waits to be stopped. */
const SCRIPT = `
  const [folder, mounts] = process.argv.slice(1)
  const { makeExt4, mountImage, mountTmpfs, unmount } = await import(mounts)
  await makeExt4(folder + '/image')
  await mountImage(folder + '/image', folder + '/a')
  await mountTmpfs(folder + '/b', '1m')
  await unmount(folder + '/b')
  await mountTmpfs(folder + '/c', '1m')
  console.log('mounted')
  setTimeout(() => process.exit(1), 60_000)
`

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`a run that is stopped by ${signal} leaves nothing mounted`, { skip: await noMounts() }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'meca-mounts-'))
    t.after(async () => {
      for (const point of await mountedIn(folder)) await unmountAtLast(point)
      await rm(folder, { recursive: true, force: true })
    })
    const args = ['--input-type=module', '-e', SCRIPT, folder, join(import.meta.dirname, 'mounts.ts')]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(child, 'exit')
    await Promise.race([once(child.stdout, 'data'), ended])
    assert.deepEqual(await mountedIn(folder), [join(folder, 'a'), join(folder, 'c')])
    child.kill(signal)
    assert.deepEqual(await ended, [null, signal], 'it ends by the signal, as if nobody had listened')
    assert.deepEqual(await mountedIn(folder), [])
  })
}

async function mountedIn(folder: string): Promise<string[]> {
  const lines = (await readFile('/proc/mounts', 'utf8')).split('\n')
  return lines.map((line) => line.split(' ')[1] ?? '').filter((point) => point.startsWith(folder))
}
