/** What a host that has version 1 stores when it is asked for version 2, in which one layer differs. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { round } from './figures.ts'
import { BODY, LAYER_BYTES, RUN } from './stage.ts'
import type { Stage } from './stage.ts'

export type Layer = { layerBytes: number; imageBytes: number; fetchedBytes: number; ratio: number; fetchMs: number }

export async function measureLayer(stage: Stage, signal: AbortSignal): Promise<Layer> {
  const second = await stage.publish('1.1.0')
  await stage.forget(second)
  const blocks = join(stage.hostHome, 'blocks')
  const before = await bytesIn(blocks)
  const { phases, status } = await stage.client.client.run(second.cid, BODY, RUN, () => undefined, signal)
  if (status !== 'answered') throw new Error(`the second version ended as ${status}`)
  const fetchedBytes = (await bytesIn(blocks)) - before
  return {
    layerBytes: LAYER_BYTES,
    imageBytes: second.bytes,
    fetchedBytes,
    ratio: round(fetchedBytes / LAYER_BYTES, 3),
    fetchMs: phases.fetchMs,
  }
}

/** Blocks are stored as they came, each in a file of its own. */
async function bytesIn(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(file.parentPath, file.name))).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}
