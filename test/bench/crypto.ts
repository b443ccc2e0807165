/**
 * What the signatures in the path of a job cost, beside ethers in the same run: the ratio says more than the figure on
 * a machine that is shared. Goal of perf.md: checking a voucher costs at most a twentieth of `verifyTypedData`.
 */
import { verifyTypedData, Wallet } from 'ethers'
import { receiptChecker, signReceipts } from '../../src/core/receipt.ts'
import { makeSigner, recover } from '../../src/core/signature.ts'
import { keccak, keccakText, makeDomain, toHex, voucherDigest } from '../../src/core/typed.ts'
import type { Receipt, Voucher } from '../../src/core/typed.ts'
import type { Hex } from '../../src/core/units.ts'

const GOAL = 0.05
const ROUND_MS = 300
const ROUNDS = 5

const domain = makeDomain(31337, '0x5fbdb2315678afecb367f032d93f642f64180aa3')
const key = keccak(Buffer.from('bench'))
const signer = makeSigner(key)
const wallet = new Wallet(toHex(key))
const named = { name: 'MECA', version: '1', chainId: domain.chainId, verifyingContract: domain.channels }
const types = {
  Voucher: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'taskId', type: 'bytes32' },
    { name: 'jobs', type: 'uint64' },
    { name: 'hostAmount', type: 'uint96' },
    { name: 'developerAmount', type: 'uint96' },
  ],
}

let serial = 0
/** Never the same twice, so that nothing can be remembered from the call before. */
function voucher(): Voucher {
  serial++
  return {
    channelId: keccakText('channel'),
    taskId: keccakText('task'),
    jobs: serial,
    hostAmount: BigInt(serial) * 10n ** 15n,
    developerAmount: BigInt(serial),
  }
}

function receipt(i: number): Receipt {
  const hash = keccakText(`${i}`)
  return {
    channelId: hash,
    jobHash: hash,
    taskId: hash,
    inputHash: hash,
    outputHash: hash,
    status: 1,
    hostAmount: 5n,
    developerAmount: 7n,
    startedAt: i,
    endedAt: i + 1,
  }
}

const signed = Array.from({ length: 64 }, () => {
  const v = voucher()
  return { v, signature: signer.sign(voucherDigest(domain, v)) }
})
let turn = 0
function next(): { v: Voucher; signature: Hex } {
  const one = signed[turn++ % signed.length]
  if (one === undefined) throw new Error('no vouchers')
  return one
}

function ours(): void {
  const { v, signature } = next()
  if (recover(voucherDigest(domain, v), signature) !== signer.address) throw new Error('ours refused a good voucher')
}

function theirs(): void {
  const { v, signature } = next()
  if (verifyTypedData(named, types, v, signature) !== wallet.address) throw new Error('ethers refused a good voucher')
}

/** Microseconds for one call, the best of several rounds: what other programs took is not ours. */
async function measure(call: () => unknown): Promise<number> {
  let best = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now()
    let calls = 0
    while (performance.now() - started < ROUND_MS) {
      for (let i = 0; i < 10; i++) await call()
      calls += 10
    }
    best = Math.min(best, ((performance.now() - started) * 1000) / calls)
  }
  return best
}

const batch = Array.from({ length: 64 }, (_, i) => receipt(i))
const proven = signReceipts(domain, signer, batch)
/** As a client does it: one checker for the results of one message. */
function checkBatch(): void {
  const check = receiptChecker(domain, signer.address)
  if (!proven.every((one) => check(one))) throw new Error('a good receipt was refused')
}

const figures = {
  digestUs: await measure(() => voucherDigest(domain, voucher())),
  signUs: await measure(() => signer.sign(voucherDigest(domain, voucher()))),
  ethersSignUs: await measure(() => wallet.signTypedData(named, types, voucher())),
  verifyUs: await measure(ours),
  ethersVerifyUs: await measure(theirs),
  receiptSignUs: (await measure(() => signReceipts(domain, signer, batch))) / batch.length,
  receiptCheckUs: (await measure(checkBatch)) / batch.length,
}

const ratios = { sign: figures.signUs / figures.ethersSignUs, verify: figures.verifyUs / figures.ethersVerifyUs }
const rounded = Object.fromEntries(Object.entries(figures).map(([name, us]) => [name, Math.round(us * 10) / 10]))
console.log(
  JSON.stringify(
    {
      bench: 'crypto',
      ...rounded,
      signRatio: ratios.sign.toFixed(3),
      verifyRatio: ratios.verify.toFixed(3),
      goal: `verify <= ${GOAL}`,
    },
    null,
    2,
  ),
)
process.exitCode = ratios.verify <= GOAL ? 0 : 1
