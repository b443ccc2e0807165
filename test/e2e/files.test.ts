/**
 * Files tasks of the three formats that have them, through the whole market: published, quoted, run for money, judged,
 * claimed, and reconciled to the last unit; outputs that stay on IPFS as the next job's inputs; failures that are kept.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { unpackResult } from '../../src/bundle/local.ts'
import { packBundle } from '../../src/bundle/write.ts'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import type { JobFile } from '../../src/core/bundle.ts'
import type { Published } from '../../src/role/api-developer.ts'
import type { RunResult } from '../../src/role/api-client.ts'
import { exampleIn } from '../../src/role/bench-files.ts'
import { readFolder } from '../../src/role/folder.ts'
import { dockerMissing } from '../support/images.ts'
import { openWorld } from '../support/world.ts'
import type { World } from '../support/world.ts'

const EXAMPLES = join(import.meta.dirname, '..', '..', 'examples')
const FEE = 1_000_000n
const unheard = () => undefined
const noDocker = await dockerMissing()
const noCompiler = existsSync('/usr/bin/cc')
  ? false
  : 'a C compiler is needed to make the simulation (apt-get install gcc)'

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function bundle(job: Partial<JobFile>, files: Readonly<Record<string, string>> = {}): Promise<Buffer> {
  const kinds = Object.fromEntries(Object.keys(files).map((name) => [name, 'file' as const]))
  const entries = Object.entries(files).map(([name, text]) => {
    const bytes = Buffer.from(text)
    return { path: `inputs/${name}`, bytes: bytes.length, body: () => [bytes] }
  })
  return bytesOf(
    packBundle({ path: 'job.json', text: JSON.stringify({ ...NO_PARAMETERS, files: kinds, ...job }) }, entries),
  )
}

describe('files tasks', { skip: noDocker }, () => {
  let world: World
  let work: string
  const { signal } = new AbortController()
  before(async () => {
    const docker = new Docker()
    for (const base of ['busybox', 'node'] as const) await ensureBase(docker, base, AbortSignal.timeout(120_000))
    world = await openWorld()
    work = await mkdtemp(join(tmpdir(), 'meca-files-test-'))
  })
  after(async () => {
    await world.close()
    await rm(work, { recursive: true, force: true })
  })

  const publish = (dir: string, base: string, more: { name?: string; skipTest?: boolean } = {}): Promise<Published> =>
    world.developer.api.developer.publish(
      dir,
      { fee: FEE, buildArgs: { BASE: `meca-base/${base}`, BUILDER: `meca-base/${base}` }, ...more },
      unheard,
      signal,
    )
  const run = (task: string, input: Uint8Array): Promise<RunResult> =>
    world.client.api.client.run(task, input, {}, unheard, signal)
  const outputsOf = async (result: RunResult): Promise<string> => {
    const folder = join(work, `out-${result.job}`)
    await unpackResult(await world.client.api.client.output(result.job), folder)
    return folder
  }

  /** A DockerTask of busybox in a folder of its own. */
  async function dockerTask(name: string, record: Record<string, unknown>): Promise<Published> {
    const dir = join(work, name)
    await mkdir(dir)
    await writeFile(join(dir, 'Dockerfile'), 'ARG BASE\nFROM ${BASE}\n')
    await writeFile(
      join(dir, 'docker-task.json'),
      JSON.stringify({ name, image: 'any', timeout: 20, storage_prefix: 'bucket/run', ...record }),
    )
    return publish(dir, 'busybox')
  }

  const SHOWN: readonly { folder: string; base: string; skip?: string | false }[] = [
    { folder: 'cytomine-tiles', base: 'busybox' },
    { folder: 'kaapana-report', base: 'node' },
    { folder: 'borealis-gillespie', base: 'busybox', skip: noCompiler },
  ]
  for (const { folder, base, skip = false } of SHOWN) {
    test(`${folder} is published, quoted, run, paid and claimed`, { skip }, async () => {
      const dir = join(work, folder)
      await cp(join(EXAMPLES, folder), dir, { recursive: true })
      if (existsSync(join(dir, 'src', 'Makefile'))) assert.equal(spawnSync('make', ['-C', join(dir, 'src')]).status, 0)
      const task = await publish(dir, base)
      const { parameters } = await world.client.api.developer.show(task.cid, signal)
      assert.ok((parameters ?? []).some(({ side }) => side === 'output'))
      const { hosts } = await world.client.api.client.quote(task.cid, {}, signal)
      assert.equal(hosts.length, 1)
      const { job, entries } = await exampleIn(dir, await readFolder(dir))
      const input = await bytesOf(packBundle({ path: 'job.json', text: JSON.stringify(job) }, entries))
      const result = await run(task.cid, input)
      assert.equal(result.status, 'answered', result.problem?.message)
      assert.equal(result.exitCode, 0)
      assert.equal(result.price.developer, FEE.toString())
      await sameTree(join(dir, 'example', 'outputs'), await outputsOf(result))
      const [host] = world.hosts
      // The client's exact voucher comes a moment after the result.
      let fees = 0n
      for (const until = Date.now() + 20_000; fees < FEE && Date.now() < until; await sleep(200)) {
        fees += BigInt((await host?.api.money.claim({}, signal))?.developer ?? 0)
      }
      assert.equal(fees, FEE)
      for (const node of [host, world.client]) {
        const { ok, lines } = (await node?.api.money.reconcile(signal)) ?? { ok: false, lines: [] }
        assert.ok(ok, JSON.stringify(lines))
      }
    })
  }

  test('outputs that stay on IPFS are the next job’s inputs, and never pass the client', async () => {
    const lines = await dockerTask('lines', {
      command: [
        'sh',
        '-c',
        'seq 5 > /tmp/lines.txt; mkdir -p /tmp/many; for i in 1 2 3; do echo $i > /tmp/many/$i; done',
      ],
      outputs: ['/tmp/lines.txt', '/tmp/many/'],
      internal_prefix: '/tmp/',
    })
    const count = await dockerTask('count', {
      command: ['sh', '-c', 'cat /tmp/lines.txt /tmp/many/* | wc -l > /tmp/count.txt'],
      inputs: ['/tmp/lines.txt', '/tmp/many/'],
      outputs: ['/tmp/count.txt'],
      internal_prefix: '/tmp/',
    })
    const first = await run(lines.cid, await bundle({ keepOnIpfs: true }))
    assert.equal(first.status, 'answered', first.problem?.message)
    const cids = Object.entries(first.outputs ?? {}).map(([name, { cid }]) => [name, { cid: cid ?? 'none' }] as const)
    assert.deepEqual(cids.map(([name]) => name).sort(), ['lines.txt', 'many'])
    assert.ok(first.outputBytes < 4096, 'the bundle holds no output')
    const second = await run(count.cid, await bundle({ links: Object.fromEntries(cids) }))
    assert.equal(second.status, 'answered', second.problem?.message)
    assert.equal((await readFile(join(await outputsOf(second), 'count.txt'), 'utf8')).trim(), '8')
  })

  test('a run that fails is billed for its time, pays no fee, and keeps its log', async () => {
    const task = await dockerTask('broken', {
      command: ['sh', '-c', 'echo about to fail; exit 3'],
      outputs: ['>>/tmp/log.txt', '>/tmp/console.txt'],
      internal_prefix: '/tmp/',
    })
    const result = await run(task.cid, await bundle({}))
    assert.equal(result.status, 'task_failed')
    assert.equal(result.exitCode, 3)
    assert.equal(result.price.developer, '0')
    assert.ok(BigInt(result.price.host) > 0n)
    const kept = await readdir(await outputsOf(result))
    assert.ok(kept.some((name) => name.endsWith('log.txt')) && !kept.includes('console.txt'), kept.join())
    assert.match(await readFile(join(work, `out-${result.job}`, 'console.log'), 'utf8'), /about to fail/)
  })

  test('wrong inputs are refused by the client’s own node, before anything is paid', async () => {
    const task = await dockerTask('needs', {
      command: ['cat', '/tmp/in.txt'],
      inputs: ['/tmp/in.txt'],
      outputs: ['>/tmp/out.txt'],
      internal_prefix: '/tmp/',
    })
    const before = await world.client.api.client.jobs({ limit: 1000 })
    await assert.rejects(run(task.cid, await bundle({}, { other: 'x' })), { code: 'bad_input', message: /other/ })
    await assert.rejects(run(task.cid, await bundle({})), { code: 'bad_input', message: /in\.txt/ })
    await assert.rejects(run(task.cid, Buffer.from('{}')), { code: 'bad_input', message: /by name/ })
    await assert.rejects(run(task.cid, (await bundle({}, { 'in.txt': 'x' })).subarray(0, 1500)), { code: 'bad_input' })
    assert.equal((await world.client.api.client.jobs({ limit: 1000 })).length, before.length)
  })

  test('an input of many megabytes goes up and comes back, byte for byte', async () => {
    const task = await dockerTask('copy', {
      command: ['sh', '-c', 'cp /tmp/in.bin /tmp/out.bin'],
      inputs: ['/tmp/in.bin'],
      outputs: ['/tmp/out.bin'],
      internal_prefix: '/tmp/',
    })
    const text = 'a line of text that is long enough to count\n'.repeat(700_000)
    const result = await run(task.cid, await bundle({}, { 'in.bin': text }))
    assert.equal(result.status, 'answered', result.problem?.message)
    assert.equal(await readFile(join(await outputsOf(result), 'out.bin'), 'utf8'), text)
  })
})

/** Every file that the example promises is there, with its bytes; a last newline does not count. */
async function sameTree(expected: string, actual: string): Promise<void> {
  for (const entry of await readdir(expected, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name).slice(expected.length + 1)
    const [want, got] = await Promise.all([readFile(join(expected, path)), readFile(join(actual, path))])
    assert.equal(got.toString('latin1').trimEnd(), want.toString('latin1').trimEnd(), path)
  }
}
