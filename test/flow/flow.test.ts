/** Workflows: read with every fault, ordered, run as soon as may be, and never on what was not produced. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fromBorealis, fromKaapana } from '../../src/flow/convert.ts'
import { dependenciesOf, readFlow } from '../../src/flow/flow.ts'
import { runFlow } from '../../src/flow/run.ts'
import type { StepReport } from '../../src/flow/run.ts'
import { stepJobId } from '../../src/cli/flow.ts'
import { zJobId } from '../../src/core/units.ts'

const { signal } = new AbortController()

const PIPELINE = `
name: pipeline
steps:
  report:
    task: 0xdev/report
    template: all
    in: { normalized: { from: normalize.normalized }, factor: 1.0, names: [a, b] }
  normalize:
    task: 0xdev/normalize
    in: { images: '@./images', seed: 7, note: '@@home', base: ipfs://bafy }
    env: { LEVEL: 3 }
`

test('steps come in an order that works, with inputs of every kind, numbers as they were written', () => {
  const { name, steps } = readFlow(PIPELINE, 'p.yml')
  assert.equal(name, 'pipeline')
  assert.deepEqual(
    steps.map((step) => step.name),
    ['normalize', 'report'],
  )
  assert.deepEqual(Object.fromEntries(steps[0]?.inputs ?? []), {
    images: { kind: 'place', path: './images' },
    seed: { kind: 'value', text: '7' },
    note: { kind: 'value', text: '@home' },
    base: { kind: 'link', cid: 'bafy' },
  })
  assert.deepEqual(Object.fromEntries(steps[1]?.inputs ?? []), {
    normalized: { kind: 'output', step: 'normalize', output: 'normalized' },
    factor: { kind: 'value', text: '1.0' },
    names: { kind: 'value', text: '["a","b"]' },
  })
  assert.deepEqual(steps[0]?.env, { LEVEL: '3' })
  assert.deepEqual(steps.map(dependenciesOf), [[], ['normalize']])
})

const WRONG: [string, string, RegExp][] = [
  ['no steps', 'steps: {}', /needs a step/],
  ['a step without a task', 'steps: { a: { in: {} } }', /task/],
  ['an unknown word', 'steps: { a: { task: x, inn: {} } }', /inn/],
  [
    'a circle',
    'steps: { a: { task: x, in: { i: { from: b.o } } }, b: { task: x, needs: [a] } }',
    /wait for each other/,
  ],
  ['itself', 'steps: { a: { task: x, in: { i: { from: a.o } } } }', /wait for each other/],
  ['a step that is not there', 'steps: { a: { task: x, in: { i: { from: c.o } } } }', /c, which is no step/],
  ['a reference without output', 'steps: { a: { task: x, in: { i: { from: c } } } }', /STEP.OUTPUT/],
  ['a name that leaves', "steps: { a: { task: x, in: { '../i': 1 } } }", /line 1/],
  ['a key twice', 'steps: { a: { task: x, task: y } }', /line 1/],
  ['aliases', 'a: &a [1]\nsteps: { b: { task: x, in: { i: *a } } }', /./],
]

test('what is wrong is told with its place', () => {
  for (const [what, text, message] of WRONG) {
    assert.throws(
      () => readFlow(text, 'f.yml'),
      (error: { code: string; message: string }) => {
        assert.equal(error.code, 'bad_input', what)
        assert.match(error.message, message, what)
        return true
      },
    )
  }
})

test('a thousand steps in a row and nesting without end are read, or refused, at once', () => {
  const row = Array.from({ length: 900 }, (_, i) => `  s${i}: { task: x${i === 0 ? '' : `, needs: [s${i - 1}]`} }`)
  const { steps } = readFlow(`steps:\n${row.join('\n')}`, 'row.yml')
  assert.deepEqual([steps[0]?.name, steps.at(-1)?.name], ['s0', 's899'])
  assert.throws(() => readFlow(`steps: ${'['.repeat(100_000)}`, 'deep.yml'), { code: 'bad_input' })
})

/** A diamond with a tail: a feeds b and c, these feed d; e is on its own. */
const DIAMOND = readFlow(
  `steps: { a: {task: t}, b: {task: t, needs: [a]}, c: {task: t, needs: [a]}, d: {task: t, needs: [b, c]}, e: {task: t} }`,
  'd',
)

