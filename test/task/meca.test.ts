import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { zResources } from '../../src/core/resources.ts'
import { detectFormat, formatOf } from '../../src/task/format.ts'
import type { Folder } from '../../src/task/format.ts'
import { meca } from '../../src/task/meca.ts'

const MIB = 2 ** 20
const JOB = {
  resources: { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 },
  maxSeconds: 30,
  startTimeoutMs: 20_000,
  outputBytes: 1000,
}

const FILES = {
  Dockerfile: 'FROM python:3.9\nCOPY /src /app',
  'src/app.py': 'print("meca-init-done")',
  'name.txt': ' Echo \n',
  'description.txt': 'Answers.\n',
  'example_input.bin': '{"input": 1}',
  'example_output.bin': '1\n',
  'config.json': '{"resource": {"cpu": 2, "mem": 1024}}',
}

function folder(change: Record<string, string | undefined> = {}): Folder {
  const all = Object.entries({ ...FILES, ...change }).flatMap(([path, text]) =>
    text === undefined ? [] : [[path, text] as const],
  )
  return {
    files: new Map(all.map(([path, text]) => [path, { bytes: Buffer.byteLength(text) }])),
    texts: new Map(all.filter(([path]) => meca.reads.includes(path))),
  }
}

function config(value: unknown): Folder {
  return folder({ 'config.json': typeof value === 'string' ? value : JSON.stringify(value) })
}

test('M-01 a folder with all seven entries is admitted, and says what it is', () => {
  assert.deepEqual(meca.check(folder()), [])
  assert.deepEqual(meca.describe(folder()), {
    title: 'Echo',
    description: 'Answers.',
    resources: { cpuMillis: 2000, memoryBytes: 1024 * MIB, gpus: 0 },
    needsNetwork: false,
    descriptor: 'config.json',
    example: { input: 'example_input.bin', output: 'example_output.bin' },
    files: ['name.txt', 'description.txt', 'example_input.bin', 'example_output.bin', 'config.json'],
    image: { kind: 'build', context: ['Dockerfile', 'src/app.py'] },
  })
})

test('M-02 each entry that is missing, and a src/ without files, is named with its cure', () => {
  for (const missing of Object.keys(FILES)) {
    const findings = meca.check(folder({ [missing]: undefined }))
    const where = missing === 'src/app.py' ? 'src/' : missing
    assert.deepEqual(findings, [{ level: 'error', where, what: 'is missing or empty', cure: `add ${where}` }])
    assert.throws(() => meca.describe(folder({ [missing]: undefined })), {
      code: 'invalid_task',
      message: new RegExp(where),
    })
  }
})

test('M-02 everything that is wrong is told at once', () => {
  const bad = folder({
    'name.txt': undefined,
    'src/app.py': undefined,
    'config.json': '{"resource": {"cpu": 0, "mem": 1, "use_gpu": true, "gpu_count": 5000}}',
  })
  const findings = meca.check(bad)
  assert.deepEqual(
    findings.map((f) => f.where),
    ['name.txt', 'src/', 'config.json', 'config.json', 'config.json'],
  )
  assert.ok(findings.every((f) => f.level === 'error' && f.cure.length > 5))
  assert.throws(
    () => meca.describe(bad),
    (error: Error) =>
      ['name.txt', 'src/', 'resource.cpu is 0', 'resource.mem is 1', '5000'].every((word) =>
        error.message.includes(word),
      ),
  )
  assert.deepEqual(
    meca.check({ files: new Map(), texts: new Map() }).map((f) => f.where),
    ['Dockerfile', 'name.txt', 'description.txt', 'example_input.bin', 'example_output.bin', 'config.json', 'src/'],
  )
})

