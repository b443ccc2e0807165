import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { base36 } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { cidOf, taskIdOf } from '../../src/core/cid.ts'
import { fromHex } from '../../src/core/typed.ts'
import { zCid } from '../../src/core/units.ts'
import { hash } from './arbitraries.ts'

const [DAG_PB, RAW, SHA2_256, SHA2_512, IDENTITY] = [0x70, 0x55, 0x12, 0x13, 0x00]

test('task id → CID → task id is the same, and the CID is one that every wire takes', () => {
  fc.assert(
    fc.property(hash, (taskId) => {
      const cid = cidOf(taskId)
      assert.equal(taskIdOf(cid), taskId)
      assert.equal(zCid.safeParse(cid).success, true)
      assert.equal(CID.parse(cid).toString(), cid)
    }),
  )
})

test('a known folder', () => {
  const empty = 'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354'
  assert.equal(cidOf(taskIdOf(empty)), empty)
  assert.equal(taskIdOf(empty), '0x59948439065f29619ef41280cbb932be52c56d99c5966b65e0111239f098bbef')
})

test('only a folder CID of version 1 with a whole sha2-256 digest names a task', () => {
  const digest = new Uint8Array(32).fill(7)
  const bad = [
    CID.createV1(RAW, Digest.create(SHA2_256, digest)).toString(),
    CID.createV1(DAG_PB, Digest.create(SHA2_512, new Uint8Array(64))).toString(),
    CID.createV1(DAG_PB, Digest.create(IDENTITY, digest)).toString(),
    CID.createV1(DAG_PB, Digest.create(SHA2_256, digest.subarray(0, 20))).toString(),
    CID.createV1(DAG_PB, Digest.create(SHA2_256, new Uint8Array(33))).toString(),
    CID.createV1(DAG_PB, Digest.create(SHA2_256, new Uint8Array(0))).toString(),
    CID.createV0(Digest.create(0x12, digest)).toString(),
    '',
    'b',
    'not a cid',
    '/ipfs/bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354',
    'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf35',
    'bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf3544',
    'BAFYBEICZSSCDSBS7FFQZ55ASQDF3SMV6KLCW3GOFSZVWLYARCI47BGF354',
    'b'.repeat(1_000_000),
  ]
  for (const text of bad) assert.throws(() => taskIdOf(text), { code: 'bad_input' }, text.slice(0, 80))
})

test('a text in base32 that names a task is the one text that names it', () => {
  const cid = cidOf(`0x${'5a'.repeat(32)}`)
  for (const last of 'abcdefghijklmnopqrstuvwxyz234567') {
    const text = cid.slice(0, -1) + last
    let taskId
    try {
      taskId = taskIdOf(text)
    } catch {
      // Refused, which is one of the two good answers.
      continue
    }
    assert.equal(cidOf(taskId), text)
  }
})

test('other alphabets of the same CID lead to the same task', () => {
  const taskId = `0x${'5a'.repeat(32)}` as const
  const cid = CID.createV1(DAG_PB, Digest.create(SHA2_256, fromHex(taskId)))
  for (const text of [cid.toString(base58btc), cid.toString(base36)]) assert.equal(taskIdOf(text), taskId)
})
