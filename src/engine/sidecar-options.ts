/**
 * What a sidecar may and does: ours, but it carries a stranger's bytes, so it stands behind the same walls as a task.
 */
import type { ContainerCreateOptions } from 'dockerode'
import { WALLS } from './options.ts'

/** One process of socat per open connection; beyond this a host would rather start a second container. */
export const MAX_CONNECTIONS = 256
/** Measured: a quarter of a MiB for each open connection, 64 MiB at the ceiling. */
const MEMORY_BYTES = 192 * 2 ** 20
/** What the second socket says once the port takes connections. */
export const READY_WORD = 'ready'

export type SidecarPlan = {
  imageId: string
  name: string
  /** An empty folder of ours; becomes the sidecar's only mount. */
  folder: string
  port: number
  labels: Readonly<Record<string, string>>
  seccomp: string
}

export function sidecarOptions(input: SidecarPlan): ContainerCreateOptions {
  return {
    name: input.name,
    Image: input.imageId,
    User: '65534:65534',
    Entrypoint: ['/bin/sh', '-c'],
    Cmd: [script(input.port)],
    Env: ['PATH=/usr/local/bin:/usr/bin:/bin'],
    Hostname: 'task',
    Labels: { ...input.labels },
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGKILL',
    HostConfig: {
      ...WALLS,
      NetworkMode: 'none',
      // The task shares this file: a loopback address names nobody and asks nobody.
      Dns: ['127.0.0.1'],
      SecurityOpt: ['no-new-privileges', `seccomp=${input.seccomp}`],
      ReadonlyRootfs: true,
      Mounts: [
        {
          Type: 'bind',
          Source: input.folder,
          Target: '/meca',
          ReadOnly: false,
          BindOptions: { Propagation: 'private' },
        },
      ],
      Memory: MEMORY_BYTES,
      MemorySwap: MEMORY_BYTES,
      PidsLimit: 2 * MAX_CONNECTIONS,
      Ulimits: [
        { Name: 'nofile', Soft: 1024, Hard: 1024 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
    },
  }
}

/** socat reads `:` and `,` as its own, hence the backslashes. */
function script(port: number): string {
  const target = `TCP4:127.0.0.1:${port}`
  const probe = `socat -u OPEN\\:/dev/null ${target.replaceAll(':', '\\:')}\\,forever\\,interval=0.01 && echo ${READY_WORD}`
  return [
    `socat -b65536 UNIX-LISTEN:/meca/${port},fork,mode=666,backlog=${MAX_CONNECTIONS} ${target} &`,
    `socat UNIX-LISTEN:/meca/${port}.ready,fork,mode=666 'SYSTEM:"${probe}"' &`,
    'wait',
  ].join('\n')
}