test('M-03 M-04 M-05 config.json: defaults, unknown keys, and the real examples', () => {
  const rows: [string, unknown, { cpuMillis: number; memoryBytes: number; gpus: number }][] = [
    ['M-03', {}, { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 }],
    ['M-03', { resource: {} }, { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 }],
    [
      'M-04',
      { resource: { cpu: 1, memory: 128, use_sgx: true } },
      { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 },
    ],
    ['M-05', { resource: { cpu: 2, mem: 1024 } }, { cpuMillis: 2000, memoryBytes: 1_073_741_824, gpus: 0 }],
    [
      'stablediffusion',
      { resource: { cpu: 16, mem: 32_000 } },
      { cpuMillis: 16_000, memoryBytes: 32_000 * MIB, gpus: 0 },
    ],
    ['a fraction', { resource: { cpu: 1.5, mem: 64.5 } }, { cpuMillis: 1500, memoryBytes: 67_633_152, gpus: 0 }],
    [
      'one GPU where none is counted',
      { resource: { use_gpu: true } },
      { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 1 },
    ],
    [
      'one GPU where zero are counted',
      { resource: { use_gpu: true, gpu_count: 0 } },
      { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 1 },
    ],
    ['two GPUs', { resource: { use_gpu: true, gpu_count: 2 } }, { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 2 }],
    ['a count without use_gpu', { resource: { gpu_count: 2 } }, { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 }],
    [
      'keys beside resource',
      { author: 'x', resource: { cpu: 1 } },
      { cpuMillis: 1000, memoryBytes: 128 * MIB, gpus: 0 },
    ],
  ]
  for (const [what, value, resources] of rows) assert.deepEqual(meca.describe(config(value)).resources, resources, what)
})

test('M-20 a config that cannot be run is refused before anything is built, each with its own words', () => {
  const rows: [unknown, RegExp][] = [
    [{ resource: { cpu: 0, mem: 128 } }, /resource\.cpu is 0/],
    [{ resource: { cpu: -1 } }, /resource\.cpu is -1/],
    [{ resource: { cpu: 4097 } }, /resource\.cpu is 4097/],
    [{ resource: { mem: 0 } }, /resource\.mem is 0/],
    [{ resource: { mem: 5.9 } }, /resource\.mem is 5\.9/],
    [{ resource: { mem: 67_108_865 } }, /resource\.mem is 67108865/],
    [{ resource: { use_gpu: true, gpu_count: 1025 } }, /gpu_count is 1025/],
    [{ resource: { use_gpu: true, gpu_count: 1.5 } }, /resource\.gpu_count/],
    [{ resource: { gpu_count: -1 } }, /resource\.gpu_count/],
    [{ resource: { cpu: '2' } }, /resource\.cpu: .*number/],
    [{ resource: { use_gpu: 'yes' } }, /resource\.use_gpu/],
    [{ resource: [] }, /resource: /],
    ['{"resource": {"cpu": 1e400}}', /resource\.cpu/],
    ['[]', /malformed/],
    ['null', /malformed/],
    ['', /not JSON/],
    ['{"resource": ', /not JSON/],
  ]
  for (const [value, message] of rows) {
    const name = JSON.stringify(value)
    assert.match(meca.check(config(value))[0]?.what ?? '', message, name)
    assert.throws(() => meca.describe(config(value)), { code: 'invalid_task', message }, name)
    const text = typeof value === 'string' ? value : JSON.stringify(value)
    assert.throws(() => meca.plan(text, JOB), { code: 'invalid_task', message }, name)
  }
})

test('whatever numbers a config has, what comes out is what a host can be asked for', () => {
  const number = fc.oneof(fc.double(), fc.integer({ min: -10, max: 10_000 }))
  const resource = fc.record(
    { cpu: number, mem: number, use_gpu: fc.boolean(), gpu_count: fc.integer({ min: -1, max: 3000 }) },
    { requiredKeys: [] },
  )
  let accepted = 0
  fc.assert(
    fc.property(resource, (r) => {
      const one = config({ resource: r })
      const findings = meca.check(one)
      if (findings.length > 0) return
      accepted++
      assert.equal(zResources.safeParse(meca.describe(one).resources).success, true)
    }),
    { numRuns: 3000 },
  )
  assert.ok(accepted > 100, `${accepted} configs were accepted`)
})

