import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_PARAMETERS } from '../../src/core/bundle.ts'
import type { JobFile } from '../../src/core/bundle.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { FilesExchange, Plan } from '../../src/core/plan.ts'
import { kaapana } from '../../src/task/kaapana.ts'
import { readTaskJson, requirePublished } from '../../src/task/kaapana/task-json.ts'
import { isWithin } from '../../src/task/places.ts'
import type { FilesJob, Folder, Given, Ran } from '../../src/task/format.ts'

const MIB = 2 ** 20
const DEFAULTS = { cpuMillis: 1000, memoryBytes: 1024 * MIB, gpus: 0 }

const UPSTREAM = {
  identifier: 'upstream',
  description: 'Writes two channels',
  inputs: [],
  outputs: [
    { name: 'channel1', mounted_path: '/home/kaapana/channel1' },
    { name: 'channel2', mounted_path: '/home/kaapana/channel2/' },
  ],
  env: [
    { name: 'VAR1', value: '0' },
    { name: 'VAR2', value: '0' },
  ],
  command: ['python3', '/kaapanasrc/upstream.py'],
}
const DOWNSTREAM = {
  identifier: 'downstream',
  description: 'Reads two channels',
  inputs: [
    {
      name: 'channel1',
      mounted_path: '/in/1',
      scale_rule: { scale_factor: 25, type: 'limit', mode: 'sum', target_regex: String.raw`.*\.txt` },
    },
    { name: 'channel2', mounted_path: '/in/2' },
  ],
  outputs: [],
  env: [],
  resources: { limits: { memory: '50Mi', cpu: '500m' } },
}

function container(...templates: object[]): string {
  return JSON.stringify({ name: 'dummy', description: 'For tests', templates })
}

const DUMMY = container(UPSTREAM, DOWNSTREAM)

function job(
  change: Partial<JobFile> = {},
  files: Record<string, number> = {},
  more: Partial<FilesJob> = {},
): FilesJob {
  return {
    resources: DEFAULTS,
    maxSeconds: 60,
    startTimeoutMs: 20_000,
    outputBytes: 64 * MIB,
    ...given(change, files),
    worker: { uid: 1000, gid: 1000 },
    ...more,
  }
}

function given(change: Partial<JobFile> = {}, files: Record<string, number> = {}): Given {
  return {
    job: { ...NO_PARAMETERS, ...change },
    files: new Map(Object.entries(files).map(([path, bytes]) => [path, { bytes, head: new Uint8Array(0) }])),
  }
}

function ran(end: Partial<Ran['end']> = {}): Ran {
  return {
    end: { exitCode: 0, outOfMemory: false, logTail: '', ...end },
    startedAt: 0,
    endedAt: 1000,
    image: 'sha256:abc',
    files: new Map(),
    console: new Uint8Array(0),
    folders: new Set<string>(),
    noted: new Map(),
    leftOut: [],
  }
}

function exchange(plan: Plan): FilesExchange {
  assert.equal(plan.exchange.kind, 'files')
  return plan.exchange
}

function refusal(code: string, ...words: string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof MecaError, String(error))
    assert.equal(error.code, code, error.message)
    const told = `${error.message} ${error.cure}`
    for (const word of words) assert.ok(told.includes(word), `${told} does not name ${word}`)
    assert.ok(error.cure !== undefined && error.cure !== '', 'no cure')
    return true
  }
}

test('K-01 a template with outputs only: its command, its variables, a writable volume for each channel', () => {
  const plan = kaapana.plan(DUMMY, job({ template: 'upstream', env: { TIME_SLEEP: '0' } }))
  assert.deepEqual(plan.env, { VAR1: '0', VAR2: '0', TIME_SLEEP: '0' })
  assert.equal(plan.user, 'image')
  assert.equal(plan.writableRoot, true)
  assert.deepEqual(exchange(plan), {
    kind: 'files',
    entrypoint: ['python3', '/kaapanasrc/upstream.py'],
    mounts: [
      { path: '/home/kaapana/channel1', writable: true, sizeBytes: 64 * MIB },
      { path: '/home/kaapana/channel2', writable: true, sizeBytes: 64 * MIB },
    ],
    stage: [],
    collect: [
      { name: 'channel1', path: '/home/kaapana/channel1', folder: true },
      { name: 'channel2', path: '/home/kaapana/channel2', folder: true },
    ],
  })
  const verdict = kaapana.judge(DUMMY, job({ template: 'upstream' }), ran())
  assert.deepEqual([verdict.status, verdict.outputs], ['answered', ['channel1', 'channel2']])
})

