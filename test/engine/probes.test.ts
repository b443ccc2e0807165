/**
 * A hostile task tries what security.md 4.2 lists, in our sandbox, where each attempt must fail; then the same program
 * tries it in containers without the defence, where it must succeed, so that a probe that tests nothing is found out.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Server } from 'node:net'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Container, HostConfig } from 'dockerode'
import type { Plan } from '../../src/core/plan.ts'
import { TestEngine, input } from '../support/engine.ts'
import { busyboxImage, compilerMissing, dockerMissing, image } from '../support/images.ts'
import { filesPlan, mecaPlan } from '../support/plans.ts'
import { PROBES } from '../support/probes/probes.ts'
import type { Control, Probe } from '../support/probes/probes.ts'

const skip = await dockerMissing()
const skipNative = skip || (await compilerMissing())
const t = new TestEngine(1)
const listeners: Server[] = []
const hits = { gateway: 0, loopback: 0, abstract: 0 }
const results = new Map<string, Map<string, string>>()
let neighbour: Container | undefined

before(
  async () => {
    if (skip !== false) return
    process.env['MECA_CANARY'] = 'canary-of-the-host'
    const id = await probeImage()
    const env = await surroundings(id)
    const other = await t.start(id, sandbox('echo meca-init-done; exec httpd -f -p 8080 -h /srv', {}))
    results.set('sandbox as root', await inSandbox(id, env, 'image'))
    results.set('sandbox as nobody', await inSandbox(id, env, 'nobody'))
    results.set('files as root', await inFiles(id, env, 'image'))
    results.set('files as nobody', await inFiles(id, env, 'nobody'))
    results.set('sandbox hits', new Map(Object.entries(hits).map(([name, count]) => [name, String(count)])))
    await other.stop()
    for (const [name, config] of Object.entries(CONTROLS)) results.set(name, await inControl(id, env, name, config))
  },
  { timeout: 240_000 },
)

after(async () => {
  delete process.env['MECA_CANARY']
  for (const server of listeners) server.close()
  await neighbour?.remove({ force: true, v: true })
  if (skip === false) await t.end()
})

const CONTROLS: Readonly<Record<Control, HostConfig>> = {
  plain: {},
  host: { NetworkMode: 'host', PidMode: 'host' },
  privileged: {
    CapAdd: [
      'SYS_ADMIN',
      'SYS_MODULE',
      'SYS_BOOT',
      'SYS_RAWIO',
      'SYS_TIME',
      'SYSLOG',
      'SYS_PTRACE',
      'NET_ADMIN',
      'DAC_READ_SEARCH',
    ],
    SecurityOpt: ['seccomp=unconfined', 'apparmor=unconfined'],
    MaskedPaths: [],
    ReadonlyPaths: [],
    DeviceCgroupRules: ['a *:* rwm'],
  },
}

for (const probe of PROBES) {
  const reason = probe.native === undefined ? skip : skipNative
  test(`probe ${probe.number} ${probe.title}`, { skip: reason }, () => {
    assert.equal(outcome('sandbox as root', probe), 'closed', 'as root inside')
    assert.equal(outcome('sandbox as nobody', probe), 'closed', 'as nobody')
    assert.equal(outcome('files as root', probe), 'closed', 'as root in a files plan')
    assert.equal(outcome('files as nobody', probe), 'closed', 'as nobody in a files plan')
    if (probe.open !== undefined)
      assert.equal(outcome(probe.open, probe), 'open', `the probe does not work in the ${probe.open} container`)
  })
}

test('probe 21 a setuid file gives nobody nothing', { skip: skipNative }, () => {
  assert.equal(results.get('sandbox as nobody')?.get('setuid-file'), 'closed')
  assert.equal(results.get('files as nobody')?.get('setuid-file'), 'closed')
  assert.equal(results.get('plain')?.get('setuid-file'), 'open')
})

test(
  'the listeners on this machine saw nobody from the sandbox, and somebody from the containers without it',
  { skip },
  () => {
    assert.deepEqual(Object.fromEntries(results.get('sandbox hits') ?? []), {
      gateway: '0',
      loopback: '0',
      abstract: '0',
    })
    assert.ok(hits.gateway > 0)
    if (skipNative === false) assert.ok(hits.loopback > 0 && hits.abstract > 0)
  },
)

function outcome(where: string, probe: Probe): string | undefined {
  return results.get(where)?.get(probe.native ?? `shell-${PROBES.indexOf(probe)}`)
}

/** busybox, the compiled probe (also as a setuid file), a volume, and a device node. */
async function probeImage(): Promise<string> {
  const files = [{ path: 'srv/ok', bytes: Buffer.from('ok') }]
  const lines = ['COPY srv /srv', 'RUN mknod -m 666 /image-device c 1 11', 'VOLUME /data']
  if (skipNative !== false) return image('probes', files, lines, { from: await busyboxImage() })
  const folder = await mkdtemp(join(tmpdir(), 'meca-probe-'))
  const source = fileURLToPath(new URL('../support/probes/probe.c', import.meta.url))
  await promisify(execFile)('cc', ['-static', '-O1', '-w', '-o', join(folder, 'probe'), source])
  const bytes = await readFile(join(folder, 'probe'))
  await rm(folder, { recursive: true })
  return image(
    'probes',
    [...files, { path: 'probe', bytes }],
    ['COPY probe /probe', 'RUN cp /probe /setuid-probe && chmod 4755 /setuid-probe', ...lines],
    {
      from: await busyboxImage(),
    },
  )
}

