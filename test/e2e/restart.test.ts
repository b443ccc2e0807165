/**
 * `kill -9` of a client and of a host in the middle of jobs, each a process of its own. After the restart nothing is lost
 * and nothing charged twice: the same id brings the result, and both ledgers agree with the chain.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { findAnvil } from '../../src/chain/anvil.ts'
import { findDaemon } from '../../src/cli/daemon-file.ts'
import { inheritedEnvironment } from '../../src/config.ts'
import { asMecaError } from '../../src/core/errors.ts'
import { connect } from '../../src/http/client.ts'
import type { RemoteNode } from '../../src/http/client.ts'
import type { NodeApi } from '../../src/role/api.ts'
import type { Published } from '../../src/role/api-developer.ts'
import type { RunResult } from '../../src/role/api-client.ts'
import { startDevnet } from '../../src/wiring/devnet.ts'
import type { Devnet, Member } from '../../src/wiring/devnet.ts'
import { eventually } from '../role/stage.ts'
import { dockerMissing } from '../support/images.ts'
import { publishScript, SERVE } from './tasks.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()
const { signal } = new AbortController()
const docker = new Docker()
/** What the task answers to `large`; travels on a stream of its own. */
const LARGE_BYTES = 900_000
const MAIN = new URL('../../src/main.ts', import.meta.url).pathname