test('K-02 a rule smaller than the limit leaves the limit', () => {
  const files = { 'channel1/a/dummy.txt': 16, 'channel2/dummy.txt': 16 }
  const asked = given({ template: 'downstream', files: { channel1: 'folder', channel2: 'folder' } }, files)
  assert.deepEqual(kaapana.resources(DUMMY, DEFAULTS, asked), {
    cpuMillis: 500,
    memoryBytes: 52_428_800,
    gpus: 0,
  })
  const large = given(asked.job, { 'channel1/a/b/c.txt': 4 * MIB, 'channel1/no.csv': 900 * MIB })
  assert.equal(kaapana.resources(DUMMY, DEFAULTS, large).memoryBytes, 100 * MIB)
})

test('K-03 a channel that is not asked for is not mounted, and what the program makes of it is its own', () => {
  const asked = job({ template: 'upstream', outputs: ['channel1'] })
  const plan = exchange(kaapana.plan(DUMMY, asked))
  assert.deepEqual(
    plan.mounts.map(({ path }) => path),
    ['/home/kaapana/channel1'],
  )
  assert.deepEqual(
    plan.collect.map(({ name }) => name),
    ['channel1'],
  )
  const verdict = kaapana.judge(DUMMY, asked, ran({ exitCode: 1 }))
  assert.equal(verdict.status, 'task_failed')
  assert.match(verdict.problem?.message ?? '', /exit code 1/)
})

test('K-03 an input channel without a folder is left out', () => {
  const plan = exchange(kaapana.plan(DUMMY, job({ template: 'downstream', files: { channel2: 'folder' } })))
  assert.deepEqual(plan.mounts, [{ path: '/in/2', writable: false, sizeBytes: 0 }])
  assert.deepEqual(plan.stage, [{ kind: 'folder', path: '/in/2', from: 'inputs/channel2' }])
})

test('K-04 a variable of the job wins, and a new one comes last', () => {
  const { env } = kaapana.plan(DUMMY, job({ template: 'upstream', env: { VAR3: '1', VAR1: '1' } }))
  assert.deepEqual(Object.entries(env), [
    ['VAR1', '1'],
    ['VAR2', '0'],
    ['VAR3', '1'],
  ])
})

test('K-05 an empty list of choices allows everything, any other only its own', () => {
  const text = (choices: unknown) =>
    container({ ...UPSTREAM, env: [{ name: 'N', value: '5', choices, description: null }] })
  const run = (choices: unknown, N: string) => kaapana.plan(text(choices), job({ env: { N } })).env['N']
  for (const none of [[], null, undefined]) assert.equal(run(none, 'x'), 'x')
  assert.equal(run(['5', '6'], '6'), '6')
  assert.throws(() => run(['5', '6'], '7'), refusal('bad_input', 'N', '"7"', '5, 6'))
})

test('K-06 the older fields are read: type is a hint, and what is not adjustable stays', () => {
  const env = [{ name: 'N', value: '5', type: 'int', adjustable: false, choices: [] }]
  const text = container({ ...UPSTREAM, env })
  assert.deepEqual(kaapana.plan(text, job({ env: { N: '5' } })).env, { N: '5' })
  assert.throws(() => kaapana.plan(text, job({ env: { N: '6' } })), refusal('bad_input', 'N', 'not adjustable'))
})

