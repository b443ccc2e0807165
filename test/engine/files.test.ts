/** A files plan's whole life in real containers: what goes in, what may be done to it, how it runs, how it ends. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { LogLine, Plan } from '../../src/core/plan.ts'
import { TestEngine, failure, input, leftBy } from '../support/engine.ts'
import { busyboxImage, dockerMissing, image as makeImage } from '../support/images.ts'
import { filesPlan } from '../support/plans.ts'

const skip = await dockerMissing()
const MIB = 2 ** 20
const t = new TestEngine(0, undefined, 32 * MIB)
let image = ''

before(async () => {
  if (skip === false) image = await busyboxImage()
})
after(async () => {
  if (skip === false) await t.end()
})

/** One writable mount that is staged from the bundle and collected. */
const WRITABLE = {
  mounts: [{ path: '/data', writable: true, sizeBytes: 4 * MIB }],
  stage: [{ kind: 'folder', path: '/data', from: 'data' }],
  collect: [{ name: 'data', path: '/data', folder: true }],
} as const

test('what is staged is read, what is written comes back, the console too, and nothing is left', { skip }, async () => {
  const script =
    'echo begin; cat /inputs/a/b.txt > /outputs/copy; mkdir /outputs/d; echo x > /outputs/d/y; sleep 0.5; printf "end\\377" >&2'
  const lines: LogLine[] = []
  let started = 0
  const options = { onLog: (line: LogLine) => lines.push(line), onStarted: () => started++ }
  const run = await t.run(image, filesPlan(script), [input('/inputs/a/b.txt', 'hello')], options)
  const got = await leftBy(run)
  assert.deepEqual(got.files, { 'out/': '', 'out/copy': 'hello', 'out/d/': '', 'out/d/y': 'x\n' })
  assert.deepEqual([run.end.exitCode, run.end.outOfMemory, run.end.killedFor], [0, false, undefined])
  assert.deepEqual(run.console, Buffer.concat([Buffer.from('begin\nend'), Buffer.from([255])]))
  assert.deepEqual(
    lines.map((line) => `${line.stream} ${line.text}`),
    ['stdout begin', 'stderr end\uFFFD'],
  )
  assert.equal(started, 1)
  for (const step of ['roomMs', 'stageMs', 'startMs', 'runMs']) assert.ok((run.timings[step] ?? -1) >= 0, step)
  await Promise.all([run.dispose(), run.dispose()])
  assert.deepEqual([await t.containers(), await t.volumes()], [[], []])
})

for (const user of ['image', 'nobody', '1234:5678'] as const) {
  test(`read-only inputs cannot be changed and outputs can be written by user ${user}`, { skip }, async () => {
    const script = [
      'id -u; id -g; echo $HOME; cd /inputs',
      '(echo x > new) 2>/dev/null && echo "made a file"',
      '(echo x >> a) 2>/dev/null && echo "changed a file"',
      'rm -f a d/b 2>/dev/null && echo "removed a file"',
      'chmod 777 . 2>/dev/null && echo "changed a mode"',
      'mount -o remount,rw /inputs 2>/dev/null && echo "remounted"',
      'cat a d/b; echo y > /outputs/y',
    ].join('\n')
    const staged = [input('/inputs/a', 'A'), input('/inputs/d/b', 'B')]
    const got = await t.files(image, filesPlan(script, { user }), staged)
    const [uid, gid] = user === 'image' ? ['0', '0'] : user === 'nobody' ? ['65534', '65534'] : ['1234', '5678']
    assert.equal(got.console, `${uid}\n${gid}\n/\nAB`)
    assert.deepEqual(got.files, { 'out/': '', 'out/y': 'y\n' })
  })

  test(`writable inputs can be changed in every way by user ${user}, in a room of their size`, { skip }, async () => {
    const script = [
      'cd /data && echo more >> a && rm d/b && mkdir n && echo z > n/z && mv c n/c && chmod 700 n && rm -r d',
      'dd if=/dev/zero of=big bs=1M count=20 2>/dev/null || echo full; rm -f big',
    ].join('\n')
    const staged = [input('/data/a', 'A'), input('/data/d/b', 'B'), input('/data/c', 'C')]
    const got = await t.files(image, filesPlan(script, { user, exchange: WRITABLE }), staged)
    assert.equal(got.console, 'full\n')
    assert.deepEqual(got.files, { 'data/': '', 'data/a': 'Amore\n', 'data/n/': '', 'data/n/c': 'C', 'data/n/z': 'z\n' })
  })
}

