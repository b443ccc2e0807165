/** Trees that no honest tool makes, and bytes that are no tree at all. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { MecaError } from '../../src/core/errors.ts'
import { DAG_PB, decodeNode, RAW } from '../../src/ipfs/dag.ts'
import { makeIpfs } from '../../src/ipfs/ipfs.ts'
import type { Blocks, Ipfs } from '../../src/ipfs/store.ts'
import { soon, startHelia } from '../support/ipfs.ts'

const RUNS = Number(process.env['MECA_FUZZ_RUNS'] ?? 2_000)

const varint = (value: number): number[] =>
  value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))]
const number = (field: number, value: number): Buffer => Buffer.from([...varint(field * 8), ...varint(value)])
const bytes = (field: number, value: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(value.length)]), value])
const cidOf = (block: Uint8Array, codec: number): CID =>
  CID.createV1(codec, create(0x12, createHash('sha256').update(block).digest()))

/** Blocks in memory that were never checked: what a stranger would send. */
class Forest implements Blocks {
  readonly kind = 'helia'
  readonly blocks = new Map<string, Uint8Array>()
  fetched = 0

  put(block: Uint8Array, codec = DAG_PB): CID {
    const cid = cidOf(block, codec)
    this.blocks.set(cid.toString(), block)
    return cid
  }

  link(cid: CID, name: string, size = 0): Buffer {
    return bytes(2, Buffer.concat([bytes(1, cid.bytes), bytes(2, Buffer.from(name)), number(3, size)]))
  }

  folder(entries: readonly (readonly [string, CID])[]): CID {
    const links = entries.map(([name, cid]) => this.link(cid, name))
    return this.put(Buffer.concat([...links, bytes(1, number(1, 1))]))
  }

  /** A file's node over these parts; `declared` is what it says of its whole length. */
  file(parts: readonly (readonly [CID, number])[], declared?: number, type = 2): CID {
    const total = declared ?? parts.reduce((sum, [, size]) => sum + size, 0)
    const unixfs = Buffer.concat([number(1, type), number(3, total), ...parts.map(([, size]) => number(4, size))])
    return this.put(Buffer.concat([...parts.map(([cid]) => this.link(cid, '')), bytes(1, unixfs)]))
  }

  read = (): Promise<undefined> => Promise.resolve(undefined)
  size = (): Promise<undefined> => Promise.resolve(undefined)
  connect = (): Promise<boolean> => Promise.resolve(false)
  provide = (): Promise<boolean> => Promise.resolve(false)
  pins = (): Promise<CID[]> => Promise.resolve([])
  sweep = (): Promise<number> => Promise.resolve(0)
  write = (): Promise<void> => Promise.resolve()
  pin = (): Promise<void> => Promise.resolve()
  unpin = (): Promise<void> => Promise.resolve()
  close = (): Promise<void> => Promise.resolve()

  async fetch(cid: CID): Promise<Uint8Array> {
    this.fetched++
    const block = this.blocks.get(cid.toString())
    return block === undefined ? await Promise.reject(new Error(`no ${cid}`)) : await Promise.resolve(block)
  }

  get ipfs(): Ipfs {
    return makeIpfs(this)
  }
}

const leaf = (forest: Forest, size: number): CID => forest.put(Buffer.alloc(size, 'x'), RAW)

type Case = { name: string; build: (forest: Forest) => CID; code: string; message: RegExp; most?: number }