async function play(fails: readonly string[], atOnce: number, stop = signal) {
  const order: string[] = []
  let [now, most] = [0, 0]
  const reports = await runFlow(
    DIAMOND,
    {
      atOnce,
      onState: ({ step, state }: StepReport) => order.push(`${step} ${state}`),
      runStep: async ({ name }) => {
        most = Math.max(most, ++now)
        await sleep(5)
        now--
        if (fails.includes(name)) throw new Error(`${name} broke`)
        return {}
      },
    },
    stop,
  )
  return { order, most, states: Object.fromEntries(reports.map(({ step, state }) => [step, state])) }
}

test('what can run at once runs at once, up to the limit, and nothing before what it waits for', async () => {
  const { order, most, states } = await play([], 8)
  assert.ok(most >= 2)
  assert.deepEqual(new Set(Object.values(states)), new Set(['done']))
  assert.ok(
    order.indexOf('d running') > order.indexOf('b done') && order.indexOf('d running') > order.indexOf('c done'),
  )
  assert.equal((await play([], 1)).most, 1)
})

test('B-06 a step whose inputs were not produced never starts; what does not need it goes on', async () => {
  const { order, states } = await play(['b'], 8)
  assert.deepEqual(states, { a: 'done', b: 'failed', c: 'done', d: 'skipped', e: 'done' })
  assert.ok(!order.includes('d running'))
  assert.deepEqual((await play(['a'], 8)).states, { a: 'failed', b: 'skipped', c: 'skipped', d: 'skipped', e: 'done' })
})

test('an ended workflow starts nothing more', async () => {
  const { states } = await play([], 8, AbortSignal.abort())
  assert.deepEqual(new Set(Object.values(states)), new Set(['skipped']))
})

test('a job is named by run, step, input and attempt, within what a job id may be', () => {
  const ids = [
    stepJobId('f1', 'a', 'h', 1),
    stepJobId('f1', 'a', 'h', 2),
    stepJobId('f1', 'a', 'i', 1),
    stepJobId('f1', 'b', 'h', 1),
    stepJobId('f2', 'a', 'h', 1),
    stepJobId('f'.repeat(64), 's'.repeat(40), 'h', 1),
  ]
  assert.equal(new Set(ids).size, ids.length)
  for (const id of ids) assert.ok(zJobId.safeParse(id).success, id)
})

const record = (name: string, more: Record<string, unknown>) => ({
  name,
  image: `reg/${name}:1`,
  command: ['true'],
  internal_prefix: '/tmp/',
  storage_prefix: 'bucket/x',
  ...more,
})

test('DockerTasks are tied by their paths, and each becomes a folder to publish', () => {
  const text = JSON.stringify([
    record('lines', { outputs: ['/tmp/lines.txt'] }),
    record('count', { inputs: ['/tmp/lines.txt', '/tmp/extra/'], outputs: ['>/tmp/count.txt'] }),
  ])
  const { flow, folders } = fromBorealis(text, 'wf.json', new Map([['reg/count:1', '0xdev/count']]))
  assert.deepEqual(flow.steps, {
    lines: { task: 'lines' },
    count: { task: '0xdev/count', in: { 'lines.txt': { from: 'lines.lines.txt' }, extra: '@inputs/extra' } },
  })
  assert.deepEqual(Object.keys(folders), ['lines', 'count'])
  assert.equal(readFlow(JSON.stringify(flow), 'converted').steps.length, 2)
})

test('task.json files are tied by their folders', () => {
  const task = (name: string, more: Record<string, unknown>) =>
    JSON.stringify({ name, api_version: 1, image: `reg/${name}`, taskTemplate: 'default', ...more })
  const volume = (name: string, path: string) => ({ name, volume_source: { host_path: path } })
  const { flow } = fromKaapana(
    [
      task('seg', { inputs: [volume('images', './data')], outputs: [volume('masks', './masks')] }),
      task('rep', { inputs: [volume('masks', 'masks/')], env: [{ name: 'A', value: 'b' }] }),
    ],
    new Map(),
    {},
  )
  assert.deepEqual(flow.steps, {
    seg: { task: 'seg', template: 'default', in: { images: '@./data' } },
    rep: { task: 'rep', template: 'default', in: { masks: { from: 'seg.masks' } }, env: { A: 'b' } },
  })
})
