/** Receipts, alone and in Merkle trees: what the host's bond answers for. */
import { hostsAbi } from '../../../src/chain/abi.ts'
import { receiptChecker, signReceipts, zSignedReceipt } from '../../../src/core/receipt.ts'
import type { Signer } from '../../../src/core/signature.ts'
import { fromHex, receiptHash, receiptsDigest, toHex } from '../../../src/core/typed.ts'
import type { Domain, Receipt } from '../../../src/core/typed.ts'
import type { Field, Fields, Signed } from './damage.ts'
import { STRANGER, bytes, looseV, magnitude, n, of, parts } from './kind.ts'
import type { Kind } from './kind.ts'
import type { Random } from './random.ts'

const hostsCall = looseV(hostsAbi)

const RECEIPT: readonly Field[] = [
  { name: 'channelId', type: 'bytes32' },
  { name: 'jobHash', type: 'bytes32' },
  { name: 'taskId', type: 'bytes32' },
  { name: 'inputHash', type: 'bytes32' },
  { name: 'outputHash', type: 'bytes32' },
  { name: 'status', type: 'uint8' },
  { name: 'hostAmount', type: 'uint96' },
  { name: 'developerAmount', type: 'uint96' },
  { name: 'startedAt', type: 'uint64' },
  { name: 'endedAt', type: 'uint64' },
]

const receipt: Kind = {
  name: 'receipt',
  layout: RECEIPT,
  signer: (ground) => ground.host,
  make: (_, random) => makeReceipt(random),
  sign: (domain, signer, f) => signedIn(domain, signer, [receiptOf(f)], 0),
  here: ({ domain, host }, { fields, signature, proof }) => {
    const wire = { receipt: wireReceipt(fields), proof, signature: toHex(signature) }
    const read = zSignedReceipt.safeParse(wire)
    return read.success && receiptChecker(domain, host.address)(read.data)
  },
  there: {
    call: ({ domain, hosts, host }, { fields, signature, proof }) => {
      const first = { receipt: chainReceipt(fields), proof, signature: parts(signature) }
      // The other half of a contradiction, sound whatever is shown in the first.
      const outputHash = toHex(Buffer.from(fromHex(of(fields, 'outputHash'))).map((byte) => byte ^ 255))
      const other = { ...receiptOf({ ...fields, startedAt: '0x01', endedAt: '0x02' }), outputHash }
      const soundly = host.sign(receiptsDigest(domain, receiptHash(other)))
      const second = { receipt: other, proof: [], signature: parts(Buffer.from(fromHex(soundly))) }
      return { from: STRANGER, to: hosts, data: hostsCall('slash', [host.address, first, second]) }
    },
    accepted: (reply) => 'result' in reply,
  },
}

const receiptInTree: Kind = {
  ...receipt,
  name: 'receipt in a tree',
  hasProof: true,
  sign: (domain, signer, f, random) => {
    const others = Array.from({ length: 1 + random.below(random.pick([2, 8, 40])) }, () =>
      receiptOf(makeReceipt(random)),
    )
    const at = random.below(others.length + 1)
    return signedIn(domain, signer, others.toSpliced(at, 0, receiptOf(f)), at)
  },
}

export const RECEIPT_KINDS: readonly Kind[] = [receipt, receiptInTree]

function signedIn(domain: Domain, signer: Signer, receipts: readonly Receipt[], at: number): Omit<Signed, 'fields'> {
  const signed = signReceipts(domain, signer, receipts)[at]
  if (signed === undefined) throw new Error('a receipt without its signature')
  return { signature: Buffer.from(fromHex(signed.signature)), proof: signed.proof }
}

function makeReceipt(random: Random): Fields {
  const words = ['channelId', 'jobHash', 'taskId', 'inputHash', 'outputHash'].map((name) => [name, random.hex(32)])
  return {
    ...(Object.fromEntries(words) as Fields),
    status: bytes(BigInt(1 + random.below(4)), 1),
    hostAmount: magnitude(random, 96, 12),
    developerAmount: magnitude(random, 96, 12),
    startedAt: magnitude(random, 53, 8),
    endedAt: magnitude(random, 53, 8),
  }
}

function receiptOf(f: Fields): Receipt {
  return {
    channelId: of(f, 'channelId'),
    jobHash: of(f, 'jobHash'),
    taskId: of(f, 'taskId'),
    inputHash: of(f, 'inputHash'),
    outputHash: of(f, 'outputHash'),
    status: Number(n(f['status'])),
    hostAmount: n(f['hostAmount']),
    developerAmount: n(f['developerAmount']),
    startedAt: Number(n(f['startedAt'])),
    endedAt: Number(n(f['endedAt'])),
  }
}

function wireReceipt(f: Fields) {
  const { hostAmount, developerAmount, ...rest } = receiptOf(f)
  return { ...rest, hostAmount: hostAmount.toString(), developerAmount: developerAmount.toString() }
}

/** Times as bigints: a damaged one may be above what a number holds. */
function chainReceipt(f: Fields) {
  return { ...receiptOf(f), startedAt: n(f['startedAt']), endedAt: n(f['endedAt']) }
}
