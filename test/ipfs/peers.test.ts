/** Fetching from other nodes: honest ones in another process, and ones that lie, dawdle or send endless trees. */
import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Libp2p, Stream } from '@libp2p/interface'
import { parseCid } from '../../src/ipfs/dag.ts'
import { readFrames, writeFrame } from '../../src/ipfs/frames.ts'
import { askBlocks, BLOCKS_PROTOCOL } from '../../src/ipfs/protocol.ts'
import { soon, startHelia, startLibp2p } from '../support/ipfs.ts'
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

/** A peer that speaks our protocol its own way; resolves to its address. */
async function stranger(t: TestContext, answer: (stream: Stream) => Promise<void>): Promise<string> {
  const libp2p = await startLibp2p()
  t.after(() => libp2p.stop())
  // What a stranger's own code does when its peer hangs up is not under test.
  await libp2p.handle(BLOCKS_PROTOCOL, (stream) => void answer(stream).catch(() => {}))
  return libp2p.getMultiaddrs()[0]?.toString() ?? ''
}

const REQUESTS = { frameBytes: 4096, unreadBytes: 65_536 }
const PATIENCE = { stallMs: 1_000, graceMs: 1_000, minBytesPerSecond: 100_000 }
const ABSENT = 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi'

async function answerEach(stream: Stream, answer: () => unknown): Promise<void> {
  const requests = readFrames(stream, REQUESTS, soon())
  while ((await requests.next()).done !== true) await answer()
}

const liars: Record<string, (stream: Stream) => Promise<void>> = {
  'other bytes': async (stream) => {
    await answerEach(stream, () => writeFrame(stream, randomBytes(1000), soon()))
  },
  'that it has nothing': async (stream) => {
    await answerEach(stream, () => writeFrame(stream, undefined, soon()))
  },
  'a frame over the limit': async (stream) => {
    await answerEach(stream, () => stream.send(Buffer.from([0x7f, 0xff, 0xff, 0xff])))
  },
  'half a frame and goodbye': async (stream) => {
    stream.send(Buffer.from([0, 0, 1, 0, 1, 2]))
    await stream.close()
  },
  'more than was asked for': async (stream) => {
    for (let i = 0; i < 100 && stream.status === 'open'; i++) await writeFrame(stream, randomBytes(2 * MIB), soon())
  },
  'a reset': (stream) => Promise.resolve(stream.abort(new Error('no'))),
}

for (const [lie, answer] of Object.entries(liars)) {
  test(`a provider that answers ${lie} is left, and the content comes from others`, { timeout: 60_000 }, async (t) => {
    const [honest, ours, address] = await Promise.all([startHelia(t), startHelia(t), stranger(t, answer)])
    const added = await honest.ipfs.addFolder([{ path: 'a', content: randomBytes(2 * MIB) }], { signal: soon() })
    const providers = [address, honest.address]
    const fetched = await ours.ipfs.fetch(added.cid, { signal: soon(), providers })
    assert.equal(fetched.bytes, added.newBytes)
    assert.equal(fetched.streamedBytes, 0)
    assert.equal(await ours.ipfs.has(added.cid, soon()), true)
  })
}

test(
  'a provider that says nothing is given up after the stall limit, with the CID and a cure',
  { timeout: 30_000 },
  async (t) => {
    const address = await stranger(t, () => new Promise(() => {}))
    const { ipfs } = await startHelia(t, { patience: { ...PATIENCE, graceMs: 60_000 } })
    await assert.rejects(ipfs.fetch(ABSENT, { signal: soon(), providers: [address] }), {
      code: 'ipfs_unreachable',
      message: new RegExp(`${ABSENT}.*nothing came for 1000 ms`),
      cure: /bootstrap peer/,
    })
  },
)