test('K-06 a rule of the older generation counts by its formula', () => {
  const memory = (complexity: string, bytes: number) => {
    const scale_rule = { complexity, type: 'limit', mode: 'max_file_size', target_dir: null, target_glob: null }
    const text = container({
      ...DOWNSTREAM,
      inputs: [{ name: 'c', mounted_path: '/in', scale_rule }],
      resources: { limits: { memory: '6Mi' } },
    })
    return kaapana.resources(text, DEFAULTS, given({ files: { c: 'folder' } }, { 'c/x': bytes })).memoryBytes
  }
  assert.equal(memory('n', 10 * MIB), 10 * MIB)
  assert.equal(memory('+ 2 * n', 10 * MIB), 20 * MIB)
  assert.equal(memory('1.5n', 10 * MIB), 15 * MIB)
  assert.equal(memory('2*n**2', 4096), 32 * MIB)
  assert.equal(memory('-3*n', 10 * MIB), 6 * MIB)
  for (const wrong of ['log(n)', 'n+n', '', 'n**99', '2']) {
    assert.throws(() => memory(wrong, 1), refusal('invalid_task', 'scale_rule'), wrong)
  }
})

test('K-07 a number for a value, or a template without env, is refused by its field', () => {
  const number = container({ ...UPSTREAM, env: [{ name: 'N', value: 5 }] })
  assert.throws(() => kaapana.plan(number, job()), refusal('invalid_task', 'templates.0.env.0.value'))
  const { env: _, ...without } = UPSTREAM
  assert.throws(() => kaapana.plan(container(without), job()), refusal('invalid_task', 'templates.0.env'))
})

test('K-08 another api_version is refused', () => {
  const version = (api_version: unknown) =>
    JSON.stringify({ ...(JSON.parse(container(UPSTREAM)) as object), api_version })
  assert.doesNotThrow(() => kaapana.plan(version(1), job()))
  for (const other of [2, '2', null]) {
    assert.throws(() => kaapana.plan(version(other), job()), refusal('invalid_task', 'api_version'))
  }
})

/** One input channel `c` with this rule; 20Mi is the template's limit, as in K-09. */
function scaled(rule: object, files: Record<string, number>, limit = '20Mi'): number {
  const scale_rule = { scale_factor: 10, type: 'limit', mode: 'sum', ...rule }
  const inputs = [{ name: 'c', mounted_path: '/in', scale_rule }]
  const text = container({ ...DOWNSTREAM, inputs, resources: { limits: { memory: limit } } })
  return kaapana.resources(text, DEFAULTS, given({ files: { c: 'folder' } }, files)).memoryBytes
}

test('K-09 the largest item counts, at any depth below it', () => {
  const files = { 'c/a/x/1.nrrd': 3 * MIB, 'c/b/y/2.nrrd': 7 * MIB, 'c/b/y/3.txt': 99 * MIB, 'c/top.nrrd': 99 * MIB }
  assert.equal(scaled({ mode: 'max_item_sum', target_glob: '*.nrrd' }, files), 73_400_320)
  const { 'c/top.nrrd': _, ...items } = files
  assert.equal(scaled({ mode: 'sum', target_glob: '*.nrrd' }, items), 100 * MIB)
  assert.equal(scaled({ mode: 'max_file_size', target_glob: '*.nrrd' }, items), 70 * MIB)
})

test('K-10 an empty channel, or one without items, adds nothing', () => {
  assert.equal(scaled({ mode: 'max_item_sum', target_glob: '*.nrrd' }, {}), 20 * MIB)
  assert.equal(scaled({ mode: 'max_item_sum' }, { 'c/top.nrrd': 99 * MIB }), 20 * MIB)
})

