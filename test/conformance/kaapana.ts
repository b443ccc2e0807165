/** Cases of Kaapana's Task API (task-contracts.md 3.11): containers that behave as its dummy tasks, written for a shell. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unpackResult } from '../../src/bundle/local.ts'
import { packBundle } from '../../src/bundle/write.ts'
import { RESULT_FILE } from '../../src/core/bundle.ts'
import { kaapana } from '../../src/task/kaapana.ts'
import { readTaskJson } from '../../src/task/kaapana/task-json.ts'
import { NEVER } from '../support/engine.ts'
import { refused } from './case.ts'
import type { Case } from './case.ts'
import type { Done, Settings, Stage, What } from './stage.ts'

const MIB = 2 ** 20
const OUT = '/home/kaapana/out'
const IN = '/home/kaapana/in'

const UPSTREAM = {
  identifier: 'upstream',
  description: 'Writes two channels',
  inputs: [],
  outputs: [
    { name: 'channel1', mounted_path: `${OUT}/channel1` },
    { name: 'channel2', mounted_path: `${OUT}/channel2` },
  ],
  env: [{ name: 'TIME_SLEEP', value: '2', choices: [] }],
  command: ['sh', '/kaapana/upstream.sh'],
}
const DOWNSTREAM = {
  identifier: 'downstream',
  description: 'Reads two channels',
  inputs: [
    {
      name: 'channel1',
      mounted_path: `${IN}/channel1`,
      scale_rule: { scale_factor: 25, type: 'limit', mode: 'sum', target_regex: String.raw`.*\.txt` },
    },
    { name: 'channel2', mounted_path: `${IN}/channel2` },
  ],
  outputs: [],
  env: [],
  command: ['sh', '/kaapana/downstream.sh'],
  resources: { limits: { memory: '50Mi' } },
}
const SCRIPTS = {
  'upstream.sh': `sleep $TIME_SLEEP; set -e; for n in 1 2; do printf "Hello channel $n!" > ${OUT}/channel$n/dummy.txt; done`,
  'downstream.sh': `for n in 1 2; do cat ${IN}/channel$n/dummy.txt; echo; done; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; exit 0`,
}
const DUMMY = container(UPSTREAM, DOWNSTREAM)

function container(...templates: readonly object[]): string {
  return JSON.stringify({ name: 'dummy', description: 'For tests', templates })
}

function dummy(stage: Stage): Promise<string> {
  const lines = ['COPY upstream.sh downstream.sh /kaapana/', 'CMD ["echo", "the image decided"]']
  return stage.image('kaapana', { 'processing-container.json': DUMMY, ...SCRIPTS }, lines)
}

/** One template that runs a script; channels and the like by `change`. */
function template(script: string | null, change: object = {}): string {
  const command = script === null ? null : ['sh', '-c', script]
  return container({ identifier: 'one', description: 'x', inputs: [], outputs: [], env: [], command, ...change })
}

async function play(stage: Stage, descriptor: string, what: What = {}, settings: Settings = {}): Promise<Done> {
  return stage.run(kaapana, descriptor, await dummy(stage), what, settings)
}

function succeeded({ verdict, console }: Done): void {
  assert.equal(verdict.status, 'answered', `${verdict.problem?.message}: ${console}`)
}

/** The memory limit that the container itself sees. */
const LIMIT = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; exit 0'

function scaled(rule: object, memory: string): string {
  const inputs = [{ name: 'scans', mounted_path: '/scans', scale_rule: { scale_factor: 10, type: 'limit', ...rule } }]
  return template(LIMIT, { inputs, resources: { limits: { memory } } })
}

function refusedPlan(
  stage: Stage,
  descriptor: string,
  words: RegExp,
  code: 'invalid_task' | 'bad_input',
  what: What = {},
) {
  return refused(code, words, () => stage.plan(kaapana, descriptor, what))
}

const CHANNELS = { 'channel1/dummy.txt': 'Hello channel 1!', 'channel2/dummy.txt': 'Hello channel 2!' }

