/**
 * The market that is measured: a devnet with one host, each member a process of its own, and a client of our own in this
 * process, so that what is compared is called from the same place. The task echoes its input.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import { ensureBase } from '../../../scripts/bases.ts'
import { loadConfig } from '../../../src/config.ts'
import type { Hex } from '../../../src/core/units.ts'
import { connect } from '../../../src/http/client.ts'
import { createLog, Redaction } from '../../../src/log.ts'
import { openNode } from '../../../src/node.ts'
import type { NodeApi } from '../../../src/role/api.ts'
import type { Published } from '../../../src/role/api-developer.ts'
import type { Closer } from '../../../src/wiring/base.ts'
import { startDevnet } from '../../../src/wiring/devnet.ts'
import type { Devnet, Member } from '../../../src/wiring/devnet.ts'
import { prepareHome } from '../../../src/wiring/prepare.ts'
import { accountKey } from '../../support/world.ts'
import { residentMib } from './processes.ts'

export const FEE = 1_000_000n
export const BODY = Buffer.alloc(100, 'x')
/** Every job here ends in milliseconds; a short limit keeps the prices, and with them the deposit, small. */
export const RUN = { maxSeconds: 10 }
/** The layer that a second version changes. */
export const LAYER_BYTES = 2 ** 20
/** What a start leaves behind is collected or not by then. */
const REST_MS = 3_000
/** The deployer's account has nothing else to do. */
const CLIENT_ACCOUNT = 0
/** Enough for every job of a run: a deposit that has to be topped up would put the chain into the path. */
const DEPOSIT = 100n * 10n ** 18n

export type Stage = {
  docker: Docker
  devnet: Devnet
  developer: NodeApi
  /** The client in this process. */
  client: NodeApi
  /** The client behind its HTTP API, in a process of its own. */
  daemon: { url: string; token: string }
  host: NodeApi
  hostPid: number
  /** Before its first job. */
  hostAtRestMib: number
  hostHome: string
  task: Published
  /** Publishes the task once more, with another last layer. */
  publish(version: string): Promise<Published>
  imageOf(task: Published): Promise<string>
  /** Takes the task's image out of the engine that all members share. */
  forget(task: Published): Promise<void>
}

export async function openStage(closer: Closer, signal: AbortSignal): Promise<Stage> {
  const docker = new Docker()
  await ensureBase(docker, 'node', signal)
  const devnet = await startDevnet({ hosts: 1, signal })
  closer.add(() => devnet.close())
  const [hostMember] = devnet.hosts
  if (hostMember === undefined) throw new Error('the devnet has no host')
  const [developer, host, behindHttp] = await Promise.all(
    [devnet.developer, hostMember, devnet.client].map((member) => reach(member, closer, signal)),
  )
  await sleep(REST_MS)
  const hostPid = await pidOf(hostMember)
  const hostAtRestMib = await residentMib(hostPid)
  if (developer === undefined || host === undefined || behindHttp === undefined) throw new Error('nobody answers')
  const client = await ownClient(devnet, (await developer.info()).addresses, closer, signal)
  const folder = await taskFolder(closer)
  const publish = async (version: string) => {
    await writeFile(join(folder, 'src', 'changing.bin'), randomBytes(LAYER_BYTES))
    const buildArgs = { BASE: 'meca-base/node' }
    return developer.developer.publish(
      folder,
      { fee: FEE, version, name: 'bench', buildArgs, skipTest: true },
      () => undefined,
      signal,
    )
  }
  const task = await publish('1.0.0')
  for (const payer of [client, behindHttp]) await openChannel(payer, hostMember.address, signal)
  const imageOf = async ({ cid }: Published) => (await developer.developer.show(cid, signal)).manifest.image.id
  // The developer built on this engine; elsewhere the host's engine would not have the image.
  const forget = async (of: Published) => void (await docker.getImage(await imageOf(of)).remove({ force: true }))
  await forget(task)
  await client.client.run(task.cid, BODY, RUN, () => undefined, signal)
  return {
    docker,
    devnet,
    developer,
    client,
    daemon: { url: devnet.client.api, token: await readFile(join(devnet.client.home, 'token'), 'utf8') },
    host,
    hostPid,
    hostAtRestMib,
    hostHome: hostMember.home,
    task,
    publish,
    imageOf,
    forget,
  }
}

async function reach(member: Member, closer: Closer, signal: AbortSignal): Promise<NodeApi> {
  const token = await readFile(join(member.home, 'token'), 'utf8')
  const remote = await connect({ url: member.api, token }, signal)
  closer.add(() => remote.close())
  return remote.api
}

/** The channel is opened before anything is measured. */
async function openChannel(payer: NodeApi, host: Hex, signal: AbortSignal): Promise<void> {
  await payer.money.open(host, DEPOSIT, signal)
}

async function ownClient(
  devnet: Devnet,
  bootstrap: readonly string[],
  closer: Closer,
  signal: AbortSignal,
): Promise<NodeApi> {
  const home = join(devnet.folder, 'bench')
  const privateKey = accountKey(CLIENT_ACCOUNT)
  await prepareHome({ folder: home, password: 'play', keep: true, rounds: 1024, privateKey })
  const loaded = loadConfig({
    env: {},
    cwd: devnet.folder,
    file: new URL('../../../config/devnet.yml', import.meta.url).pathname,
    flags: {
      home,
      'chain.rpc': devnet.rpc,
      'chain.deployment': join(devnet.folder, 'deployment.json'),
      'p2p.bootstrap': bootstrap.join(' '),
    },
  })
  // As a daemon has it, but to a file: what logging costs belongs to the figures.
  const log = createLog({ level: 'info', file: join(devnet.folder, 'bench.log'), redaction: new Redaction() })
  const node = await openNode(loaded, 'node', log, signal)
  closer.add(() => node.close())
  return node.api
}

async function pidOf({ home }: Member): Promise<number> {
  const { pid } = JSON.parse(await readFile(join(home, 'daemon.json'), 'utf8')) as { pid: number }
  return pid
}

const SERVER = `import { createServer } from 'node:http'
const server = createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks)
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': body.length }).end(body)
  })
})
server.keepAliveTimeout = 60000
server.listen(8080, '0.0.0.0', () => process.stdout.write('meca-init-done\\n'))
`

const DOCKERFILE = `ARG BASE
FROM \${BASE}
COPY src/server.mjs /app/server.mjs
COPY src/changing.bin /app/changing.bin
EXPOSE 8080
CMD ["node", "/app/server.mjs"]
`

export async function taskFolder(closer: Closer): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'meca-bench-task-'))
  closer.add(() => rm(folder, { recursive: true, force: true }))
  await mkdir(join(folder, 'src'))
  const files: Record<string, string | Uint8Array> = {
    'src/changing.bin': randomBytes(LAYER_BYTES),
    Dockerfile: DOCKERFILE,
    'config.json': JSON.stringify({ resource: { cpu: 1, mem: 256, use_gpu: false, gpu_count: 0 } }),
    'name.txt': 'bench',
    'description.txt': 'Answers with its input.',
    'example_input.bin': BODY,
    'example_output.bin': BODY,
    'src/server.mjs': SERVER,
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
  return folder
}
