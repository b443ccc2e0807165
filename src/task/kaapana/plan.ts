/**
 * A merged job as a plan: input channels are mounted read-only and output channels for writing, each where its template says.
 * A command takes the place of the image's ENTRYPOINT, as on the platform that runs these images in production.
 */
import type { Mount, Plan } from '../../core/plan.ts'
import type { FilesJob } from '../format.ts'
import { bundlePath } from '../given.ts'
import { isWithin } from '../places.ts'
import type { Instance } from './merge.ts'

const MIB = 2 ** 20

export function planOf(instance: Instance, job: FilesJob): Plan {
  const { command, inputs, outputs } = instance
  return {
    env: instance.env,
    user: 'image',
    writableRoot: true,
    resources: job.resources,
    limits: {
      startTimeoutMs: job.startTimeoutMs,
      runTimeoutMs: job.maxSeconds * 1000,
      outputBytes: job.outputBytes,
      logBytes: 10 * MIB,
      // /tmp of these images is a disk's; here it is memory, of which the task's own limit is the real bound.
      scratchBytes: Math.floor(job.resources.memoryBytes / 2),
      pids: 1024,
    },
    exchange: {
      kind: 'files',
      ...(command === undefined ? {} : { entrypoint: command }),
      mounts: mountsOf(instance, job.outputBytes),
      stage: inputs.map(({ name, place }) => ({ kind: 'folder', path: place, from: bundlePath(name) })),
      collect: outputs.map(({ name, place }) => ({ name, path: place, folder: true })),
    },
  }
}

/** An input that holds an output's place must let the engine make that place, so that it is writable too. */
function mountsOf({ inputs, outputs }: Instance, sizeBytes: number): Mount[] {
  const places = [...new Set([...inputs, ...outputs].map(({ place }) => place))]
  return places.map((path) => {
    const writable = outputs.some(({ place }) => isWithin(place, path))
    return { path, writable, sizeBytes: writable ? sizeBytes : 0 }
  })
}
