import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { billOf, receiptChecker, signReceipts, STATUS, zSignedReceipt } from '../../src/core/receipt.ts'
import type { SignedReceipt } from '../../src/core/receipt.ts'
import { makeSigner, recover } from '../../src/core/signature.ts'
import { fromHex, keccak, keccakText, makeDomain, receiptHash, receiptsDigest, toHex } from '../../src/core/typed.ts'
import type { Price } from '../../src/core/tariff.ts'
import type { Receipt } from '../../src/core/typed.ts'
import { NATIVE } from '../../src/core/units.ts'
import type { Hex } from '../../src/core/units.ts'
import { toWire } from '../../src/core/wire.ts'
import { receipt as anyReceipt } from './arbitraries.ts'

const DOMAIN = makeDomain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3')
const HOST = makeSigner(keccak(Buffer.from('host')))
const PRICE: Price = { token: NATIVE, hostAmount: 100n, developerAmount: 7n, maxSeconds: 60 }

function receiptOf(i: number): Receipt {
  const named = (what: string): Hex => keccakText(`${what} ${i}`)
  return {
    channelId: named('channel'),
    jobHash: named('job'),
    taskId: named('task'),
    inputHash: named('input'),
    outputHash: named('output'),
    status: STATUS.answered,
    hostAmount: BigInt(i),
    developerAmount: 7n,
    startedAt: 1000 + i,
    endedAt: 2000 + i,
  }
}

function batch(size: number): SignedReceipt[] {
  return signReceipts(
    DOMAIN,
    HOST,
    Array.from({ length: size }, (_, i) => receiptOf(i)),
  )
}

function accepts(signed: SignedReceipt, host: Hex = HOST.address): boolean {
  return receiptChecker(DOMAIN, host)(signed)
}

test('batches of 1 to 300 receipts: every receipt proves itself, alone and in a row, under one signature', () => {
  for (let size = 1; size <= 300; size++) {
    const signed = batch(size)
    const check = receiptChecker(DOMAIN, HOST.address)
    assert.ok(signed.every(check), `a batch of ${size}`)
    assert.equal(new Set(signed.map((s) => s.signature)).size, 1)
    assert.ok(signed.every((s) => s.proof.length <= Math.ceil(Math.log2(size))))
    const some = signed[(size * 7) % size]
    assert.ok(some !== undefined && accepts(some))
  }
  assert.deepEqual(signReceipts(DOMAIN, HOST, []), [])
})

test('what is signed survives the wire', () => {
  for (const one of batch(5)) {
    const back = zSignedReceipt.parse(JSON.parse(JSON.stringify(toWire(one))))
    assert.deepEqual(back, one)
    assert.ok(accepts(back))
  }
})

test('every field of a receipt, every word of its proof and the signature are held by the proof', () => {
  const signed = batch(6)
  for (const one of signed) {
    const { receipt, proof } = one
    for (const [name, value] of Object.entries(receipt)) {
      const changed = typeof value === 'string' ? flip(value) : typeof value === 'bigint' ? value + 1n : value + 1
      assert.equal(accepts({ ...one, receipt: { ...receipt, [name]: changed } }), false, name)
    }
    proof.forEach((word, i) => assert.equal(accepts({ ...one, proof: proof.with(i, flip(word)) }), false, `proof ${i}`))
    assert.equal(accepts({ ...one, proof: proof.slice(1) }), false, 'a shorter path')
    assert.equal(accepts({ ...one, proof: [...proof, ...proof] }), false, 'a longer path')
    assert.equal(accepts({ ...one, signature: flip(one.signature) }), false)
    assert.equal(accepts(one, makeSigner(keccak(Buffer.from('another'))).address), false, 'another host')
    assert.equal(receiptChecker(makeDomain(1, DOMAIN.channels), HOST.address)(one), false, 'another chain')
  }
})

test('a receipt cannot borrow the proof or the signature of another batch', () => {
  const [a] = batch(4)
  const [b] = signReceipts(DOMAIN, HOST, [receiptOf(9), receiptOf(10)])
  assert.ok(a !== undefined && b !== undefined)
  assert.equal(accepts({ ...a, signature: b.signature }), false)
  assert.equal(accepts({ ...a, proof: b.proof }), false)
  assert.equal(accepts({ ...a, receipt: b.receipt }), false)
})

test('second preimage: an inner node is no leaf, because a leaf hashes 352 bytes and a node 64', () => {
  const [left, right] = [receiptHash(receiptOf(0)), receiptHash(receiptOf(1))]
  const pair = [left, right].sort((a, b) => Buffer.compare(a, b))
  const [one] = batch(2)
  assert.ok(one !== undefined)
  const root = keccak(Buffer.concat(pair))
  assert.equal(recover(receiptsDigest(DOMAIN, root), one.signature), HOST.address, 'the tree is the one described')
  assert.notEqual(toHex(root), toHex(receiptHash(receiptOf(0))))
  assert.equal(accepts({ ...one, proof: [] }), false, 'a leaf is not its own root')
  fc.assert(
    fc.property(anyReceipt, (forged) => {
      assert.notEqual(toHex(receiptHash(forged)), toHex(root))
      assert.equal(accepts({ ...one, receipt: forged }), false)
      assert.equal(accepts({ ...one, receipt: forged, proof: [] }), false)
    }),
    { numRuns: 200 },
  )
})

