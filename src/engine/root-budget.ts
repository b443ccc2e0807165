/**
 * A writable root is the host's disk, and this engine gives it no size. So its layer is counted at intervals, and a task
 * that is over its budget is ended. In between it can write what the disk takes in an interval; a single file is limited
 * by the kernel (`fsize` in options.ts), the number of empty files by nothing but time.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { call } from './client.ts'
import type { Workshop } from './start.ts'
import type { ContainerWatch } from './watch.ts'

/** Caches, unpacked models and the like of images that write beside their outputs. */
export const DEFAULT_ROOT_BYTES = 4 * 2 ** 30
/** The engine counts a layer by walking it, so a layer that takes long to count is counted less often. */
const CHECK_MS = 1_000
const CHECK_SHARE = 10

export async function watchRoot(
  { docker, rootBytes }: Pick<Workshop, 'docker' | 'rootBytes'>,
  containerId: string,
  watch: ContainerWatch,
  over: AbortSignal,
): Promise<void> {
  let pauseMs = CHECK_MS
  try {
    while (!over.aborted) {
      await sleep(pauseMs, undefined, { signal: over, ref: false })
      const began = performance.now()
      const options = { all: true, size: true, filters: { id: [containerId] } }
      const [row] = await call(
        'measure a container',
        (abortSignal) => docker.listContainers({ ...options, abortSignal }),
        over,
      )
      const { SizeRw = 0 } = (row ?? {}) as { SizeRw?: number }
      if (SizeRw > rootBytes) return await watch.kill('disk budget')
      pauseMs = Math.max(CHECK_MS, CHECK_SHARE * (performance.now() - began))
    }
  } catch {
    // The run is over, or the engine is gone, which the watch sees too.
  }
}
