/** Cases of MECA (task-contracts.md 1.8): folders as they are admitted, and servers that are asked. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import Docker from 'dockerode'
import { ensureBase } from '../../scripts/bases.ts'
import { shortage } from '../../src/core/resources.ts'
import type { Resources } from '../../src/core/resources.ts'
import { WarmPool } from '../../src/engine/pool.ts'
import { Workbench } from '../../src/role/workbench.ts'
import type { Folder } from '../../src/task/format.ts'
import { meca } from '../../src/task/meca.ts'
import { benchEngine } from '../../src/wiring/developer-side.ts'
import { NEVER, ask, failure, text } from '../support/engine.ts'
import { appImage } from '../support/images.ts'
import { appPlan } from '../support/plans.ts'
import type { Case } from './case.ts'
import type { Stage } from './stage.ts'

const MIB = 2 ** 20
const EXAMPLE = join(import.meta.dirname, '..', '..', 'examples', 'meca-shell')
const FILES: Readonly<Record<string, string>> = {
  Dockerfile: 'FROM python:3.9\nCOPY /src /app',
  'src/app.py': 'print("meca-init-done")',
  'name.txt': 'Echo',
  'description.txt': 'Answers.',
  'example_input.bin': '{"input": 1}',
  'example_output.bin': '1\n',
  'config.json': '{}',
}

function folder(change: Readonly<Record<string, string | undefined>> = {}): Folder {
  const all = Object.entries({ ...FILES, ...change }).flatMap(([path, content]) =>
    content === undefined ? [] : [[path, content] as const],
  )
  return {
    files: new Map(all.map(([path, content]) => [path, { bytes: Buffer.byteLength(content) }])),
    texts: new Map(all.filter(([path]) => meca.reads.includes(path))),
  }
}

function resourcesOf(config: unknown): Resources {
  return meca.describe(folder({ 'config.json': JSON.stringify(config) })).resources
}

/** What is wrong, in words. */
function faults(change: Readonly<Record<string, string | undefined>>): string[] {
  return meca.check(folder(change)).map(({ where, what }) => `${where} ${what}`)
}

/** A test program's answer to one request. */
async function reply(stage: Stage, mode: string, body = '{}') {
  return stage.t.once(await appImage(), appPlan(mode), body)
}

/** The limits that the engine set. */
async function limitsOf(stage: Stage, resources: Resources): Promise<Pick<Docker.HostConfig, 'NanoCpus' | 'Memory'>> {
  const instance = await stage.t.start(await appImage(), appPlan('echo', { resources }))
  const { HostConfig } = await stage.t.docker.getContainer(instance.id).inspect()
  await instance.stop()
  return { NanoCpus: HostConfig.NanoCpus ?? 0, Memory: HostConfig.Memory ?? 0 }
}

/** One request to a pool of warm containers. */
async function pooled(stage: Stage, pool: WarmPool, plan = appPlan('counter')): Promise<{ id: string; body: string }> {
  const image = await appImage()
  const key = JSON.stringify(plan.resources)
  const lease = await pool.acquire(key, (signal) => stage.t.start(image, plan, {}, signal), NEVER)
  try {
    return { id: lease.instance.id, body: text(await ask(lease.instance)) }
  } finally {
    lease.release()
  }
}

async function withPool(idleMs: number, work: (pool: WarmPool) => Promise<void>): Promise<void> {
  const pool = new WarmPool({ idleMs })
  try {
    await work(pool)
  } finally {
    await pool.close()
  }
}

/** Builds an example as its developer does, and asks it its example question. */
async function example(stage: Stage) {
  await ensureBase(new Docker(), 'busybox', AbortSignal.timeout(60_000))
  const limits = { startTimeoutMs: 30_000, maxSeconds: 30, outputBytes: MIB }
  const bench = new Workbench({ engine: benchEngine(stage.t.engine), limits, now: () => performance.now() })
  return bench.test(EXAMPLE, { buildArgs: { BASE: 'meca-base/busybox:latest' } }, () => undefined, NEVER)
}

