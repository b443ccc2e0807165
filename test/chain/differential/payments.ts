/** The messages that move money on a channel: vouchers, releases, the word for a claimer, the word to open. */
import { TypedDataEncoder, id } from 'ethers'
import { channelsAbi } from '../../../src/chain/abi.ts'
import { openDigest } from '../../../src/chain/token.ts'
import { recover } from '../../../src/core/signature.ts'
import { channelIdOf, fromHex, keccak, releaseDigest, toHex, voucherDigest } from '../../../src/core/typed.ts'
import type { Domain } from '../../../src/core/typed.ts'
import type { Hex } from '../../../src/core/units.ts'
import { CLIENT_MESSAGES, HOST_MESSAGES } from '../../../src/core/wire.ts'
import type { Reply } from './ask.ts'
import type { Field, Fields } from './damage.ts'
import { CHANNEL, NOBODYS, STRANGER, bytes, looseV, magnitude, n, of, onChain, parts, plain, termsOf } from './kind.ts'
import type { Kind } from './kind.ts'

const channels = looseV(channelsAbi)

const voucher: Kind = {
  name: 'voucher',
  layout: [
    CHANNEL,
    { name: 'taskId', type: 'bytes32' },
    { name: 'jobs', type: 'uint64' },
    { name: 'hostAmount', type: 'uint96' },
    { name: 'developerAmount', type: 'uint96' },
  ],
  signer: (ground) => ground.signer,
  make: ({ channelId }, random) => ({
    channelId,
    taskId: random.hex(32),
    jobs: magnitude(random, 53, 8),
    hostAmount: magnitude(random, 96, 12, 1n),
    developerAmount: magnitude(random, 96, 12),
  }),
  sign: plain((domain, f) =>
    voucherDigest(domain, { ...totals(f), channelId: of(f, 'channelId'), taskId: of(f, 'taskId') }),
  ),
  here: ({ domain, channelId, signer }, { fields, signature }) => {
    const wire = { ...wireTotals(fields), taskId: fields['taskId'], signature: toHex(signature) }
    const read = CLIENT_MESSAGES.ack.safeParse({ channelId, ids: [], vouchers: [wire] }).data?.vouchers[0]
    return (
      read !== undefined && recover(voucherDigest(domain, { ...read, channelId }), read.signature) === signer.address
    )
  },
  there: {
    call: ({ domain, terms, host }, { fields, signature }) => {
      const { taskId } = fields
      // Jobs as a bigint: a damaged number may be above what a number holds.
      const row = { taskId, ...totals(fields), jobs: n(fields['jobs']), signature: parts(signature) }
      const groups = [{ ...onChain(terms), rows: 1 }]
      return {
        from: host.address,
        to: domain.channels,
        data: channels('claimVouchersAndTell', [terms.host, terms.token, groups, [row]]),
      }
    },
    // Every task is unknown to the registry, which the contract asks after the signature only.
    accepted: (reply) => skipOf(reply) === SKIP.unknownTask,
  },
}

const release: Kind = {
  name: 'release',
  layout: [CHANNEL, { name: 'claimed', type: 'uint96' }],
  signer: (ground) => ground.host,
  make: ({ channelId, claimed }, random) => ({
    channelId,
    claimed: bytes(n(random.hex(12)) % (claimed + 1n), 12),
  }),
  sign: plain((domain, f) => releaseDigest(domain, of(f, 'channelId'), n(f['claimed']))),
  here: ({ domain, channelId, host }, { fields, signature }) => {
    const wire = { channelId, claimed: n(fields['claimed']).toString(), signature: toHex(signature) }
    const read = HOST_MESSAGES.released.safeParse(wire).data
    return (
      read !== undefined && recover(releaseDigest(domain, channelId, read.claimed), read.signature) === host.address
    )
  },
  there: {
    call: ({ domain, terms }, { fields, signature }) => ({
      from: STRANGER,
      to: domain.channels,
      data: channels('release', [onChain(terms), n(fields['claimed']), parts(signature)]),
    }),
    accepted: (reply) => 'result' in reply,
  },
}