test('K-11 the pattern is searched at any depth, the expression sees the path below the folder', () => {
  const files = { 'c/a/b/x.dcm': 5 * MIB, 'c/y.txt': 50 * MIB }
  assert.equal(scaled({ target_dir: '.', target_glob: '*.dcm' }, files), 50 * MIB)
  assert.equal(scaled({ target_dir: '', target_regex: String.raw`x\.dcm` }, files), 20 * MIB)
  assert.equal(scaled({ target_regex: String.raw`.*x\.dcm` }, files), 50 * MIB)
  assert.equal(scaled({ target_dir: 'a/b/', target_regex: String.raw`x\.dcm` }, files), 50 * MIB)
  assert.equal(scaled({ target_dir: 'a', target_glob: 'b/*' }, files), 50 * MIB)
  assert.equal(scaled({ mode: 'max_item_sum', target_dir: 'b', target_regex: 'x.dcm' }, files), 50 * MIB)
  assert.throws(() => scaled({ target_dir: '../other' }, files), refusal('invalid_task', 'target_dir'))
})

test('K-12 the command of the job wins over the template, and with neither the image decides', () => {
  const entry = (text: string, change: Partial<JobFile> = {}) => exchange(kaapana.plan(text, job(change))).entrypoint
  assert.deepEqual(entry(container(UPSTREAM), { command: ['true'] }), ['true'])
  assert.deepEqual(entry(container(UPSTREAM)), UPSTREAM.command)
  for (const command of [null, []]) assert.equal(entry(container({ ...UPSTREAM, command })), undefined)
  assert.equal(kaapana.plan(container(UPSTREAM), job()).command, undefined)
})

test('K-13 inputs are mounted read-only, outputs for writing, also where they share a place', () => {
  const shared = container({
    ...UPSTREAM,
    inputs: [
      { name: 'a', mounted_path: '/data' },
      { name: 'b', mounted_path: '/data/' },
      { name: 'r', mounted_path: '/r' },
    ],
    outputs: [{ name: 'out', mounted_path: '/data' }],
  })
  const plan = exchange(kaapana.plan(shared, job({ files: { a: 'folder', b: 'folder', r: 'folder' } })))
  assert.deepEqual(plan.mounts, [
    { path: '/data', writable: true, sizeBytes: 64 * MIB },
    { path: '/r', writable: false, sizeBytes: 0 },
  ])
  assert.deepEqual(
    plan.stage.map((s) => 'from' in s && s.from),
    ['inputs/a', 'inputs/r'],
  )
})

test('K-14 only channels come back, each as a folder with its items below it', () => {
  const plan = exchange(kaapana.plan(DUMMY, job({ template: 'upstream' })))
  assert.ok(plan.collect.every(({ folder }) => folder))
})

test('K-15 a folder without its descriptor, and a descriptor that is no JSON, are refused', () => {
  const folder = (texts: Record<string, string>): Folder => ({
    files: new Map([['Dockerfile', { bytes: 1 }], ...Object.keys(texts).map((path) => [path, { bytes: 1 }] as const)]),
    texts: new Map(Object.entries(texts)),
  })
  assert.throws(() => kaapana.describe(folder({})), refusal('invalid_task', 'processing-container.json'))
  for (const text of ['', '{"name": "x",}', 'null', '[]', '{"name":"a","name":"b"}']) {
    const broken = folder({ 'files/processing-container.json': text })
    assert.throws(() => kaapana.describe(broken), refusal('invalid_task', 'files/processing-container.json'), text)
  }
  const found = kaapana.describe(folder({ 'files/processing-container.json': DUMMY }))
  assert.equal(found.descriptor, 'files/processing-container.json')
  assert.deepEqual(found.resources, { cpuMillis: 500, memoryBytes: 50 * MIB, gpus: 0 })
})

test('K-16 an unknown template is refused with those that there are; the only one need not be named', () => {
  assert.throws(() => kaapana.plan(DUMMY, job({ template: 'other' })), refusal('bad_input', 'upstream, downstream'))
  assert.throws(() => kaapana.plan(DUMMY, job()), refusal('bad_input', '--template'))
  assert.doesNotThrow(() => kaapana.plan(container(UPSTREAM), job()))
})

