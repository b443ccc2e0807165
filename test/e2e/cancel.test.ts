/**
 * A job that its caller ends, in every phase of an http and of a files task: what is told, what is billed, and that nothing
 * is left of it. Both books say the same afterwards, also where the client was restarted between the wish and the end.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { packBundle } from '../../src/bundle/write.ts'
import { findAnvil } from '../../src/chain/anvil.ts'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import { asMecaError } from '../../src/core/errors.ts'
import type { JobFile } from '../../src/core/bundle.ts'
import type { RunningNode } from '../../src/node.ts'
import type { Progress } from '../../src/role/api-common.ts'
import type { RunResult } from '../../src/role/api-client.ts'
import { eventually } from '../support/eventually.ts'
import { dockerMissing } from '../support/images.ts'
import { openWorld } from '../support/world.ts'
import type { World } from '../support/world.ts'
import { publishScript, SERVE } from './tasks.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()
const { signal } = new AbortController()
const docker = new Docker()
/** Nobody has its content. */
const NOWHERE = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
const CGI = `
case "$(head -c 4)" in
  wait) sleep 30 ;;
esac
printf 'Content-Type: text/plain\\r\\n\\r\\n'
head -c 3000000 /dev/zero | tr '\\000' x
`
/** A files task that runs until it is ended, or leaves some megabytes. */
const RECORD = {
  name: 'busy',
  image: 'any',
  timeout: 60,
  storage_prefix: 'bucket/run',
  internal_prefix: '/tmp/',
  inputs: ['/tmp/what.txt'],
  outputs: ['/tmp/out.bin'],
  command: ['sh', '-c', 'grep -q wait /tmp/what.txt && sleep 30; head -c 9000000 /dev/zero > /tmp/out.bin'],
  resources: { limits: { cpu: 1, memory: '64Mi' } },
}

type Told = { result?: RunResult; code?: string }
type Started = { told: Promise<Told>; until(what: string, seen: (progress: Progress) => boolean): Promise<void> }

