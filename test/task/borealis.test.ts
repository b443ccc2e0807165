import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_PARAMETERS, zInputName } from '../../src/core/bundle.ts'
import type { JobFile } from '../../src/core/bundle.ts'
import { MecaError } from '../../src/core/errors.ts'
import type { FilesExchange, Plan } from '../../src/core/plan.ts'
import { borealis } from '../../src/task/borealis.ts'
import { imageMetadata } from '../../src/task/borealis/metadata.ts'
import { splitWords } from '../../src/task/borealis/words.ts'
import { isWithin } from '../../src/task/places.ts'
import type { FilesJob, Folder, Ran } from '../../src/task/format.ts'

const MIB = 2 ** 20
const LINES = {
  name: 'lines',
  image: 'python:3.11.3',
  command: ['python', '-c', 'print(1)'],
  internal_prefix: '/tmp/',
  storage_prefix: 'bucket/WCM/run/',
  inputs: [] as string[],
  outputs: ['>>/tmp/logs/lines.log', '/tmp/lines.txt'],
  timeout: 30,
}

function record(change: Record<string, unknown> = {}): string {
  return JSON.stringify({ ...LINES, ...change })
}

function job(change: Partial<JobFile> = {}, more: Partial<FilesJob> = {}): FilesJob {
  return {
    resources: { cpuMillis: 1000, memoryBytes: 1024 * MIB, gpus: 0 },
    maxSeconds: 600,
    startTimeoutMs: 20_000,
    outputBytes: 64 * MIB,
    job: { ...NO_PARAMETERS, ...change },
    files: new Map(),
    worker: { uid: 1000, gid: 1001 },
    ...more,
  }
}

function ran(end: Partial<Ran['end']> = {}, files: Record<string, string> = {}, console = ''): Ran {
  return {
    end: { exitCode: 0, outOfMemory: false, logTail: '', ...end },
    startedAt: Date.UTC(2026, 10, 20, 9, 52, 37),
    endedAt: Date.UTC(2026, 10, 20, 9, 52, 47, 600),
    image: 'sha256:abc',
    files: tree(files),
    console: Buffer.from(console),
    folders: new Set<string>(),
    noted: new Map(),
    leftOut: [],
  }
}

function tree(files: Record<string, string>): Ran['files'] {
  const facts = (text: string) => ({ bytes: Buffer.byteLength(text), head: Buffer.from(text) })
  return new Map(Object.entries(files).map(([path, text]) => [path, facts(text)]))
}

function exchange(plan: Plan): FilesExchange {
  assert.equal(plan.exchange.kind, 'files')
  return plan.exchange
}

function refusal(code: string, ...words: string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof MecaError, String(error))
    assert.equal(error.code, code, error.message)
    for (const word of words) assert.ok(error.message.includes(word), `${error.message} does not name ${word}`)
    assert.ok(error.cure !== undefined && error.cure !== '', 'no cure')
    return true
  }
}

function textsOf(verdict: ReturnType<typeof borealis.judge>): Record<string, string> {
  return Object.fromEntries(verdict.texts.map(({ path, content }) => [path, Buffer.from(content).toString('latin1')]))
}

const LOG = 'logs--20261120.095237_lines.log'

test('B-01 a written file is an output, and the log holds the console line for line', () => {
  const console = 'line 0\n\nline 9\n'
  const verdict = borealis.judge(record(), job(), ran({}, { 'lines.txt': '0\n1\n' }, console))
  assert.equal(verdict.status, 'answered')
  assert.deepEqual(verdict.outputs, ['lines.txt'])
  assert.deepEqual(verdict.warnings, [])
  const log = textsOf(verdict)[LOG] ?? ''
  const rule = '-'.repeat(80)
  assert.ok(log.startsWith('20261120.095237 DockerTask: lines, host: '), log)
  assert.ok(log.includes(`\n\n{'command': ['python', '-c', 'print(1)'],\n 'image': 'python:3.11.3',\n`), log)
  assert.ok(log.includes(`\n\nDocker Image ID: sha256:abc\n\n${rule}\n${console}${rule}\n\n`), log)
  assert.ok(
    log.endsWith('20261120.095247 SUCCESSFUL TASK: lines, elapsed 0:00:11 of timeout parameter 0:00:30 \n'),
    log,
  )
})