export const MECA: readonly Case[] = [
  {
    id: 'M-01',
    title: 'a folder with all seven entries is admitted',
    run: async () => {
      assert.deepEqual(meca.check(folder()), [])
      await Promise.resolve()
    },
  },
  {
    id: 'M-02',
    title: 'a folder without config.json, or with an empty src/, is refused by the entry’s name',
    run: async () => {
      assert.deepEqual(faults({ 'config.json': undefined }), ['config.json is missing or empty'])
      assert.deepEqual(faults({ 'src/app.py': undefined }), ['src/ is missing or empty'])
      await Promise.resolve()
    },
  },
  {
    id: 'M-03',
    title: 'an empty config.json is 1 CPU, 128 MiB and no GPU',
    run: async (stage) => {
      const resources = resourcesOf({})
      assert.deepEqual(resources, { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 })
      assert.deepEqual(await limitsOf(stage, resources), { NanoCpus: 1_000_000_000, Memory: 134_217_728 })
    },
  },
  {
    id: 'M-04',
    title: 'unknown keys of resource are ignored',
    run: async () => {
      const read = resourcesOf({ resource: { cpu: 1, memory: 128, use_sgx: true } })
      assert.deepEqual(read, { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 })
      await Promise.resolve()
    },
  },
  {
    id: 'M-05',
    title: 'the config of knn becomes the engine’s limits',
    run: async (stage) => {
      const limits = await limitsOf(stage, resourcesOf({ resource: { cpu: 2, mem: 1024 } }))
      assert.deepEqual(limits, { NanoCpus: 2_000_000_000, Memory: 1_073_741_824 })
    },
  },
  {
    id: 'M-06',
    title: 'an image builds with only Dockerfile and src/ in its context',
    standIn: 'our meca-shell: python-template and knn need Flask and torch, which no base image made here has',
    run: async (stage) => {
      const { imageId } = await example(stage)
      assert.equal(await stage.t.engine.has(imageId, NEVER), true)
    },
  },
  {
    id: 'M-07',
    title: 'the example input gives the example output, but for white space around it',
    standIn: 'our meca-shell for python-template, which needs Flask; test/examples asks meca-python, of the same shape',
    run: async (stage) => {
      const report = await example(stage)
      assert.deepEqual([report.ok, report.httpStatus, report.sameAsExample], [true, 200, true])
    },
  },
  {
    id: 'M-08',
    title: 'knn answers [0, 1]',
    standIn: 'a program of ours: the original needs torch for CPU, which is in none of the package registries',
    run: async (stage) => {
      const points = [[0, 0], [0, 1], [1, 0], [9, 9], [9, 8], [8, 9]] // prettier-ignore
      const input = { k: 3, points, labels: [0, 0, 0, 1, 1, 1], queries: [[1, 1], [7, 9]] } // prettier-ignore
      const answer = await stage.t.once(await appImage(), appPlan('', {}, 'knn'), JSON.stringify(input))
      assert.deepEqual(JSON.parse(text(answer)), [0, 1])
    },
  },
  {
    id: 'M-09',
    title: 'a task sees POST, /, application/json and the very bytes that were sent',
    run: async (stage) => {
      const body = '{ "odd" :\t[1 ,2]\r\n }  '
      assert.deepEqual(JSON.parse(text(await reply(stage, 'describe', body))), {
        method: 'POST',
        path: '/',
        type: 'application/json',
        body: Buffer.from(body).toString('base64'),
      })
    },
  },
  {
    id: 'M-10',
    title: 'a task that prints the marker and binds 3 s later answers its first request',
    run: async (stage) => assert.equal(text(await reply(stage, 'late', '[1]')), '[1]'),
  },
  {
    id: 'M-11',
    title: 'a task that never prints the marker ends at its deadline and is removed; another is served meanwhile',
    run: async (stage) => {
      const never = stage.t.start(await appImage(), appPlan('never', { limits: { startTimeoutMs: 2_500 } }))
      const [, other] = await Promise.all([failure('start_timeout', never), reply(stage, 'echo', '"other"')])
      assert.equal(text(other), '"other"')
      assert.deepEqual(await stage.left(), [])
    },
  },
  {
    id: 'M-12',
    title: 'a task that exits 1 before the marker fails at once, with its exit code and the end of its log',
    run: async (stage) => {
      const began = Date.now()
      const error = await failure('start_failed', stage.t.start(await appImage(), appPlan('crash-early')))
      assert.ok(Date.now() - began < 10_000)
      assert.equal(error.details?.['exitCode'], 1)
      assert.match(String(error.details?.['logTail']), /reason: no model/)
    },
  },
  {
    id: 'M-13',
    title: 'the marker counts in the middle of a longer line',
    run: async (stage) => assert.equal(text(await reply(stage, 'midline', '1')), '1'),
  },
  {
    id: 'M-14',
    title: 'the marker on stderr alone does not count',
    run: async (stage) => {
      const plan = appPlan('stderr-marker', { limits: { startTimeoutMs: 1_500 } })
      await failure('start_timeout', stage.t.start(await appImage(), plan))
    },
  },
  {
    id: 'M-15',
    title: 'an error status and its body reach the caller',
    run: async (stage) => {
      const answer = await reply(stage, 'error', 'not json')
      assert.deepEqual([answer.status, text(answer)], [400, '<h1>Bad Request</h1>'])
    },
  },
  {
    id: 'M-16',
    title: 'PNG bytes arrive as they were sent',
    run: async (stage) => {
      const answer = await reply(stage, 'png')
      assert.equal(answer.contentType, 'image/png')
      assert.equal(Buffer.from(answer.body.subarray(0, 8)).toString('hex'), '89504e470d0a1a0a')
      assert.ok(Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256)).equals(answer.body.subarray(8)))
    },
  },
  {
    id: 'M-17',
    title: 'two requests with the same resources share one container; other resources get another',
    run: (stage) =>
      withPool(60_000, async (pool) => {
        const [one, two] = [await pooled(stage, pool), await pooled(stage, pool)]
        const other = await pooled(stage, pool, appPlan('counter', { resources: { memoryBytes: 96 * MIB } }))
        assert.deepEqual([one.body, two.body, other.body], ['1', '2', '1'])
        assert.deepEqual([one.id === two.id, one.id === other.id], [true, false])
      }),
  },
  {
    id: 'M-18',
    title: 'two overlapping requests that sleep 2 s both end in about 2 s, in one container',
    run: (stage) =>
      withPool(60_000, async (pool) => {
        const plan = appPlan('slow', { env: { SLEEP_MS: '2000' } })
        await pooled(stage, pool, plan)
        const began = Date.now()
        const both = await Promise.all([pooled(stage, pool, plan), pooled(stage, pool, plan)])
        assert.ok(Date.now() - began < 3_500, `${Date.now() - began} ms`)
        assert.equal(both[0].id, both[1].id)
      }),
  },
  {
    id: 'M-19',
    title: 'after the idle time the container is gone, and the next request gets a new one',
    run: (stage) =>
      withPool(300, async (pool) => {
        const one = await pooled(stage, pool)
        for (let tries = 0; tries < 50 && (await stage.t.tasks()).length > 0; tries++) await sleep(100)
        assert.deepEqual(await stage.t.tasks(), [])
        const two = await pooled(stage, pool)
        assert.deepEqual([two.body, two.id === one.id], ['1', false])
      }),
  },
  {
    id: 'M-20',
    title:
      'a GPU that is not there, no CPU, too many CPUs: refused before the start, each with its own words; a tagless image runs',
    run: refusals,
  },
]

async function refusals(stage: Stage): Promise<void> {
  const host = { cpuMillis: 8000, memoryBytes: 64 * 2 ** 30, gpus: 0 }
  const config = (resource: object) => faults({ 'config.json': JSON.stringify({ resource }) })[0]
  const told = [
    shortage(resourcesOf({ resource: { use_gpu: true } }), host),
    config({ cpu: 0, mem: 128 }),
    shortage(resourcesOf({ resource: { cpu: 64 } }), host),
    config({ cpu: 5000 }),
  ]
  assert.match(told[0] ?? '', /1 GPUs asked, 0 there/)
  assert.match(told[1] ?? '', /resource\.cpu is 0/)
  assert.match(told[2] ?? '', /64 CPUs asked, 8 there/)
  assert.equal(new Set(told).size, 4)
  const repo = 'host.invalid:5000/name'
  await stage.t.docker.getImage(await appImage()).tag({ repo })
  const id = await stage.t.engine.resolve(repo, NEVER)
  await stage.t.docker.getImage(repo).remove()
  assert.equal(text(await stage.t.once(id ?? '', appPlan('echo'), '"runs"')), '"runs"')
}
