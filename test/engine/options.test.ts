/**
 * The sandbox, field by field (security.md 1.1.1). The whole of the options is compared, so a line that is lost, added
 * or changed is a failing test with the name of the field.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Plan } from '../../src/core/plan.ts'
import { imageFacts } from '../../src/engine/image-facts.ts'
import { sandboxOptions } from '../../src/engine/options.ts'
import type { SandboxInput } from '../../src/engine/options.ts'
import { holderOptions } from '../../src/engine/room.ts'
import { filesPlan, mecaPlan } from '../support/plans.ts'

const MIB = 2 ** 20

function input(changes: Partial<SandboxInput> = {}): SandboxInput {
  return {
    name: 'job-1',
    imageId: 'sha256:abc',
    facts: { user: '', env: [], volumes: [] },
    plan: mecaPlan({ env: { A: '1' } }),
    sidecarId: 'side',
    labels: { 'meca.owner': 'o' },
    seccomp: '{}',
    ...changes,
  }
}

const host = (changes: Partial<SandboxInput> = {}) => sandboxOptions(input(changes)).HostConfig ?? {}

/** Everything that stands in HostConfig for a plain MECA plan. */
const EXPECTED: Readonly<Record<string, unknown>> = {
  Privileged: false,
  CapDrop: ['ALL'],
  CapAdd: [],
  Binds: [],
  VolumesFrom: [],
  Devices: [],
  DeviceCgroupRules: [],
  DeviceRequests: [],
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
  NetworkMode: 'container:side',
  SecurityOpt: ['no-new-privileges', 'seccomp={}'],
  ReadonlyRootfs: true,
  Tmpfs: { '/tmp': 'rw,exec,nosuid,nodev,size=4194304,nr_inodes=65536,mode=1777' },
  Memory: 128 * MIB,
  MemorySwap: 128 * MIB,
  NanoCpus: 1_000_000_000,
  PidsLimit: 64,
  ShmSize: 64 * MIB,
  Ulimits: [
    { Name: 'nofile', Soft: 4096, Hard: 4096 },
    { Name: 'core', Soft: 0, Hard: 0 },
    { Name: 'memlock', Soft: 65_536, Hard: 65_536 },
  ],
}

for (const [field, value] of Object.entries(EXPECTED)) {
  test(`HostConfig.${field} is ${JSON.stringify(value)}`, () => {
    assert.deepEqual((host() as Record<string, unknown>)[field], value)
  })
}

test('HostConfig has no field that is not in the table', () => {
  assert.deepEqual(Object.keys(host()).sort(), Object.keys(EXPECTED).sort())
})

test('masked paths, sysctls, DNS, extra hosts and init binds are left to the engine or the sidecar', () => {
  for (const field of ['MaskedPaths', 'ReadonlyPaths', 'Sysctls', 'Dns', 'ExtraHosts', 'Mounts'])
    assert.ok(!(field in host()), field)
})

test('the rest of the options: what the image says is overridden, not kept', () => {
  const { HostConfig: _host, ...rest } = sandboxOptions(input())
  assert.deepEqual(rest, {
    name: 'job-1',
    Image: 'sha256:abc',
    User: '',
    Env: ['A=1'],
    Labels: { 'meca.owner': 'o' },
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGKILL',
    StopTimeout: 1,
    Tty: false,
    OpenStdin: false,
    StdinOnce: false,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
  })
})

test('the command replaces CMD and leaves ENTRYPOINT alone', () => {
  const options = sandboxOptions(input({ plan: mecaPlan({ command: ['a', 'b'] }) }))
  assert.deepEqual([options.Cmd, options.Entrypoint], [['a', 'b'], undefined])
})

const USERS: readonly [plan: Plan['user'], image: string, user: string, tmpfs: RegExp][] = [
  ['nobody', 'root', '65534:65534', /,uid=65534,gid=65534$/],
  ['1000:1001', 'app', '1000:1001', /,uid=1000,gid=1001$/],
  ['image', '', '', /,mode=1777$/],
  ['image', '1000', '1000', /,uid=1000,gid=1000$/],
  ['image', 'app', 'app', /,mode=1777$/],
]

for (const [plan, image, user, tmpfs] of USERS) {
  test(`user ${plan} of an image with ${image || 'no user'} is ${user || "the image's"} and owns /tmp`, () => {
    const options = sandboxOptions(
      input({ plan: mecaPlan({ user: plan }), facts: { user: image, env: [], volumes: [] } }),
    )
    assert.equal(options.User, user)
    assert.match(options.HostConfig?.Tmpfs?.['/tmp'] ?? '', tmpfs)
  })
}

test('every volume of the image becomes sized scratch space', () => {
  const tmpfs = host({ facts: { user: '', env: [], volumes: ['/data', '/var/lib/db'] } }).Tmpfs ?? {}
  assert.deepEqual(Object.keys(tmpfs), ['/tmp', '/data', '/var/lib/db'])
  for (const text of Object.values(tmpfs)) assert.match(text, /nosuid,nodev,size=4194304/)
})

test('a writable root is given only where the plan says so', () => {
  const open = host({ plan: mecaPlan({ writableRoot: true }) })
  assert.equal(open.ReadonlyRootfs, false)
  assert.deepEqual(
    open.Ulimits?.at(-1),
    { Name: 'fsize', Soft: 64 * MIB, Hard: 64 * MIB },
    'it is the disk of the host',
  )
})