test('B-01 an output file is there, empty, before the task starts, as the reference has it', () => {
  const plan = borealis.plan(record(), job())
  assert.deepEqual(plan.command, LINES.command)
  assert.deepEqual(exchange(plan), {
    kind: 'files',
    mounts: [{ path: '/tmp', writable: true, sizeBytes: 64 * MIB }],
    stage: [{ kind: 'text', path: '/tmp/lines.txt', text: '' }],
    collect: [{ name: 'lines.txt', path: '/tmp/lines.txt', folder: false }],
  })
})

test('B-02 an input file is called by its path below the prefix, and is staged where the task reads it', () => {
  const text = record({ inputs: ['/tmp/lines.txt'], outputs: ['>>/tmp/logs/count.log'], command: 'wc /tmp/lines.txt' })
  assert.deepEqual(borealis.parameters(text), [
    { name: 'lines.txt', side: 'input', kind: 'file', required: true, description: '/tmp/lines.txt' },
    { name: 'logs--count.log', side: 'output', kind: 'log', required: false, description: '>>/tmp/logs/count.log' },
  ])
  const plan = borealis.plan(text, job({ files: { 'lines.txt': 'file' } }))
  assert.deepEqual(plan.command, ['wc', '/tmp/lines.txt'])
  assert.deepEqual(exchange(plan).stage, [{ kind: 'file', path: '/tmp/lines.txt', from: 'inputs/lines.txt' }])
  const typed = exchange(borealis.plan(text, job({ values: { 'lines.txt': '1\n2\n' } })))
  assert.deepEqual(typed.stage, [{ kind: 'text', path: '/tmp/lines.txt', text: '1\n2\n' }])
})

test('B-03 a > capture holds the console and nothing else', () => {
  const text = record({ outputs: ['>/tmp/count.txt'] })
  const verdict = borealis.judge(text, job(), ran({}, {}, '10 10 20 /tmp/lines.txt\n'))
  assert.deepEqual(textsOf(verdict), { 'count.txt': '10 10 20 /tmp/lines.txt\n' })
})

test('B-04 B-05 a failed run keeps its log, with the exit code and the console, and nothing else', () => {
  const text = record({ outputs: ['>/tmp/all.txt', '>>/tmp/logs/lines.log', '/tmp/lines.txt'] })
  const console = 'Traceback (most recent call last):\nIndexError\n'
  const verdict = borealis.judge(text, job(), ran({ exitCode: 1 }, { 'lines.txt': 'half' }, console))
  assert.equal(verdict.status, 'task_failed')
  assert.match(verdict.problem?.message ?? '', /exit code 1/)
  assert.deepEqual(verdict.outputs, [])
  const texts = textsOf(verdict)
  assert.deepEqual(Object.keys(texts), [LOG])
  assert.ok(texts[LOG]?.includes(console))
  assert.match(texts[LOG] ?? '', /FAILED TASK: lines, elapsed .* \['Docker process exit code 1'\]\n$/)
})

test('B-06 B-17 a file that was not given refuses the job by its name, before anything starts', () => {
  const text = record({ inputs: ['/tmp/never/made.txt'] })
  assert.throws(() => borealis.plan(text, job()), refusal('bad_input', 'never--made.txt', '/tmp/never/made.txt'))
})

test('B-07 a folder output is collected as a folder, in a volume of its own', () => {
  const text = record({ outputs: ['/tmp/output/dir/'] })
  const plan = exchange(borealis.plan(text, job()))
  assert.deepEqual(plan.mounts, [{ path: '/tmp/output/dir', writable: true, sizeBytes: 64 * MIB }])
  assert.deepEqual(plan.stage, [])
  assert.deepEqual(plan.collect, [{ name: 'output--dir', path: '/tmp/output/dir', folder: true }])
  const files = { 'output--dir/1.txt': '1', 'output--dir/2.txt': '2' }
  assert.deepEqual(borealis.judge(text, job(), ran({}, files)).outputs, ['output--dir'])
})

test('B-08 inputs may be written: they lie in a writable volume, and only outputs come back', () => {
  const text = record({ inputs: ['/tmp/output/dir/'], outputs: ['>/tmp/overwrite.txt'] })
  const plan = exchange(borealis.plan(text, job({ files: { 'output--dir': 'folder' } })))
  assert.deepEqual(plan.mounts, [{ path: '/tmp/output/dir', writable: true, sizeBytes: 64 * MIB }])
  assert.deepEqual(plan.stage, [{ kind: 'folder', path: '/tmp/output/dir', from: 'inputs/output--dir' }])
  assert.deepEqual(plan.collect, [])
})