const cases: Case[] = [
  {
    name: 'a folder in a folder, 40 deep',
    build: (f) => Array.from({ length: 40 }).reduce<CID>((inner) => f.folder([['d', inner]]), leaf(f, 1)),
    code: 'too_large',
    message: /more than 32 blocks deep/,
  },
  {
    name: 'a file in nodes with one child each, 40 deep',
    build: (f) => Array.from({ length: 40 }).reduce<CID>((inner) => f.file([[inner, 5]]), leaf(f, 5)),
    code: 'too_large',
    message: /more than 32 blocks deep/,
  },
  {
    name: 'a file that declares a petabyte',
    build: (f) => f.file([[leaf(f, 5), 2 ** 50]]),
    code: 'too_large',
    message: /a file of 1125899906842624 bytes/,
    most: 1,
  },
  {
    name: 'a length that is not the sum of its parts',
    build: (f) => f.file([[leaf(f, 5), 5]], 6),
    code: 'invalid_task',
    message: /add up to 5, not to 6/,
  },
  {
    name: 'more lengths than links',
    build: (f) => f.put(Buffer.concat([bytes(1, Buffer.concat([number(1, 2), number(3, 5), number(4, 5)]))])),
    code: 'invalid_task',
    message: /0 links but 1 lengths/,
  },
  { name: 'a sharded folder', build: (f) => f.file([], 0, 5), code: 'invalid_task', message: /type 5/ },
  { name: 'a symbolic link', build: (f) => f.file([], 0, 4), code: 'invalid_task', message: /type 4/ },
  { name: 'no UnixFS part', build: (f) => f.put(f.link(leaf(f, 1), 'a')), code: 'invalid_task', message: /no UnixFS part/ },
  { name: 'an entry called ..', build: (f) => f.folder([['..', leaf(f, 1)]]), code: 'invalid_task', message: /may not be called "\.\."/ },
  { name: 'an entry with a slash', build: (f) => f.folder([['a/b', leaf(f, 1)]]), code: 'invalid_task', message: /may not be called/ },
  { name: 'an entry without a name', build: (f) => f.folder([['', leaf(f, 1)]]), code: 'invalid_task', message: /may not be called ""/ },
  {
    name: 'two entries of one name',
    build: (f) => f.folder([['a', leaf(f, 1)], ['a', leaf(f, 2)]]),
    code: 'invalid_task',
    message: /two entries are called "a"/,
  },
  {
    name: 'a link of another hash',
    build: (f) => f.folder([['a', CID.createV1(RAW, create(0x13, new Uint8Array(64)))]]),
    code: 'invalid_task',
    message: /sha2-256/,
  },
  {
    name: 'a link that carries its content in the CID',
    build: (f) => f.folder([['a', CID.createV1(RAW, create(0, Buffer.from('hello')))]]),
    code: 'invalid_task',
    message: /sha2-256/,
  },
  {
    name: 'a block of 3 MiB',
    build: (f) => leaf(f, 3 * 2 ** 20),
    code: 'ipfs_unreachable',
    message: /not that block/,
  },
  {
    name: '9,000 links in one block',
    build: (f) => f.file(Array.from({ length: 9_000 }, () => [leaf(f, 0), 0])),
    code: 'invalid_task',
    message: /more than 8192 links/,
    most: 1,
  },
] // prettier-ignore

for (const { name, build, code, message, most } of cases) {
  test(`a fetch refuses ${name}`, async () => {
    const forest = new Forest()
    const root = build(forest)
    await assert.rejects(forest.ipfs.fetch(root.toString(), { signal: soon() }), { code, message })
    assert.ok(forest.fetched <= (most ?? 60), `${forest.fetched} blocks were fetched`)
  })
}

test('a tree of two blocks that unrolls to 2^31 leaves is fetched once and not unrolled', async () => {
  const forest = new Forest()
  let root = leaf(forest, 1)
  for (let i = 0; i < 30; i++) root = forest.folder([['a', root], ['b', root]]) // prettier-ignore
  const fetched = await forest.ipfs.fetch(root.toString(), { signal: soon() })
  assert.equal(fetched.blocks, 31)
  assert.equal(forest.fetched, 31)
})

test('a file whose part is shorter than its node says is refused while it is read', async () => {
  const forest = new Forest()
  const root = forest.file([[leaf(forest, 5), 5], [leaf(forest, 4), 6]]) // prettier-ignore
  await assert.rejects(forest.ipfs.read(root.toString(), { signal: soon(), maxBytes: 100 }), {
    code: 'invalid_task',
    message: /is named with 6 bytes and has 4/,
  })
})

test('a file of the same block over and over is read only up to what was allowed', async () => {
  const forest = new Forest()
  let root = leaf(forest, 2 ** 20)
  for (let i = 0, size = 2 ** 20; i < 20; i++, size *= 2) root = forest.file([[root, size], [root, size]]) // prettier-ignore
  await assert.rejects(forest.ipfs.read(root.toString(), { signal: soon(), maxBytes: 10 }), { code: 'too_large' })
  assert.equal(forest.fetched, 1)
})

test('G11 bytes that are no block are refused as such, never anything else', () => {
  const forest = new Forest()
  const right = Buffer.from(forest.blocks.get(forest.folder([['a', leaf(forest, 3)], ['b', forest.file([])]]).toString()) ?? []) // prettier-ignore
  const changed = fc
    .array(fc.tuple(fc.nat(right.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 })
    .map((edits) => edits.reduce((block, [at, value]) => block.with(at, value), new Uint8Array(right)))
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), changed), (block) => {
      try {
        decodeNode(cidOf(block, DAG_PB), block)
      } catch (error) {
        assert.ok(error instanceof MecaError && error.code === 'invalid_task', String(error))
      }
    }),
    { numRuns: RUNS },
  )
})

test('a fetch of everything leaves nothing under way', async (t: TestContext) => {
  const { ipfs } = await startHelia(t)
  const { cid } = await ipfs.addFolder([{ path: 'a', content: Buffer.from('a') }], { signal: soon() })
  await ipfs.unpin(cid, soon())
  await assert.rejects(ipfs.fetch(cid, { signal: soon(), maxBytes: 1 }), { code: 'too_large' })
  assert.ok((await ipfs.collectGarbage(soon())) > 0)
})