describe('a job that is cancelled', { skip }, () => {
  let world: World
  let client: RunningNode
  let work: string
  let http: string
  let files: string

  before(async () => {
    await ensureBase(docker, 'busybox', AbortSignal.timeout(120_000))
    world = await openWorld()
    client = world.client
    work = await mkdtemp(join(tmpdir(), 'meca-cancel-test-'))
    http = (await publishScript(world.developer.api, { name: 'answers', run: SERVE, cgi: CGI }, signal)).cid
    await mkdir(join(work, 'busy'))
    await writeFile(join(work, 'busy', 'Dockerfile'), 'ARG BASE\nFROM ${BASE}\n')
    await writeFile(join(work, 'busy', 'docker-task.json'), JSON.stringify(RECORD))
    const options = { fee: 1_000_000n, buildArgs: { BASE: 'meca-base/busybox' }, skipTest: true }
    const published = await world.developer.api.developer.publish(join(work, 'busy'), options, () => undefined, signal)
    files = published.cid
  })

  after(async () => {
    await world.close()
    await rm(work, { recursive: true, force: true })
  })

  const host = (): RunningNode => {
    const [first] = world.hosts
    assert.ok(first)
    return first
  }

  function start(id: string, task: string, input: Uint8Array): Started {
    const seen: Progress[] = []
    const note = (progress: Progress) => void seen.push(progress)
    const told = client.api.client.run(task, input, { id, maxSeconds: 60 }, note, signal).then(
      (result) => ({ result }),
      (error: unknown) => ({ code: asMecaError(error).code }),
    )
    return { told, until: (what, isIt) => eventually(`${id}: ${what}`, () => seen.some(isIt)) }
  }

  /** Runs it until `what` was told of it, then has it ended. */
  async function cancelled(id: string, task: string, input: Uint8Array, what: (p: Progress) => boolean): Promise<Told> {
    const job = start(id, task, input)
    await job.until('is so far', what)
    await client.api.client.cancel(id)
    const told = await job.told
    // A container that answered stays warm for the next job.
    if (told.result?.status !== 'answered' || task === files) await noneLeft(id)
    return told
  }

  const inPhase = (name: string) => (p: Progress) => p.kind === 'phase' && p.phase === name
  const receiving = (p: Progress) => p.kind === 'bytes' && p.step === 'receive'

  async function given(text: string, more: Partial<JobFile> = {}): Promise<Buffer> {
    const bytes = Buffer.from(text)
    const entries =
      more.links === undefined ? [{ path: 'inputs/what.txt', bytes: bytes.length, body: () => [bytes] }] : []
    const named = entries.length === 0 ? {} : { 'what.txt': 'file' as const }
    const job = JSON.stringify({ ...NO_PARAMETERS, files: named, ...more })
    const chunks: Uint8Array[] = []
    for await (const chunk of packBundle({ path: 'job.json', text: job }, entries)) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  /** Nothing runs at the host, the job has no container, and no job has a volume or an output that was collected. */
  async function noneLeft(id: string): Promise<void> {
    const home = join(world.folder, 'host1')
    const owner = (await readFile(join(home, 'id'), 'utf8')).trim()
    const filters = { label: [`meca.owner=${owner}`] }
    await eventually('nothing is left of the job', async () => {
      const { running } = (await host().api.host?.status()) ?? { running: ['?'] }
      const containers = await docker.listContainers({ all: true, filters })
      const ofJobs = containers.filter(({ Names }) => Names.some((name) => name.includes(id)))
      const { Volumes } = await docker.listVolumes({ filters: JSON.stringify(filters) })
      const collected = await readdir(join(home, 'scratch'))
      return running.length + ofJobs.length + (Volumes ?? []).length + collected.length === 0
    })
  }

  /** What both sides have in their books of this channel, once the client has said exactly what it owes. */
  async function booksAgree(): Promise<void> {
    const billed = async ({ api }: RunningNode, side: string) => {
      const channels = (await api.money.channels(signal)).filter((channel) => channel.side === side)
      return JSON.stringify(channels.flatMap(({ rows }) => rows.map((row) => [row.task, row.billed])).sort())
    }
    assert.equal(await billed(host(), 'host'), await billed(client, 'client'))
  }

  const free = ({ result }: Told) => {
    assert.equal(result?.status, 'cancelled')
    assert.deepEqual([result.price.host, result.price.developer], ['0', '0'])
  }
  const billedForItsTime = ({ result }: Told) => {
    assert.equal(result?.status, 'cancelled', JSON.stringify(result))
    assert.equal(result.price.developer, '0')
    const [billed, quoted] = [BigInt(result.price.host), BigInt(result.price.quoted)]
    assert.ok(billed > 0n && billed < quoted, `billed ${billed} of ${quoted}`)
  }

  test('before anything was sent: nothing is owed, and no host hears of it', async () => {
    const job = start('unsent', http, Buffer.from('fine'))
    await client.api.client.cancel('unsent')
    assert.deepEqual(await job.told, { code: 'cancelled' })
    assert.deepEqual(await client.api.client.jobs({ limit: 10 }), [])
  })

  test('while it waits for room at its host, of both kinds: free', async () => {
    const blocker = start('blocker', files, await given('wait'))
    await blocker.until('runs', inPhase('running'))
    free(await queued('http-queued', http, Buffer.from('fine')))
    free(await queued('files-queued', files, await given('fine')))
    await client.api.client.cancel('blocker')
    billedForItsTime(await blocker.told)
    await noneLeft('blocker')
    await booksAgree()
  })

  /** Told by the host: a warm container is not announced to its client. */
  const atHost = (id: string, phase: string) =>
    eventually(`${id} is ${phase}`, async () => {
      const { running } = (await host().api.host?.status()) ?? { running: [] }
      return running.some((job) => job.job === id && job.phase === phase)
    })

  async function queued(id: string, task: string, input: Uint8Array): Promise<Told> {
    const job = start(id, task, input)
    await atHost(id, 'queued')
    await client.api.client.cancel(id)
    return job.told
  }

  test('while its inputs are fetched from where nobody has them: free', async () => {
    const input = await given('', { links: { 'what.txt': { cid: NOWHERE } } })
    free(await cancelled('files-fetching', files, input, inPhase('fetching')))
    await booksAgree()
  })

  test('while its container starts, or the image is fetched for it: free', async () => {
    const slow = `sleep 60\n${SERVE}`
    const { cid } = await publishScript(world.developer.api, { name: 'sleepy-answers', run: slow, cgi: CGI }, signal)
    free(await cancelled('http-fetching', cid, Buffer.from('fine'), inPhase('fetching')))
    free(await cancelled('http-starting', cid, Buffer.from('fine'), inPhase('starting')))
    const { result } = await cancelled('files-starting', files, await given('wait'), inPhase('starting'))
    assert.equal(result?.status, 'cancelled')
    assert.equal(BigInt(result.price.host) > 0n, result.phases.runMs > 0, 'only what ran is billed')
    await booksAgree()
  })

  test('while it runs: billed for its time, without the fee', async () => {
    billedForItsTime(await cancelled('http-running', http, Buffer.from('wait'), inPhase('running')))
    billedForItsTime(await cancelled('files-running', files, await given('wait'), inPhase('running')))
    await booksAgree()
  })

  test('while its outputs are collected: billed for its time where that was in time, else answered', async () => {
    const told = await cancelled('files-delivering', files, await given('fine'), inPhase('delivering'))
    if (told.result?.status === 'cancelled') billedForItsTime(told)
    else await answered(told, 9_000_000)
    await booksAgree()
  })

  test('while its result comes: that is answered, and comes whole', async () => {
    await answered(await cancelled('http-receiving', http, Buffer.from('fine'), receiving), 3_000_000)
    await answered(await cancelled('files-receiving', files, await given('fine'), receiving), 9_000_000)
    await booksAgree()
  })

  async function answered({ result }: Told, least: number): Promise<void> {
    assert.equal(result?.status, 'answered', JSON.stringify(result))
    let bytes = 0
    for await (const chunk of await client.api.client.output(result.job)) bytes += chunk.length
    assert.ok(bytes >= least && bytes === result.outputBytes, `${bytes} of ${result.outputBytes} bytes came`)
  }

  test('a job that has ended is not cancelled, and one that never was is not there', async () => {
    await assert.rejects(client.api.client.cancel('http-running'), { code: 'job_ended', message: /cancelled/ })
    await assert.rejects(client.api.client.cancel('never'), { code: 'not_found' })
  })

  for (const [kind, id] of [
    ['http', 'http-restarted'],
    ['files', 'files-restarted'],
  ] as const) {
    test(`a wish outlives the client that had it: what ran of ${kind} is billed, and its end believed`, async () => {
      const [task, input] = kind === 'http' ? [http, Buffer.from('wait')] : [files, await given('wait')]
      start(id, task, input)
      await atHost(id, 'running')
      await restart()
      await client.api.client.cancel(id)
      await restart()
      billedForItsTime(await start(id, task, input).told)
      await noneLeft(id)
      await booksAgree()
    })
  }

  async function restart(): Promise<void> {
    await client.close()
    client = await world.open('client', 'node', 2)
  }
})
