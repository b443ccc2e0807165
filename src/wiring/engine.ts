/** The engine's settings in its own terms. */
import type { Config } from '../config.ts'
import { MecaError } from '../core/errors.ts'
import type { DockerEngineOptions } from '../engine/docker.ts'

/** Throws `bad_config` for an engine that this program does not have. */
export function engineOptions({ engine }: Pick<Config, 'engine'>): Omit<DockerEngineOptions, 'owner'> {
  const { kind, socket, sidecarImage, sidecars } = engine
  if (kind !== 'docker') {
    throw new MecaError('bad_config', `The engine ${kind} is not there yet`, { cure: 'set engine.kind to docker' })
  }
  return {
    sidecars,
    ...(socket === undefined ? {} : { socketPath: socket.replace(/^unix:\/\//, '') }),
    ...(sidecarImage === undefined ? {} : { sidecarImage }),
  }
}
