import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loneEndpoint } from '../../src/core/lone-endpoint.ts'

const FAR = 'https://user:pass@rpc.example/v2/secretkey'

test('one endpoint of somebody else: what it can cost, in money, and nothing of its key', () => {
  const lone = loneEndpoint({ rpc: FAR }, ['1000000000000000000', '20MUSD'])
  assert.match(
    lone?.detail ?? '',
    /^rpc\.example, which no second endpoint .* up to 1 ETH and 20MUSD \(host\.exposureTotal\)/,
  )
  assert.match(lone?.cure ?? '', /chain\.witness/)
  assert.doesNotMatch(JSON.stringify(lone), /secretkey|pass@/)
})

test('the same endpoint twice is one endpoint', () => {
  const lone = loneEndpoint({ rpc: FAR, witness: 'https://rpc.example/v2/anotherkey' }, ['1'])
  assert.match(lone?.detail ?? '', /^chain\.witness is rpc\.example too/)
})

test('two endpoints, one on this machine, or none at all: nothing to say', () => {
  const sets = [
    { rpc: FAR, witness: 'https://other.example' },
    { rpc: FAR, witness: 'http://127.0.0.1:8545' },
    ...['http://localhost:8545', 'http://127.0.0.1:8545', 'http://127.1.2.3', 'http://[::1]:8545'].map((rpc) => ({
      rpc,
    })),
    {},
  ]
  for (const set of sets) assert.equal(loneEndpoint(set, ['1']), undefined, JSON.stringify(set))
  for (const rpc of ['http://localhost.example', 'http://127.0.0.1.example', 'http://10.0.0.5:8545'])
    assert.notEqual(loneEndpoint({ rpc }, ['1']), undefined, rpc)
})
