/** The OpenAPI document speaks of every route and only of routes that are there, and answers are as it says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { makeApp } from '../../src/http/app.ts'
import { CALLS } from '../../src/http/calls.ts'
import { openapiDocument } from '../../src/http/openapi.ts'
import { CHANNEL, CID, fakeNode, HOST } from '../support/fake-api.ts'
import { send, serve } from './support.ts'

/** A route as express keeps it: its path, and one layer for each method. */
type Layer = { route?: { path: string; stack: { method: string }[] } | undefined }

/** What express itself knows, so that a route added beside the table is seen. */
function registered(): string[] {
  const app = makeApp(fakeNode().api, () => undefined)
  const { stack }: { stack: Layer[] } = app.router
  return stack
    .flatMap(({ route }) => (route === undefined ? [] : [`${route.stack[0]?.method} ${route.path}`]))
    .map((text) => text.replace(/:(\w+)/g, '{$1}'))
    .concat('post /v1/tasks/{task}/run') // goes around express; run.test.ts has it
    .sort()
}

test('every route stands in the document and every path of the document is a route', () => {
  const { paths = {} } = openapiDocument()
  const documented = Object.entries(paths).flatMap(([path, item]) =>
    Object.keys(item ?? {}).map((method) => `${method} ${path}`),
  )
  assert.deepEqual(documented.sort(), registered())
})

test('the document is OpenAPI 3.1 and every operation can fail with a problem', async (t) => {
  const node = await serve(t)
  const document = (await send(node, 'GET', '/v1/openapi.json')).json() as {
    openapi: string
    paths: Record<string, Record<string, { operationId: string; responses: Record<string, unknown> }>>
    components: { schemas: Record<string, unknown> }
  }
  assert.match(document.openapi, /^3\.1\./)
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item))
  const ids = operations.map(({ operationId }) => operationId)
  assert.equal(new Set(ids).size, ids.length, 'operation ids are unique')
  for (const { operationId, responses } of operations)
    if (operationId !== 'openapi') assert.ok(responses['default'], operationId)
  assert.ok(document.components.schemas['Problem'])
})

/** One request of each call, so that a new call without an example here fails. */
const EXAMPLES: Record<keyof typeof CALLS, [path: string, body?: object]> = {
  info: ['/v1/info'],
  doctor: ['/v1/doctor'],
  checkTask: ['/v1/tasks/check', { dir: '/tmp/task' }],
  testTask: ['/v1/tasks/test', { dir: '/tmp/task', input: Buffer.from('hi').toString('base64') }],
  publishTask: ['/v1/tasks/publish', { dir: '/tmp/task', fee: '1000', payee: HOST }],
  listTasks: [`/v1/tasks?developer=${HOST}&limit=5`],
  showTask: [`/v1/tasks/${CID}`],
  taskVersions: [`/v1/tasks/${encodeURIComponent(`${HOST}/words`)}/versions`],
  quote: [`/v1/tasks/${CID}/quote?maxSeconds=5&maxPrice=70`],
  listJobs: ['/v1/jobs?limit=3'],
  showJob: ['/v1/jobs/known'],
  cancelJob: ['/v1/jobs/known/cancel', {}],
  listHosts: ['/v1/hosts'],
  hostStatus: ['/v1/host'],
  hostWhy: ['/v1/host/why'],
  drainHost: ['/v1/host/drain', { on: true }],
  hostPrice: ['/v1/host/price?cpuMillis=1000&memoryBytes=1000000&gpus=0&maxSeconds=60'],
  wallet: ['/v1/wallet'],
  listChannels: ['/v1/channels'],
  openChannel: ['/v1/channels', { host: HOST, deposit: '1000' }],
  closeChannel: [`/v1/channels/${CHANNEL}/close`],
  claim: ['/v1/claim', {}],
  withdraw: ['/v1/withdraw', {}],
  reconcile: ['/v1/reconcile'],
  payout: ['/v1/payout'],
  setPayout: ['/v1/payout', { to: HOST }],
  earnings: ['/v1/earnings?by=task&since=0'],
  recoverChannels: ['/v1/channels/recover'],
  vouchers: ['/v1/vouchers'],
  restoreVouchers: ['/v1/vouchers', { lines: ['{}', 'x'], highest: true }],
}

for (const [name, call] of Object.entries(CALLS)) {
  test(`${call.method} ${call.path} answers as the document says`, async (t) => {
    const node = await serve(t)
    await send(node, 'POST', `/v1/tasks/${CID}/run`, { body: 'x', headers: { 'Idempotency-Key': 'known' } })
    const [path, body] = EXAMPLES[name as keyof typeof CALLS]
    const json =
      body === undefined ? {} : { body: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } }
    const reply = await send(node, call.method, path, json)
    assert.equal(reply.status, 200, reply.body.toString())
    assert.equal(call.answer.safeParse(reply.json()).error, undefined)
  })
}

for (const [what, path, body, type] of [
  ['a body that is no JSON', '/v1/claim', '{', 'application/json'],
  ['a form', '/v1/claim', 'channel=1', 'application/x-www-form-urlencoded'],
  ['text', '/v1/claim', '{}', 'text/plain'],
  ['an unknown field', '/v1/claim', '{"chanel":"x"}', 'application/json'],
  ['a prototype', '/v1/host/drain', '{"on":true,"__proto__":{}}', 'application/json'],
  ['a number as money', '/v1/channels', `{"host":"${HOST}","deposit":1000}`, 'application/json'],
  ['a relative folder', '/v1/tasks/check', '{"dir":"../x"}', 'application/json'],
  ['an array', '/v1/claim', '[]', 'application/json'],
] as const) {
  test(`${what} is refused as bad input`, async (t) => {
    const node = await serve(t)
    const reply = await send(node, 'POST', path, { body, headers: { 'Content-Type': type } })
    assert.equal(reply.status, 400)
    assert.equal(reply.json()['code'], 'bad_input')
    assert.deepEqual(node.calls, [])
  })
}

test('a JSON body over its cap is refused', async (t) => {
  const node = await serve(t)
  const body = JSON.stringify({ dir: '/x', input: 'A'.repeat(9 * 2 ** 20) })
  const reply = await send(node, 'POST', '/v1/tasks/test', { body, headers: { 'Content-Type': 'application/json' } })
  assert.equal(reply.status, 413)
})

test('an unknown path, an unknown job and a host call on a node without hardware are not found', async (t) => {
  const node = await serve(t, { role: 'node' })
  for (const path of ['/v1/nothing', '/v1/jobs/unknown', '/v1/jobs/unknown/output', '/v1/host', '/', '/v2/']) {
    const reply = await send(node, 'GET', path)
    assert.equal(reply.status, 404, path)
    assert.equal(reply.json()['code'], 'not_found')
  }
})

test("a fault of the program's is told as such and logged with its cause", async (t) => {
  const node = await serve(t)
  node.api.money.claim = () => Promise.reject(new TypeError('undefined is not a function'))
  const reply = await send(node, 'POST', '/v1/claim')
  assert.equal(reply.status, 500)
  assert.equal(reply.json()['code'], 'internal')
  assert.equal(node.logged.length, 1)
})
