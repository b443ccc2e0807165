/** The developer's bench on its own, for commands that try a folder where no node has to run. */
import { createHash } from 'node:crypto'
import type { Config } from '../config.ts'
import { DockerEngine } from '../engine/docker.ts'
import type { DeveloperApi } from '../role/api-developer.ts'
import { checkFolder } from '../role/workbench.ts'
import { benchEngine, benchOver } from './developer-side.ts'
import { engineOptions } from './engine.ts'

/** The engine is reached for where it is needed only; what a killed test of this home left behind is removed first. */
export function openBench(config: Config): { api: Pick<DeveloperApi, 'check' | 'test'>; close(): Promise<void> } {
  const owner = `bench-${createHash('sha256').update(config.home).digest('hex').slice(0, 16)}`
  let engine: DockerEngine | undefined
  const reach = () => Promise.resolve((engine ??= new DockerEngine({ owner, ...engineOptions(config), sidecars: 1 })))
  return {
    api: {
      check: (dir, options, signal) => checkFolder(dir, options, async () => benchEngine(await reach()), signal),
      test: async (dir, options, onProgress, signal) => {
        const reached = await reach()
        await reached.sweep(signal)
        return benchOver(reached, config).test(dir, options, onProgress, signal)
      },
    },
    close: async () => engine?.close(),
  }
}
