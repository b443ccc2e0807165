/** The bounds that each side sets itself: a host collects before too much is owed, a client vouches for no more than it locked. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { sum } from '../../src/core/ledger.ts'
import type { ClientJob } from '../../src/core/records.ts'
import { channelIdOf } from '../../src/core/typed.ts'
import type { ChannelTerms } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import { FRAME } from '../../src/core/wire.ts'
import { Book } from '../../src/role/book.ts'
import { ClientRows } from '../../src/role/client-rows.ts'
import { clientComponents } from '../../src/wiring/client-side.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import type { HostSide } from '../../src/wiring/host-side.ts'
import { RawClient } from './raw-client.ts'
import { eventually, FakeEngine, openStage } from './stage.ts'
import type { Published, Stage } from './stage.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const [HOST, CLIENT, ALICE] = [3, 5, 6]

describe('the bounds that each side sets itself', { skip }, () => {
  let stage: Stage

  before(async () => {
    stage = await openStage()
  })

  after(() => stage.close())

  test('a host that is owed its cap takes no further job until it has collected', async () => {
    const { base, closer } = await stage.open('host', HOST, { 'host.exposurePerClient': '1' })
    const side: HostSide = await openHost(base, new FakeEngine().engine, closer, (error) => assert.fail(String(error)))
    const task: Published = await stage.publish('capped', [base])
    const terms: ChannelTerms = await stage.openChannel(ALICE, base.signer.address)
    const target = { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address }
    const alice = await RawClient.connect(target, stage.market.signer(ALICE))
    stage.closer.add(() => alice.close())
    await alice.greet(terms)
    const channelId = alice.channelId(terms)
    alice.submit(terms, task, [alice.job('first', task, 'in')], ['in'])
    await alice.result('first')
    alice.submit(terms, task, [alice.job('second', task, 'in')], ['in'])
    assert.match(await alice.refusal('busy', 'second'), /collects first/)
    const billed = side.book.row(channelId, task.taskId)?.billed
    assert.ok(billed)
    // One that says more than was billed would let the host claim what it did not earn; it is passed over.
    const more = { ...billed, hostAmount: billed.hostAmount + 1n }
    for (const totals of [more, billed])
      alice.send(FRAME.ack, { channelId, ids: ['first'], vouchers: [alice.voucher(terms, task, totals)] })
    await eventually('an exact voucher is taken', () => side.book.row(channelId, task.taskId)?.exact !== undefined)
    assert.deepEqual(side.book.row(channelId, task.taskId)?.exact?.totals, billed)
    await eventually('the host has collected', async () => {
      await side.settler.claim(channelId)
      return sum(side.book.row(channelId, task.taskId)?.claimed ?? billed) === sum(billed)
    })
    alice.submit(terms, task, [alice.job('third', task, 'in')], ['in'])
    await alice.result('third')
  })

  test('a client signs no voucher beyond what it locked, whatever its payer promised', async () => {
    const { base } = await stage.open('client', CLIENT)
    const book = await Book.open(base.store, base.tables, 'client')
    const rows = new ClientRows(clientComponents(base, book, { add: () => undefined }), openIn(book, 1000n))
    assert.equal(rows.vouch([jobOf(600n)]).fresh.length, 1)
    assert.throws(() => rows.vouch([jobOf(401n)]), {
      code: 'insufficient_funds',
      message: /the vouchers would reach .*1001/,
    })
    assert.equal(rows.vouch([jobOf(400n)]).fresh.length, 1)

    function openIn(into: Book, deposit: bigint) {
      const { address } = base.signer
      const terms = {
        client: address,
        signer: address,
        host: address,
        token: NATIVE,
        closeDelaySeconds: 900,
        salt: ZEROS,
      }
      const channelId = channelIdOf(base.chain.domain, terms)
      into.stageChannel({
        channelId,
        side: 'client',
        terms,
        state: 'open',
        deposit,
        claimed: 0n,
        closesAt: 0,
        createdAt: 1,
      })
      return channelId
    }
  })
})

const ZEROS = `0x${'00'.repeat(32)}` as const

function jobOf(hostAmount: bigint): ClientJob {
  return {
    id: `job-${hostAmount}`,
    cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
    taskId: ZEROS,
    name: 'capped',
    inputHash: ZEROS,
    inputBytes: 0,
    host: `0x${'11'.repeat(20)}`,
    channelId: ZEROS,
    price: { token: NATIVE, hostAmount, developerAmount: 0n, maxSeconds: 1 },
    state: 'sent',
    createdAt: 1,
    refusals: [],
  }
}