export const KAAPANA: readonly Case[] = [
  {
    id: 'K-01',
    title: 'upstream writes both of its channels',
    async run(stage) {
      const done = await play(stage, DUMMY, { template: 'upstream', env: { TIME_SLEEP: '0' } })
      succeeded(done)
      assert.deepEqual(done.outputs, { 'channel1/': '', 'channel2/': '', ...CHANNELS })
    },
  },
  {
    id: 'K-02',
    title: 'downstream reads both, under the limit of its template where its rule gives less',
    async run(stage) {
      const done = await play(stage, DUMMY, { template: 'downstream', files: CHANNELS })
      succeeded(done)
      assert.equal(done.console, 'Hello channel 1!\nHello channel 2!\n52428800\n')
    },
  },
  {
    id: 'K-03',
    title: 'a channel that is not bound is not mounted, and the script fails on it with its own exit code',
    async run(stage) {
      const done = await play(stage, DUMMY, { template: 'upstream', env: { TIME_SLEEP: '0' }, outputs: ['channel1'] })
      assert.deepEqual([done.verdict.status, done.end.exitCode], ['task_failed', 1])
      assert.match(done.console, /channel2/)
      assert.match(done.verdict.problem?.message ?? '', /exit code 1/)
    },
  },
  {
    id: 'K-04',
    title: 'a variable of the job wins over its template, and new ones are added',
    async run(stage) {
      const env = [
        { name: 'VAR1', value: '0' },
        { name: 'VAR2', value: '0' },
      ]
      const done = await play(stage, template('echo $VAR1 $VAR2 $VAR3', { env }), { env: { VAR1: '1', VAR3: '1' } })
      assert.equal(done.console, '1 0 1\n')
    },
  },
  {
    id: 'K-05',
    title: 'an empty list of choices restricts nothing',
    async run(stage) {
      const text = template('echo $N', { env: [{ name: 'N', value: '5', choices: [] }] })
      assert.equal((await play(stage, text)).console, '5\n')
      assert.equal((await play(stage, text, { env: { N: '7' } })).console, '7\n')
    },
  },
  {
    id: 'K-06',
    title: 'the fields of the older generation are accepted',
    differs: 'adjustable: false is respected (a job that changes such a variable is refused), and type is a hint',
    async run(stage) {
      const old = { name: 'N', value: '5', type: 'int', adjustable: false, choices: [] }
      const text = template('echo $N', { env: [old] })
      assert.equal((await play(stage, text)).console, '5\n')
      await refusedPlan(stage, text, /\bN\b/, 'bad_input', { env: { N: '6' } })
    },
  },
  {
    id: 'K-07',
    title: 'a value that is a number, or a template without env, is refused by the field',
    async run(stage) {
      await refusedPlan(stage, template('true', { env: [{ name: 'N', value: 5 }] }), /env.*value/, 'invalid_task')
      await refusedPlan(stage, template('true', { env: undefined }), /env/, 'invalid_task')
    },
  },
  {
    id: 'K-08',
    title: 'another api_version is refused',
    run: (stage) =>
      refusedPlan(
        stage,
        JSON.stringify({ ...(JSON.parse(DUMMY) as object), api_version: 2 }),
        /api_version/,
        'invalid_task',
      ),
  },
  {
    id: 'K-09',
    title: 'the largest item times its factor is the limit',
    async run(stage) {
      const rule = { mode: 'max_item_sum', target_glob: '*.nrrd' }
      const files = { 'scans/a/x.nrrd': Buffer.alloc(3 * MIB), 'scans/b/deep/y.nrrd': Buffer.alloc(7 * MIB) }
      assert.equal((await play(stage, scaled(rule, '20Mi'), { files })).console, '73400320\n')
    },
  },
  {
    id: 'K-10',
    title: 'over an empty channel a rule adds nothing',
    differs: 'the reference raises an error where there is no item',
    async run(stage) {
      const rule = { mode: 'max_item_sum', target_glob: '*.nrrd' }
      assert.equal((await play(stage, scaled(rule, '20Mi'), { files: { scans: null } })).console, '20971520\n')
    },
  },
  {
    id: 'K-11',
    title: 'the pattern is searched at any depth, and the expression sees the path below the folder',
    async run(stage) {
      const files = { 'scans/a/b/c.dcm': Buffer.alloc(MIB), 'scans/c.dcm': Buffer.alloc(2 * MIB), 'scans/x.txt': 'x' }
      const rule = { mode: 'sum', target_dir: '.', target_glob: '*.dcm' }
      const limit = async (more: object) => (await play(stage, scaled({ ...rule, ...more }, '10Mi'), { files })).console
      assert.equal(await limit({}), `${30 * MIB}\n`)
      assert.equal(await limit({ target_regex: 'c.dcm' }), `${20 * MIB}\n`, 'only the one at the top')
    },
  },
  {
    id: 'K-12',
    title: 'the command of the job wins over the template’s; with neither the image decides',
    differs: 'a command takes the place of ENTRYPOINT, as on the platform; the local runner of the reference keeps it',
    async run(stage) {
      assert.equal((await play(stage, template('echo template'), { command: ['echo', 'job'] })).console, 'job\n')
      assert.equal((await play(stage, template('echo template'))).console, 'template\n')
      assert.equal((await play(stage, template(null))).console, 'the image decided\n')
    },
  },
  {
    id: 'K-13',
    title: 'an input channel cannot be written',
    async run(stage) {
      const text = template('id -u; echo x > /in/x', { inputs: [{ name: 'c', mounted_path: '/in' }] })
      const done = await play(stage, text, { files: { 'c/a': 'a' } })
      assert.equal(done.verdict.status, 'task_failed')
      assert.match(done.console, /Read-only file system/)
      assert.match(done.console, /^0$/m, 'even as root')
    },
  },
  {
    id: 'K-14',
    title: 'files that were in the output folder are there afterwards',
    differs: 'a run begins with empty channels; earlier files stay in the folder of the caller, where results are put',
    run: keepsEarlierFiles,
  },
  {
    id: 'K-15',
    title:
      'an image without its description, or with one that is no JSON, is refused, and nothing is left of the look into it',
    async run(stage) {
      const path = kaapana.descriptorInImage ?? ''
      const { engine } = stage.t
      const bare = await stage.image('plain', {}, ['CMD ["false"]'])
      assert.equal(await engine.file(bare, path, MIB, NEVER), undefined)
      const broken = await stage.image('broken', { 'processing-container.json': '{"name": ' }, [])
      const text = Buffer.from((await engine.file(broken, path, MIB, NEVER)) ?? '').toString()
      await refusedPlan(stage, text, /JSON/, 'invalid_task')
      assert.deepEqual(await stage.left(), [])
    },
  },
  {
    id: 'K-16',
    title: 'an unknown template is refused with those that there are',
    run: (stage) =>
      refusedPlan(stage, DUMMY, /nowhere.*upstream.*downstream/s, 'bad_input', {
        template: 'nowhere',
      }),
  },
  {
    id: 'K-17',
    title: '126 is skipped, 3 is failed with 3, 0 is success, and out of memory is told as that',
    async run(stage) {
      const ends = async (script: string, settings: Settings = {}) =>
        (await play(stage, template(script), {}, settings)).verdict
      const skipped = await ends('exit 126')
      assert.deepEqual([skipped.status, skipped.skipped], ['answered', true])
      const failed = await ends('exit 3')
      assert.match(failed.problem?.message ?? '', /exit code 3/)
      const fine = await ends('exit 0')
      assert.deepEqual([fine.status, fine.skipped], ['answered', undefined])
      const big = { identifier: 'one', description: 'x', inputs: [], outputs: [], env: [] }
      const command = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=500M', 'count=1']
      const bomb = container({ ...big, command, resources: { limits: { memory: '64Mi' } } })
      const { verdict } = await play(stage, bomb)
      assert.match(verdict.problem?.message ?? '', /out of memory/)
    },
  },
  {
    id: 'K-18',
    title: 'a task file with its template inline runs, on an image without a description too',
    differs: 'in the market only a template that its developer published is run for money',
    async run(stage) {
      const image = await stage.image('plain', {}, ['CMD ["false"]'])
      const inline = {
        ...UPSTREAM,
        command: ['sh', '-c', `echo inline > ${OUT}/channel1/x`],
        outputs: UPSTREAM.outputs.slice(0, 1),
      }
      const task = readTaskJson(JSON.stringify({ name: 't', image: 'i', taskTemplate: inline }), { env: {} })
      const { outputs: _all, ...job } = task.job
      const done = await stage.run(kaapana, task.inline ?? '', image, job)
      succeeded(done)
      assert.equal(done.outputs['channel1/x'], 'inline\n')
    },
  },
  {
    id: 'K-19',
    title: 'a task file of the older generation is accepted, and its relative paths are the caller’s to resolve',
    differs: 'the reference rejects both',
    run: async () => {
      const inputs = [{ name: 'channel1', input: { host_path: 'data/one' } }]
      const text = JSON.stringify({ name: 't', image: 'i', taskTemplate: 'downstream', inputs })
      assert.deepEqual(readTaskJson(text, { env: {} }).inputs, { channel1: 'data/one' })
      await Promise.resolve()
    },
  },
  {
    id: 'K-20',
    title: 'a secret of the host does not come into a task by its template',
    async run(stage) {
      const text = JSON.stringify({
        name: 't',
        image: 'i',
        taskTemplate: 'upstream',
        env: [{ name: 'A', value: '{{ env.PATH }}' }],
      })
      await refused('bad_input', /PATH|variable/, () => readTaskJson(text, { env: {} }))
      const published = template('echo "$A"', { env: [{ name: 'A', value: '{{ env.PATH }}' }] })
      assert.equal((await play(stage, published)).console, '{{ env.PATH }}\n')
    },
  },
]

async function keepsEarlierFiles(stage: Stage): Promise<void> {
  const text = template('ls /out | wc -l; echo new > /out/new', { outputs: [{ name: 'out', mounted_path: '/out' }] })
  const done = await play(stage, text)
  assert.equal(done.console, '0\n')
  const folder = await mkdtemp(join(tmpdir(), 'meca-case-'))
  try {
    await writeFile(join(folder, 'earlier'), 'kept')
    const body = Buffer.from(done.outputs['out/new'] ?? '')
    const result = {
      v: 1,
      exitCode: 0,
      outputs: { new: { kind: 'file', files: 1, bytes: body.length } },
      leftOut: [],
      warnings: [],
    }
    const entries = [{ path: 'outputs/new', bytes: body.length, body: () => [body] }]
    await unpackResult(packBundle({ path: RESULT_FILE, text: JSON.stringify(result) }, entries), folder)
    assert.deepEqual(
      [await readFile(join(folder, 'earlier'), 'utf8'), await readFile(join(folder, 'new'), 'utf8')],
      ['kept', 'new\n'],
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
