/**
 * Tasks, callers and surroundings that are wrong, through the whole path with real containers. Each gives its own error
 * with a cure, charges nothing that is not due, leaves no container behind, and the next job works.
 */
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, test } from 'node:test'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { findAnvil } from '../../src/chain/anvil.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import type { NodeApi } from '../../src/role/api.ts'
import type { OnProgress } from '../../src/role/api-common.ts'
import type { Published } from '../../src/role/api-developer.ts'
import type { RunOptions, RunResult } from '../../src/role/api-client.ts'
import { dockerMissing } from '../support/images.ts'
import { openWorld } from '../support/world.ts'
import type { World } from '../support/world.ts'
import { eventually } from '../role/stage.ts'
import { FEE, publishScript, SERVE } from './tasks.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()
const { signal } = new AbortController()
const docker = new Docker()
const quiet = (): void => undefined

describe('bad input', { skip }, () => {
  let world: World
  let client: NodeApi
  let wicked: Published
  let ids = 0

  before(async () => {
    await ensureBase(docker, 'busybox', signal)
    const hostFlags = {
      'host.cpus': '2',
      'host.memoryBytes': '1G',
      'limits.startTimeoutMs': '12s',
      'limits.outputBytes': '1M',
    }
    world = await openWorld({ hosts: 1, hostFlags })
    client = world.client.api
    wicked = await publishScript(world.developer.api, { name: 'wicked', run: SERVE }, signal)
  })

  after(async () => {
    await world.close()
    assert.deepEqual(await containers(), [], 'containers are left')
  })

  afterEach(async () => {
    const { status, output } = await run(wicked, 'fine')
    assert.equal(status, 'answered')
    assert.equal(output.toString(), 'fine')
    await eventually('nothing but the warm container is left', async () => {
      const left = await containers()
      return left.length <= 1 && left.every(({ State }) => State === 'running')
    })
  })

  /** Task containers of this process, in any state. */
  async function containers(): Promise<Docker.ContainerInfo[]> {
    const all = await docker.listContainers({ all: true, filters: { label: [`meca.pid=${process.pid}`] } })
    return all.filter(({ Names }) => !Names.some((name) => name.startsWith('/meca-sidecar-')))
  }

  async function run(
    task: Published,
    input: string,
    options: RunOptions = {},
    onProgress: OnProgress = quiet,
    until = signal,
  ): Promise<RunResult & { output: Buffer }> {
    const id = `bad-${++ids}`
    const result = await client.client.run(
      task.cid,
      Buffer.from(input),
      { id, maxSeconds: 30, ...options },
      onProgress,
      until,
    )
    const chunks: Uint8Array[] = []
    for await (const chunk of await client.client.output(result.job)) chunks.push(chunk)
    return { ...result, output: Buffer.concat(chunks) }
  }

  /** The job ended badly, with this code and a cure, and was billed as `bill` says. */
  function endedWith(
    result: RunResult,
    status: RunResult['status'],
    code: ErrorCode,
    bill: 'nothing' | 'the run',
  ): void {
    assert.equal(result.status, status, JSON.stringify(result.problem))
    assert.equal(result.problem?.code, code, JSON.stringify(result.problem))
    assert.ok(result.problem?.cure, `no cure: ${JSON.stringify(result.problem)}`)
    const { host, developer, quoted } = result.price
    assert.equal(developer, '0')
    assert.ok(BigInt(host) <= BigInt(quoted) - FEE)
    assert.equal(BigInt(host) > 0n, bill === 'the run')
  }

  async function throwing(code: ErrorCode, work: Promise<unknown>): Promise<MecaError> {
    const error: unknown = await work.then(
      () => assert.fail(`expected ${code}`),
      (e: unknown) => e,
    )
    assert.ok(error instanceof MecaError, String(error))
    assert.equal(error.code, code, error.message)
    assert.ok(error.cure, `no cure: ${error.message}`)
    return error
  }

  test('a server that is never ready, and one that listens on no port: start_timeout, not billed', async () => {
    const never = await publishScript(
      world.developer.api,
      { name: 'never', run: 'echo wait for it; sleep 600' },
      signal,
    )
    const deaf = await publishScript(
      world.developer.api,
      { name: 'deaf', run: 'echo meca-init-done; sleep 600' },
      signal,
    )
    const [a, b] = await Promise.all([run(never, 'x'), run(deaf, 'x')])
    endedWith(a, 'host_failed', 'start_timeout', 'nothing')
    endedWith(b, 'host_failed', 'start_timeout', 'nothing')
    assert.notEqual(a.problem?.message, b.problem?.message)
  })

  test('a container that ends before it is ready: start_failed with its last words, not billed', async () => {
    const dead = await publishScript(
      world.developer.api,
      { name: 'dead', run: 'echo no licence found; exit 3' },
      signal,
    )
    const result = await run(dead, 'x')
    endedWith(result, 'host_failed', 'start_failed', 'nothing')
    assert.match(`${result.problem?.message} ${result.logTail}`, /no licence found/)
  })

  test('a crash while it works: task_failed with the exit code, the run is billed and no fee', async () => {
    const result = await run(wicked, 'crash')
    endedWith(result, 'task_failed', 'task_failed', 'the run')
    assert.equal(result.exitCode, 7)
  })

  test('an endless reply: too_large, within the time of the run', async () => {
    endedWith(await run(wicked, 'endless'), 'task_failed', 'too_large', 'the run')
  })

  test('a reply that is binary, one that is large, and one with a status of its own come as they are', async () => {
    const binary = await run(wicked, 'binary')
    assert.deepEqual([...binary.output], [0, 1, 255, 254, 13, 10, 0])
    assert.equal((await run(wicked, 'large')).output.length, 900_000)
    const broken = await run(wicked, 'status')
    assert.equal(broken.status, 'answered')
    assert.equal(broken.httpStatus, 500)
    assert.equal(broken.price.developer, FEE.toString())
  })

  test('more memory than was asked for: task_failed and the reason', async () => {
    const result = await run(wicked, 'memory')
    endedWith(result, 'task_failed', 'task_failed', 'the run')
    assert.match(String(result.problem?.message), /memory/)
  })

  test('a flood of log lines: ended for its log budget', async () => {
    const result = await run(wicked, 'flood')
    endedWith(result, 'task_failed', 'task_failed', 'the run')
    assert.match(String(result.problem?.message), /log/)
  })

  test('a run over its time: run_timeout, billed within the quote', async () => {
    endedWith(await run(wicked, 'slow', { maxSeconds: 5 }), 'task_failed', 'run_timeout', 'the run')
  })

  test('a container that is killed from outside in the middle of a job: no fee, and its room is free again', async () => {
    const result = run(wicked, 'slow', {}, ({ kind, ...event }) => {
      if (kind === 'phase' && 'phase' in event && event.phase === 'running') void killAll()
    })
    const killer = setTimeout(() => void killAll(), 3_000)
    const ended = await result
    clearTimeout(killer)
    assert.ok(ended.status === 'task_failed' || ended.status === 'host_failed', ended.status)
    assert.equal(ended.price.developer, '0')
    assert.ok(ended.problem?.cure)
  })

  async function killAll(): Promise<void> {
    // One that has just ended is not killed twice.
    for (const { Id } of await containers())
      await docker
        .getContainer(Id)
        .kill()
        .catch(() => undefined)
  }

  test('a client that changes its mind: cancelled, billed within the quote, the container gone', async () => {
    const stop = new AbortController()
    const before = await containers()
    setTimeout(() => stop.abort(), 2_000)
    const result = await run(wicked, 'slow', {}, quiet, stop.signal)
    assert.equal(result.status, 'cancelled')
    assert.equal(result.price.developer, '0')
    assert.ok(BigInt(result.price.host) <= BigInt(result.price.quoted) - FEE)
    await eventually('the container that was at work is gone', async () => {
      const names = (await containers()).map(({ Id }) => Id)
      return before.every(({ Id }) => !names.includes(Id))
    })
  })

  test('M-20 a GPU that nobody has, and more CPUs than anybody has, are told apart', async () => {
    const resource = { cpu: 0.5, mem: 32, use_gpu: true, gpu_count: 1 }
    const gpu = await publishScript(world.developer.api, { name: 'gpu', run: SERVE, resource }, signal)
    const big = { ...resource, use_gpu: false, gpu_count: 0, cpu: 64 }
    const cpu = await publishScript(world.developer.api, { name: 'cpu', run: SERVE, resource: big }, signal)
    assert.match((await throwing('no_host', run(gpu, 'x'))).message, /1 GPUs asked, 0 there/)
    assert.match((await throwing('no_host', run(cpu, 'x'))).message, /64 CPUs asked, 2 there/)
  })

  test('a client without money: insufficient_funds with what is missing', async () => {
    const { address } = await client.info()
    const rich = await rpc('eth_getBalance', address, 'latest')
    const poor = await world.open('poor', 'node', 7)
    const { address: poorAddress } = await poor.api.info()
    await rpc('anvil_setBalance', poorAddress, '0x1')
    const error = await throwing(
      'insufficient_funds',
      poor.api.client.run(wicked.cid, Buffer.from('fine'), { maxSeconds: 5 }, quiet, signal),
    )
    assert.match(error.message, /the job needs/)
    assert.equal(await rpc('eth_getBalance', address, 'latest'), rich)
  })

  async function rpc(method: string, ...params: unknown[]): Promise<unknown> {
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const answer = await fetch(world.anvil.url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    })
    return ((await answer.json()) as { result: unknown }).result
  }

  test('a home that is in use, a chain that is another, one that has no contracts, one that does not answer', async () => {
    const { writeFile } = await import('node:fs/promises')
    const { join } = await import('node:path')
    await throwing('home_in_use', world.open('client', 'node', 2))
    const file = async (name: string, over: object) => {
      const path = join(world.folder, name)
      await writeFile(path, JSON.stringify({ ...world.deployment, ...over }))
      return { 'chain.deployment': path }
    }
    await throwing('wrong_chain', world.open('a', 'node', 6, await file('chain.json', { chainId: 1 })))
    const nowhere = { tasks: `0x${'44'.repeat(20)}`, hosts: `0x${'44'.repeat(20)}`, channels: `0x${'44'.repeat(20)}` }
    await throwing('wrong_chain', world.open('b', 'node', 6, await file('contracts.json', { contracts: nowhere })))
    const down = { 'chain.rpc': 'http://127.0.0.1:9', 'chain.requestTimeoutMs': '5s' }
    await throwing('chain_unreachable', world.open('c', 'node', 6, down))
    await throwing(
      'bad_config',
      world.open('d', 'node', 6, { 'chain.deployment': join(world.folder, 'not-there.json') }),
    )
  })
})
