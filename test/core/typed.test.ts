import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hexlify, keccak256, toUtf8Bytes, TypedDataEncoder } from 'ethers'
import type { TypedDataField } from 'ethers'
import fc from 'fast-check'
import {
  channelIdOf,
  fromHex,
  keccak,
  keccakText,
  makeDomain,
  offerDigest,
  quoteDigest,
  receiptHash,
  receiptsDigest,
  releaseDigest,
  sessionDigest,
  toHex,
  voucherDigest,
} from '../../src/core/typed.ts'
import { MAX_AMOUNT } from '../../src/core/units.ts'
import { address, amount, count, hash, receipt, terms, voucher } from './arbitraries.ts'

const RUNS = { numRuns: 10_000 }
const MARKET = makeDomain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3')

/** `bytes32 channelId, uint96 claimed` as ethers wants it. */
function fields(text: string): TypedDataField[] {
  return text.split(',').map((field) => {
    const [type = '', name = ''] = field.trim().split(' ')
    return { type, name }
  })
}

function ethersDigest(
  domain: { chainId: number; channels: string },
  name: string,
  types: string,
  value: object,
): string {
  const d = { name: 'MECA', version: '1', chainId: domain.chainId, verifyingContract: domain.channels }
  return TypedDataEncoder.hash(d, { [name]: fields(types) }, value)
}

const VOUCHER = 'bytes32 channelId, bytes32 taskId, uint64 jobs, uint96 hostAmount, uint96 developerAmount'
const CHANNEL = 'address client, address signer, address host, address token, uint64 closeDelay, bytes32 salt'
const RECEIPT =
  'bytes32 channelId, bytes32 jobHash, bytes32 taskId, bytes32 inputHash, bytes32 outputHash, uint8 status, ' +
  'uint96 hostAmount, uint96 developerAmount, uint64 startedAt, uint64 endedAt'

test('P22 voucher digests equal ethers for every voucher', () => {
  fc.assert(
    fc.property(voucher, (v) => toHex(voucherDigest(MARKET, v)) === ethersDigest(MARKET, 'Voucher', VOUCHER, v)),
    RUNS,
  )
})

test('P3 channel ids equal ethers for all terms', () => {
  fc.assert(
    fc.property(terms, ({ closeDelaySeconds, ...t }) => {
      const value = { ...t, closeDelay: closeDelaySeconds }
      return channelIdOf(MARKET, { ...t, closeDelaySeconds }) === ethersDigest(MARKET, 'Channel', CHANNEL, value)
    }),
    RUNS,
  )
})

test('receipt hashes equal ethers for every receipt', () => {
  const types = { Receipt: fields(RECEIPT) }
  fc.assert(
    fc.property(receipt, (r) => toHex(receiptHash(r)) === TypedDataEncoder.hashStruct('Receipt', types, r)),
    RUNS,
  )
})

test('release, receipts, session, offer and quote digests equal ethers', () => {
  fc.assert(
    fc.property(
      hash,
      amount,
      fc.string({ unit: 'binary' }),
      fc.string(),
      count,
      (id, claimed, text, peer, issuedAt) => {
        const body = { body: keccak256(Buffer.from(text, 'utf8')) }
        assert.equal(
          toHex(releaseDigest(MARKET, id, claimed)),
          ethersDigest(MARKET, 'Release', 'bytes32 channelId, uint96 claimed', { channelId: id, claimed }),
        )
        assert.equal(
          toHex(receiptsDigest(MARKET, fromHex(id))),
          ethersDigest(MARKET, 'Receipts', 'bytes32 root', { root: id }),
        )
        assert.equal(toHex(offerDigest(MARKET, text)), ethersDigest(MARKET, 'Offer', 'bytes32 body', body))
        assert.equal(toHex(quoteDigest(MARKET, text)), ethersDigest(MARKET, 'Quote', 'bytes32 body', body))
        const session = { channelId: id, clientPeer: keccak256(toUtf8Bytes(peer)), hostPeer: body.body, issuedAt }
        assert.equal(
          toHex(sessionDigest(MARKET, { channelId: id, clientPeer: peer, hostPeer: text, issuedAt })),
          ethersDigest(
            MARKET,
            'Session',
            'bytes32 channelId, bytes32 clientPeer, bytes32 hostPeer, uint64 issuedAt',
            session,
          ),
        )
      },
    ),
    RUNS,
  )
})

