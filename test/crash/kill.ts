/** `kill -9` in the middle of writing, again and again in one home folder: everything that was promised is there. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assertKept, runFromCommandLine, startWriter } from './support.ts'

export async function killLoop(count: number): Promise<{ kills: number; promises: number }> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-crash-kill-'))
  let promises = 0
  try {
    for (let i = 0; i < count; i++) {
      const writer = startWriter(folder)
      await writer.promises(1 + Math.floor(Math.random() * 3000))
      writer.kill('SIGKILL')
      const { promised, lines } = await writer.ended()
      await assertKept(folder, promised)
      promises += lines.length
    }
    return { kills: count, promises }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const POINTS = [
  'home.locked',
  'file.before-rename',
  'store.verified',
  'store.before-sync',
  'store.synced',
  'store.taken-over',
  'store.before-head',
  'store.acknowledged',
]

/** Dies at one named place on its `passage`-th passage. */
export async function killAt(point: string, passage: number): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-crash-point-'))
  try {
    const writer = startWriter(folder, { failpoints: `${point}=kill@${passage}` })
    const { promised, lines } = await writer.ended()
    await assertKept(folder, promised)
    return lines
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

await runFromCommandLine(import.meta.url, killLoop, 100)
