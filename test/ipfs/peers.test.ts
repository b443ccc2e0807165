/** Fetching from other nodes: honest ones in another process, and ones that lie, dawdle or send endless trees. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { soon, startHelia } from '../support/ipfs.ts'
import type { Published } from './other.fixture.ts'

const MIB = 2 ** 20

async function publisher(t: TestContext, ...sizes: number[]): Promise<Published> {
  const script = fileURLToPath(new URL('other.fixture.ts', import.meta.url))
  const child = fork(script, sizes.map(String), { stdio: 'inherit' })
  t.after(async () => {
    child.disconnect()
    if (child.exitCode === null) await once(child, 'exit')
  })
  const [published] = (await once(child, 'message')) as [Published]
  return published
}

for (const how of ['streams', 'bitswap'] as const) {
  test(
    `another process's folder comes by ${how}, and of its next version only what changed`,
    { timeout: 60_000 },
    async (t) => {
      const theirs = await publisher(t, 4 * MIB, 3 * MIB + 5, MIB)
      const { ipfs } = await startHelia(t, { streams: how === 'streams' })
      const providers = [theirs.address]
      const first = await ipfs.fetch(theirs.first, { signal: soon(), providers })
      assert.ok(first.bytes > theirs.bytes && first.bytes < 1.01 * theirs.bytes)
      assert.equal(first.fetchedBytes, first.bytes)
      assert.equal(first.streamedBytes, how === 'streams' ? first.bytes : 0)
      assert.equal(await ipfs.has(theirs.first, soon()), true)
      const second = await ipfs.fetch(theirs.second, { signal: soon(), providers })
      assert.ok(second.fetchedBytes >= theirs.changedBytes)
      assert.ok(second.fetchedBytes <= 1.1 * theirs.changedBytes, `${second.fetchedBytes} for ${theirs.changedBytes}`)
      assert.equal((await ipfs.fetch(theirs.second, { signal: soon() })).fetchedBytes, 0)
    },
  )
}
