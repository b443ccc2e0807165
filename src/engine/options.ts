/**
 * The sandbox: one pure function from a plan to the engine's create options. Every field that protects the host is
 * written out, also where the value is the engine's default, so that a changed default or a lost line is a failing test.
 *
 * What keeps a stranger's code in: no capabilities, no new privileges, our own seccomp list, a read-only root, sized
 * scratch space, memory without swap, a pids limit, no log files on the host, and the empty network namespace of a
 * sidecar as its only network.
 */
import type { ContainerCreateOptions } from 'dockerode'
import type { Plan } from '../core/plan.ts'
import type { ImageFacts } from './image-facts.ts'

/** The client's types lack this field of the API. */
type HostConfig = NonNullable<ContainerCreateOptions['HostConfig']> & { CgroupnsMode?: 'private' | 'host' }

export type SandboxInput = {
  name: string
  imageId: string
  facts: ImageFacts
  plan: Plan
  /** Container of ours whose (empty) network namespace the task joins. */
  sidecarId: string
  /** Volumes of the plan's mounts. */
  mounts?: readonly TaskMount[] | undefined
  labels: Readonly<Record<string, string>>
  /** The seccomp profile as JSON text: the API takes the text, not a path. */
  seccomp: string
  runtime?: string | undefined
  gpuIds?: readonly string[] | undefined
}

export type TaskMount = { path: string; volume: string; writable: boolean }

const NOBODY = '65534:65534'
/** Enough for an application's sockets and files, small enough that a leak ends at the task. */
const MAX_OPEN_FILES = 4096
/** Under gVisor the limit counts the sandbox's own threads too (measured: 256 and fewer end a run without output). */
const GVISOR_PIDS = 1024
const SHM_BYTES = 64 * 2 ** 20
/** A volume the image declares becomes scratch space in memory; a file count as well as a size ends a flood. */
const VOLUME_INODES = 65_536

export function sandboxOptions(input: SandboxInput): ContainerCreateOptions {
  const { plan, facts } = input
  return {
    name: input.name,
    Image: input.imageId,
    User: userOf(plan, facts),
    ...filesOptions(plan),
    ...(plan.command === undefined ? {} : { Cmd: [...plan.command] }),
    Env: Object.entries(plan.env).map(([key, value]) => `${key}=${value}`),
    Labels: { ...input.labels },
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGKILL',
    StopTimeout: 1,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      ...WALLS,
      NetworkMode: `container:${input.sidecarId}`,
      ...(input.mounts === undefined ? {} : { Mounts: input.mounts.map(volumeMount) }),
      SecurityOpt: ['no-new-privileges', `seccomp=${input.seccomp}`],
      ReadonlyRootfs: !plan.writableRoot,
      Tmpfs: scratch(input),
      ...resourceLimits(input),
      ...(input.runtime === undefined ? {} : { Runtime: input.runtime }),
      ...devices(input.gpuIds ?? []),
    },
  }
}

/** What only a run over files sets: an entry point or a folder of the format's choice. */
function filesOptions({ exchange }: Plan): ContainerCreateOptions {
  if (exchange.kind !== 'files') return {}
  return {
    ...(exchange.entrypoint === undefined ? {} : { Entrypoint: [...exchange.entrypoint] }),
    ...(exchange.workingFolder === undefined ? {} : { WorkingDir: exchange.workingFolder }),
  }
}

/** Without copying: what the image has at that path is hidden, as under a bind mount, and costs nothing. */
export function volumeMount({ path, volume, writable }: TaskMount): NonNullable<HostConfig['Mounts']>[number] {
  const VolumeOptions = { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } }
  return { Type: 'volume', Source: volume, Target: path, ReadOnly: !writable, VolumeOptions }
}

/** The same for every container, ours included. */
export const WALLS: HostConfig = {
  Privileged: false,
  CapDrop: ['ALL'],
  CapAdd: [],
  Binds: [],
  VolumesFrom: [],
  Devices: [],
  DeviceCgroupRules: [],
  GroupAdd: [],
  Links: [],
  PortBindings: {},
  PublishAllPorts: false,
  PidMode: '',
  UTSMode: '',
  UsernsMode: '',
  IpcMode: 'private',
  CgroupnsMode: 'private',
  OomKillDisable: false,
  AutoRemove: false,
  RestartPolicy: { Name: 'no' },
  LogConfig: { Type: 'none', Config: {} },
}

/** Swappiness is not among them: engines on cgroup v2 refuse it, and without swap it says nothing. */
function resourceLimits({ plan, runtime }: SandboxInput): HostConfig {
  return {
    Memory: plan.resources.memoryBytes,
    MemorySwap: plan.resources.memoryBytes,
    NanoCpus: plan.resources.cpuMillis * 1_000_000,
    PidsLimit: runtime === 'runsc' ? Math.max(GVISOR_PIDS, plan.limits.pids) : plan.limits.pids,
    ShmSize: Math.min(SHM_BYTES, plan.resources.memoryBytes),
    Ulimits: [
      { Name: 'nofile', Soft: MAX_OPEN_FILES, Hard: MAX_OPEN_FILES },
      { Name: 'core', Soft: 0, Hard: 0 },
      { Name: 'memlock', Soft: 65_536, Hard: 65_536 },
      ...fileSize(plan),
    ],
  }
}

/**
 * Only for a writable root, which is the host's disk: everywhere else the space itself has a size, and the limit would
 * end programs that reserve large sparse memory files (memfd, shared memory) without filling them.
 */
function fileSize(plan: Plan): { Name: string; Soft: number; Hard: number }[] {
  if (!plan.writableRoot) return []
  const bytes = Math.max(plan.limits.scratchBytes, plan.limits.outputBytes, SHM_BYTES)
  return [{ Name: 'fsize', Soft: bytes, Hard: bytes }]
}

function userOf(plan: Plan, facts: ImageFacts): string {
  if (plan.user === 'nobody') return NOBODY
  return plan.user === 'image' ? facts.user : plan.user
}

/**
 * /tmp and every volume of the image, in memory. The owner is set because a tmpfs takes the mode of a folder that the
 * image already has, and a user who is not root could then not write. exec stays on: memfd execution bypasses noexec,
 * and applications that unpack native code into /tmp would break.
 */
function scratch({ plan, facts, mounts = [] }: SandboxInput): Record<string, string> {
  const owner = ownerOf(userOf(plan, facts))
  const of = (path: string) =>
    `rw,exec,nosuid,nodev,size=${plan.limits.scratchBytes},nr_inodes=${VOLUME_INODES},mode=1777${owner(path)}`
  const taken = new Set(mounts.map((mount) => mount.path))
  return Object.fromEntries(
    ['/tmp', ...facts.volumes].filter((path) => !taken.has(path)).map((path) => [path, of(path)]),
  )
}

/** A user by name cannot be resolved before the container exists; such an image keeps the owner that it built. */
function ownerOf(user: string): (path: string) => string {
  const match = /^([0-9]+)(?::([0-9]+))?$/.exec(user)
  if (match === null) return () => ''
  return () => `,uid=${match[1]},gid=${match[2] ?? match[1]}`
}

/** Never "all": a task sees the GPUs that were reserved for it. */
function devices(gpuIds: readonly string[]): HostConfig {
  if (gpuIds.length === 0) return { DeviceRequests: [] }
  return { DeviceRequests: [{ Driver: 'nvidia', DeviceIDs: [...gpuIds], Capabilities: [['gpu']] }] }
}