test('a checker that has seen a good receipt does not wave a bad one through', () => {
  const check = receiptChecker(DOMAIN, HOST.address)
  const [first, second, third] = batch(3)
  assert.ok(first !== undefined && second !== undefined && third !== undefined)
  assert.equal(check(first), true)
  assert.equal(check({ ...second, receipt: { ...second.receipt, hostAmount: 99n } }), false)
  assert.equal(check({ ...second, signature: flip(second.signature) }), false)
  assert.equal(check(third), true)
})

test('the same job twice in a batch proves itself twice', () => {
  const signed = signReceipts(DOMAIN, HOST, [receiptOf(1), receiptOf(1), receiptOf(2)])
  assert.ok(signed.every(receiptChecker(DOMAIN, HOST.address)))
})

test('the schema refuses a path that is too long, amounts as numbers and states that do not exist', () => {
  const [one] = batch(1)
  assert.ok(one !== undefined)
  const wire = JSON.parse(JSON.stringify(toWire(one))) as { receipt: object; proof: string[]; signature: string }
  assert.equal(zSignedReceipt.safeParse(wire).success, true)
  const word = toHex(keccak(Buffer.from('w')))
  assert.equal(zSignedReceipt.safeParse({ ...wire, proof: Array.from({ length: 17 }, () => word) }).success, false)
  const changes = [
    { status: 0 },
    { status: 5 },
    { hostAmount: 1 },
    { hostAmount: '-1' },
    { hostAmount: 'junk' },
    { startedAt: -1 },
    { outputHash: '0x' },
    { extra: 1 },
  ]
  for (const change of changes) {
    assert.equal(
      zSignedReceipt.safeParse({ ...wire, receipt: { ...wire.receipt, ...change } }).success,
      false,
      JSON.stringify(change),
    )
  }
})

test('the bill: what each end of a job may cost, and what is too much', () => {
  type Row = [keyof typeof STATUS, bigint, bigint, { jobs: number } | undefined]
  const rows: Row[] = [
    ['answered', 100n, 7n, { jobs: 1 }],
    ['answered', 0n, 7n, { jobs: 1 }],
    ['answered', 101n, 7n, undefined],
    ['answered', 100n, 8n, undefined],
    ['answered', 100n, 6n, undefined],
    ['answered', 100n, 0n, undefined],
    ['task_failed', 100n, 0n, { jobs: 0 }],
    ['task_failed', 0n, 0n, { jobs: 0 }],
    ['task_failed', 100n, 7n, undefined],
    ['task_failed', 101n, 0n, undefined],
    ['host_failed', 0n, 0n, { jobs: 0 }],
    ['host_failed', 1n, 0n, undefined],
    ['host_failed', 0n, 7n, undefined],
    ['cancelled', 50n, 0n, { jobs: 0 }],
    ['cancelled', 101n, 0n, undefined],
    ['cancelled', 50n, 7n, undefined],
  ]
  for (const [status, hostAmount, developerAmount, bill] of rows) {
    const receipt = { ...receiptOf(1), status: STATUS[status], hostAmount, developerAmount }
    const name = `${status} ${hostAmount} + ${developerAmount}`
    if (bill === undefined)
      assert.throws(
        () => billOf(receipt, PRICE),
        { code: 'not_verified', message: /agreed were at most 100 \+ 7/ },
        name,
      )
    else assert.deepEqual(billOf(receipt, PRICE), { jobs: bill.jobs, hostAmount, developerAmount }, name)
  }
})

test('no bill is ever above the price', () => {
  fc.assert(
    fc.property(
      anyReceipt,
      fc.bigInt({ min: 0n, max: 2n ** 96n }),
      fc.bigInt({ min: 0n, max: 2n ** 96n }),
      (receipt, hostAmount, developerAmount) => {
        try {
          const bill = billOf(receipt, { token: NATIVE, hostAmount, developerAmount, maxSeconds: 1 })
          assert.ok(bill.hostAmount <= hostAmount && bill.developerAmount <= developerAmount && bill.jobs <= 1)
        } catch (error) {
          assert.ok(error instanceof Error && 'code' in error && error.code === 'not_verified')
        }
      },
    ),
    { numRuns: 5000 },
  )
})

/** Another value of the same form: the last hex digit is changed. */
function flip(word: Hex): Hex {
  const bytes = Uint8Array.from(fromHex(word))
  bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
  return toHex(bytes)
}
