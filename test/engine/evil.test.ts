/** Tasks that answer wrongly (security.md 1.1.4): each gives one typed error, in bounded time, and leaves no connection. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import type { ErrorCode } from '../../src/core/errors.ts'
import { TestEngine, ask, failure, text } from '../support/engine.ts'
import { appImage, dockerMissing } from '../support/images.ts'
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

const CAP = { timeoutMs: 1_500, outputBytes: 512 * 1024 }
/** For what is to be answered. */
const AMPLE = { ...CAP, timeoutMs: 15_000 }

const EVIL: readonly [mode: string, code: ErrorCode][] = [
  ['endless-body', 'too_large'],
  ['huge-declared', 'too_large'],
  ['short-body', 'task_failed'],
  ['early-close', 'task_failed'],
  ['half-headers', 'task_failed'],
  ['reset', 'task_failed'],
  ['trickle-headers', 'run_timeout'],
  ['trickle-body', 'run_timeout'],
  ['silent', 'run_timeout'],
  ['header-bomb', 'too_large'],
  ['one-header-bomb', 'too_large'],
  ['not-http', 'task_failed'],
  ['bad-chunk', 'task_failed'],
  ['two-lengths', 'task_failed'],
  ['length-and-chunked', 'task_failed'],
  ['upgrade', 'task_failed'],
]

for (const [mode, code] of EVIL) {
  test(`a server with ${mode} gives ${code}, soon, and no memory is lost`, { skip }, async () => {
    const instance = await t.start(image, appPlan(mode, {}, 'evil'))
    const rss = process.memoryUsage.rss()
    const began = Date.now()
    await failure(code, ask(instance, '{}', CAP))
    assert.ok(Date.now() - began < 15_000, `it took ${Date.now() - began} ms`)
    assert.ok(process.memoryUsage.rss() - rss < 64 * 2 ** 20)
    await failure(code, ask(instance, '{}', CAP))
    await instance.stop()
  })
}

test('a server with many 1xx replies is ended by an error or the clock, not by our memory', { skip }, async () => {
  const instance = await t.start(image, appPlan('many-1xx', {}, 'evil'))
  const rss = process.memoryUsage.rss()
  const error = await ask(instance, '{}', CAP).then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.ok(
    error instanceof MecaError && ['run_timeout', 'task_failed', 'too_large'].includes(error.code),
    String(error),
  )
  assert.ok(process.memoryUsage.rss() - rss < 64 * 2 ** 20)
  await instance.stop()
})

test('a redirect is an answer and is not followed', { skip }, async () => {
  const reply = await t.once(image, appPlan('redirect', {}, 'evil'), '{}', AMPLE)
  assert.deepEqual([reply.status, text(reply)], [307, ''])
})

test('compressed bytes are carried as they are', { skip }, async () => {
  const rss = process.memoryUsage.rss()
  const reply = await t.once(image, appPlan('gzip-bomb', {}, 'evil'), '{}', AMPLE)
  assert.deepEqual([...reply.body.subarray(0, 2)], [0x1f, 0x8b])
  assert.ok(reply.body.length < 128 * 1024)
  assert.ok(process.memoryUsage.rss() - rss < 32 * 2 ** 20, 'nothing was unpacked')
})

test('a reply that nobody asked for is not given to the next request', { skip }, async () => {
  const instance = await t.start(image, appPlan('smuggle', {}, 'evil'))
  for (let i = 0; i < 10; i++) {
    const reply = await ask(instance, '{}', CAP).then(text, () => 'error')
    assert.equal(reply, 'first')
  }
  await instance.stop()
})

test('a content type that is no header text becomes plain bytes', { skip }, async () => {
  const outcome = await t.once(image, appPlan('bad-type', {}, 'evil'), '{}', CAP).then(
    (r) => r.contentType,
    () => 'error',
  )
  assert.ok(outcome === 'application/octet-stream' || outcome === 'error', outcome)
})

test('after all of it no socket of ours is open to any task', { skip }, () => {
  const open = process.getActiveResourcesInfo().filter((name) => name === 'PipeWrap').length
  // One per spare sidecar's wait, which goes to the daemon.
  assert.ok(open <= 6, `${open} pipes are open`)
})
