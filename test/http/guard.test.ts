/** Who may speak to the API: each check of security.md 1.6 for itself, over a real socket. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect } from 'node:net'
import fc from 'fast-check'
import { SECRET, send, sendRaw, serve } from './support.ts'

test('a request with the token and our Host is answered', async (t) => {
  const node = await serve(t)
  const reply = await send(node, 'GET', '/v1/info')
  assert.equal(reply.status, 200)
  assert.equal(reply.headers['x-content-type-options'], 'nosniff')
  assert.match(String(reply.headers['content-security-policy']), /sandbox/)
  for (const name of Object.keys(reply.headers)) assert.doesNotMatch(name, /^access-control/)
})

test('localhost is a name of ours, too', async (t) => {
  const node = await serve(t)
  const reply = await send(node, 'GET', '/v1/info', { headers: { Host: `localhost:${node.server.port}` } })
  assert.equal(reply.status, 200)
})

const foreign: [string, Record<string, string | undefined>, number][] = [
  ['no token', { Authorization: undefined }, 401],
  ['a wrong token of the same length', { Authorization: `Bearer ${'x'.repeat(SECRET.length)}` }, 401],
  ['a token with more behind it', { Authorization: `Bearer ${SECRET}x` }, 401],
  ['the token by another scheme', { Authorization: `Basic ${SECRET}` }, 401],
  [
    'a token of the same length in characters, not bytes',
    { Authorization: `Bearer ${'\u00e9'.repeat(SECRET.length)}` },
    401,
  ],
  ['a rebound name as Host', { Host: 'evil.example:80' }, 403],
  ['our Host on another port', { Host: '127.0.0.1:1' }, 403],
  ['our Host without a port', { Host: '127.0.0.1' }, 403],
  ['the Origin of a web page', { Origin: 'https://evil.example' }, 403],
  ['the Origin null of a sandboxed page', { Origin: 'null' }, 403],
  ['the Origin of another local port', { Origin: 'http://127.0.0.1:1' }, 403],
  ['a cross-site fetch', { 'Sec-Fetch-Site': 'cross-site' }, 403],
  ['a same-site fetch', { 'Sec-Fetch-Site': 'same-site' }, 403],
]
for (const [name, headers, status] of foreign) {
  test(`${name} is refused with its reason`, async (t) => {
    const node = await serve(t)
    const reply = await send(node, 'POST', '/v1/tasks/x/run', { headers, body: 'input' })
    assert.equal(reply.status, status)
    assert.equal(reply.headers['content-type'], 'application/problem+json')
    assert.equal(reply.json()['code'], 'unauthorized')
    assert.match(String(reply.json()['cure']), /./)
    assert.deepEqual(node.calls, [], 'the node must not hear of it')
  })
}

test('a refusal never tells the token', async (t) => {
  const node = await serve(t)
  const reply = await send(node, 'GET', '/v1/info', { headers: { Authorization: 'Bearer wrong' } })
  assert.doesNotMatch(reply.body.toString(), new RegExp(SECRET))
})

test('our own Origin and same-origin fetches pass', async (t) => {
  const node = await serve(t)
  const headers = { Origin: node.server.url, 'Sec-Fetch-Site': 'same-origin' }
  assert.equal((await send(node, 'GET', '/v1/info', { headers })).status, 200)
})

test('a preflight is refused and gets no CORS header', async (t) => {
  const node = await serve(t)
  const reply = await send(node, 'OPTIONS', '/v1/tasks/x/run', {
    headers: { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST', Authorization: undefined },
  })
  assert.equal(reply.status, 403)
  assert.equal(reply.headers['access-control-allow-origin'], undefined)
})

test('an upgrade to a web socket goes through the same checks', async (t) => {
  const node = await serve(t)
  const head = `GET /v1/info HTTP/1.1\r\nHost: 127.0.0.1:${node.server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nOrigin: https://evil.example\r\n`
  const answer = await sendRaw(node, `${head}Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n`)
  assert.doesNotMatch(answer, /101 /)
  assert.deepEqual(node.calls, [])
})

test('a request without Host is refused', async (t) => {
  const node = await serve(t)
  assert.match(
    await sendRaw(node, `GET /v1/info HTTP/1.1\r\nAuthorization: Bearer ${SECRET}\r\nConnection: close\r\n\r\n`),
    /^HTTP\/1.1 400/,
  )
})

test('a second Host header does not help', async (t) => {
  const node = await serve(t)
  const text = `GET /v1/info HTTP/1.1\r\nHost: evil.example\r\nHost: 127.0.0.1:${node.server.port}\r\nAuthorization: Bearer ${SECRET}\r\nConnection: close\r\n\r\n`
  assert.match(await sendRaw(node, text), /^HTTP\/1.1 40[03]/)
})

test('a head over 16 KiB is refused', async (t) => {
  const node = await serve(t)
  assert.match(await sendRaw(node, `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1.1 431/)
})

test('a head that trickles in is cut off after its deadline', { timeout: 20_000 }, async (t) => {
  const node = await serve(t, {}, { headersTimeoutMs: 500 })
  const socket = connect(node.server.port, '127.0.0.1')
  const drip = setInterval(() => socket.write('X'), 100)
  t.after(() => clearInterval(drip))
  socket.write('GET /v1/info HTTP/1.1\r\n')
  socket.on('error', () => undefined) // the reset is what we wait for
  socket.resume()
  await new Promise((resolve) => socket.once('close', resolve))
})

test('junk of any kind neither ends the server nor reaches the node', { timeout: 30_000 }, async (t) => {
  const node = await serve(t)
  const request = `POST /v1/claim HTTP/1.1\r\nHost: 127.0.0.1:${node.server.port}\r\nAuthorization: Bearer ${SECRET.replace('a', 'b')}\r\nContent-Length: 2\r\n\r\n{}`
  const sendMutated = fc.asyncProperty(
    fc.nat(request.length - 1),
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    async (at, junk) => {
      const bytes = Buffer.concat([
        Buffer.from(request.slice(0, at)),
        junk,
        Buffer.from(request.slice(at + junk.length)),
      ])
      const socket = connect(node.server.port, '127.0.0.1')
      socket.on('error', () => undefined) // a reset is a way to be refused
      socket.resume().end(bytes)
      await new Promise((resolve) => socket.once('close', resolve))
    },
  )
  await fc.assert(sendMutated, { numRuns: 200 })
  assert.deepEqual(node.calls, [])
  assert.equal((await send(node, 'GET', '/v1/info')).status, 200)
})
