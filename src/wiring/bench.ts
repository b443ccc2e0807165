/** The developer's bench on its own, for commands that try a folder where no node has to run. */
import { createHash } from 'node:crypto'
import type { Config } from '../config.ts'
import { DockerEngine } from '../engine/docker.ts'
import type { DeveloperApi } from '../role/api.ts'
import { checkFolder } from '../role/workbench.ts'
import { benchOver } from './developer-side.ts'
import { engineOptions } from './engine.ts'

/** The engine is reached for by `test` only; what a killed test of this home left behind is removed first. */
export function openBench(config: Config): { api: Pick<DeveloperApi, 'check' | 'test'>; close(): Promise<void> } {
  const owner = `bench-${createHash('sha256').update(config.home).digest('hex').slice(0, 16)}`
  let engine: DockerEngine | undefined
  return {
    api: {
      check: (dir, options) => checkFolder(dir, options),
      test: async (dir, options, onProgress, signal) => {
        engine ??= new DockerEngine({ owner, ...engineOptions(config), sidecars: 1 })
        await engine.sweep(signal)
        return benchOver(engine, config).test(dir, options, onProgress, signal)
      },
    },
    close: async () => engine?.close(),
  }
}
