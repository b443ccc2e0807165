/** One key, many callers, crashes in between: every transaction arrives once, and none is forgotten. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { connect } from '../../src/chain/chain.ts'
import { Wallet } from '../../src/chain/wallet.ts'
import type { Intent } from '../../src/chain/wallet.ts'
import { MecaError } from '../../src/core/errors.ts'
import { armFailpoints } from '../../src/failpoint.ts'
import { memoryIntents, startMarket } from './market.ts'
import type { Market } from './market.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const TO = '0x00000000000000000000000000000000000c0ffe'

let market: Market
before(async () => {
  if (skip === false) market = await startMarket()
})
after(async () => {
  if (skip === false) await market.close()
})

const pay = (value: bigint) => ({ to: TO, data: '0x', value }) as const

test('twenty sends at once take twenty nonces in order, each once', { skip }, async () => {
  const { chain, signal } = market
  const wallet = market.wallet(1)
  const first = await chain.transactionCount(wallet.address, 'latest', signal)
  const before = await chain.balance(TO, signal)
  const values = Array.from({ length: 20 }, (_, i) => BigInt(i + 1))
  const receipts = await Promise.all(values.map((value) => wallet.send(pay(value), 'test', signal)))
  assert.equal(new Set(receipts.map((r) => r.hash)).size, 20)
  assert.equal(await chain.transactionCount(wallet.address, 'latest', signal), first + 20)
  assert.equal((await chain.balance(TO, signal)) - before, 210n)
})

test('a refused send hurts neither those before nor those after it', { skip }, async () => {
  const { signal } = market
  const wallet = market.wallet(1)
  const balance = await market.chain.balance(wallet.address, signal)
  const results = await Promise.allSettled([
    wallet.send(pay(1n), 'good', signal),
    wallet.send(pay(balance * 2n), 'too much', signal),
    wallet.send(pay(2n), 'good', signal),
  ])
  assert.deepEqual(
    results.map((r) => r.status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  const [, refused] = results
  assert.equal(refused?.status === 'rejected' && (refused.reason as { code: string }).code, 'insufficient_funds')
})

test(
  'a crash after the intent was written and before it was sent: recovery sends the very same bytes',
  { skip },
  async () => {
    const { chain, signal } = market
    const intents = memoryIntents()
    const before = await chain.balance(TO, signal)
    armFailpoints('chain.intent-written=throw')
    await assert.rejects(new Wallet(chain, market.signer(2), intents).send(pay(77n), 'pay', signal), /failpoint/)
    assert.equal(await chain.balance(TO, signal), before, 'nothing was sent')
    const written = [...intents.all.values()]
    assert.equal(written.length, 1)

    const recovered = await new Wallet(chain, market.signer(2), intents).recover(signal)
    assert.deepEqual(
      recovered.map((r) => r.receipt?.hash),
      written[0]?.hashes,
    )
    assert.equal((await chain.balance(TO, signal)) - before, 77n)
    assert.equal(intents.all.size, 0)
  },
)

test('a crash after it was sent: recovery finds it and sends nothing twice', { skip }, async () => {
  const { chain, signal } = market
  const intents = memoryIntents()
  const before = await chain.balance(TO, signal)
  armFailpoints('chain.broadcast=throw')
  await assert.rejects(new Wallet(chain, market.signer(2), intents).send(pay(78n), 'pay', signal), /failpoint/)
  assert.equal(intents.all.size, 1)
  const [recovered] = await new Wallet(chain, market.signer(2), intents).recover(signal)
  assert.equal(recovered?.receipt?.status, true)
  assert.equal((await chain.balance(TO, signal)) - before, 78n)
})

test('the next send takes up what an earlier one left, before it takes a nonce', { skip }, async () => {
  const { chain, signal } = market
  const intents = memoryIntents()
  const before = await chain.balance(TO, signal)
  const wallet = new Wallet(chain, market.signer(3), intents)
  armFailpoints('chain.intent-written=throw')
  await assert.rejects(wallet.send(pay(5n), 'left', signal), /failpoint/)
  await wallet.send(pay(6n), 'next', signal)
  assert.equal((await chain.balance(TO, signal)) - before, 11n)
  assert.equal(intents.all.size, 0)
})

test('a transaction that is stuck is replaced by itself with a higher fee', { skip }, async () => {
  const { chain, rpc, signal } = market
  const intents = memoryIntents()
  const versions: Intent[] = []
  const watching = { ...intents, put: async (i: Intent) => (versions.push(i), intents.put(i)) }
  const wallet = new Wallet(chain, market.signer(4), watching, { bumpAfterMs: 100 })
  await rpc('evm_setAutomine', false)
  try {
    const sending = wallet.send(pay(1n), 'slow', signal)
    while (versions.length < 3) await chain.pause(signal)
    await rpc('evm_mine')
    const receipt = await sending
    assert.ok(versions.at(-1)?.hashes.slice(1).includes(receipt.hash), 'one of the replacements was taken')
    assert.equal(new Set(versions.map((v) => v.nonce)).size, 1)
  } finally {
    await rpc('evm_setAutomine', true)
  }
})

test('a stuck transaction is reported in time, stays written down, and is taken up later', { skip }, async () => {
  const { chain, rpc, signal } = market
  const intents = memoryIntents()
  await rpc('evm_setAutomine', false)
  const hasty = new Wallet(chain, market.signer(5), intents, { maxWaitMs: 100 })
  await assert.rejects(hasty.send(pay(1n), 'slow', signal), { code: 'timeout', message: /slow.*is in no block/ })
  assert.equal(intents.all.size, 1)
  await rpc('evm_setAutomine', true)
  await rpc('evm_mine')
  const [recovered] = await new Wallet(chain, market.signer(5), intents).recover(signal)
  assert.equal(recovered?.receipt?.status, true)
  assert.equal(intents.all.size, 0)
})

test('a send that is given up on stays written down', { skip }, async () => {
  const { chain, rpc, signal } = market
  const intents = memoryIntents()
  await rpc('evm_setAutomine', false)
  const patience = new AbortController()
  const sending = new Wallet(chain, market.signer(6), intents).send(pay(1n), 'given up', patience.signal)
  setTimeout(() => patience.abort(), 200)
  await assert.rejects(sending, { name: 'AbortError' })
  assert.equal(intents.all.size, 1)
  await rpc('evm_setAutomine', true)
  await rpc('evm_mine')
  await new Wallet(chain, market.signer(6), intents).recover(signal)
  assert.equal(intents.all.size, 0)
})

test('confirmations are waited for', { skip }, async () => {
  const { rpc, signal, chain } = market
  const wallet = market.wallet(7, { confirmations: 3 })
  let done = false
  const sending = wallet.send(pay(1n), 'deep', signal).then(() => (done = true))
  for (let i = 0; i < 10; i++) await chain.pause(signal)
  assert.equal(done, false, 'one block is not three')
  await rpc('anvil_mine', '0x2')
  await sending
})

test('a contract that refuses is quoted with its own words, and nothing is sent', { skip }, async () => {
  const { tasks, signal } = market
  const wallet = market.wallet(8)
  const unknown = tasks.retire(wallet, `0x${'12'.repeat(32)}`, signal)
  await assert.rejects(unknown, { code: 'chain_refused', message: /UnknownTask\(taskId: 0x1212/ })
  assert.equal(await market.chain.transactionCount(wallet.address, 'latest', signal), 0)
})

test(
  'of one that an endpoint said to be refused, and passed on, and the next one only one is ever mined',
  { skip },
  async () => {
    const { rpc, signal, deployment, url } = market
    const chain = await connect(url, deployment, { signal, pollMs: 20 })
    const request = chain.rpc.request.bind(chain.rpc)
    const before = await chain.balance(TO, signal)
    const wallet = new Wallet(chain, market.signer(0), memoryIntents(), { bumpAfterMs: 50 })
    await rpc('evm_setAutomine', false)
    try {
      chain.knows = () => Promise.resolve(false)
      chain.rpc.request = async (method, params, s) => {
        const answer = await request(method, params, s)
        if (method === 'eth_sendRawTransaction') throw new MecaError('chain_refused', 'internal error')
        return answer
      }
      await assert.rejects(wallet.send(pay(1000n), 'refused', signal), { code: 'chain_refused' })
      chain.rpc.request = request
      const next = wallet.send(pay(7n), 'next', signal)
      await new Promise((resolve) => setTimeout(resolve, 400))
      await rpc('evm_mine')
      await next
    } finally {
      await rpc('evm_setAutomine', true)
    }
    await rpc('evm_mine')
    assert.equal((await chain.balance(TO, signal)) - before, 7n)
  },
)

test(
  'an estimate of more gas than a transaction may have, or of none, is no estimate: nothing is written down or sent',
  { skip },
  async () => {
    const { signal, deployment, url } = market
    const chain = await connect(url, deployment, { signal, pollMs: 20 })
    const request = chain.rpc.request.bind(chain.rpc)
    const intents = memoryIntents()
    for (const gas of ['0x1000001', '0x0', '0x5207']) {
      chain.rpc.request = (method, params, s) =>
        method === 'eth_estimateGas' ? Promise.resolve(gas) : request(method, params, s)
      const sending = new Wallet(chain, market.signer(0), intents).send(pay(1n), 'pay', signal)
      await assert.rejects(sending, { code: 'chain_unreachable' }, gas)
    }
    assert.equal(intents.all.size, 0)
  },
)