test(
  'a provider that drips is left for its rate, and the content comes from others',
  { timeout: 30_000 },
  async (t) => {
    const theirs = await startHelia(t)
    const files = Array.from({ length: 400 }, (_, i) => ({ path: String(i), content: randomBytes(500) }))
    const { cid, newBytes } = await theirs.ipfs.addFolder(files, { signal: soon() })
    const { ipfs } = await startHelia(t, { patience: { ...PATIENCE, stallMs: 20_000, minBytesPerSecond: 10_000 } })
    const relay = await startLibp2p()
    t.after(() => relay.stop())
    const address = await stranger(t, (stream) => drip(stream, relay, theirs.address))
    const fetched = await ipfs.fetch(cid, { signal: soon(), providers: [address, theirs.address] })
    assert.equal(fetched.bytes, newBytes)
    const dripped = fetched.streamedBytes / 500
    assert.ok(dripped > 2 && dripped < 100, `${dripped} of 400 files came from the one that drips`)
  },
)

test('where there is only one that drips, its rate is what is said', { timeout: 30_000 }, async (t) => {
  const { ipfs } = await startHelia(t, { patience: { ...PATIENCE, stallMs: 60_000 } })
  const address = await stranger(t, () => new Promise(() => {}))
  await assert.rejects(ipfs.fetch(ABSENT, { signal: soon(), providers: [address] }), {
    code: 'ipfs_unreachable',
    message: /it comes at 0 bytes a second, 100000 are needed/,
  })
})

/** Answers rightly, with what it gets from another, but one block every tenth of a second. */
async function drip(stream: Stream, libp2p: Libp2p, source: string): Promise<void> {
  for await (const frame of readFrames(stream, REQUESTS, soon())) {
    const [kind, ...cids] = Buffer.concat(frame ?? [])
      .toString()
      .split('\n')
    const [root, ...more] = cids.map(parseCid)
    if (root === undefined) return
    const request = kind === 'nodes' ? { nodes: root } : { blocks: [root, ...more] }
    for await (const block of askBlocks(libp2p, source, request, soon())) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      await writeFrame(stream, Buffer.concat(block ?? []), soon())
    }
  }
  await stream.close()
}

test('a block damaged on disk is noticed and fetched again', { timeout: 30_000 }, async (t) => {
  const theirs = await publisher(t, 2 * MIB)
  const { ipfs, home } = await startHelia(t)
  const providers = [theirs.address]
  await ipfs.fetch(theirs.first, { signal: soon(), providers })
  const files = (await readdir(join(home, 'blocks'), { recursive: true })).filter((name) => name.endsWith('.data'))
  for (const name of files) {
    const bytes = await readFile(join(home, 'blocks', name))
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    await writeFile(join(home, 'blocks', name), bytes)
  }
  const again = await ipfs.fetch(theirs.first, { signal: soon(), providers })
  assert.equal(again.bytes, again.fetchedBytes)
  assert.equal((await ipfs.fetch(theirs.first, { signal: soon() })).fetchedBytes, 0)
})

const requests: [string, Buffer][] = [
  ['nonsense', Buffer.from('give me all')],
  ['no CID', Buffer.from('nodes\n')],
  ['a CID that is none', Buffer.from('blocks\nnonsense')],
  ['too many CIDs', Buffer.from(`blocks\n${Array.from({ length: 5 }, () => ABSENT).join('\n')}`)],
  ['a frame over the limit', Buffer.alloc(4096, 'x')],
]

for (const [what, frame] of requests) {
  test(`a request with ${what} is answered with a reset, and the server goes on`, { timeout: 30_000 }, async (t) => {
    const { libp2p: server, ipfs } = await startHelia(t)
    const { cid } = await ipfs.addFolder([{ path: 'a', content: randomBytes(100) }], { signal: soon() })
    const client = await startLibp2p()
    t.after(() => client.stop())
    const stream = await client.dialProtocol(server.getMultiaddrs(), BLOCKS_PROTOCOL)
    await writeFrame(stream, frame, soon())
    await assert.rejects(readFrames(stream, REQUESTS, soon(5_000)).next(), /reset|closed/i)
    const address = server.getMultiaddrs()[0]?.toString() ?? ''
    const answers = []
    for await (const block of askBlocks(client, address, { nodes: parseCid(cid) }, soon())) answers.push(block)
    assert.equal(answers.length, 1)
  })
}
