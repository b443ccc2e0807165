/** What every IPFS implementation must do; run by `helia.test.ts` and `kubo.test.ts`. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { FileEntry, Ipfs } from '../../src/ipfs/store.ts'
import { soon, tempFolder } from '../support/ipfs.ts'

/** The CID of `SAMPLE` in any implementation; made once with `ipfs add -r` of Kubo 0.40.1 under `unixfs-v1-2025`. */
export const SAMPLE_CID = 'bafybeia3b7cs6ji44mkdcjrloysj36gap22s3uzw4wkdf32p5yyzs5lhwy'

/** Several folders, an empty file, a file of one byte over a chunk, a name beyond ASCII. */
export const SAMPLE: readonly (FileEntry & { content: Uint8Array })[] = [
  { path: 'task.json', content: Buffer.from('{"name":"sample"}') },
  { path: 'image/blobs/sha256/aa', content: Buffer.alloc(2 ** 20 + 1, 'a') },
  { path: 'image/blobs/sha256/bb', content: Buffer.alloc(3 * 2 ** 20, 'b') },
  { path: 'image/index.json', content: Buffer.from('{}') },
  { path: 'example/größe.txt', content: new Uint8Array() },
]

const all = async (source: AsyncIterable<Uint8Array>): Promise<Buffer> => {
  const chunks: Uint8Array[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks)
}

const code = (expected: string) => (error: unknown) => {
  assert.equal((error as { code?: string }).code, expected, String(error))
  return true
}