test('B-09 the record has the time limit, and its end is a time-out and not out of memory', () => {
  const plan = borealis.plan(record({ timeout: 8 }), job())
  assert.equal(plan.limits.runTimeoutMs, 8000)
  const end = { exitCode: 137, outOfMemory: false, killedFor: 'time limit' } as const
  const verdict = borealis.judge(record({ timeout: 8 }), job(), ran(end))
  assert.equal(verdict.problem?.code, 'run_timeout')
  assert.match(verdict.problem?.message ?? '', /8 s, the timeout of its record/)
  const log = textsOf(verdict)[LOG] ?? ''
  assert.match(log, /\['Docker process timeout', 'Docker process exit code 137 \(SIGKILL or OUT-OF-MEMORY\)'\]\n$/)
  assert.doesNotMatch(log, /To fix/)
})

test('B-09 no time-out, or one of nothing, is an hour; a job sold for less ends earlier and says so', () => {
  for (const timeout of [undefined, null, 0, -5]) {
    assert.equal(borealis.plan(record({ timeout }), job({}, { maxSeconds: 9999 })).limits.runTimeoutMs, 3_600_000)
  }
  const short = job({}, { maxSeconds: 5 })
  assert.equal(borealis.plan(record(), short).limits.runTimeoutMs, 5000)
  const verdict = borealis.judge(record(), short, ran({ exitCode: 137, killedFor: 'time limit' }))
  assert.match(verdict.problem?.message ?? '', /5 s, the job's limit/)
})

test('B-10 out of memory is named, whether the engine noticed or only the exit code tells', () => {
  const seen = borealis.judge(record(), job(), ran({ exitCode: 137, outOfMemory: true }))
  assert.match(seen.problem?.message ?? '', /ran out of memory \(exit code 137\)/)
  assert.match(seen.problem?.cure ?? '', /1024 MiB/)
  const unseen = borealis.judge(record(), job(), ran({ exitCode: 137 }))
  assert.match(unseen.problem?.message ?? '', /ran out of memory or was killed/)
  assert.match(textsOf(unseen)[LOG] ?? '', /To fix OUT-OF-MEMORY/)
  assert.notEqual(unseen.problem?.code, 'run_timeout')
})

test('B-11 a task that exits 0 when its time is over has failed all the same', () => {
  const verdict = borealis.judge(record({ timeout: 2 }), job(), ran({ exitCode: 0, killedFor: 'time limit' }))
  assert.equal(verdict.status, 'task_failed')
  assert.equal(verdict.problem?.code, 'run_timeout')
  assert.match(textsOf(verdict)[LOG] ?? '', /FAILED TASK: lines, .* \['Docker process timeout'\]\n$/)
})

test("B-12 the task has the worker's numbers, and nobody's where the worker is root", () => {
  assert.equal(borealis.plan(record(), job()).user, '1000:1001')
  assert.equal(borealis.plan(record(), job({}, { worker: { uid: 0, gid: 0 } })).user, 'nobody')
})

test('B-13 the command goes to the ENTRYPOINT of the image, which stays', () => {
  const plan = borealis.plan(record({ command: ['a'] }), job())
  assert.deepEqual(plan.command, ['a'])
  assert.equal(exchange(plan).entrypoint, undefined)
  assert.equal(borealis.plan(record({ command: '' }), job()).command, undefined)
  assert.deepEqual(borealis.plan(record(), job({ command: ['b', 'c'] })).command, ['b', 'c'])
})

test('B-14 a command in one string is split as a shell quotes, and no shell runs it', () => {
  const split = (text: string) => borealis.plan(record({ command: text }), job()).command
  assert.deepEqual(split(`sh -c "echo 'x y' > /tmp/o"`), ['sh', '-c', "echo 'x y' > /tmp/o"])
  assert.deepEqual(split('a  $HOME *.txt #no ;b|c'), ['a', '$HOME', '*.txt', '#no', ';b|c'])
  assert.deepEqual(split(String.raw`a\ b "c\"d\e" 'f\g' ''`), ['a b', String.raw`c"d\e`, String.raw`f\g`, ''])
  for (const open of [`echo 'x`, `echo "x`, String.raw`echo x\ `.trim()]) {
    assert.throws(() => split(open), refusal('invalid_task', 'command'))
  }
})

test('B-14 splitting gives back what was quoted, for any words', () => {
  const quoted = (word: string) => `'${word.replaceAll("'", `'"'"'`)}'`
  fc.assert(
    fc.property(fc.array(fc.string()), (words) => assert.deepEqual(splitWords(words.map(quoted).join(' ')), words)),
  )
})

test('B-15 a path outside the prefix is refused before the start, however it is written', () => {
  for (const path of ['/etc/passwd', '/tmp/../etc/passwd', '/tmpfile', '/tmp/a/../../etc/', 'lines.txt', '>/etc/x']) {
    assert.throws(() => borealis.plan(record({ outputs: [path] }), job()), refusal('invalid_task', 'outputs.0'), path)
  }
  for (const path of ['/tmp/a..b', '/tmp/./x//a..b']) {
    assert.doesNotThrow(() => borealis.plan(record({ outputs: [path] }), job()), 'two dots in a name are harmless')
  }
})

test('B-16 a capture must name a file, and only outputs capture', () => {
  assert.throws(() => borealis.plan(record({ outputs: ['>/tmp/dir/'] }), job()), refusal('invalid_task', 'folder'))
  assert.throws(() => borealis.plan(record({ inputs: ['>/tmp/x'] }), job()), refusal('invalid_task', 'inputs.0'))
})

test('B-18 a folder that was not given is empty, and the task runs', () => {
  const plan = exchange(borealis.plan(record({ inputs: ['/tmp/in/a/'], outputs: ['/tmp/in/b.txt'] }), job()))
  assert.deepEqual(
    plan.mounts.map(({ path }) => path),
    ['/tmp/in'],
  )
  assert.deepEqual(plan.stage[0], { kind: 'folder', path: '/tmp/in/a' })
})

test('B-19 the image is the one of the package; a folder without one is refused', () => {
  const texts = new Map([['docker-task.json', record()]])
  const folder = (...paths: string[]): Folder => ({ files: new Map(paths.map((p) => [p, { bytes: 9 }])), texts })
  assert.throws(() => borealis.describe(folder('docker-task.json')), refusal('invalid_task', 'Dockerfile'))
  const built = borealis.describe(
    folder('docker-task.json', 'Dockerfile', 'src/a.c', 'example/outputs/lines.txt', 'example/job.json'),
  )
  assert.equal(built.image.kind, 'build')
  assert.deepEqual(built.example, { input: 'example/inputs', output: 'example/outputs' })
  assert.deepEqual(built.files, ['docker-task.json', 'example/outputs/lines.txt', 'example/job.json'])
  assert.deepEqual(built.resources, { cpuMillis: 1000, memoryBytes: 1024 * MIB, gpus: 0 })
  const packed = borealis.describe(folder('docker-task.json', 'image.tar'))
  assert.deepEqual(packed.image, { kind: 'archive', path: 'image.tar' })
})

test('B-20 a console that is no UTF-8 changes nothing, and is in the log byte for byte', () => {
  const bytes = Buffer.from([0x66, 0xff, 0xfe, 0xc3, 0x28])
  const verdict = borealis.judge(record({ outputs: ['>>/tmp/x.log', '>/tmp/x.txt'] }), job(), {
    ...ran(),
    console: bytes,
  })
  assert.equal(verdict.status, 'answered')
  const texts = Object.fromEntries(verdict.texts.map(({ path, content }) => [path, Buffer.from(content)]))
  assert.deepEqual(texts['x.txt'], bytes)
  const log = texts['20261120.095237_x.log'] ?? Buffer.alloc(0)
  const at = log.indexOf(bytes)
  assert.ok(
    at > 0 &&
      log
        .subarray(at + bytes.length)
        .toString()
        .startsWith(`\n${'-'.repeat(80)}\n`),
  )
})

test('what a task left untouched, took away or made of another kind is a warning, never a failure', () => {
  const text = record({ outputs: ['/tmp/a.txt', '/tmp/b.txt', '/tmp/c/', '/tmp/d/', '/tmp/e.txt', '/tmp/f.txt'] })
  const left = ran({}, { 'a.txt': '', d: 'x', 'e.txt/f': 'x' })
  const verdict = borealis.judge(text, job(), { ...left, folders: new Set(['f.txt']) })
  assert.equal(verdict.status, 'answered')
  assert.deepEqual(
    verdict.warnings.map((w) => /output (\S+) .* is (.*)$/.exec(w)?.slice(1)),
    [
      ['a.txt', 'empty'],
      ['b.txt', 'missing'],
      ['c', 'an empty folder'],
      ['d', 'a file, and was to be a folder'],
      ['e.txt', 'a folder, and was to be a file'],
      ['f.txt', 'a folder, and was to be a file'],
    ],
  )
})

test('a log budget and a stop are told as what they are', () => {
  const loud = borealis.judge(record(), job(), ran({ exitCode: 137, killedFor: 'log budget' }))
  assert.match(loud.problem?.message ?? '', /log budget/)
  assert.doesNotMatch(textsOf(loud)[LOG] ?? '', /To fix/)
  const stopped = borealis.judge(record(), job(), ran({ exitCode: 137, killedFor: 'stopped' }))
  assert.match(stopped.problem?.message ?? '', /stopped/)
})

test('what a DockerTask cannot take is refused by name', () => {
  const text = record({ inputs: ['/tmp/a.txt', '/tmp/d/'] })
  const given: JobFile = { ...NO_PARAMETERS, files: { 'a.txt': 'file' } }
  const cases: [Partial<JobFile>, string][] = [
    [{ env: { A: 'b' } }, 'environment'],
    [{ template: 'x' }, 'template'],
    [{ values: { other: '1' } }, 'other'],
    [{ files: { 'a.txt': 'folder' } }, 'a.txt'],
    [{ files: { 'a.txt': 'list' } }, 'a.txt'],
    [{ files: { 'a.txt': 'file', d: 'file' } }, 'd'],
    [{ values: { 'a.txt': 'x' } }, 'twice'],
  ]
  for (const [change, word] of cases) {
    assert.throws(() => borealis.plan(text, job({ ...given, ...change })), refusal('bad_input', word), word)
  }
})

test('every finding is told at once, with its line', () => {
  const text = JSON.stringify(
    { ...LINES, internal_prefix: 'tmp', command: "echo 'x", outputs: ['/tmp/x', '/tmp/x', '/dev/x'], extra: 1 },
    null,
    2,
  )
  const findings = borealis.check({
    files: new Map([['Dockerfile', { bytes: 1 }]]),
    texts: new Map([['docker-task.json', text]]),
  })
  const lines = text.split('\n')
  for (const word of ['internal_prefix', 'command', 'extra']) {
    const found = findings.find(({ what }) => what.startsWith(word))
    assert.equal(found?.where, `docker-task.json:${lines.findIndex((l) => l.includes(`"${word}"`)) + 1}`)
  }
  assert.ok(findings.some(({ what }) => what.startsWith('outputs.1 names a path that is already')))
  assert.equal(findings.find(({ what }) => what.startsWith('extra'))?.level, 'warning')
})

test('wrong descriptors are refused with their field', () => {
  const cases: [unknown, string][] = [
    [{ name: undefined }, 'name'],
    [{ image: 5 }, 'image'],
    [{ command: null }, 'command'],
    [{ inputs: '/tmp/a' }, 'inputs'],
    [{ timeout: '30' }, 'timeout'],
    [{ timeout: 1e300 }, 'timeout'],
    [{ outputs: ['/proc/x/'], internal_prefix: '/' }, 'outputs.0'],
    [{ outputs: ['/x'], internal_prefix: '/' }, 'outputs.0'],
    [{ outputs: ['/tmp/a\u0000b'] }, 'outputs.0'],
    [{ outputs: ['/tmp'] }, 'outputs.0'],
    [{ resources: { limits: { memory: '2GiBxyz' } } }, 'memory'],
    [{ resources: { limits: { cpu: -1 } } }, 'cpu'],
  ]
  for (const [change, field] of cases) {
    const text = JSON.stringify({ ...LINES, ...(change as object) })
    assert.throws(() => borealis.plan(text, job()), refusal('invalid_task', field), field)
  }
})

test('hostile JSON is a typed refusal in milliseconds', () => {
  const started = performance.now()
  for (const text of [
    '['.repeat(1_000_000),
    `{"name":${'['.repeat(200_000)}`,
    '',
    'null',
    '{"name":"a","name":"b"}',
    '{',
  ]) {
    assert.throws(
      () => borealis.plan(text, job()),
      (error) => error instanceof MecaError && error.code === 'invalid_task',
    )
  }
  assert.ok(performance.now() - started < 15_000)
})

test('resources come from the record and may be raised by the job, never under what an engine takes', () => {
  const text = record({ resources: { limits: { cpu: '500m', memory: '1Mi', 'nvidia.com/gpu': 1 } } })
  const task = borealis.describe({
    files: new Map([['Dockerfile', { bytes: 1 }]]),
    texts: new Map([['docker-task.json', text]]),
  }).resources
  assert.deepEqual(task, { cpuMillis: 500, memoryBytes: 6 * MIB, gpus: 1 })
  const asked = borealis.resources(text, task, job({ resources: { memoryBytes: 2 ** 31 } }))
  assert.deepEqual(asked, { cpuMillis: 500, memoryBytes: 2 ** 31, gpus: 1 })
  assert.equal(borealis.resources(text, task, job({ resources: { memoryBytes: 1 } })).memoryBytes, 6 * MIB)
})

test('an image says who made it and when, on one line each', () => {
  const facts = imageMetadata(
    { IMAGE_GIT_HASH: 'abc123', IMAGE_TIMESTAMP: '', PATH: '/bin' },
    { application: 'Whole Cell\n\u001b[31m Model', email: 'lab@example.org', other: 'x' },
  )
  assert.deepEqual(facts, [
    { name: 'application', value: String.raw`Whole Cell \u{1b}[31m Model` },
    { name: 'email', value: 'lab@example.org' },
    { name: 'git hash', value: 'abc123' },
  ])
})

test('more folders than are mounted singly lie in one volume at the prefix', () => {
  const outputs = Array.from({ length: 20 }, (_, i) => `/out/d${i}/`)
  const plan = exchange(borealis.plan(record({ internal_prefix: '/out', outputs }), job()))
  assert.deepEqual(
    plan.mounts.map(({ path }) => path),
    ['/out'],
  )
})

const part = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('a', 'b', 'a..b', 'tmp', 'x y', 'é', '-c', '.') },
  fc.constant('..'),
)
const anyPath = fc.oneof(
  { weight: 20, arbitrary: fc.array(part, { maxLength: 6 }).map((parts) => `/tmp/a/x y/${parts.join('/')}`) },
  fc.string({ maxLength: 20 }),
)
const anyInputs = fc.array(anyPath, { maxLength: 3 })
const anyPaths = fc.array(
  fc.tuple(fc.constantFrom('', '', '>', '>>'), anyPath).map((p) => p.join('')),
  { maxLength: 12 },
)