/** The program has no command for it, so the digest is ethers' and only the recovery is ours. */
const claimer: Kind = {
  name: 'claimer',
  layout: [CHANNEL, { name: 'claimer', type: 'address' }],
  signer: (ground) => ground.host,
  make: ({ channelId }, random) => ({ channelId, claimer: random.hex(20) }),
  sign: plain(claimerDigest),
  here: ({ domain, host }, { fields, signature }) =>
    recover(claimerDigest(domain, fields), toHex(signature)) === host.address,
  there: {
    call: ({ domain, terms }, { fields, signature }) => {
      const row = { taskId: toHex(Buffer.alloc(32, 1)), jobs: 1, hostAmount: 1, developerAmount: 0, signature: NOBODYS }
      const group = { ...onChain(terms), rows: 1 }
      const args = [terms.host, terms.token, [group], [row], [parts(signature)]]
      return { from: of(fields, 'claimer'), to: domain.channels, data: channels('claimVouchersAs', args) }
    },
    // Who may claim is asked first; the row itself is nobody's.
    accepted: (reply) => skipOf(reply) === SKIP.badSignature,
  },
}

const TERMS: readonly Field[] = [
  { name: 'client', type: 'address', fixed: true },
  { name: 'signer', type: 'address' },
  { name: 'host', type: 'address' },
  { name: 'token', type: 'address', fixed: true },
  { name: 'closeDelay', type: 'uint64' },
  { name: 'salt', type: 'bytes32' },
]

/** A client's word that somebody else may open its channel: over the terms' id and the amount. */
const opening: Kind = {
  name: 'open',
  layout: [...TERMS, { name: 'amount', type: 'uint96' }],
  signer: (ground) => ground.client,
  make: ({ client, token }, random) => ({
    client: client.address,
    signer: random.hex(20),
    host: random.hex(20),
    token,
    closeDelay: bytes(BigInt(900 + random.below(2_000_000)), 8),
    salt: random.hex(32),
    amount: magnitude(random, 96, 12, 1n),
  }),
  sign: plain((domain, f) => openDigest(domain, channelIdOf(domain, termsOf(f)), n(f['amount']))),
  here: ({ domain, client }, { fields, signature }) => {
    const terms = termsOf(fields)
    if (!Number.isSafeInteger(terms.closeDelaySeconds)) return false
    const digest = openDigest(domain, channelIdOf(domain, terms), n(fields['amount']))
    return recover(digest, toHex(signature)) === client.address
  },
  there: {
    call: ({ domain }, { fields, signature }) => {
      const terms = { ...fields, closeDelay: n(fields['closeDelay']) }
      const args = [terms, n(fields['amount']), parts(signature), 0, NOBODYS]
      return { from: STRANGER, to: domain.channels, data: channels('openWithPermit', args) }
    },
    // Nobody allowed the contract to move the token, which it finds after the signature.
    accepted: (reply) => 'revert' in reply && reply.revert.startsWith(ALLOWANCE_MISSING),
  },
}

export const PAYMENT_KINDS: readonly Kind[] = [voucher, release, claimer, opening]

const SKIP = { badSignature: 5, unknownTask: 6 } as const
const ALLOWANCE_MISSING = id('ERC20InsufficientAllowance(address,uint256,uint256)').slice(0, 10)

const CLAIMER = {
  Claimer: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'claimer', type: 'address' },
  ],
}

function claimerDigest(domain: Domain, { channelId, claimer: who }: Fields): Uint8Array {
  const struct = fromHex(TypedDataEncoder.hashStruct('Claimer', CLAIMER, { channelId, claimer: who }) as Hex)
  return keccak(Buffer.concat([Buffer.from([0x19, 0x01]), domain.separator, struct]))
}

function totals(f: Fields) {
  return { jobs: Number(n(f['jobs'])), hostAmount: n(f['hostAmount']), developerAmount: n(f['developerAmount']) }
}

function wireTotals(f: Fields) {
  const { jobs, hostAmount, developerAmount } = totals(f)
  return { jobs, hostAmount: hostAmount.toString(), developerAmount: developerAmount.toString() }
}

function skipOf(reply: Reply): number | undefined {
  return 'result' in reply ? Number(n(`0x${reply.result.slice(2 + 128, 2 + 192)}`)) : undefined
}