describe('kill -9 and restart', { skip }, () => {
  let devnet: Devnet
  let task: Published
  const children: ChildProcess[] = []
  const remotes: RemoteNode[] = []

  before(async () => {
    await ensureBase(docker, 'busybox', signal)
    devnet = await startDevnet({ hosts: 1, signal })
    task = await publishScript(await apiOf(devnet.developer), { name: 'slow', run: SERVE }, signal)
  })

  after(async () => {
    for (const remote of remotes) remote.close()
    for (const child of children) await end(child)
    await devnet.close()
  })

  const hostMember = (): Member => {
    const [member] = devnet.hosts
    assert.ok(member)
    return member
  }

  /** A new connection to whatever process serves this home now. */
  async function apiOf({ home }: Member): Promise<NodeApi> {
    const endpoint = await findDaemon(home)
    assert.ok(endpoint, `no daemon runs in ${home}`)
    const remote = await connect(endpoint, signal)
    remotes.push(remote)
    return remote.api
  }

  async function kill({ home }: Member): Promise<void> {
    const { pid } = JSON.parse(await readFile(join(home, 'daemon.json'), 'utf8')) as { pid: number }
    process.kill(pid, 'SIGKILL')
    await untilGone(pid)
  }

  async function untilGone(pid: number): Promise<void> {
    await eventually(`process ${pid} has ended`, async () => {
      // A process that was killed and not yet collected has state Z.
      const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
      return state === undefined || / Z /.test(state)
    })
  }

  async function start({ home }: Member, role: 'host' | 'node', failpoints = ''): Promise<ChildProcess> {
    const child = spawn(process.execPath, [MAIN, role, 'start', '--home', home, '--json'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      cwd: home,
      env: { ...inheritedEnvironment(), MECA_FAILPOINTS: failpoints },
    })
    children.push(child)
    assert.ok(child.stdout)
    const ready = once(createInterface({ input: child.stdout }), 'line')
    const [line] = (await Promise.race([ready, once(child, 'exit')])) as unknown[]
    assert.match(String(line), /"ready":true/, `the ${role} did not start`)
    return child
  }

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  }

  /** Asks for the job as its owner would: again, with the same id, until somebody answers. */
  async function run(id: string, input: string): Promise<RunResult> {
    for (let attempt = 1; ; attempt++) {
      try {
        const api = await apiOf(devnet.client)
        return await api.client.run(task.cid, Buffer.from(input), { id, maxSeconds: 60 }, () => undefined, signal)
      } catch (error) {
        const { code } = asMecaError(error)
        if (attempt >= 10 || !['peer_unreachable', 'no_host', 'timeout'].includes(code)) throw error
        await new Promise((resolve) => setTimeout(resolve, 1_000))
      }
    }
  }

  async function untilRunning(id: string): Promise<void> {
    const { host } = await apiOf(hostMember())
    await eventually(`job ${id} runs`, async () => {
      const running = (await host?.status())?.running ?? []
      return running.some(({ job, phase }) => job === id && phase === 'running')
    })
  }

  async function billed(member: Member): Promise<bigint> {
    const channels = await (await apiOf(member)).money.channels(signal)
    return channels.reduce((sum, channel) => sum + BigInt(channel.billed), 0n)
  }

  const cost = ({ price }: RunResult) => BigInt(price.host) + BigInt(price.developer)

  test('a job runs before anything is killed', async () => {
    assert.equal((await run('calm', 'fine')).status, 'answered')
  })

  test('a host that is killed in the middle of a job: not charged, its containers swept, the next job works', async () => {
    const before = await billed(devnet.client)
    const { pid } = JSON.parse(await readFile(join(hostMember().home, 'daemon.json'), 'utf8')) as { pid: number }
    const lost = run('lost', 'wait')
    lost.catch(() => undefined)
    await untilRunning('lost')
    await kill(hostMember())
    await start(hostMember(), 'host')
    const result = await lost
    assert.equal(result.status, 'host_failed', JSON.stringify(result.problem))
    assert.ok(result.problem?.cure)
    assert.equal(cost(result), 0n)
    assert.equal(await billed(devnet.client), before)
    const left = await docker.listContainers({ all: true, filters: { label: [`meca.pid=${pid}`] } })
    assert.deepEqual(left, [])
    assert.equal((await run('after-lost', 'fine')).status, 'answered')
  })

  test('a host that is killed between writing a result and sending it: the result comes, billed once', async () => {
    const before = await billed(devnet.client)
    await kill(hostMember())
    const armed = await start(hostMember(), 'host', 'host.result-written=kill@1')
    const job = run('written', 'fine')
    job.catch(() => undefined)
    await once(armed, 'exit')
    assert.equal(armed.signalCode, 'SIGKILL')
    await start(hostMember(), 'host')
    const result = await job
    assert.equal(result.status, 'answered', JSON.stringify(result.problem))
    await eventually('both ledgers say the same', async () => {
      const [client, host] = [await billed(devnet.client), await billed(hostMember())]
      return client === before + cost(result) && host === client
    })
  })

  test('a client that is killed in the middle of a job gets the result by the same id, billed once', async () => {
    const before = await billed(devnet.client)
    const cut = run('orphan', 'wait')
    cut.catch(() => undefined)
    await untilRunning('orphan')
    await kill(devnet.client)
    await assert.rejects(cut)
    await start(devnet.client, 'node')
    const result = await run('orphan', 'wait')
    assert.equal(result.status, 'answered')
    assert.equal((await run('orphan', 'wait')).receipt, result.receipt)
    assert.equal(await billed(devnet.client), before + cost(result))
    assert.equal(await billed(hostMember()), before + cost(result))
  })

  test('a client that is killed between writing a voucher and sending it runs the job by the same id, billed once', async () => {
    const before = await billed(devnet.client)
    await kill(devnet.client)
    const armed = await start(devnet.client, 'node', 'client.voucher-written=kill@1')
    const cut = run('unsent', 'fine')
    cut.catch(() => undefined)
    await once(armed, 'exit')
    await assert.rejects(cut)
    await start(devnet.client, 'node')
    const result = await run('unsent', 'fine')
    assert.equal(result.status, 'answered')
    assert.equal(await billed(devnet.client), before + cost(result))
  })

  /** Sizes of what came of transfers that were cut off. */
  async function parts({ home }: Member): Promise<number[]> {
    const folder = join(home, 'blobs', 'incoming')
    const names = (await readdir(folder)).filter((name) => name.startsWith('part-'))
    return Promise.all(names.map(async (name) => (await stat(join(folder, name))).size))
  }

  test('a client that is killed while a large output comes down brings it to its end by itself, billed once', async () => {
    const before = await billed(devnet.client)
    await kill(devnet.client)
    const armed = await start(devnet.client, 'node', 'blob.taken=kill@2')
    const cut = run('download', 'large')
    cut.catch(() => undefined)
    await once(armed, 'exit')
    await assert.rejects(cut)
    const [kept = 0] = await parts(devnet.client)
    assert.ok(kept > 0 && kept < LARGE_BYTES, String(kept))
    await start(devnet.client, 'node')
    const { client } = await apiOf(devnet.client)
    // Nobody asks for it: a part that is begun anew, or lost, would not come.
    await eventually('the output has come', async () => (await client.job('download')).result !== undefined)
    assert.deepEqual(await parts(devnet.client), [])
    const result = await run('download', 'large')
    assert.equal(result.outputBytes, LARGE_BYTES)
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.output('download')) chunks.push(chunk)
    assert.ok(Buffer.concat(chunks).equals(Buffer.alloc(LARGE_BYTES, 'x')))
    assert.equal(await billed(devnet.client), before + cost(result))
  })

  test('a host that is killed while a large input comes in bills nothing, and goes on with it for the next job', async () => {
    const before = await billed(devnet.client)
    const input = 'fine'.padEnd(LARGE_BYTES)
    await kill(hostMember())
    const armed = await start(hostMember(), 'host', 'blob.taken=kill@2')
    const lost = run('upload', input)
    lost.catch(() => undefined)
    await once(armed, 'exit')
    const [kept = 0] = await parts(hostMember())
    assert.ok(kept > 0 && kept < LARGE_BYTES, String(kept))
    await start(hostMember(), 'host')
    assert.equal((await lost).status, 'host_failed')
    assert.equal(await billed(devnet.client), before)
    const again = await run('upload-again', input)
    assert.equal(again.status, 'answered', again.problem?.message)
    assert.deepEqual(await parts(hostMember()), [])
  })

  test('a client that is killed between opening a channel on paper and on chain opens one, and loses nothing', async () => {
    const { money } = await apiOf(devnet.client)
    for (const { channel, state } of await money.channels(signal)) {
      if (state === 'open') await money.close(channel, signal)
    }
    await kill(devnet.client)
    const armed = await start(devnet.client, 'node', 'client.channel-intent=kill@1')
    const cut = run('unopened', 'fine')
    cut.catch(() => undefined)
    await once(armed, 'exit')
    await assert.rejects(cut)
    await start(devnet.client, 'node')
    assert.equal((await run('unopened', 'fine')).status, 'answered')
  })

  test('a host that is killed in a claim claims once, and everybody agrees to the last wei', async () => {
    await kill(hostMember())
    const armed = await start(hostMember(), 'host', 'host.claimed=kill@1')
    const exit = once(armed, 'exit')
    await run('before-claim', 'fine')
    const claims = (await apiOf(hostMember())).money
    // The client says a moment after the result what it owes exactly; until then there is nothing to claim.
    while (armed.signalCode === null) {
      await claims.claim({}, signal).catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    await exit
    await start(hostMember(), 'host')
    const { money: hosts } = await apiOf(hostMember())
    await hosts.claim({}, signal)
    const { money } = await apiOf(devnet.client)
    for (const { channel, state } of await money.channels(signal)) {
      if (state === 'open') await money.close(channel, signal)
    }
    for (const member of [devnet.client, hostMember()]) {
      const { ok, lines } = await (await apiOf(member)).money.reconcile(signal)
      assert.ok(ok, JSON.stringify(lines.filter((line) => !line.ok)))
      assert.deepEqual(
        lines.filter(({ difference }) => difference !== '0'),
        [],
      )
    }
  })
})
