/** The typed client over a real server: everything a NodeApi does comes through unchanged. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { MecaError } from '../../src/core/errors.ts'
import { connect } from '../../src/http/client.ts'
import type { NodeApi } from '../../src/role/api.ts'
import type { Progress } from '../../src/role/api-common.ts'
import { CHANNEL, CID, HOST } from '../support/fake-api.ts'
import type { Knobs } from '../support/fake-api.ts'
import { SECRET, serve } from './support.ts'
import type { Served } from './support.ts'

const never = new AbortController().signal
const unheard = () => undefined

async function remote(t: TestContext, knobs: Partial<Knobs> = {}): Promise<{ api: NodeApi; node: Served }> {
  const node = await serve(t, knobs)
  const there = await connect({ url: node.server.url, token: SECRET }, never)
  t.after(() => there.close())
  return { api: there.api, node }
}

test('every call that takes no bytes gives what the node itself gives', async (t) => {
  const { api, node } = await remote(t)
  const calls: [string, (api: NodeApi) => Promise<unknown>][] = [
    ['info', (a) => a.info()],
    ['doctor', (a) => a.doctor(never)],
    ['check', (a) => a.developer.check('/tmp/x', { format: 'meca' }, never)],
    ['test', (a) => a.developer.test('/tmp/x', {}, unheard, never)],
    [
      'test with input',
      (a) => a.developer.test('/tmp/x', { input: Buffer.from('hi'), buildArgs: { A: 'b' } }, unheard, never),
    ],
    ['publish', (a) => a.developer.publish('/tmp/x', { fee: 12n, skipTest: true }, unheard, never)],
    ['list', (a) => a.developer.list({ developer: HOST, limit: 10 }, never)],
    ['show', (a) => a.developer.show(CID, never)],
    ['versions', (a) => a.developer.versions(`${HOST}/words`, never)],
    ['quote', (a) => a.client.quote(CID, { maxPrice: 10n ** 20n, maxSeconds: 9, host: HOST }, never)],
    ['jobs', (a) => a.client.jobs({ limit: 3 })],
    ['hosts', (a) => a.client.hosts()],
    ['status', async (a) => a.host?.status()],
    ['why', async (a) => a.host?.why()],
    ['price', async (a) => a.host?.price({ cpuMillis: 1000, memoryBytes: 10, gpus: 0 }, 60)],
    ['drain', async (a) => a.host?.drain(true)],
    ['wallet', (a) => a.money.wallet(never)],
    ['channels', (a) => a.money.channels(never)],
    ['open', (a) => a.money.open(HOST, 10n ** 18n, never)],
    ['close', (a) => a.money.close(CHANNEL, never)],
    ['claim', (a) => a.money.claim({ channel: CHANNEL }, never)],
    ['withdraw', (a) => a.money.withdraw({}, never)],
    ['reconcile', (a) => a.money.reconcile(never)],
    ['payout', (a) => a.money.payout(undefined, never)],
    ['payout to', (a) => a.money.payout(HOST, never)],
    ['earnings', (a) => a.money.earnings({ by: 'task', since: 5 }, never)],
    ['recover', (a) => a.money.recover(never)],
    ['vouchers', (a) => a.money.vouchers()],
    ['restore', (a) => a.money.restore(['{}', 'x'], {}, never)],
  ]
  for (const [name, make] of calls) assert.deepEqual(await make(api), await make(node.api), name)
})

test('arguments arrive as they were given', async (t) => {
  const { api, node } = await remote(t)
  await api.client.quote(`${HOST}/words@1.0.0`, { maxPrice: 5n, maxSeconds: 9, inputBytes: 7, runtime: 'runsc' }, never)
  assert.deepEqual(node.calls.at(-1)?.args.slice(0, 2), [
    `${HOST}/words@1.0.0`,
    { maxPrice: 5n, maxSeconds: 9, inputBytes: 7, runtime: 'runsc' },
  ])
  await api.developer.publish('/tmp/x', { fee: 12n, determinism: 'none', buildArgs: { BASE: 'b' } }, unheard, never)
  assert.deepEqual(node.calls.at(-1)?.args.slice(0, 2), [
    '/tmp/x',
    { fee: 12n, determinism: 'none', buildArgs: { BASE: 'b' } },
  ])
})

test('a run tells its progress and gives its result; the output is read with `output`', async (t) => {
  const { api } = await remote(t)
  const seen: Progress[] = []
  const input = randomBytes(100_000)
  const result = await api.client.run(CID, input, { id: 'mine', logs: true }, (p) => seen.push(p), never)
  assert.equal(result.job, 'mine')
  assert.deepEqual(
    seen.map(({ kind }) => kind),
    ['phase', 'phase', 'phase', 'log'],
  )
  const chunks: Uint8Array[] = []
  for await (const chunk of await api.client.output('mine')) chunks.push(chunk)
  assert.deepEqual(Buffer.concat(chunks), input)
  assert.equal((await api.client.job('mine')).logs.length, 2)
})

test('a file goes in without being read into memory first', async (t) => {
  const { api, node } = await remote(t)
  const folder = await mkdtemp(join(tmpdir(), 'meca-test-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'input')
  const bytes = randomBytes(6 * 2 ** 20)
  await writeFile(file, bytes)
  const result = await api.client.run(CID, { file, bytes: bytes.length }, {}, unheard, never)
  assert.equal(result.outputBytes, bytes.length)
  assert.equal((node.calls[0]?.args[1] as { bytes: number }).bytes, bytes.length)
})

test('an error arrives with its code, cure and details', async (t) => {
  const failure = new MecaError('no_host', '3 hosts, none fits', { cure: 'meca quote', details: { asked: 3 } })
  const { api } = await remote(t, { failure })
  await assert.rejects(api.client.run(CID, Buffer.from('x'), {}, unheard, never), (error: unknown) => {
    assert.ok(error instanceof MecaError)
    assert.deepEqual(
      [error.code, error.message, error.cure, error.details],
      ['no_host', '3 hosts, none fits', 'meca quote', { asked: 3 }],
    )
    return true
  })
  await assert.rejects(api.client.job('unknown'), { code: 'not_found' })
})

test('a signal that fires cancels the job at the daemon', async (t) => {
  const { api, node } = await remote(t, { runMs: 20_000 })
  const controller = new AbortController()
  const run = api.client.run(CID, Buffer.from('x'), {}, () => controller.abort(), controller.signal)
  await assert.rejects(run, { code: 'cancelled' })
  while (node.cancelled.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
})

test('a wrong token, a daemon that is not there and one that is something else each have their name', async (t) => {
  const node = await serve(t)
  await assert.rejects(connect({ url: node.server.url, token: 'wrong' }, never), { code: 'unauthorized' })
  await node.server.close()
  await assert.rejects(connect({ url: node.server.url, token: SECRET }, never), { code: 'peer_unreachable' })
})

test('a daemon that ends in the middle of a job is told as such', async (t) => {
  const { api, node } = await remote(t, { runMs: 20_000 })
  const run = api.client.run(CID, Buffer.from('x'), {}, () => void node.server.close(), never)
  await assert.rejects(run, { code: 'peer_unreachable' })
})

test('a node without hardware has no host calls', async (t) => {
  const { api } = await remote(t, { role: 'node' })
  assert.equal(api.host, undefined)
})
