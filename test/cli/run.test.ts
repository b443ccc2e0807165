/** `meca run`: bytes in, bytes out, the price told, and an exit code that says how it ended. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { CID, HOST } from '../support/fake-api.ts'
import { makeBench } from './support.ts'

test('what is piped in goes in, the answer comes out byte for byte', async (t) => {
  const bench = makeBench(t)
  const bytes = randomBytes(200_000)
  const { exit, stdout } = await bench.run(['run', CID], { stdin: bytes })
  assert.equal(exit, 0)
  assert.deepEqual(stdout, bytes)
})

test('--input takes a file and does not read it into memory, --out writes one', async (t) => {
  const bench = makeBench(t)
  const [input, out] = [join(bench.home, 'in'), join(bench.home, 'out')]
  const bytes = randomBytes(1000)
  await writeFile(input, bytes)
  const { exit, text } = await bench.run(['run', CID, '--input', input, '--out', out])
  assert.equal(exit, 0)
  assert.equal(text, '')
  assert.deepEqual(await readFile(out), bytes)
  assert.deepEqual(bench.calls.find(({ name }) => name === 'run')?.args[1], { file: input, bytes: 1000 })
})

test('--out of a folder writes into it, and a failed write leaves no half file', async (t) => {
  const bench = makeBench(t)
  const folder = join(bench.home, 'results')
  await mkdir(folder)
  const { json } = await bench.run(['run', CID, '--data', 'x', '--out', folder, '--json'])
  assert.equal((json() as { outputFile: string }).outputFile, join(folder, 'output'))
  const { exit, stderr } = await bench.run(['run', CID, '--data', 'x', '--out', join(folder, 'no', 'such', 'file')])
  assert.equal(exit, 2)
  assert.match(stderr, /cannot be written/)
  assert.deepEqual(await readdir(folder), ['output'])
})

test('the price, the times, the host and the next step are told on stderr', async (t) => {
  const bench = makeBench(t)
  const { stderr } = await bench.run(['run', CID, '--data', 'x'])
  assert.match(stderr, /cost 0\.000000000000009 ETH \(host 0\.000000000000008 ETH, developer 0\.000000000000001 ETH\)/)
  assert.match(stderr, new RegExp(`warm · host ${HOST} · job j-1`))
  assert.match(stderr, /next: meca job show j-1/)
})

test('--json gives the document of design.md 8', async (t) => {
  const bench = makeBench(t)
  const { json } = await bench.run(['run', CID, '--data', 'héllo', '--json'])
  const { job, task, host, status, httpStatus, output, price, phases, warm } = json() as Record<string, unknown>
  assert.deepEqual(
    [job, task, host, status, httpStatus, output, warm],
    ['j-1', CID, HOST, 'answered', 200, 'héllo', true],
  )
  assert.deepEqual(Object.keys(price as object), ['quoted', 'host', 'developer', 'token'])
  assert.deepEqual(Object.keys(phases as object), ['queuedMs', 'fetchMs', 'startMs', 'runMs', 'deliverMs', 'totalMs'])
})

test('--json gives an answer that is no UTF-8 as base64', async (t) => {
  const bench = makeBench(t, { output: Buffer.from([0xff, 0xfe, 0]) })
  const { json } = await bench.run(['run', CID, '--data', 'x', '--json'])
  assert.deepEqual((json() as { output: unknown }).output, { base64: '//4A' })
})

test('on a terminal an answer cannot steer it, and binary data is not shown', async (t) => {
  const evil = makeBench(t, { output: Buffer.from('\x1b]0;owned\x07red') })
  const shown = await evil.run(['run', CID, '--data', 'x', '--progress', 'none'], { tty: true })
  assert.equal(shown.text, '\\u{1b}]0;owned\\u{7}red\n')
  const binary = makeBench(t, { output: Buffer.from([0, 0xff]) })
  const hidden = await binary.run(['run', CID, '--data', 'x', '--progress', 'none'], { tty: true })
  assert.equal(hidden.text, '')
  assert.match(hidden.stderr, /binary data: give --out/)
})

test('options arrive as they were meant', async (t) => {
  const bench = makeBench(t)
  const flags = [
    '--max-price',
    '0.5ETH',
    '--max-seconds',
    '9',
    '--host',
    HOST.toUpperCase().replace('0X', '0x'),
    '--id',
    'mine',
    '--logs',
  ]
  const { stderr } = await bench.run(['run', CID, '--data', 'x', ...flags])
  assert.deepEqual(bench.calls.find(({ name }) => name === 'run')?.args[2], {
    maxPrice: 500_000_000_000_000_000n,
    maxSeconds: 9,
    host: HOST,
    id: 'mine',
    logs: true,
  })
  assert.match(stderr, /out \| hello from the task/)
})

test('progress comes as lines, as JSON lines, or not at all', async (t) => {
  const bench = makeBench(t)
  const argv = ['run', CID, '--data', 'x', '--json', '--progress']
  assert.match((await bench.run([...argv, 'plain'])).stderr, /^running\nrunning\nrunning\n/)
  const lines = (await bench.run([...argv, 'json'])).stderr.split('\n').slice(0, 3)
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { progress: { phase: string } }).progress.phase),
    ['running', 'running', 'running'],
  )
  assert.doesNotMatch((await bench.run([...argv, 'none'])).stderr, /running/)
  assert.equal((await bench.run([...argv, 'loud'])).exit, 2)
})

const endings: [Parameters<typeof makeBench>[1], string[], number][] = [
  [{ httpStatus: 500 }, [], 0],
  [{ httpStatus: 500 }, ['--fail'], 1],
  [{ status: 'task_failed' }, [], 1],
  [{ status: 'cancelled' }, [], 1],
]
for (const [knobs, flags, exit] of endings) {
  test(`a job that ended as ${JSON.stringify(knobs)} with ${flags.join(' ') || 'no flags'} exits with ${exit}`, async (t) => {
    const bench = makeBench(t, knobs)
    const plain = await bench.run(['run', CID, '--data', 'x', ...flags])
    assert.equal(plain.exit, exit, plain.stderr)
    const json = await bench.run(['run', CID, '--data', 'y', '--json', ...flags])
    assert.equal(json.exit, exit)
    assert.equal(typeof (json.json() as { job: string }).job, 'string', 'the result is told even so')
  })
}

test("a failed task's last words and cost are told", async (t) => {
  const bench = makeBench(t, { status: 'task_failed' })
  const { text, stderr } = await bench.run(['run', CID, '--data', 'x'])
  assert.equal(text, '')
  assert.match(stderr, /error: exit code 3\n/)
  assert.match(stderr, /Traceback: boom/)
  assert.match(stderr, /cost 0\.000000000000008 ETH/)
  assert.match(stderr, /next: meca job logs j-1/)
})

const failures: [ErrorCode, number][] = [
  ['bad_input', 2],
  ['not_found', 3],
  ['no_host', 4],
  ['price_cap', 5],
  ['chain_unreachable', 6],
  ['engine_unavailable', 7],
  ['run_timeout', 8],
  ['not_verified', 9],
  ['would_ask', 10],
  ['internal', 70],
]
for (const [code, exit] of failures) {
  test(`an error ${code} exits with ${exit}, with what, why and do`, async (t) => {
    const cause = new Error('the first cause')
    const bench = makeBench(t, { failure: new MecaError(code, 'it went wrong', { cure: 'mend it', cause }) })
    const { stderr, text, ...rest } = await bench.run(['run', CID, '--data', 'x', '--progress', 'none'])
    assert.equal(rest.exit, exit)
    assert.equal(text, '')
    assert.equal(stderr, 'error: it went wrong\n  why: the first cause\n  do:  mend it\n')
    const { json } = await bench.run(['run', CID, '--data', 'x', '--json'])
    assert.deepEqual(json(), { error: { code, message: 'it went wrong', cure: 'mend it', exit } })
  })
}

for (const [what, argv] of [
  ['no task', []],
  ['two inputs', [CID, '--data', 'x', '--input', 'y']],
  ['a file that is not there', [CID, '--input', '/no/such/file']],
  ['a price that is no amount', [CID, '--data', 'x', '--max-price', 'much']],
  ['a price in another coin', [CID, '--data', 'x', '--max-price', '1BTC']],
  ['a host that is no address', [CID, '--data', 'x', '--host', 'me']],
  ['a time that is none', [CID, '--data', 'x', '--timeout', 'soon']],
  ['a setting that is not there', [CID, '--data', 'x', '--set', 'chain.rcp=x']],
] as const) {
  test(`${what} is wrong use`, async (t) => {
    const bench = makeBench(t)
    const { exit, text, stderr } = await bench.run(['run', ...argv])
    assert.equal(exit, 2)
    assert.equal(text, '')
    assert.match(stderr, /^error: .*\n( {2}why: .*\n)?( {2}do: {2}.+\n)?$/)
    assert.equal(bench.calls.filter(({ name }) => name === 'run').length, 0)
  })
}

test('an input is needed, and a terminal is not waited for', async (t) => {
  const bench = makeBench(t)
  const { exit, stderr } = await bench.run(['run', CID], { typed: [] })
  assert.equal(exit, 2)
  assert.match(stderr, /do: {2}give --data TEXT or --input FILE/)
})

test('--timeout ends a job with exit code 8, Ctrl-C with 130', async (t) => {
  const late = makeBench(t, { runMs: 20_000 })
  const timedOut = await late.run(['run', CID, '--data', 'x', '--timeout', '50ms'])
  assert.equal(timedOut.exit, 8)
  assert.match(timedOut.stderr, /not done within 50ms/)
  assert.deepEqual(late.cancelled, ['j-1'])
  const interrupted = makeBench(t, { runMs: 20_000 })
  const { exit } = await interrupted.run(['run', CID, '--data', 'x'], { signal: AbortSignal.timeout(50) })
  assert.equal(exit, 130)
  assert.deepEqual(interrupted.cancelled, ['j-1'])
})

test('a pipe that never ends and a daemon that never answers are given up, too', { timeout: 15_000 }, async (t) => {
  const bench = makeBench(t)
  const piped = await bench.run(['run', CID, '--timeout', '50ms'], { stdin: new PassThrough() })
  assert.equal(piped.exit, 8)
  bench.api.client.jobs = () => new Promise(() => undefined)
  assert.equal((await bench.run(['job', 'list', '--timeout', '50ms'])).exit, 8)
})

test('the next step names the same home, and is a command that exists', async (t) => {
  const bench = makeBench(t)
  const { stderr } = await bench.run(['run', CID, '--data', 'x'])
  const [, next = ''] = /next: meca (.*)/.exec(stderr) ?? []
  assert.equal(next, `job show j-1 --home ${bench.home}`)
  assert.equal((await bench.run(next.split(' '))).exit, 0)
})

for (const out of ['/no/such/folder/answer', '/dev/null/answer']) {
  test(`--out ${out} is refused before anything is sent or paid`, async (t) => {
    const bench = makeBench(t)
    const { exit, stderr } = await bench.run(['run', CID, '--data', 'x', '--out', out])
    assert.equal(exit, 2)
    assert.match(stderr, /do: {2}nothing was sent or paid; give another --out/)
    assert.equal(bench.calls.filter(({ name }) => name === 'run').length, 0)
  })
}

test('an --out that fails after the job names the job, whose output is kept', async (t) => {
  const bench = makeBench(t)
  const folder = join(bench.home, 'gone')
  mkdirSync(folder)
  const run = bench.api.client.run.bind(bench.api.client)
  bench.api.client.run = (...args) => {
    rmSync(folder, { recursive: true })
    return run(...args)
  }
  const argv = ['run', CID, '--data', 'x', '--id', 'paid-1', '--out', join(folder, 'answer')]
  const { exit, stderr } = await bench.run(argv)
  assert.equal(exit, 2)
  assert.match(stderr, /do: {2}the job is done and its output is kept: meca job result paid-1 --out FILE/)
})

test('no half file is left where --out was tried', async (t) => {
  const bench = makeBench(t, { failure: new MecaError('no_host', 'nobody') })
  await bench.run(['run', CID, '--data', 'x', '--out', join(bench.home, 'answer')])
  assert.ok(!existsSync(join(bench.home, 'answer')) && !existsSync(join(bench.home, 'answer.part')))
})

test('a stored result is told as one, by run with the same id and by job result', async (t) => {
  const bench = makeBench(t)
  const argv = ['run', CID, '--data', 'x', '--id', 'again']
  assert.doesNotMatch((await bench.run(argv)).stderr, /stored result/)
  assert.match((await bench.run(argv)).stderr, /stored result/)
  const details = await bench.api.client.job('again')
  bench.api.client.job = async () => ({
    ...details,
    ...(details.result && { result: { ...details.result, replayed: false } }),
  })
  const { stderr } = await bench.run(['job', 'result', 'again'])
  assert.match(stderr, /stored result/)
})