test('texts and empty folders are staged as they are; outputs end where their room ends', { skip }, async () => {
  const exchange = {
    mounts: [
      { path: '/in', writable: true, sizeBytes: 0 },
      { path: '/out', writable: true, sizeBytes: 2 * MIB },
    ],
    stage: [
      { kind: 'text', path: '/in/n', text: '5' },
      { kind: 'folder', path: '/in/empty' },
    ],
    collect: [
      { name: 'o', path: '/out/o', folder: false },
      { name: 'i', path: '/in', folder: true },
    ],
  } as const
  const script =
    'dd if=/dev/zero of=/out/o bs=1M count=9 2>/dev/null; dd if=/dev/zero of=/in/big bs=1M count=9 2>/dev/null; echo $(($(stat -c %s /out/o)/1048576)) $(($(stat -c %s /in/big)/1048576)); rm /in/big; echo small > /out/o'
  const staged = [input('/in/n', '5'), { kind: 'folder', path: '/in/empty' } as const]
  const got = await t.files(image, filesPlan(script, { exchange }), staged)
  assert.equal(got.console, '2 0\n')
  assert.deepEqual(got.files, { o: 'small\n', 'i/': '', 'i/empty/': '', 'i/n': '5' })
})

test('a mount inside another, and one where the image has a volume of its own', { skip }, async () => {
  const withVolume = await makeImage(
    'volumes',
    [],
    ['RUN mkdir /outputs && echo old > /outputs/old', 'VOLUME /outputs'],
    {
      from: image,
    },
  )
  const exchange = {
    mounts: [
      { path: '/outputs', writable: true, sizeBytes: MIB },
      { path: '/inputs', writable: false, sizeBytes: 0 },
      { path: '/inputs/deep/rw', writable: true, sizeBytes: MIB },
    ],
    collect: [{ name: 'out', path: '/outputs', folder: true }],
  } as const
  const script =
    'ls /outputs; echo x > /inputs/deep/rw/x && echo y > /outputs/y; touch /inputs/deep/no 2>/dev/null; ls /inputs /inputs/deep'
  const got = await t.files(withVolume, filesPlan(script, { exchange }), [input('/inputs/a', 'A')])
  assert.equal(got.console, '/inputs:\na\ndeep\n\n/inputs/deep:\nrw\n')
  assert.deepEqual(got.files, { 'out/': '', 'out/y': 'y\n' })
})

test('entry point, working folder and environment are the plan’s', { skip }, async () => {
  const plan = filesPlan('', {
    command: ['one', 'two words'],
    env: { A: 'b=c d' },
    exchange: { entrypoint: ['sh', '-c', 'pwd; echo "$0|$1|$A"'], workingFolder: '/outputs' },
  })
  assert.equal((await t.files(image, plan)).console, '/outputs\none|two words|b=c d\n')
})

test('an exit code is handed on; outputs of a failed run are kept', { skip }, async () => {
  const got = await t.files(image, filesPlan('echo part > /outputs/part; exit 126'))
  assert.deepEqual([got.run.end.exitCode, got.run.end.killedFor], [126, undefined])
  assert.deepEqual(got.files, { 'out/': '', 'out/part': 'part\n' })
})