test('P1 P2 the domain carries chain and contract as ethers has it', () => {
  fc.assert(
    fc.property(count, address, voucher, (chainId, channels, v) => {
      const domain = makeDomain(chainId, channels)
      assert.equal(
        toHex(domain.separator),
        TypedDataEncoder.hashDomain({ name: 'MECA', version: '1', chainId, verifyingContract: channels }),
      )
      assert.equal(toHex(voucherDigest(domain, v)), ethersDigest(domain, 'Voucher', VOUCHER, v))
    }),
    { numRuns: 2000 },
  )
})

test('I10 a digest changes with the chain, the contract and every field', () => {
  const other = '0x00000000000000000000000000000000000000ff'
  fc.assert(
    fc.property(voucher, hash, fc.nat(1000), (v, otherHash, n) => {
      const mine = toHex(voucherDigest(MARKET, v))
      const others = [
        voucherDigest(makeDomain(1, MARKET.channels), v),
        voucherDigest(makeDomain(MARKET.chainId, other), v),
        voucherDigest(MARKET, { ...v, jobs: v.jobs === n ? n + 1 : n }),
        voucherDigest(MARKET, { ...v, hostAmount: v.hostAmount ^ 1n }),
        voucherDigest(MARKET, { ...v, developerAmount: v.developerAmount ^ 1n }),
        ...(v.channelId === otherHash ? [] : [voucherDigest(MARKET, { ...v, channelId: otherHash })]),
        ...(v.taskId === otherHash ? [] : [voucherDigest(MARKET, { ...v, taskId: otherHash })]),
        ...(v.hostAmount === v.developerAmount
          ? []
          : [voucherDigest(MARKET, { ...v, hostAmount: v.developerAmount, developerAmount: v.hostAmount })]),
      ].map(toHex)
      assert.ok(!others.includes(mine))
      assert.equal(new Set(others).size, others.length)
    }),
    { numRuns: 1000 },
  )
})

test('an offer and a quote of the same text are different things to sign', () => {
  assert.notEqual(toHex(offerDigest(MARKET, '{}')), toHex(quoteDigest(MARKET, '{}')))
  assert.notEqual(toHex(offerDigest(MARKET, 'é')), toHex(offerDigest(MARKET, 'e\u0301')), 'bytes count, not looks')
})

test('I21 an amount that the contracts cannot carry is never signed', () => {
  const v = {
    channelId: toHex(new Uint8Array(32)),
    taskId: toHex(new Uint8Array(32)),
    jobs: 1,
    hostAmount: 0n,
    developerAmount: 0n,
  }
  for (const bad of [-1n, MAX_AMOUNT + 1n, 2n ** 256n, 2n ** 300n]) {
    assert.throws(() => voucherDigest(MARKET, { ...v, hostAmount: bad }), { code: 'internal' })
    assert.throws(() => voucherDigest(MARKET, { ...v, developerAmount: bad }), { code: 'internal' })
  }
  for (const bad of [-1, 0.5, NaN, Infinity])
    assert.throws(() => voucherDigest(MARKET, { ...v, jobs: bad }), RangeError)
})

test('hashes and hex agree with ethers, on views into larger buffers too', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(20), (bytes, skip) => {
      const view = bytes.subarray(Math.min(skip, bytes.length))
      assert.equal(toHex(keccak(view)), keccak256(view))
      assert.equal(toHex(view), hexlify(view))
      assert.deepEqual(Uint8Array.from(fromHex(toHex(view))), Uint8Array.from(view))
    }),
  )
  assert.equal(keccakText('job-1'), keccak256(toUtf8Bytes('job-1')))
})