test('K-17 126 is skipped, other codes fail as what they are, and memory and time are told apart', () => {
  const judge = (end: Partial<Ran['end']>) => kaapana.judge(container(UPSTREAM), job(), ran(end))
  const skipped = judge({ exitCode: 126 })
  assert.deepEqual([skipped.status, skipped.skipped, skipped.problem], ['answered', true, undefined])
  assert.match(judge({ exitCode: 3 }).problem?.message ?? '', /exit code 3/)
  assert.deepEqual([judge({}).status, judge({}).skipped], ['answered', undefined])
  assert.match(judge({ exitCode: 137, outOfMemory: true }).problem?.message ?? '', /out of memory/)
  assert.match(judge({ exitCode: 137 }).problem?.message ?? '', /out of memory or was killed/)
  const late = judge({ exitCode: 137, killedFor: 'time limit' })
  assert.equal(late.problem?.code, 'run_timeout')
  assert.equal(judge({ exitCode: 126, killedFor: 'time limit' }).status, 'task_failed')
  assert.match(judge({ exitCode: 137, killedFor: 'log budget' }).problem?.message ?? '', /log budget/)
  assert.deepEqual(judge({ exitCode: 3 }).outputs, [])
})

const TASK = {
  name: 'my-task',
  image: 'registry/dummy:1',
  taskTemplate: 'downstream',
  inputs: [{ name: 'channel1', volume_source: { host_path: '/data/1' } }],
  outputs: [{ name: 'out', volume_source: { host_path: 'rel/out' } }],
  env: [{ name: 'VAR1', value: 'a {{ env.WHO }} b' }],
}

function task(change: Record<string, unknown> = {}, env: Record<string, string> = { WHO: 'me' }) {
  return readTaskJson(JSON.stringify({ ...TASK, ...change }), { env })
}

test('K-18 an inline template is a container of its own, and in the market only the published one', () => {
  const inline = task({ taskTemplate: { ...UPSTREAM, description: 'my own words' } })
  assert.equal(inline.template, 'upstream')
  assert.ok(inline.inline !== undefined)
  assert.deepEqual(kaapana.plan(inline.inline, job(inline.job)).env['VAR1'], 'a me b')
  assert.doesNotThrow(() => requirePublished(DUMMY, inline.inline ?? ''))
  const other = task({ taskTemplate: { ...UPSTREAM, command: ['sh'], env: [] } })
  assert.throws(() => requirePublished(DUMMY, other.inline ?? ''), refusal('bad_input', 'upstream', 'env, command'))
  const unknown = task({ taskTemplate: { ...UPSTREAM, identifier: 'mine' } })
  assert.throws(() => requirePublished(DUMMY, unknown.inline ?? ''), refusal('bad_input', 'mine'))
})

test('K-19 volumes of every generation give their path as it is written', () => {
  const read = (volume: object) => task({ inputs: [{ name: 'c', ...volume }] }).inputs
  assert.deepEqual(read({ volume_source: { host_path: '/abs' } }), { c: '/abs' })
  assert.deepEqual(read({ input: { host_path: 'rel/x' } }), { c: 'rel/x' })
  assert.deepEqual(read({ input: { local_path: './y' } }), { c: './y' })
  assert.throws(() => read({}), refusal('bad_input', 'inputs.0.volume_source'))
})

test('K-20 only variables that were allowed are filled in, inside of strings, and no template language runs', () => {
  assert.deepEqual(task().job.env, { VAR1: 'a me b' })
  assert.deepEqual(task({}, { WHO: '","x":"{{ env.WHO }}' }).job.env, { VAR1: 'a ","x":"{{ env.WHO }} b' })
  for (const value of [
    '{{ env.SECRET }}',
    '{{ custom.x }}',
    '{% for x in y %}',
    '{{env.PATH}}',
    '{{ env.__proto__ }}',
  ]) {
    assert.throws(
      () => task({ env: [{ name: 'A', value }] }),
      refusal('bad_input', value.includes('env.') ? 'variable' : 'template'),
    )
  }
  const published = container({ ...UPSTREAM, env: [{ name: 'A', value: '{{ env.SECRET }}' }] })
  assert.equal(kaapana.plan(published, job()).env['A'], '{{ env.SECRET }}')
})

