/** A client whom no bootstrap peer led anywhere finds its hosts by the registry on chain. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findAnvil } from '../../src/chain/anvil.ts'
import { dockerMissing } from '../support/images.ts'
import { openWorld } from '../support/world.ts'

const skip = findAnvil() === undefined ? 'there is no anvil for this machine' : await dockerMissing()

test('hosts are found on chain where nobody is known', { skip }, async () => {
  const world = await openWorld({ hosts: 1 })
  try {
    const lonely = await world.open('lonely', 'node', 8, { 'p2p.bootstrap': '' })
    const [host] = world.hosts
    assert.ok(host)
    const { address } = await host.api.info()
    const heard = async () =>
      (await lonely.api.client.hosts()).find((h) => h.host === address && h.heardMsAgo !== null && h.registered)
    for (let i = 0; i < 300 && (await heard()) === undefined; i++) await new Promise((done) => setTimeout(done, 100))
    assert.ok(await heard(), JSON.stringify(await lonely.api.client.hosts()))
  } finally {
    await world.close()
  }
})