export function ipfsSuite(name: string, skip: string | false, start: (t: TestContext) => Promise<Ipfs>): void {
  const check = (title: string, act: (ipfs: Ipfs, t: TestContext) => Promise<void>): void => {
    void test(`${name}: ${title}`, { skip, timeout: 60_000 }, async (t) => act(await start(t), t))
  }

  check(
    'a folder gets the CID that every other implementation gives it, in whatever order its files come',
    async (ipfs) => {
      const added = await ipfs.addFolder(SAMPLE, { signal: soon() })
      const again = await ipfs.addFolder([...SAMPLE].reverse(), { signal: soon() })
      assert.equal(added.cid, SAMPLE_CID)
      assert.equal(again.cid, SAMPLE_CID)
      assert.equal(added.bytes, 4 * 2 ** 20 + 1 + 17 + 2)
      assert.equal(again.newBytes, 0)
    },
  )

  check('a block that stands in a file many times is stored and counted once', async (ipfs) => {
    const { newBytes } = await ipfs.addFolder([{ path: 'zeros', content: new Uint8Array(16 * 2 ** 20) }], {
      signal: soon(),
    })
    assert.ok(newBytes >= 2 ** 20 && newBytes < 1.01 * 2 ** 20, String(newBytes))
  })

  check('files come back byte for byte, whole and in part, from memory, streams and disk', async (ipfs, t) => {
    const file = join(await tempFolder(t), 'file')
    const bytes = randomBytes(5 * 2 ** 20 + 123)
    await writeFile(file, bytes)
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += 700_001) yield await Promise.resolve(bytes.subarray(at, at + 700_001))
    }
    const entries = [
      { path: 'm', content: bytes },
      { path: 's', content: pieces() },
      { path: 'd', content: { file } },
    ]
    const { cid } = await ipfs.addFolder(entries, { signal: soon() })
    for (const path of ['m', 's', 'd']) {
      const options = { signal: soon(), maxBytes: bytes.length }
      assert.ok((await all(ipfs.cat(`${cid}/${path}`, options))).equals(bytes), path)
    }
    const entriesListed = await ipfs.list(cid, soon())
    assert.equal(new Set(entriesListed.map((entry) => entry.cid)).size, 1, 'the same content is one DAG')
    for (const [offset, length] of [
      [0, 1],
      [2 ** 20 - 1, 2],
      [2 ** 20, 2 ** 21],
      [bytes.length - 1, 99],
      [bytes.length, 5],
    ] as const) {
      const part = await all(ipfs.cat(`${cid}/d`, { signal: soon(), maxBytes: 2 ** 22, offset, length }))
      assert.ok(part.equals(bytes.subarray(offset, offset + length)), `${offset}+${length}`)
    }
  })

  check('list and stat say what is there', async (ipfs) => {
    const { cid } = await ipfs.addFolder(SAMPLE, { signal: soon() })
    const root = await ipfs.list(cid, soon())
    assert.deepEqual(
      root.map(({ name: n, bytes, directory }) => ({ n, bytes, directory })),
      [
        { n: 'example', bytes: 0, directory: true },
        { n: 'image', bytes: 0, directory: true },
        { n: 'task.json', bytes: 17, directory: false },
      ],
    )
    const file = await ipfs.stat(`${cid}/image/blobs/sha256/aa`, soon())
    assert.equal(file.bytes, 2 ** 20 + 1)
    assert.equal(file.directory, false)
    assert.equal((await ipfs.stat(`${cid}/image`, soon())).directory, true)
  })

  check('what is asked wrongly is refused with its own code', async (ipfs) => {
    const { cid } = await ipfs.addFolder(SAMPLE, { signal: soon() })
    const options = { signal: soon(), maxBytes: 100 }
    await assert.rejects(ipfs.read(`${cid}/nothing`, options), code('not_found'))
    await assert.rejects(ipfs.read(`${cid}/task.json/below`, options), code('not_found'))
    await assert.rejects(ipfs.read(cid, options), code('bad_input'))
    await assert.rejects(ipfs.list(`${cid}/task.json`, soon()), code('bad_input'))
    await assert.rejects(ipfs.read('QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG', options), code('bad_input'))
    await assert.rejects(ipfs.read('nonsense', options), code('bad_input'))
    await assert.rejects(ipfs.read(`${cid}/image/blobs/sha256/aa`, options), code('too_large'))
    await assert.rejects(ipfs.fetch(cid, { signal: soon(), maxBytes: 2 ** 20 }), code('too_large'))
    for (const path of ['', '/a', 'a//b', '../a', 'a/..', '.']) {
      await assert.rejects(
        ipfs.addFolder([{ path, content: Buffer.from('x') }], { signal: soon() }),
        code('bad_input'),
        path,
      )
    }
    const twice = [
      { path: 'a', content: Buffer.from('x') },
      { path: 'a', content: Buffer.from('y') },
    ]
    await assert.rejects(ipfs.addFolder(twice, { signal: soon() }), code('bad_input'))
  })

  check('a second version with one changed file stores only that file', async (ipfs) => {
    const layers = [1, 2, 3].map((i) => ({ path: `image/${i}`, content: randomBytes(2 ** 20) }))
    const first = await ipfs.addFolder(layers, { signal: soon() })
    assert.ok(first.newBytes >= 3 * 2 ** 20)
    const changed = layers.with(1, { path: 'image/2', content: randomBytes(2 ** 20) })
    const second = await ipfs.addFolder(changed, { signal: soon() })
    assert.ok(second.newBytes >= 2 ** 20 && second.newBytes < 1.01 * 2 ** 20, String(second.newBytes))
  })

  check('a CID is here or not here, and nobody else is asked', async (ipfs) => {
    const { cid, newBytes } = await ipfs.addFolder([{ path: 'a', content: randomBytes(3_000_000) }], { signal: soon() })
    assert.equal(await ipfs.has(cid, soon()), true)
    assert.equal(await ipfs.localBytes(cid, soon()), newBytes)
    const absent = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'
    assert.equal(await ipfs.has(absent, soon(2_000)), false)
    assert.equal(await ipfs.localBytes(absent, soon(2_000)), 0)
    await assert.rejects(ipfs.pin(absent, soon(2_000)), code('not_found'))
  })

  check('what is pinned outlives a collection, what is not is gone, and shared blocks stay', async (ipfs) => {
    const shared = { path: 'shared', content: randomBytes(2_000_000) }
    const one = await ipfs.addFolder([shared, { path: 'one', content: randomBytes(1_000_000) }], { signal: soon() })
    const two = await ipfs.addFolder([shared, { path: 'two', content: randomBytes(1_000_000) }], { signal: soon() })
    assert.deepEqual(await ipfs.pins(soon()), [one.cid, two.cid].sort())
    await ipfs.unpin(two.cid, soon())
    await ipfs.unpin(two.cid, soon())
    const freed = await ipfs.collectGarbage(soon())
    assert.ok(freed >= 1_000_000 && freed < 1_900_000, String(freed))
    assert.equal(await ipfs.has(one.cid, soon()), true)
    assert.equal(await ipfs.has(two.cid, soon()), false)
  })

  check('a fired signal ends an add, a cat and a fetch', async (ipfs) => {
    const stop = new AbortController()
    async function* endless() {
      for (let i = 0; ; i++) {
        if (i === 5) stop.abort()
        yield await Promise.resolve(randomBytes(100_000))
      }
    }
    await assert.rejects(ipfs.addFolder([{ path: 'a', content: endless() }], { signal: stop.signal }))
    const fired = AbortSignal.abort()
    await assert.rejects(ipfs.fetch(SAMPLE_CID, { signal: fired }), code('cancelled'))
    await assert.rejects(all(ipfs.cat(SAMPLE_CID, { signal: fired, maxBytes: 10 })), code('cancelled'))
  })
}
