/** The call that carries a task's bytes. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { Readable } from 'node:stream'
import { indexBundle } from '../../src/bundle/read.ts'
import { MecaError } from '../../src/core/errors.ts'
import { CID, HOST } from '../support/fake-api.ts'
import { SECRET, send, sendRaw, serve } from './support.ts'

const RUN = `/v1/tasks/${CID}/run`
const spooled = async () => (await readdir(tmpdir())).filter((name) => name.startsWith('meca-input-'))

test('the body goes in as it is, the output comes out as it is', async (t) => {
  const node = await serve(t)
  const input = randomBytes(3000)
  const reply = await send(node, 'POST', RUN, { body: input })
  assert.equal(reply.status, 200)
  assert.deepEqual(reply.body, input)
  assert.equal(reply.headers['x-meca-job'], 'j-1')
  assert.equal(reply.headers['x-meca-host'], HOST)
  assert.equal(reply.headers['x-meca-price'], '9000')
  assert.equal(reply.headers['x-meca-status'], '200')
  assert.match(String(reply.headers['x-meca-phases']), /^\{.*"runMs":3,/)
  assert.match(String(reply.headers['x-meca-receipt']), /^0x/)
})

test('an empty body is an empty input', async (t) => {
  const node = await serve(t, { output: Buffer.from('nothing came') })
  assert.equal((await send(node, 'POST', RUN)).body.toString(), 'nothing came')
})

test('a files job without files is its job.json alone', async (t) => {
  const node = await serve(t)
  const headers = { 'Content-Type': 'application/vnd.meca.job+json' }
  const reply = await send(node, 'POST', RUN, { body: '{"values":{"n":"42"}}', headers })
  const { text } = await indexBundle(Readable.from([reply.body]), 'job.json')
  assert.deepEqual(JSON.parse(text), { v: 1, values: { n: '42' }, files: {}, links: {}, env: {}, keepOnIpfs: false })
  for (const body of ['no JSON', '[]', '{"values":{"n":42}}', '{"values":{"../n":"x"}}', '{"odd":1}']) {
    assert.equal((await send(node, 'POST', RUN, { body, headers })).status, 400, body)
  }
})

test('the task is named by its CID or by developer/name@version', async (t) => {
  const node = await serve(t)
  await send(node, 'POST', `/v1/tasks/${encodeURIComponent(`${HOST}/words@1.0.0`)}/run`, { body: 'x' })
  assert.equal(node.calls.at(-2)?.args[0], `${HOST}/words@1.0.0`)
})

test('a large input is spooled to a file that is gone afterwards, a large output streams', async (t) => {
  const node = await serve(t)
  const before = await spooled()
  const input = randomBytes(9 * 2 ** 20)
  const reply = await send(node, 'POST', RUN, { body: input })
  assert.deepEqual(reply.body, input)
  assert.ok('file' in (node.calls[0]?.args[1] as object), 'the node must get a file')
  assert.deepEqual(await spooled(), before)
})

test('a large input without a length is spooled, too', async (t) => {
  const node = await serve(t)
  const input = randomBytes(9 * 2 ** 20)
  const req = request(node.server.url + RUN, { method: 'POST', headers: { Authorization: `Bearer ${SECRET}` } })
  for (let at = 0; at < input.length; at += 2 ** 20) req.write(input.subarray(at, at + 2 ** 20))
  req.end()
  const [res] = (await once(req, 'response')) as [AsyncIterable<Buffer>]
  const chunks: Buffer[] = []
  for await (const chunk of res) chunks.push(chunk)
  assert.deepEqual(Buffer.concat(chunks), input)
})

for (const [what, cap, declared] of [
  ['declared', 1000, true],
  ['found while reading', 1000, false],
  ['found while spooling', 5 * 2 ** 20, false],
] as const) {
  test(`an input over the cap, ${what}, is refused, and the next one works`, async (t) => {
    const node = await serve(t, {}, { maxInputBytes: cap })
    const before = await spooled()
    const body = randomBytes(cap + 2 ** 20)
    const headers = declared ? {} : { 'Transfer-Encoding': 'chunked' }
    const reply = await send(node, 'POST', RUN, { body, headers })
    assert.equal(reply.status, 413)
    assert.equal(reply.json()['code'], 'too_large')
    assert.deepEqual(node.calls, [])
    assert.deepEqual(await spooled(), before)
    assert.equal((await send(node, 'POST', RUN, { body: 'small' })).body.toString(), 'small')
  })
}

test("the task's own error status is passed on and told from ours by X-Meca-Status (M-15)", async (t) => {
  const node = await serve(t, { httpStatus: 418, output: Buffer.from('<h1>teapot</h1>'), contentType: 'text/html' })
  const reply = await send(node, 'POST', RUN, { body: 'x' })
  assert.equal(reply.status, 418)
  assert.equal(reply.headers['x-meca-status'], '418')
  assert.equal(reply.body.toString(), '<h1>teapot</h1>')
  assert.equal(reply.headers['content-type'], 'application/octet-stream', 'no browser may render it')
})

test("a redirect of the task's does not redirect the caller", async (t) => {
  const node = await serve(t, { httpStatus: 302 })
  const reply = await send(node, 'POST', RUN, { body: 'x' })
  assert.equal(reply.status, 200)
  assert.equal(reply.headers['x-meca-status'], '302')
})

for (const [given, sent] of [
  ['application/json', 'application/json'],
  ['image/png', 'image/png'],
  ['text/plain; charset=utf-8', 'text/plain; charset=utf-8'],
  ['image/svg+xml', 'application/octet-stream'],
  ['text/html', 'application/octet-stream'],
  ['application/javascript', 'application/octet-stream'],
  ['', 'application/octet-stream'],
] as const) {
  test(`a task's content type ${given || '(none)'} goes out as ${sent}`, async (t) => {
    const node = await serve(t, { contentType: given })
    assert.equal((await send(node, 'POST', RUN, { body: '{}' })).headers['content-type'], sent)
  })
}

test('a failed task is a problem with its job, price and logs', async (t) => {
  const node = await serve(t, { status: 'task_failed' })
  const reply = await send(node, 'POST', RUN, { body: 'x' })
  const { code, details } = reply.json() as { code: string; details: Record<string, unknown> }
  assert.equal(reply.status, 502)
  assert.equal(code, 'task_failed')
  assert.equal(details['job'], 'j-1')
  assert.equal(details['logTail'], 'Traceback: boom')
  assert.equal(reply.headers['x-meca-status'], undefined)
})

test('an error before the job is a problem with the status of its code', async (t) => {
  const node = await serve(t, { failure: new MecaError('no_host', '3 hosts, none fits', { cure: 'meca quote' }) })
  const reply = await send(node, 'POST', RUN, { body: 'x' })
  assert.equal(reply.status, 503)
  assert.deepEqual(reply.json(), {
    type: 'urn:meca:error:no_host',
    title: 'No host fits',
    status: 503,
    detail: '3 hosts, none fits',
    code: 'no_host',
    cure: 'meca quote',
  })
})

test('Idempotency-Key is the job id: the same input again costs nothing, another is refused', async (t) => {
  const node = await serve(t)
  const headers = { 'Idempotency-Key': 'my-job' }
  assert.equal((await send(node, 'POST', RUN, { body: 'a', headers })).headers['x-meca-job'], 'my-job')
  const again = await send(node, 'POST', RUN, { body: 'a', headers })
  assert.equal(again.headers['x-meca-replayed'], 'true')
  const other = await send(node, 'POST', RUN, { body: 'b', headers })
  assert.equal(other.status, 409)
  assert.equal(other.json()['code'], 'job_conflict')
})

test('options come by header or by query', async (t) => {
  const node = await serve(t)
  const capped = await send(node, 'POST', RUN, { body: 'x', headers: { 'X-Meca-Max-Price': '10' } })
  assert.equal(capped.status, 402)
  assert.equal(capped.json()['code'], 'price_cap')
  await send(node, 'POST', `${RUN}?maxPrice=20000&maxSeconds=7&host=${HOST.toUpperCase().replace('0X', '0x')}`, {
    body: 'x',
  })
  assert.deepEqual(
    node.calls.find(({ name, args }) => name === 'run' && 'maxSeconds' in (args[2] as object))?.args[2],
    {
      maxPrice: 20_000n,
      maxSeconds: 7,
      host: HOST,
    },
  )
})

for (const [what, path, headers] of [
  ['a job id with a slash', RUN, { 'Idempotency-Key': 'a/b' }],
  ['a price with a fraction', RUN, { 'X-Meca-Max-Price': '1.5' }],
  ['an unknown option', `${RUN}?maxprice=1`, {}],
  ['seconds that are no number', `${RUN}?maxSeconds=soon`, {}],
  ['a path with broken encoding', '/v1/tasks/%zz/run', {}],
] as const) {
  test(`${what} is refused before anything runs`, async (t) => {
    const node = await serve(t)
    const reply = await send(node, 'POST', path, { body: 'x', headers })
    assert.equal(reply.status, 400)
    assert.equal(reply.json()['code'], 'bad_input')
    assert.deepEqual(node.calls, [])
  })
}

test('a caller that goes away cancels its job', async (t) => {
  const node = await serve(t, { runMs: 20_000 })
  const req = request(node.server.url + RUN, { method: 'POST', headers: { Authorization: `Bearer ${SECRET}` } })
  req.on('error', () => undefined) // we end it ourselves
  req.end('x')
  while (node.calls.length === 0) await sleep(5)
  req.destroy()
  while (node.cancelled.length === 0) await sleep(5)
  assert.deepEqual(node.cancelled, ['j-1'])
})

test('a body that ends too early runs nothing', async (t) => {
  const node = await serve(t)
  const head = `POST ${RUN} HTTP/1.1\r\nHost: 127.0.0.1:${node.server.port}\r\nAuthorization: Bearer ${SECRET}\r\nContent-Length: 100\r\n\r\n`
  const answer = sendRaw(node, `${head}short`)
  await sleep(100)
  await node.server.close()
  assert.equal(await answer, '')
  assert.deepEqual(node.calls, [])
})

test('progress comes as lines where the caller accepts them, the result last', async (t) => {
  const node = await serve(t)
  const reply = await send(node, 'POST', `${RUN}?logs=true`, { body: 'x', headers: { Accept: 'application/x-ndjson' } })
  assert.equal(reply.headers['content-type'], 'application/x-ndjson')
  const lines = reply.body
    .toString()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(
    lines.map((line) => Object.keys(line)[0]),
    ['progress', 'progress', 'progress', 'progress', 'result'],
  )
  const output = await send(node, 'GET', '/v1/jobs/j-1/output')
  assert.equal(output.body.toString(), 'x')
})

test('a failure among lines is a line', async (t) => {
  const node = await serve(t, { failure: new MecaError('busy', 'no slot') })
  const reply = await send(node, 'POST', RUN, { body: 'x', headers: { Accept: 'application/x-ndjson' } })
  assert.equal((JSON.parse(reply.body.toString()) as { problem: { code: string } }).problem.code, 'busy')
})

test('64 jobs at once keep their outputs apart', async (t) => {
  const node = await serve(t, { runMs: 20 })
  const inputs = Array.from({ length: 64 }, (_, i) => Buffer.from(`input ${i}`))
  const replies = await Promise.all(
    inputs.map((body, i) => send(node, 'POST', RUN, { body, headers: { 'Idempotency-Key': `job-${i}` } })),
  )
  assert.deepEqual(
    replies.map((reply) => reply.body),
    inputs,
  )
})
