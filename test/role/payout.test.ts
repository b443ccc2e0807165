/** Earnings go to a cold address, and the key on the machine cannot take them back. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { channelsAbi, hostsAbi } from '../../src/chain/abi.ts'
import { Codec } from '../../src/chain/codec.ts'
import { MecaError } from '../../src/core/errors.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { failure } from '../support/engine.ts'
import { heard, openParties, settled, signal } from './parties.ts'
import type { Parties, Party } from './parties.ts'
import type { Published } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [CLIENT, HOST, OTHER, COLD] = [5, 6, 7, 4]
const channels = new Codec(channelsAbi)
const hosts = new Codec(hostsAbi)

describe('a cold address for earnings', { skip }, () => {
  let parties: Parties
  let host: Party
  let client: Party
  let task: Published
  let cold: Hex

  before(async () => {
    parties = await openParties()
    cold = parties.stage.market.signer(COLD).address
    host = await parties.open('host', HOST, { host: true, flags: { 'host.payout': cold } })
    client = await parties.open('client', CLIENT, { meets: host })
    task = await parties.stage.publish('cold', [host.base, client.base])
    await heard(client, host)
  })

  after(() => parties.close())

  test('is the payee from the registration on, also for the bond', async () => {
    assert.equal((await host.money.payout(undefined, signal)).payee, cold)
    const entry = await host.base.hosts.get(host.address, signal)
    assert.equal(entry?.payee, cold)
  })

  test('gets what is withdrawn, to the wei, whoever sends the transaction', async () => {
    await settled(host, await parties.run(client, task, 'warm work'))
    const claim = await host.money.claim({}, signal)
    const { chain } = host.base
    const before = await chain.balance(cold, signal)
    const drawn = await host.money.withdraw({ token: NATIVE }, signal)
    assert.deepEqual([drawn.to, drawn.amount], [cold, claim.host])
    assert.equal((await chain.balance(cold, signal)) - before, BigInt(claim.host))
  })

  test('cannot be changed by the hot key: not by command, and not by calling the contracts', async () => {
    await failure('bad_input', host.money.payout(NATIVE, signal))
    const error = await failure('unauthorized', host.money.payout(host.address, signal))
    assert.match(error.message, new RegExp(`goes to ${cold}`))
    const { wallet, chain } = host.base
    const { hosts: at, channels: money } = chain.deployment.contracts
    const tries: [Hex, Hex][] = [
      [at, hosts.encode('setPayee', [host.address, host.address])],
      [money, channels.encode('withdrawTo', [NATIVE, host.address, host.address])],
    ]
    for (const [to, data] of tries) {
      await assert.rejects(wallet.send({ to, data }, 'redirect', signal), (e) => {
        assert.ok(e instanceof MecaError)
        return /NotPayee/.test(e.message)
      })
    }
    assert.equal((await host.money.payout(undefined, signal)).payee, cold)
  })

  test('is moved on by its own key, and the host goes on', async () => {
    const { market } = parties.stage
    await market.hosts.setPayee(market.wallet(COLD), host.address, host.address, signal)
    const there = await host.money.payout(cold, signal)
    assert.equal(there.payee, cold)
    assert.match(there.tx ?? '', /^0x/)
    assert.equal((await host.money.payout(cold, signal)).tx, null, 'what it is already costs no transaction')
  })

  test('set in the settings of a host that is registered: it follows while it may, and says so where it may not', async () => {
    const plain = await parties.open('plain', OTHER, { host: true, meets: host })
    assert.equal((await plain.money.payout(undefined, signal)).payee, plain.address)
    await plain.close()
    const moved = await parties.open('moved', OTHER, { host: true, meets: host, flags: { 'host.payout': cold } })
    assert.equal((await moved.money.payout(undefined, signal)).payee, cold)
    await moved.close()
    const elsewhere = `0x${'42'.repeat(20)}`
    const late = await parties.open('late', OTHER, { host: true, meets: host, flags: { 'host.payout': elsewhere } })
    assert.equal((await late.money.payout(undefined, signal)).payee, cold)
    assert.match(late.base.alarms.list()[0]?.detail ?? '', new RegExp(`${elsewhere}.*${cold}`))
  })

  test('needs a registration: an address that is no host is told so', async () => {
    await failure('not_found', client.money.payout(cold, signal))
    assert.deepEqual(await client.money.payout(undefined, signal), {
      host: client.address,
      payee: client.address,
      registered: false,
      tx: null,
    })
  })
})
