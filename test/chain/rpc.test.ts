/** Endpoints that are down, slow, talkative, wrong or of another chain; and keys at rest. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { RequestListener, Server } from 'node:http'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { findAnvil } from '../../src/chain/anvil.ts'
import { connect } from '../../src/chain/chain.ts'
import type { Deployment } from '../../src/chain/chain.ts'
import { createKeystore, openKeystore } from '../../src/chain/keystore.ts'
import { Rpc } from '../../src/chain/rpc.ts'
import type { Hex } from '../../src/core/units.ts'
import { hdKey } from './keys.ts'
import { startMarket } from './market.ts'
import type { Market } from './market.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const { signal } = new AbortController()
const SECRET = 'api-key-0123456789'

let market: Market
before(async () => {
  if (skip === false) market = await startMarket()
})
after(async () => {
  if (skip === false) await market.close()
})

/** Runs `use` against a server that answers as told; the URL carries a key that must never show. */
async function against(listener: RequestListener, use: (url: string) => Promise<void>): Promise<void> {
  const server: Server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  try {
    await use(`http://user:${SECRET}@127.0.0.1:${port}/v3/${SECRET}?key=${SECRET}`)
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

async function refusal(work: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error: unknown = await work.then(
    () => assert.fail('it should have failed'),
    (e: unknown) => e,
  )
  assert.ok(!inspect(error, { depth: 20, showHidden: true }).includes(SECRET), 'the key of the URL shows')
  return error as { code: string; message: string }
}

const answer = (text: string, status = 200): RequestListener => {
  return (_, response) => void response.writeHead(status, { 'content-type': 'text/html' }).end(text)
}

const CASES: { name: string; listener: RequestListener; says: RegExp }[] = [
  { name: 'HTML instead of JSON', listener: answer('<html>hello</html>'), says: /not JSON-RPC/ },
  { name: 'JSON of another shape', listener: answer('{"id":1}x'), says: /not JSON-RPC/ },
  {
    name: 'the answer to another question',
    listener: answer('{"jsonrpc":"2.0","id":999,"result":"0x1"}'),
    says: /JSON-RPC/,
  },
  { name: 'too many requests', listener: answer('slow down', 429), says: /HTTP status 429/ },
  { name: 'a wrong path', listener: answer('nothing here', 404), says: /HTTP status 404/ },
  { name: 'nothing at all', listener: () => undefined, says: /nothing within 100 ms/ },
  { name: 'a hang-up', listener: (_, response) => void response.destroy(), says: /no connection/ },
  {
    name: 'a redirect to somewhere else',
    listener: (_, response) => void response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end(),
    says: /no connection/,
  },
  {
    name: 'an endless answer',
    listener: (_, response) => {
      const chunk = Buffer.alloc(1 << 20, 0x20)
      const more = () => {
        while (response.writable && response.write(chunk));
      }
      response.on('drain', more)
      more()
    },
    says: /more than 8388608 bytes|nothing within/,
  },
]

for (const { name, listener, says } of CASES) {
  test(`an endpoint that gives ${name} is said to be unreachable, without its key`, async () => {
    await against(listener, async (url) => {
      const { code, message } = await refusal(new Rpc(url, 100).request('eth_chainId', [], signal))
      assert.equal(code, 'chain_unreachable')
      assert.match(message, says)
    })
  })
}

test('an endpoint that is down is said to be unreachable', async () => {
  const { code, message } = await refusal(new Rpc(`http://127.0.0.1:1/${SECRET}`).request('eth_chainId', [], signal))
  assert.equal(code, 'chain_unreachable')
  assert.match(message, /127\.0\.0\.1:1 did not answer eth_chainId: no connection/)
})

test('what is no URL is refused without being quoted', () => {
  assert.throws(
    () => new Rpc(`htp:/${SECRET}`),
    (error: Error) => !error.message.includes(SECRET),
  )
})

test('a fault that passes is tried again', async () => {
  let calls = 0
  const listener: RequestListener = (request, response) => {
    if (++calls < 3) return void response.writeHead(503).end('busy')
    assert.equal(request.headers.authorization, `Basic ${Buffer.from(`user:${SECRET}`).toString('base64')}`)
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const { id } = JSON.parse(body) as { id: number }
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: '0x7a69' }))
    })
  }
  await against(listener, async (url) => {
    assert.equal(await new Rpc(url).request('eth_chainId', [], signal), '0x7a69')
    assert.equal(calls, 3)
  })
})

test('a signal ends a call at once', async () => {
  await against(
    () => undefined,
    async (url) => {
      const patience = AbortSignal.timeout(50)
      const startedAt = performance.now()
      await assert.rejects(new Rpc(url).request('eth_chainId', [], patience), { name: 'TimeoutError' })
      assert.ok(performance.now() - startedAt < 10_000)
    },
  )
})

test('another chain, missing contracts and mixed deployments are refused', { skip }, async () => {
  const { deployment, url } = market
  const reject = async (wrong: Deployment, says: RegExp) => {
    await assert.rejects(connect(url, wrong, { signal }), { code: 'wrong_chain', message: says })
  }
  await reject({ ...deployment, chainId: 1 }, /is chain 31337, wanted is chain 1/)
  const nowhere: Hex = `0x${'99'.repeat(20)}`
  await reject(
    { ...deployment, contracts: { ...deployment.contracts, tasks: nowhere } },
    /no contract at 0x9999.*tasks/,
  )
  await reject({ ...deployment, token: nowhere }, /no contract at 0x9999.*token/)
  const { tasks, hosts } = deployment.contracts
  await reject({ ...deployment, contracts: { ...deployment.contracts, tasks: hosts } }, /do not belong together/)
  await assert.rejects(
    connect(url, { ...deployment, contracts: { ...deployment.contracts, channels: tasks } }, { signal }),
    { code: /wrong_chain|chain_unreachable|chain_refused/ },
  )
})

test('a keystore opens with its password only, and no secret shows', async () => {
  const key = hdKey(3)
  const json = await createKeystore(key, SECRET, 2)
  assert.deepEqual(Buffer.from(await openKeystore(json, SECRET)), Buffer.from(key))
  assert.equal((await refusal(openKeystore(json, 'another'))).code, 'unauthorized')
  assert.equal((await refusal(openKeystore(`{"password":"${SECRET}"}`, SECRET))).code, 'bad_input')
})