/** Listeners where a task must not get to: the bridge's gateway, loopback, an abstract socket; and another machine. */
async function surroundings(id: string): Promise<Record<string, string>> {
  const { IPAM } = (await t.docker.getNetwork('bridge').inspect()) as {
    IPAM: { Config: { Gateway?: string; Subnet: string }[] }
  }
  const gateway = IPAM.Config[0]?.Gateway ?? IPAM.Config[0]?.Subnet.replace(/\d+\/\d+$/, '1') ?? ''
  neighbour = await t.docker.createContainer({
    Image: id,
    Cmd: ['httpd', '-f', '-p', '8080', '-h', '/srv'],
    Labels: { 'meca.test': '1' },
  })
  await neighbour.start()
  const abstractName = `meca-${randomBytes(6).toString('hex')}`
  return {
    PATH: '/bin',
    GATEWAY: gateway,
    NEIGHBOUR: (await neighbour.inspect()).NetworkSettings.Networks['bridge']?.IPAddress ?? '',
    OTHER_TASK: '127.0.0.1',
    API_PORT: await listen('gateway', { host: gateway, port: 0 }),
    LOOPBACK_PORT: await listen('loopback', { host: '127.0.0.1', port: 0 }),
    ABSTRACT: (await listen('abstract', { path: `\0${abstractName}` }), abstractName),
    HOST_NAME: hostname(),
  }
}

async function listen(
  name: keyof typeof hits,
  where: { host: string; port: number } | { path: string },
): Promise<string> {
  const server = createServer((socket) => {
    hits[name] += 1
    socket.on('error', () => {}).end()
  })
  listeners.push(server)
  server.listen(where)
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'string' || address === null ? '' : String(address.port)
}

/** Every probe, or those that must succeed in one control, as a line of output; the program's own come first, because some shell probes exhaust the container. */
function script(control?: string): string {
  const shells = PROBES.flatMap((probe, index) =>
    probe.shell === undefined || (control !== undefined && probe.open !== control)
      ? []
      : [
          `(${probe.shell}) >/dev/null 2>&1 && echo "shell-${index} open" || echo "shell-${index} closed"`,
          'rm -rf /tmp/* /data/* /dev/shm/*',
        ],
  )
  const native = skipNative === false ? ['/probe', '/setuid-probe x'] : []
  return [...native, ...shells, 'sleep 3'].join('\n')
}

function sandbox(command: string, env: Record<string, string>, user: Plan['user'] = 'image'): Plan {
  const limits = { startTimeoutMs: 90_000, logBytes: 2 ** 20 }
  return mecaPlan({ command: ['sh', '-c', command], env: { ...env, SCAN: '1' }, user, limits })
}

async function inSandbox(id: string, env: Record<string, string>, user: Plan['user']): Promise<Map<string, string>> {
  const lines: string[] = []
  const plan = sandbox(`${script()}\necho meca-init-done\nexec httpd -f -p 8080 -h /srv`, env, user)
  const instance = await t.start(id, plan, { onLog: (line) => lines.push(line.text) })
  await instance.stop()
  return parse(lines)
}

/**
 * The same list where a plan exchanges files, with one mount in memory: probe 49 would rightly find a read-only mount of
 * inputs, which files.test.ts tries to change in every way.
 */
async function inFiles(id: string, env: Record<string, string>, user: Plan['user']): Promise<Map<string, string>> {
  const exchange = { mounts: [{ path: '/outputs', writable: true, sizeBytes: 2 ** 20 }], stage: [] }
  const limits = { runTimeoutMs: 120_000, logBytes: 2 ** 20 }
  const plan = filesPlan(script(), { env: { ...env, SCAN: '1' }, user, limits, exchange })
  const { console } = await t.files(id, plan, [input('/outputs/staged', 'x')])
  return parse(console.split('\n'))
}

/** As user nobody for the setuid file, else as the image says, which is root. */
async function inControl(
  id: string,
  env: Record<string, string>,
  name: string,
  HostConfig: HostConfig,
): Promise<Map<string, string>> {
  const Env = Object.entries(env).map(([key, value]) => `${key}=${value}`)
  const asRoot = await output({ Image: id, Cmd: ['sh', '-c', script(name)], Env, HostConfig })
  const asNobody = await output({
    Image: id,
    Cmd: ['sh', '-c', '/setuid-probe x'],
    Env,
    HostConfig,
    User: '65534:65534',
  })
  return new Map([...parse(asRoot), ...parse(asNobody)])
}

async function output(options: object): Promise<string[]> {
  const container = await t.docker.createContainer({ Labels: { 'meca.test': '1' }, Tty: true, ...options })
  try {
    await container.start()
    await container.wait()
    return (await container.logs({ stdout: true, stderr: true })).toString().split(/\r?\n/)
  } finally {
    await container.remove({ force: true, v: true })
  }
}

function parse(lines: readonly string[]): Map<string, string> {
  const found = lines.flatMap((line) => /^(\S+) (open|closed)\b/.exec(line)?.slice(1, 3) ?? [])
  return new Map(Array.from({ length: found.length / 2 }, (_, i) => [found[2 * i] ?? '', found[2 * i + 1] ?? '']))
}
