import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { recoverAddress, Signature, SigningKey, verifyTypedData, Wallet } from 'ethers'
import fc from 'fast-check'
import native from 'secp256k1'
import { makeSigner, recover } from '../../src/core/signature.ts'
import { fromHex, keccak, makeDomain, toHex, voucherDigest } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { voucher } from './arbitraries.ts'

/** The package's other half has no types of its own. */
const elliptic = createRequire(import.meta.url)('secp256k1/elliptic.js') as typeof native

const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const FIELD = 2n ** 256n - 2n ** 32n - 977n

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 })
const key = fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((k) => native.privateKeyVerify(k))
const scalar = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }),
  fc.constantFrom(
    0n,
    1n,
    ORDER / 2n,
    ORDER / 2n + 1n,
    ORDER - 1n,
    ORDER,
    ORDER + 1n,
    FIELD - ORDER,
    FIELD - 1n,
    FIELD,
    2n ** 256n - 1n,
  ),
)

/** The rule of design.md 4, written down without looking at the code that keeps it. */
function wanted(hash: Uint8Array, signature: Uint8Array): string | undefined {
  if (signature.length !== 65) return undefined
  const [v, s] = [signature[64], BigInt(toHex(signature.subarray(32, 64)))]
  if ((v !== 27 && v !== 28) || s > ORDER / 2n) return undefined
  try {
    return recoverAddress(hash, toHex(signature)).toLowerCase()
  } catch {
    return undefined
  }
}

function word(n: bigint): Uint8Array {
  return fromHex(`0x${n.toString(16).padStart(64, '0')}`)
}

test('signatures are those of ethers, byte for byte', () => {
  fc.assert(
    fc.property(key, digest, (k, hash) => {
      const signer = makeSigner(k)
      assert.equal(signer.address, new Wallet(toHex(k)).address.toLowerCase())
      assert.equal(signer.sign(hash), new SigningKey(toHex(k)).sign(hash).serialized)
      assert.equal(recover(hash, signer.sign(hash)), signer.address)
    }),
    { numRuns: 500 },
  )
})

test('P5 what is accepted is what the rule says, on signatures made of arbitrary scalars', () => {
  fc.assert(
    fc.property(digest, scalar, scalar, fc.oneof(fc.constantFrom(27, 28), fc.nat(255)), (hash, r, s, v) => {
      const bytes = Buffer.concat([word(r), word(s), Buffer.from([v])])
      assert.equal(recover(hash, toHex(bytes)), wanted(hash, bytes))
    }),
    { numRuns: 2000 },
  )
})

test('P5 what is accepted is what the rule says, with one byte of a good signature changed', () => {
  const signer = makeSigner(keccak(Buffer.from('mutations')))
  const hash = keccak(Buffer.from('what is signed'))
  const good = fromHex(signer.sign(hash))
  for (let at = 0; at < 65; at++) {
    for (const change of at === 64 ? Array.from({ length: 256 }, (_, i) => i) : [1, 0x80, 0xff]) {
      const bytes = Uint8Array.from(good)
      bytes[at] = at === 64 ? change : (bytes[at] ?? 0) ^ change
      const got = recover(hash, toHex(bytes))
      assert.equal(got, wanted(hash, bytes), `byte ${at}`)
      if (Buffer.compare(bytes, good) !== 0) assert.notEqual(got, signer.address, `byte ${at}`)
    }
  }
})

test('P5 forms that ethers takes and the contracts do not are no signatures here', () => {
  const wallet = new Wallet(toHex(keccak(Buffer.from('forms'))))
  const hash = keccak(Buffer.from('form'))
  const good = wallet.signingKey.sign(hash)
  const yParity = `${good.serialized.slice(0, 130)}0${good.yParity}` as Hex
  const taken: [string, string][] = [
    ['64 bytes compact', good.compactSerialized],
    ['v of 0 or 1', yParity],
  ]
  for (const [what, form] of taken) {
    assert.equal(recoverAddress(hash, form), wallet.address, `ethers takes ${what}`)
    assert.equal(recover(hash, form as Hex), undefined, what)
  }
  assert.equal(recover(hash, good.serialized as Hex), wallet.address.toLowerCase())
})

