import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { openKubo } from '../../src/ipfs/kubo.ts'
import { ipfs, noKubo, soon, startHelia, startKubo, tempFolder } from '../support/ipfs.ts'
import { ipfsSuite, SAMPLE, SAMPLE_CID } from './suite.ts'

ipfsSuite('Kubo', noKubo, async (t) => (await startKubo(t)).ipfs)

test("Kubo's own `ipfs add` gives the sample the same CID", { skip: noKubo, timeout: 60_000 }, async (t) => {
  const folder = join(await tempFolder(t), 'sample')
  for (const { path, content } of SAMPLE) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
  const env = { ...process.env, IPFS_PATH: await tempFolder(t) }
  await ipfs(env, 'init', '--profile', 'test')
  const options = ['--cid-version=1', '--raw-leaves', '--chunker=size-1048576', '--max-file-links=1024']
  assert.equal((await ipfs(env, 'add', '-r', '-Q', ...options, folder)).trim(), SAMPLE_CID)
})

test('Helia fetches from Kubo, and Kubo from Helia', { skip: noKubo, timeout: 90_000 }, async (t) => {
  const [kubo, helia] = await Promise.all([startKubo(t), startHelia(t)])
  for (const [from, to] of [
    [kubo, helia],
    [helia, kubo],
  ] as const) {
    const added = await from.ipfs.addFolder([{ path: 'a/b', content: randomBytes(5_000_000) }], { signal: soon() })
    const fetched = await to.ipfs.fetch(added.cid, { signal: soon(), providers: [from.address] })
    assert.equal(fetched.bytes, added.newBytes)
    assert.equal(fetched.fetchedBytes, added.newBytes)
    assert.equal(await to.ipfs.has(added.cid, soon()), true)
  }
})

test('a daemon that is not there is named with its cure', async () => {
  await assert.rejects(openKubo({ url: 'http://127.0.0.1:9', signal: soon() }), {
    code: 'ipfs_unreachable',
    message: /127\.0\.0\.1:9/,
    cure: /ipfs daemon/,
  })
})