test('a task file says everything that a job needs', () => {
  const whole = task({ command: ['x'], resources: { limits: { memory: '2Gi' } }, config: { type: 'k8s' } })
  assert.deepEqual(whole, {
    name: 'my-task',
    image: 'registry/dummy:1',
    template: 'downstream',
    job: {
      values: {},
      env: { VAR1: 'a me b' },
      template: 'downstream',
      outputs: ['out'],
      command: ['x'],
      resources: { memoryBytes: 2048 * MIB },
    },
    inputs: { channel1: '/data/1' },
    outputs: { out: 'rel/out' },
  })
  assert.deepEqual(task({ env: null, inputs: null, outputs: null }).job.env, {})
  for (const field of ['name', 'image', 'taskTemplate']) {
    assert.throws(() => task({ [field]: undefined }), refusal('bad_input', field))
  }
})

test("a volume's own rule replaces that of the template", () => {
  const rule = { scale_factor: 100, type: 'limit', mode: 'sum' }
  const read = task({ inputs: [{ name: 'channel1', volume_source: { host_path: 'x' }, scale_rule: rule }] })
  const asked = given({ ...read.job, files: { channel1: 'folder' } }, { 'channel1/any.bin': MIB })
  assert.equal(kaapana.resources(DUMMY, DEFAULTS, asked).memoryBytes, 100 * MIB)
  const wrong = given({ ...asked.job, values: { 'channel1.scale_rule': '{"mode":"all"}' } }, {})
  assert.throws(() => kaapana.resources(DUMMY, DEFAULTS, wrong), refusal('bad_input', 'scale rule of channel1'))
})

test('resources of the job replace those of the template whole', () => {
  const asked = given({ template: 'downstream', resources: { memoryBytes: 2 ** 31 } })
  assert.deepEqual(kaapana.resources(DUMMY, DEFAULTS, asked), { cpuMillis: 1000, memoryBytes: 2 ** 31, gpus: 0 })
  const none = given({ template: 'upstream' })
  assert.deepEqual(kaapana.resources(DUMMY, DEFAULTS, none), DEFAULTS)
  const gpu = container({ ...UPSTREAM, resources: { limits: { 'nvidia.com/gpu': 1, memory: '1Mi' }, requests: null } })
  assert.deepEqual(kaapana.resources(gpu, DEFAULTS, given()), { cpuMillis: 1000, memoryBytes: 6 * MIB, gpus: 1 })
})

test('what a template does not have is left out with a warning, and what is no folder is refused', () => {
  const typo = job({ template: 'downstream', files: { chanel1: 'folder' } })
  assert.deepEqual(exchange(kaapana.plan(DUMMY, typo)).mounts, [])
  assert.match(kaapana.judge(DUMMY, typo, ran()).warnings[0] ?? '', /no channel chanel1/)
  assert.throws(
    () => kaapana.plan(DUMMY, job({ template: 'downstream', files: { channel1: 'file' } })),
    refusal('bad_input', 'channel1', '@FOLDER'),
  )
  assert.throws(
    () => kaapana.plan(DUMMY, job({ template: 'upstream', values: { x: '1' } })),
    refusal('bad_input', '"x"'),
  )
})

test('parameters name channels, variables and, where there are several, templates', () => {
  const all = kaapana.parameters(DUMMY)
  assert.deepEqual(
    all.filter(({ side }) => side === 'template').map(({ name }) => name),
    ['upstream', 'downstream'],
  )
  assert.deepEqual(
    kaapana.parameters(container({ ...UPSTREAM, env: [{ name: 'A', value: '1', choices: ['1', '2'] }] })),
    [
      { name: 'channel1', side: 'output', kind: 'channel', required: false, description: '/home/kaapana/channel1' },
      { name: 'channel2', side: 'output', kind: 'channel', required: false, description: '/home/kaapana/channel2' },
      { name: 'A', side: 'env', kind: 'text', required: false, default: '1', choices: ['1', '2'], description: '' },
    ],
  )
})