test('P5 the recovery ids that only v 29 and 30 could name are refused, where the library would recover a key', () => {
  const hash = keccak(Buffer.from('rare'))
  let recovered = 0
  for (let r = 1n; r <= 30n; r++) {
    for (const v of [29, 30]) {
      const bytes = Buffer.concat([word(r), word(7n), Buffer.from([v])])
      if (keyOf(native, bytes.subarray(0, 64), v - 27, hash) !== undefined) recovered++
      assert.equal(recover(hash, toHex(bytes)), undefined)
    }
  }
  assert.ok(recovered > 10, 'the library does recover such keys')
})

test('P4 the mirrored signature with a high s is refused', () => {
  const signer = makeSigner(keccak(Buffer.from('malleable')))
  for (let i = 0; i < 50; i++) {
    const hash = keccak(Buffer.from([i]))
    const { r, s, v } = Signature.from(signer.sign(hash))
    const mirrored = Buffer.concat([fromHex(r as Hex), word(ORDER - BigInt(s)), Buffer.from([v === 27 ? 28 : 27])])
    assert.equal(recover(hash, toHex(mirrored)), undefined)
  }
})

test('P23 every wrong length and every text that is not hex is refused, without throwing', () => {
  const signer = makeSigner(keccak(Buffer.from('lengths')))
  const hash = keccak(Buffer.from('length'))
  const good = signer.sign(hash)
  for (let length = 0; length < good.length; length++)
    assert.equal(recover(hash, good.slice(0, length) as Hex), undefined)
  for (const bad of [
    `${good}00`,
    `${good}0`,
    good.slice(2),
    `zz${good.slice(2)}`,
    `${good.slice(0, -1)}g`,
    `0X${good.slice(2)}`,
    `0x${'00'.repeat(65)}`,
    `0x${'ff'.repeat(65)}`,
    ' '.repeat(132),
  ]) {
    assert.equal(recover(hash, bad as Hex), undefined, bad)
  }
  for (const short of [0, 31, 33])
    assert.equal(recover(new Uint8Array(short), good), undefined, `a digest of ${short} bytes`)
})

test('a voucher signed here is one that ethers verifies, and the other way round', () => {
  const domain = makeDomain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3')
  const wallet = new Wallet(toHex(keccak(Buffer.from('both ways'))))
  const signer = makeSigner(fromHex(wallet.privateKey as Hex))
  const types = {
    Voucher: ['bytes32 channelId', 'bytes32 taskId', 'uint64 jobs', 'uint96 hostAmount', 'uint96 developerAmount'].map(
      field,
    ),
  }
  const named = { name: 'MECA', version: '1', chainId: domain.chainId, verifyingContract: domain.channels }
  fc.assert(
    fc.property(voucher, (v) => {
      const signature = signer.sign(voucherDigest(domain, v))
      assert.equal(verifyTypedData(named, types, v, signature), wallet.address)
      assert.equal(recover(voucherDigest(domain, v), signature), signer.address)
    }),
    { numRuns: 200 },
  )
})

test('a private key that is none is refused', () => {
  for (const bad of [new Uint8Array(32), word(ORDER), word(2n ** 256n - 1n), new Uint8Array(31), new Uint8Array(33)]) {
    assert.throws(() => makeSigner(bad))
  }
})

test('a signer keeps its own copy of the key', () => {
  const k = Uint8Array.from(keccak(Buffer.from('copy')))
  const signer = makeSigner(k)
  k.fill(1)
  const hash = keccak(Buffer.from('x'))
  assert.equal(recover(hash, signer.sign(hash)), signer.address)
})

test('the fallback without native code, which some machines use, recovers the same keys', () => {
  fc.assert(
    fc.property(digest, scalar, scalar, fc.constantFrom(0, 1), (hash, r, s, recid) => {
      const compact = Buffer.concat([word(r), word(s)])
      assert.deepEqual(keyOf(elliptic, compact, recid, hash), keyOf(native, compact, recid, hash))
    }),
    { numRuns: 300 },
  )
})

function keyOf(library: typeof native, signature: Uint8Array, recid: number, hash: Uint8Array): string | undefined {
  try {
    return toHex(library.ecdsaRecover(signature, recid, hash, false))
  } catch {
    return undefined
  }
}

function field(text: string): { type: string; name: string } {
  const [type = '', name = ''] = text.split(' ')
  return { type, name }
}