test(
  'a run that takes too long is ended at once, also where it ignores every signal, and keeps what it wrote',
  { skip },
  async () => {
    const script =
      'trap "" TERM INT HUP; echo half > /outputs/half; echo said; (sleep 60 &) ; while true; do sleep 1; done'
    const began = Date.now()
    const run = await t.run(image, filesPlan(script, { limits: { runTimeoutMs: 1_500 } }))
    assert.deepEqual([run.end.exitCode, run.end.killedFor, run.end.outOfMemory], [137, 'time limit', false])
    assert.ok((run.timings['runMs'] ?? 0) < 10_000, `it ran ${run.timings['runMs']} ms`)
    assert.ok(Date.now() - began < 20_000)
    const got = await leftBy(run)
    assert.deepEqual([got.console, got.files], ['said\n', { 'out/': '', 'out/half': 'half\n' }])
    await run.dispose()
  },
)

test('a run that needs more memory than it has is told as that, and a kill of itself is not', { skip }, async () => {
  const bomb = filesPlan('exec dd if=/dev/zero of=/dev/null bs=300M count=1', { resources: { memoryBytes: 32 * MIB } })
  const { end } = (await t.files(image, bomb)).run
  assert.deepEqual([end.exitCode, end.outOfMemory, end.killedFor], [137, true, undefined])
  const own = (await t.files(image, filesPlan('exit 137'))).run.end
  assert.deepEqual([own.exitCode, own.outOfMemory, own.killedFor], [137, false, undefined])
})

test(
  'what is written counts as memory: a room larger than the memory ends the task and not the host',
  { skip },
  async () => {
    const exchange = { mounts: [{ path: '/outputs', writable: true, sizeBytes: 256 * MIB }] }
    const plan = filesPlan('dd if=/dev/zero of=/outputs/x bs=1M count=200; echo $?', {
      resources: { memoryBytes: 48 * MIB },
      exchange,
    })
    const run = await t.run(image, plan)
    assert.equal(run.end.exitCode === 137 || /137/.test(Buffer.from(run.console).toString()), true, run.end.logTail)
    await run.dispose()
  },
)

test('probe 61 a run that prints more than its budget is ended, and its console is cut there', { skip }, async () => {
  const run = await t.run(image, filesPlan('yes', { limits: { logBytes: 100_000 } }))
  assert.deepEqual([run.end.killedFor, run.console.length], ['log budget', 100_000])
  await run.dispose()
})

test('a writable root has a budget: beyond it the run is ended, and says why', { skip }, async () => {
  const write = 'for i in 1 2 3 4 5 6; do dd if=/dev/zero of=/junk$i bs=1M count=10 2>/dev/null; done; sleep 30'
  const run = await t.run(image, filesPlan(write, { writableRoot: true }))
  assert.equal(run.end.killedFor, 'disk budget')
  await run.dispose()
  const little = await t.files(image, filesPlan('echo x > /junk; sleep 2; cat /junk', { writableRoot: true }))
  assert.deepEqual([little.run.end.exitCode, little.console], [0, 'x\n'])
  const shut = await t.files(image, filesPlan('echo x > /junk'))
  assert.notEqual(shut.run.end.exitCode, 0)
})

test('a program that the image does not have, and an http plan, are refused', { skip }, async () => {
  await failure('start_failed', t.run(image, { ...filesPlan(''), command: ['/no/such/program'] }))
  await failure('start_failed', t.run(image, filesPlan('true'), [], { runtime: 'no-such-runtime' }))
  const http: Plan = {
    ...filesPlan(''),
    exchange: { kind: 'http', port: 1, readyText: '', method: 'POST', path: '/', contentType: '' },
  }
  await failure('bad_input', t.run(image, http))
  await failure('not_found', t.run(`sha256:${'0'.repeat(64)}`, filesPlan('true')))
  assert.deepEqual([await t.containers(), await t.volumes()], [[], []])
})
