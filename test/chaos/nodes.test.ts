/** Lies told to whole nodes that pay and work over libp2p: see nodes.ts. `npm run chaos:chain` tells every side every one. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { FakeEngine } from '../role/stage.ts'
import { lieTo, openLied, SIDES, WORST } from './nodes.ts'
import type { Lied } from './nodes.ts'
import { openPlay } from './play.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : false
/** Ten of them; left out are those that let nodes wait for long, and some that are much like another. */
const SHORT = WORST.filter(({ name }) => !/^(hang|429|lane|forged logs|transaction|balance)/.test(name))

describe('a market over libp2p whose endpoint lies to', { skip, concurrency: SIDES.length }, () => {
  for (const [at, side] of SIDES.entries()) {
    describe(`its ${side}`, { concurrency: 1 }, () => {
      let lied: Lied
      before(async () => {
        lied = await openLied()
      })
      after(() => lied.play.stage.close())
      for (const lie of SHORT.filter((_, i) => i % SIDES.length === at))
        test(lie.name, async (t) => {
          const codes = await lieTo(lied, side, lie)
          t.diagnostic(`${lie.name}: ${[...codes].join(', ') || 'nothing noticed'}`)
        })
    })
  }
})

test(
  'a client that believes in more than it locked asks the chain when its host refuses, and tops up',
  { skip },
  async () => {
    const engine = new FakeEngine()
    const play = await openPlay({ engine })
    try {
      const { host, client, stage } = play
      const { signal, channels } = stage.market
      client.base.market.validate(host.side.advertiser.current ?? assert.fail(), { via: host.base.peer.peerId })
      const { cid } = await stage.publish('echo', [host.base, client.base])
      const run = () => client.side.api.run(cid, Buffer.from('x'), {}, () => undefined, signal)
      await run()
      const [channel] = client.side.book.channels.values()
      assert.ok(channel)
      client.side.book.stageChannel({ ...channel, deposit: 10n ** 20n })
      const all = await Promise.all(Array.from({ length: 4 }, run))
      assert.deepEqual(new Set(all.map(({ status }) => status)), new Set(['answered']))
      assert.equal(engine.requests, 5)
      const { deposit } = await channels.state(channel.channelId, signal)
      assert.ok(deposit > channel.deposit)
      assert.equal(client.side.book.channels.get(channel.channelId)?.deposit, deposit)
      assert.ok(client.side.book.vouchedOn(channel.channelId) <= deposit)
    } finally {
      await play.stage.close()
    }
  },
)