test('wrong templates are refused with line and field, all of them at once', () => {
  const text = JSON.stringify(
    JSON.parse(
      container({
        ...UPSTREAM,
        inputs: [
          { name: 'a/b', mounted_path: 'relative' },
          { name: 'c', mounted_path: '/proc/x' },
          {
            name: 'c',
            mounted_path: '/',
            scale_rule: { scale_factor: 1, type: 'limit', mode: 'sum', target_regex: '(a' },
          },
        ],
        resources: { limits: { memory: '2GiBxyz', cpu: '-1' } },
      }),
    ),
    null,
    2,
  )
  const findings = kaapana.check({
    files: new Map([['Dockerfile', { bytes: 1 }]]),
    texts: new Map([['processing-container.json', text]]),
  })
  const lines = text.split('\n')
  for (const field of [
    'inputs.0.name',
    'inputs.0.mounted_path',
    'inputs.1.mounted_path',
    'inputs.2.mounted_path',
    'inputs.2.scale_rule.target_regex',
    'limits.memory',
    'limits.cpu',
  ]) {
    const found = findings.find(({ what }) => what.includes(field))
    assert.ok(found !== undefined, field)
    const line = lines[Number(found.where.split(':')[1]) - 1] ?? ''
    assert.ok(line.includes(`"${field.split('.').at(-1)}"`), `${found.where} is not ${field}: ${line}`)
  }
})

test('hostile JSON is a typed refusal in milliseconds', () => {
  const started = performance.now()
  for (const text of ['['.repeat(1_000_000), `{"templates":${'[{"inputs":'.repeat(100_000)}`, '{"__proto__":{}}']) {
    assert.throws(
      () => kaapana.plan(text, job()),
      (error) => error instanceof MecaError && error.code === 'invalid_task',
    )
    assert.throws(
      () => readTaskJson(text, { env: {} }),
      (error) => error instanceof MecaError && error.code === 'bad_input',
    )
  }
  assert.ok(performance.now() - started < 15_000)
})

const anyName = fc.constantFrom('a', 'b', 'c', '../x', '', '__proto__', 'constructor')
const anyChannel = fc.record({
  name: anyName,
  mounted_path: fc.constantFrom('/in', '/in/', '/out', '/in/x', '/a/../b', '/../c', 'rel', '/', '/a,b'),
})
const anyTemplate = fc.record({
  identifier: fc.constantFrom('t', 'u'),
  description: fc.string({ maxLength: 5 }),
  inputs: fc.array(anyChannel, { maxLength: 2 }),
  outputs: fc.array(anyChannel, { maxLength: 2 }),
  env: fc.array(fc.record({ name: fc.constantFrom('A', 'B'), value: fc.string() }), { maxLength: 2 }),
})
const anyFiles = fc.dictionary(
  fc.constantFrom('a', 'b', 'c', 'z'),
  fc.constantFrom('folder' as const, 'folder' as const, 'file' as const),
)

test('any container is refused as such or stages and collects within its mounts', () => {
  let planned = 0
  fc.assert(
    fc.property(
      anyTemplate,
      anyFiles,
      fc.option(fc.constantFrom('t', 'u'), { nil: undefined }),
      (template, files, name) => {
        let plan: Plan
        try {
          plan = kaapana.plan(container(template), job({ files, ...(name === undefined ? {} : { template: name }) }))
        } catch (error) {
          assert.ok(error instanceof MecaError && error.code !== 'internal', String(error))
          return
        }
        planned++
        const { mounts, stage, collect } = exchange(plan)
        assert.equal(new Set(mounts.map(({ path }) => path)).size, mounts.length)
        for (const { path } of [...stage, ...collect])
          assert.ok(
            mounts.some((mount) => isWithin(path, mount.path)),
            path,
          )
        for (const { path } of mounts) assert.ok(path.startsWith('/') && path.length > 1 && !path.includes('..'), path)
      },
    ),
    { numRuns: 1000 },
  )
  assert.ok(planned > 50, `only ${planned} containers were usable`)
})