test('any record is refused as such or stages and collects within its mounts, under names that a bundle takes', () => {
  let planned = 0
  fc.assert(
    fc.property(anyInputs, anyPaths, fc.constantFrom('/tmp', '/tmp/a/', '/'), (inputs, outputs, prefix) => {
      const text = record({ inputs, outputs, internal_prefix: prefix })
      const plan = attempt(() => {
        const values = borealis.parameters(text).filter((p) => p.side === 'input' && p.kind === 'file')
        return borealis.plan(text, job({ values: Object.fromEntries(values.map(({ name }) => [name, ''])) }))
      })
      if (plan === undefined) return
      planned++
      const { mounts, stage, collect } = exchange(plan)
      for (const { path } of [...stage, ...collect]) {
        assert.ok(
          mounts.some((mount) => isWithin(path, mount.path)),
          path,
        )
        assert.ok(!path.split('/').includes('..'), path)
      }
      assert.equal(new Set(stage.map(({ path }) => path)).size, stage.length)
      const names = collect.map(({ name }) => name)
      assert.equal(new Set(names).size, names.length)
      for (const name of names) assert.ok(zInputName.safeParse(name).success, name)
      for (const { path } of borealis.judge(text, job(), ran()).texts)
        assert.ok(zInputName.safeParse(path).success, path)
    }),
    { numRuns: 500 },
  )
  assert.ok(planned > 50, `only ${planned} records were usable`)
})

function attempt<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    assert.ok(error instanceof MecaError && error.code !== 'internal', String(error))
    return undefined
  }
}