test('GPUs come by id, never all of them', () => {
  assert.deepEqual(host({ gpuIds: ['0', '2'] }).DeviceRequests, [
    { Driver: 'nvidia', DeviceIDs: ['0', '2'], Capabilities: [['gpu']] },
  ])
})

test('gVisor gets its name and room for its own threads', () => {
  assert.equal(host({ runtime: 'runsc' }).Runtime, 'runsc')
  assert.equal(host({ runtime: 'runsc' }).PidsLimit, 1024)
})

test('whatever the plan says, no memory becomes swap and no limit is missing', () => {
  const resources = fc.record({
    cpuMillis: fc.integer({ min: 1, max: 4_096_000 }),
    memoryBytes: fc.integer({ min: 6 * MIB, max: 2 ** 46 }),
    gpus: fc.constant(0),
  })
  fc.assert(
    fc.property(resources, fc.integer({ min: 1, max: 10_000 }), (r, pids) => {
      const made = host({ plan: mecaPlan({ resources: r, limits: { pids } }) })
      assert.equal(made.MemorySwap, r.memoryBytes)
      assert.equal(made.NanoCpus, r.cpuMillis * 1_000_000)
      assert.equal(made.PidsLimit, pids)
      assert.ok((made.ShmSize ?? Infinity) <= r.memoryBytes)
    }),
  )
})

test('an image may say its user, environment and volumes, and nothing else is read', () => {
  const config = {
    User: 'app',
    Env: ['A=1'],
    Volumes: { '/data/': {} },
    Healthcheck: { Test: ['CMD', 'x'] },
    OnBuild: ['RUN x'],
    ExposedPorts: { '1/tcp': {} },
    StopSignal: 'SIGSTOP',
  }
  assert.deepEqual(imageFacts(config), { user: 'app', env: ['A=1'], volumes: ['/data'] })
  assert.deepEqual(imageFacts(null), { user: '', env: [], volumes: [] })
})

test('an image with too much environment, too many or impossible volumes is refused', () => {
  const volumes = (...paths: string[]) => ({ Volumes: Object.fromEntries(paths.map((p) => [p, {}])) })
  const many = Array.from({ length: 17 }, (_, i) => `/v${i}`)
  for (const path of [
    '/',
    '/proc',
    '/proc/x',
    '/dev/shm',
    '/etc',
    '/tmp',
    'relative',
    '/a/../etc',
    '/a:b',
    '/a,size=9',
  ]) {
    assert.throws(() => imageFacts(volumes(path)), { code: 'invalid_task' }, path)
  }
  assert.throws(() => imageFacts(volumes(...many)), { code: 'invalid_task' })
  assert.throws(() => imageFacts({ Env: ['A='.padEnd(70_000, 'x')] }), { code: 'invalid_task' })
  assert.throws(() => imageFacts({ Env: Array.from({ length: 513 }, (_, i) => `A${i}=`) }), { code: 'invalid_task' })
})

/** What a files plan adds to the walls, and nothing else. */
const FILES = {
  mounts: [
    { path: '/inputs', volume: 'v-0-disk', writable: false },
    { path: '/tmp', volume: 'v-1-memory', writable: true },
  ],
}
const volume = (Source: string, Target: string, ReadOnly: boolean) => ({
  Type: 'volume',
  Source,
  Target,
  ReadOnly,
  VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } },
})

test('a files plan stands behind the same walls, field by field, with its volumes beside them', () => {
  const files = host({ plan: filesPlan('true'), facts: { user: '', env: [], volumes: ['/inputs'] }, ...FILES })
  const mounts = [volume('v-0-disk', '/inputs', true), volume('v-1-memory', '/tmp', false)]
  assert.deepEqual(files, { ...EXPECTED, Mounts: mounts, Tmpfs: {} }, 'no scratch space where a volume is')
})

test('an entry point and a working folder are set only where the plan has them', () => {
  const exchange = { entrypoint: ['a', 'b'], workingFolder: '/w' }
  const set = sandboxOptions(input({ plan: filesPlan('true', { exchange }) }))
  assert.deepEqual([set.Entrypoint, set.WorkingDir, set.Cmd], [['a', 'b'], '/w', ['sh', '-c', 'true']])
  const plain = sandboxOptions(input({ plan: filesPlan('true') }))
  assert.deepEqual(['Entrypoint' in plain, 'WorkingDir' in plain], [false, false])
})

test('a files plan gets its GPUs by id too', () => {
  assert.deepEqual(host({ plan: filesPlan('true'), gpuIds: ['3'] }).DeviceRequests, [
    { Driver: 'nvidia', DeviceIDs: ['3'], Capabilities: [['gpu']] },
  ])
})

test('the holder of volumes stands behind the walls as well, without any network', () => {
  const { HostConfig, ...rest } = holderOptions('h', 'sha256:own', FILES.mounts, { labels: { a: 'b' }, seccomp: '{}' })
  const walls = Object.entries(EXPECTED).filter(([field]) => field in (HostConfig ?? {}))
  const own = ['NetworkMode', 'ReadonlyRootfs', 'Memory', 'MemorySwap', 'PidsLimit']
  for (const [field, value] of walls.filter(([name]) => !own.includes(name)))
    assert.deepEqual((HostConfig as Record<string, unknown>)[field], value, field)
  assert.deepEqual(
    own.map((field) => (HostConfig as Record<string, unknown>)[field]),
    ['none', false, 16 * MIB, 16 * MIB, 8],
  )
  assert.deepEqual([rest.User, rest.Labels, rest.Image, rest.Env], ['65534:65534', { a: 'b' }, 'sha256:own', []])
})
