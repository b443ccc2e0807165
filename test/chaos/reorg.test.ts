/**
 * A chain that goes back, at every step that moves money: books and chain agree to the wei in the end, a claim that
 * vanished is made again, and nobody is paid twice. `npm run chaos:chain` does it at every depth, and by chance.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { RawClient } from '../role/raw-client.ts'
import { eventually, FakeEngine, openStage } from '../role/stage.ts'
import type { Stage } from '../role/stage.ts'
import type { Hex } from '../../src/core/units.ts'
import { openHost } from '../../src/wiring/host-side.ts'
import { openPlay, playOnce, STEPS } from './play.ts'
import type { Play } from './play.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
const REORGS = [
  { depth: 1, blanks: 0, comesBack: false, orders: false },
  { depth: 3, blanks: 2, comesBack: true, orders: true },
  { depth: 12, blanks: 4, comesBack: false, orders: false },
]

/** Each on a chain of its own; they mostly wait. */
describe('the chain goes back', { skip, concurrency: REORGS.length }, () => {
  for (const reorg of REORGS) {
    describe(
      `by ${reorg.depth}; its transactions ${reorg.comesBack ? 'come back' : 'are lost'}; after`,
      { concurrency: 1 },
      () => {
        let play: Play
        before(async () => {
          play = await openPlay()
        })
        after(() => play.stage.close())
        for (const step of STEPS) test(step, () => playOnce(play, { step, ...reorg }))
      },
    )
  }
})

test(
  'P-reorg a deposit without its confirmations is served up to the owner’s limit and not beyond',
  { skip },
  async () => {
    const stage = await openStage()
    try {
      const fake = new FakeEngine()
      // One job costs three quarters of it.
      const served = 4_000_000_000_000_000n
      const flags = { 'chain.confirmations': 3, 'host.unconfirmedExposure': `${served}` }
      await stage.market.rpc('evm_setAutomine', false)
      const miner = startMiner(stage)
      stage.closer.add(miner.stop)
      const { base, closer } = await stage.open('host', 3, flags)
      const side = await openHost(base, fake.engine, closer, (error) => assert.fail(String(error)))
      const task = await stage.publish('echo', [base])
      await miner.stop()
      const signer = stage.market.signer(5)
      const client = await RawClient.connect(
        { domain: base.chain.domain, peer: base.peer, side, hostAddress: base.signer.address },
        signer,
      )
      stage.closer.add(() => client.close())
      const opening = stage.openChannel(5, base.signer.address)
      await eventually('the opening waits for a block', async () => {
        const { pending } = (await stage.market.rpc('txpool_status')) as { pending: Hex }
        return Number(pending) === 1
      })
      // One confirmation, and no more until the chain goes back.
      await stage.market.rpc('evm_mine')
      const terms = await opening
      await client.greet(terms)
      const work = async (id: string) => {
        client.submit(terms, task, [client.job(id, task, 'x')], ['x'])
        return client.result(id)
      }
      await work('first')
      client.submit(terms, task, [client.job('second', task, 'x')], ['x'])
      await client.refusal('payment', 'second')
      assert.equal(fake.requests, 1)
      const { channelId } = side.book.channels.values().next().value ?? assert.fail()
      assert.ok(side.lending.exposedOn(channelId) <= served)
      await stage.market.rpc('anvil_reorg', 2, [])
      client.forget()
      client.hello(terms)
      await client.refusal('busy')
      client.submit(terms, task, [client.job('third', task, 'x')], ['x'])
      await client.refusal('busy', 'third')
      assert.equal(fake.requests, 1, 'nothing more is served on a deposit that is gone')
    } finally {
      await stage.close()
    }
  },
)

/** One block after the other until it is stopped: no block is made after that. */
function startMiner({ market }: Stage): { stop(): Promise<void> } {
  let isWanted = true
  const ended = (async () => {
    while (isWanted) {
      await market.rpc('evm_mine')
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  return {
    stop: () => {
      isWanted = false
      return ended
    },
  }
}