test('a config that arbitrary text made is a finding, never a crash', () => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), (text) => {
      for (const finding of meca.check(config(text)))
        assert.deepEqual([finding.level, finding.where], ['error', 'config.json'])
    }),
    { numRuns: 1000 },
  )
})

test('M-06 only the Dockerfile, .dockerignore and src/ go to the engine', () => {
  const more = folder({
    '.dockerignore': 'x',
    'src/deep/er.py': 'x',
    'secret.pem': 'x',
    'Dockerfile.old': 'x',
    'srcery/x': 'x',
    '.env': 'x',
  })
  const { image } = meca.describe(more)
  assert.deepEqual(image.kind === 'build' && [...image.context].sort(), [
    '.dockerignore',
    'Dockerfile',
    'src/app.py',
    'src/deep/er.py',
  ])
  assert.ok(!meca.describe(more).files.includes('secret.pem'))
})

test('a task that wants the network says so', () => {
  assert.equal(meca.describe(config({ resource: { use_network: true } })).needsNetwork, true)
  assert.equal(meca.describe(config({})).needsNetwork, false)
})

test('M-09 the plan posts the bytes to / on 8080 as JSON, with the limits of the job', () => {
  const plan = meca.plan(FILES['config.json'], JOB)
  assert.deepEqual(plan.exchange, {
    kind: 'http',
    port: 8080,
    readyText: 'meca-init-done',
    method: 'POST',
    path: '/',
    contentType: 'application/json',
  })
  assert.deepEqual(plan.resources, JOB.resources)
  assert.deepEqual(
    [plan.limits.startTimeoutMs, plan.limits.runTimeoutMs, plan.limits.outputBytes],
    [20_000, 30_000, 1000],
  )
  assert.deepEqual([plan.writableRoot, plan.env, plan.command], [false, {}, undefined])
  assert.ok(plan.limits.scratchBytes < plan.resources.memoryBytes && plan.limits.pids > 0 && plan.limits.logBytes > 0)
})

test('M-07 outputs are compared without the white space around them, byte for byte within', () => {
  const rows: [string, string, boolean][] = [
    ['[0, 1]\n', '[0, 1]', true],
    ['  x\r\n\t', 'x', true],
    ['', ' \n', true],
    ['a b', 'a  b', false],
    ['a', 'A', false],
    ['a', '', false],
    ['x\u0000', 'x', false],
    ['\u00a0x', 'x', false],
  ]
  for (const [a, b, same] of rows) {
    assert.equal(meca.sameOutput(Buffer.from(a), Buffer.from(b)), same, JSON.stringify([a, b]))
    assert.equal(meca.sameOutput(Buffer.from(b), Buffer.from(a)), same, JSON.stringify([b, a]))
  }
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 50 }),
      fc.constantFrom('', '\n', ' \t\r\n'),
      fc.constantFrom('', '\n', '\v\f'),
      (body, before, after) => {
        assert.ok(meca.sameOutput(body, Buffer.concat([Buffer.from(before), body, Buffer.from(after)])))
      },
    ),
  )
})

test('M-16 outputs that are not text compare as bytes', () => {
  const png = Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 0xff, 0xfe, 0x00])
  assert.equal(meca.sameOutput(png, Uint8Array.from(png)), true)
  assert.equal(meca.sameOutput(png, png.with(4, 0xfd)), false)
})

test('the format is found by its marks and by its name', () => {
  assert.equal(detectFormat(folder()).name, 'meca')
  assert.equal(formatOf('meca'), meca)
  assert.throws(() => formatOf('constructor'), { code: 'bad_input', message: /constructor/ })
  assert.throws(() => detectFormat({ files: new Map(), texts: new Map() }), { code: 'invalid_task' })
})

test('a folder that is nearly a task is told what it lacks', () => {
  const { files, texts } = folder()
  const lacking = new Map([...files].filter(([path]) => path !== 'Dockerfile' && path !== 'name.txt'))
  assert.throws(() => detectFormat({ files: lacking, texts }), {
    code: 'invalid_task',
    message: /nearest is meca, for which it lacks Dockerfile, name\.txt$/,
    cure: /^add Dockerfile, name\.txt/,
  })
})
