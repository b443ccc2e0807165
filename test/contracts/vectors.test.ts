/** The digests and signatures of src/core against ethers' opinion in vectors.json; Vectors.t.sol does the same for Solidity. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { makeVectors } from '../../scripts/contracts-vectors.ts'
import { receiptChecker } from '../../src/core/receipt.ts'
import { makeSigner, recover } from '../../src/core/signature.ts'
import * as typed from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'
import { openDigest } from '../../src/chain/token.ts'

type Signed<T> = { value: T; digest: Hex; signature: Hex }
type Text = { text: string; digest: Hex; signature: Hex }
type Amounts = { hostAmount: string; developerAmount: string }
type Case = {
  chainId: number
  channels: Hex
  privateKey: Hex
  separator: Hex
  channel: Signed<{ client: Hex; signer: Hex; host: Hex; token: Hex; closeDelay: string; salt: Hex }>
  open: Signed<{ amount: string }>
  voucher: Signed<{ taskId: Hex; jobs: string } & Amounts>
  release: Signed<{ claimed: string }>
  receipt: {
    value: { jobHash: Hex; taskId: Hex; inputHash: Hex; outputHash: Hex; status: number } & Amounts & {
        startedAt: string
        endedAt: string
      }
    hash: Hex
  }
  receipts: Signed<{ root: Hex }>
  session: { peers: { clientPeer: string; hostPeer: string } } & Signed<{ issuedAt: string }>
  offer: Text
  quote: Text
}

const file = readFileSync(join(import.meta.dirname, 'vectors.json'), 'utf8')
const { cases } = JSON.parse(file) as { cases: Case[] }

test('vectors.json is what ethers says today', async () => {
  assert.equal(await makeVectors(), file)
})

cases.forEach((c, index) => {
  test(`P22 I22 golden vector ${index}: every digest and signature of src/core`, () => {
    const domain = typed.makeDomain(c.chainId, c.channels)
    const signer = makeSigner(typed.fromHex(c.privateKey))
    const check = (digest: Uint8Array, wanted: { digest: Hex; signature: Hex }) => {
      assert.equal(typed.toHex(digest), wanted.digest)
      assert.equal(signer.sign(digest), wanted.signature)
      assert.equal(recover(digest, wanted.signature), signer.address)
    }
    const { closeDelay, ...rest } = c.channel.value
    const channelId = typed.channelIdOf(domain, { ...rest, closeDelaySeconds: Number(closeDelay) })
    assert.equal(typed.toHex(domain.separator), c.separator)
    assert.equal(channelId, c.channel.digest)
    check(openDigest(domain, channelId, BigInt(c.open.value.amount)), c.open)
    const voucher = { channelId, ...c.voucher.value, jobs: Number(c.voucher.value.jobs), ...amounts(c.voucher.value) }
    check(typed.voucherDigest(domain, voucher), c.voucher)
    check(typed.releaseDigest(domain, channelId, BigInt(c.release.value.claimed)), c.release)
    const { startedAt, endedAt } = c.receipt.value
    const times = { startedAt: Number(startedAt), endedAt: Number(endedAt) }
    const receipt = { channelId, ...c.receipt.value, ...amounts(c.receipt.value), ...times }
    assert.equal(typed.toHex(typed.receiptHash(receipt)), c.receipt.hash)
    check(typed.receiptsDigest(domain, typed.fromHex(c.receipt.hash)), c.receipts)
    assert.ok(receiptChecker(domain, signer.address)({ receipt, proof: [], signature: c.receipts.signature }))
    const issuedAt = Number(c.session.value.issuedAt)
    check(typed.sessionDigest(domain, { channelId, ...c.session.peers, issuedAt }), c.session)
    check(typed.offerDigest(domain, c.offer.text), c.offer)
    check(typed.quoteDigest(domain, c.quote.text), c.quote)
  })
})

function amounts({ hostAmount, developerAmount }: Amounts) {
  return { hostAmount: BigInt(hostAmount), developerAmount: BigInt(developerAmount) }
}
