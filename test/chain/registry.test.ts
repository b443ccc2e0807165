/** Tasks and hosts on a real chain: what was put in comes out, by id, by name and in lists; and a report of a host. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { STATUS, signReceipts } from '../../src/core/receipt.ts'
import type { Receipt } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { startMarket } from './market.ts'
import type { Market } from './market.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const word = (n: number): Hex => `0x${n.toString(16).padStart(64, '0')}`

let market: Market
before(async () => {
  if (skip === false) market = await startMarket()
})
after(async () => {
  if (skip === false) await market.close()
})

test('tasks: published, found by id and name, listed newest first, retired', { skip }, async () => {
  const { tasks, signal } = market
  const wallet = market.wallet(1)
  const developer = wallet.address
  const make = (n: number, version: string) => ({
    taskId: word(n),
    fee: 5n,
    token: NATIVE,
    payee: developer,
    name: 'a',
    version,
  })
  await tasks.publish(wallet, make(1, '1.0'), signal)
  await tasks.publish(wallet, make(2, '2.0'), signal)
  await tasks.publish(market.wallet(2), { ...make(3, '1.0'), payee: market.signer(2).address }, signal)

  const entry = await tasks.get(word(1), signal)
  assert.equal(entry?.developer, developer)
  assert.equal(entry?.fee, 5n)
  assert.equal((await tasks.byName(developer, 'a', undefined, signal))?.version, '2.0')
  assert.equal((await tasks.byName(developer, 'a', '1.0', signal))?.taskId, word(1))
  assert.equal(await tasks.byName(developer, 'b', undefined, signal), undefined)
  assert.equal(await tasks.get(word(9), signal), undefined)
  assert.deepEqual(
    (await tasks.list({}, signal)).map((t) => t.taskId),
    [word(3), word(2), word(1)],
  )
  assert.deepEqual(
    (await tasks.list({ developer }, signal)).map((t) => t.taskId),
    [word(2), word(1)],
  )
  await tasks.retire(wallet, word(1), signal)
  assert.equal((await tasks.get(word(1), signal))?.retired, true)
})

test('hosts: registered, updated, listed, and the payee is the payee’s to move', { skip }, async () => {
  const { hosts, signal } = market
  const [host, cold] = [market.wallet(3), market.wallet(4)]
  const peerId = '12D3KooWNvSZnPi3RrhrTwEY4LuuBeB6K6facKUCJcyWG1aoDd2p'
  await hosts.register(host, { payee: cold.address, peerId, metadata: '', bondWei: 100n }, signal)
  await hosts.update(host, peerId, 'Zürich', signal)
  await hosts.addBond(cold, host.address, 11n, signal)
  const entry = await hosts.get(host.address, signal)
  assert.deepEqual(entry, {
    host: host.address,
    payee: cold.address,
    bondWei: 111n,
    unbondsAt: 0n,
    peerId,
    metadata: 'Zürich',
  })
  assert.deepEqual(await hosts.list(signal), [entry])
  assert.equal(await hosts.get(cold.address, signal), undefined)
  const stolen = hosts.setPayee(host, host.address, host.address, signal)
  await assert.rejects(stolen, { code: 'chain_refused', message: /NotPayee/ })
  await hosts.setPayee(cold, host.address, market.signer(5).address, signal)
  assert.equal(await hosts.payeeOf(host.address, signal), market.signer(5).address)
  assert.equal(await hosts.payeeOf(cold.address, signal), cold.address)
})

test('hosts: a bond comes back after the delay', { skip }, async () => {
  const { hosts, chain, signal } = market
  const host = market.wallet(6)
  const payee: Hex = `0x${'0b'.repeat(20)}`
  await hosts.register(host, { payee, peerId: 'p', metadata: '', bondWei: 50n }, signal)
  await hosts.unbond(host, signal)
  await assert.rejects(hosts.withdrawBond(host, host.address, signal), { message: /NotUnbonded/ })
  await market.later(7 * 86_400)
  await hosts.withdrawBond(market.wallet(1), host.address, signal)
  assert.equal(await chain.balance(payee, signal), 50n)
})

test(
  'hosts: two receipts for one job with different outputs, from trees of core, cost the bond',
  { skip },
  async () => {
    const { hosts, chain, signal } = market
    const [host, reporter] = [market.wallet(7), market.wallet(8)]
    await hosts.register(host, { payee: host.address, peerId: 'p', metadata: '', bondWei: 101n }, signal)
    const receipt = (job: number, output: number): Receipt => ({
      channelId: word(1),
      jobHash: word(job),
      taskId: word(2),
      inputHash: word(3),
      outputHash: word(output),
      status: STATUS.answered,
      hostAmount: 5n,
      developerAmount: 1n,
      startedAt: 1,
      endedAt: 2,
    })
    const sign = (...receipts: Receipt[]) => signReceipts(chain.domain, market.signer(7), receipts)
    const [, , one] = sign(receipt(10, 1), receipt(11, 1), receipt(12, 1))
    const [same] = sign(receipt(12, 1))
    const [other] = sign(receipt(12, 2))
    assert.ok(one !== undefined && same !== undefined && other !== undefined)
    const nothing = hosts.slash(reporter, host.address, [one, same], signal)
    await assert.rejects(nothing, { message: /NotContradicting/ })
    await hosts.slash(reporter, host.address, [one, other], signal)
    assert.equal((await hosts.get(host.address, signal))?.bondWei, 0n)
    assert.equal(await hosts.reward(reporter.address, signal), 50n)
    await hosts.withdrawReward(host, reporter.address, signal)
    assert.equal(await hosts.reward(reporter.address, signal), 0n)
  },
)
