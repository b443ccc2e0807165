/** A container's life as MECA tasks live it: task-contracts.md 1.8, at the engine's level. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import type { LogLine } from '../../src/core/plan.ts'
import { TestEngine, ask, failure, text } from '../support/engine.ts'
import { appImage, dockerMissing } from '../support/images.ts'
import { eventually } from '../support/eventually.ts'
import { appPlan } from '../support/plans.ts'

const skip = await dockerMissing()
const t = new TestEngine()
let image = ''

before(async () => {
  if (skip === false) image = await appImage()
})
after(async () => {
  if (skip === false) await t.end()
})

test('M-09 the task sees POST, /, application/json and the very bytes that were sent', { skip }, async () => {
  const body = '{ "odd" :\t[1 ,2]\r\n }  '
  const seen = JSON.parse(text(await t.once(image, appPlan('describe'), body))) as Record<string, string>
  assert.deepEqual(seen, {
    method: 'POST',
    path: '/',
    type: 'application/json',
    body: Buffer.from(body).toString('base64'),
  })
})

test('M-10 a task that prints the marker and binds 3 s later answers its first request', { skip }, async () => {
  const instance = await t.start(image, appPlan('late'))
  assert.ok((instance.timings['readyMs'] ?? 0) > 2_500, 'it was waited for the port')
  assert.equal(text(await ask(instance, '[1]')), '[1]')
  await instance.stop()
})

test(
  'M-11 a task that never prints the marker fails at its deadline, is removed, and another is served meanwhile',
  { skip },
  async () => {
    const began = Date.now()
    const never = t.start(image, appPlan('never', { limits: { startTimeoutMs: 2_500 } }))
    const [error, reply] = await Promise.all([
      failure('start_timeout', never),
      t.once(image, appPlan('echo'), '"other"'),
    ])
    assert.match(error.message, /2500 ms.*meca-init-done/)
    assert.match(String(error.details?.['logTail']), /not yet/)
    assert.ok(Date.now() - began < 30_000)
    assert.equal(text(reply), '"other"')
    assert.deepEqual(await t.tasks(), [])
  },
)

test(
  'a task that prints the marker and never binds fails at its deadline, saying that the port is missing',
  { skip },
  async () => {
    const error = await failure(
      'start_timeout',
      t.start(image, appPlan('no-port', { limits: { startTimeoutMs: 1_500 } })),
    )
    assert.match(error.message, /port 8080/)
    assert.deepEqual(await t.tasks(), [])
  },
)

test(
  'M-12 a task that exits 1 before the marker fails at once with its exit code and the end of its log',
  { skip },
  async () => {
    const began = Date.now()
    const error = await failure('start_failed', t.start(image, appPlan('crash-early')))
    assert.ok(Date.now() - began < 15_000, 'it did not wait for the deadline')
    assert.equal(error.details?.['exitCode'], 1)
    assert.match(String(error.details?.['logTail']), /reason: no model/)
    assert.deepEqual(await t.tasks(), [])
  },
)

test('M-13 the marker counts in the middle of a longer line, also in two pieces', { skip }, async () => {
  assert.equal(text(await t.once(image, appPlan('midline'), '1')), '1')
})

test('M-14 the marker on stderr alone does not count', { skip }, async () => {
  await failure('start_timeout', t.start(image, appPlan('stderr-marker', { limits: { startTimeoutMs: 1_500 } })))
})

test('M-15 an error status and its body reach the caller, other headers do not', { skip }, async () => {
  const reply = await t.once(image, appPlan('error'), 'not json')
  assert.deepEqual(
    { ...reply, body: text(reply) },
    { status: 400, contentType: 'text/html', body: '<h1>Bad Request</h1>' },
  )
})

test('M-16 PNG bytes arrive as they were sent', { skip }, async () => {
  const reply = await t.once(image, appPlan('png'))
  const wanted = Buffer.concat([
    Buffer.from('89504e470d0a1a0a', 'hex'),
    Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256)),
  ])
  assert.equal(reply.contentType, 'image/png')
  assert.ok(wanted.equals(reply.body))
})

test('a task that crashes while it is asked fails with its exit code', { skip }, async () => {
  const instance = await t.start(image, appPlan('crash'))
  const error = await failure('task_failed', ask(instance))
  assert.equal(error.details?.['exitCode'], 7)
  assert.equal((await instance.ended).exitCode, 7)
  await failure('task_failed', ask(instance))
  await instance.stop()
})

test('a task that takes more memory than it has is told as out of memory', { skip }, async () => {
  const instance = await t.start(image, appPlan('memory'))
  const error = await failure('task_failed', ask(instance))
  const end = await instance.ended
  assert.deepEqual([end.exitCode, end.outOfMemory], [137, true])
  assert.match(error.message, /memory/)
  await instance.stop()
})

test('log lines carry their stream; the sink changes with the job', { skip }, async () => {
  const first: LogLine[] = []
  const second: LogLine[] = []
  const instance = await t.start(image, appPlan('log'), { onLog: (line) => first.push(line) })
  await ask(instance, 'one')
  await eventually('the first job has said all', () => first.length === 3)
  instance.setLogSink((line) => second.push(line))
  await ask(instance, 'two')
  await instance.stop()
  assert.deepEqual(first.map((l) => `${l.stream} ${l.text}`).sort(), [
    'stderr err one',
    'stdout meca-init-done',
    'stdout out one',
  ])
  assert.deepEqual(second.map((l) => `${l.stream} ${l.text}`).sort(), ['stderr err two', 'stdout out two'])
})

test('probe 61 a task that floods its log is ended within 2 s of its budget', { skip }, async () => {
  const before = process.memoryUsage.rss()
  const instance = await t.start(image, appPlan('flood', { limits: { logBytes: 256 * 1024 } }))
  const began = Date.now()
  const error = await failure('task_failed', ask(instance))
  assert.ok(Date.now() - began < 15_000)
  assert.match(error.message, /log budget/)
  assert.equal((await instance.ended).killedFor, 'log budget')
  assert.ok(Buffer.byteLength((await instance.ended).logTail) <= 4096)
  assert.ok(process.memoryUsage.rss() - before < 64 * 2 ** 20)
  await instance.stop()
})

test('a log flood before the marker ends the start, not the node', { skip }, async () => {
  const error = await failure('start_failed', t.start(image, appPlan('flood-early', { limits: { logBytes: 65_536 } })))
  assert.match(error.message, /log budget/)
})

test('a request that takes too long ends at its time limit', { skip }, async () => {
  const instance = await t.start(image, appPlan('slow', { env: { SLEEP_MS: '20000' } }))
  const began = Date.now()
  await failure('run_timeout', ask(instance, '{}', { timeoutMs: 500, outputBytes: 100 }))
  assert.ok(Date.now() - began < 15_000, 'it did not wait for the task')
  await instance.stop()
})

test('a caller who leaves cancels its request, and its start', { skip }, async () => {
  const instance = await t.start(image, appPlan('slow', { env: { SLEEP_MS: '20000' } }))
  await failure('cancelled', ask(instance, '{}', undefined, AbortSignal.timeout(300)))
  await instance.stop()
  await failure('cancelled', t.start(image, appPlan('never'), {}, AbortSignal.timeout(600)))
  assert.deepEqual(await t.tasks(), [])
})

test('stop is safe to repeat, and says so in the end', { skip }, async () => {
  const instance = await t.start(image, appPlan('echo'))
  await Promise.all([instance.stop(), instance.stop()])
  await instance.stop()
  assert.equal((await instance.ended).killedFor, 'stopped')
})

test('a request whose container we stop is cancelled and not the task’s failure', { skip }, async () => {
  const instance = await t.start(image, appPlan('slow', { env: { SLEEP_MS: '20000' } }))
  const pending = failure('cancelled', ask(instance))
  await new Promise((resolve) => setTimeout(resolve, 200))
  await instance.stop()
  await pending
  await failure('cancelled', ask(instance))
})

test('256 requests at once are all answered by one container', { skip }, async () => {
  const instance = await t.start(image, appPlan('slow', { env: { SLEEP_MS: '1000' } }))
  const replies = await Promise.all(Array.from({ length: 256 }, () => ask(instance)))
  assert.ok(replies.every((reply) => text(reply) === 'slept'))
  await instance.stop()
})

test('8 MiB go in and come back as they were', { skip }, async () => {
  const body = randomBytes(8 * 2 ** 20)
  const instance = await t.start(image, appPlan('echo'))
  const reply = await ask(instance, body, { timeoutMs: 15_000, outputBytes: body.length })
  assert.ok(body.equals(reply.body))
  await failure('too_large', ask(instance, body, { timeoutMs: 15_000, outputBytes: body.length - 1 }))
  await instance.stop()
})

test('a command that the image does not have is a start failure in the engine’s words', { skip }, async () => {
  const error = await failure('start_failed', t.start(image, { ...appPlan('echo'), command: ['/no/such/program'] }))
  assert.match(error.message, /no such file/)
  assert.deepEqual(await t.tasks(), [])
})

test('replies keep coming when the server closes every connection', { skip }, async () => {
  const instance = await t.start(image, appPlan('close'))
  for (let i = 0; i < 20; i++) assert.equal(text(await ask(instance, String(i))), String(i))
  await instance.stop()
})

test('the root file system is read-only unless the plan says otherwise; /tmp is writable', { skip }, async () => {
  assert.deepEqual(JSON.parse(text(await t.once(image, appPlan('files')))), {
    root: 'EROFS',
    tmp: 'written',
    app: 'EROFS',
  })
  const open = JSON.parse(text(await t.once(image, appPlan('files', { writableRoot: true })))) as Record<string, string>
  assert.deepEqual(open, { root: 'written', tmp: 'written', app: 'written' })
  const nobody = JSON.parse(text(await t.once(image, appPlan('files', { user: 'nobody' })))) as Record<string, string>
  assert.equal(nobody['tmp'], 'written')
})
