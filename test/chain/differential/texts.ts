/**
 * What peers sign for each other and no contract ever sees: offers, quotes, hellos. There the second opinion is ethers':
 * its digest and its recovery, behind the rule of the contracts written down once more.
 */
import { TypedDataEncoder, keccak256, recoverAddress, toUtf8Bytes } from 'ethers'
import { zSignedOffer } from '../../../src/core/offer.ts'
import { recover } from '../../../src/core/signature.ts'
import { fromHex, offerDigest, quoteDigest, sessionDigest, toHex } from '../../../src/core/typed.ts'
import type { Domain } from '../../../src/core/typed.ts'
import type { Hex } from '../../../src/core/units.ts'
import { CLIENT_MESSAGES, zSignedQuote } from '../../../src/core/wire.ts'
import { ORDER, WIDTH } from './damage.ts'
import type { Fields, Signed } from './damage.ts'
import { CHANNEL, bytes, magnitude, n, of, plain } from './kind.ts'
import type { Kind } from './kind.ts'
import type { Random } from './random.ts'

const BODY = [{ name: 'body', type: 'bytes32' }]
const SESSION = [
  { name: 'channelId', type: 'bytes32' },
  { name: 'clientPeer', type: 'bytes32' },
  { name: 'hostPeer', type: 'bytes32' },
  { name: 'issuedAt', type: 'uint64' },
]

const offer: Kind = {
  name: 'offer',
  layout: [{ name: 'text', type: 'text' }],
  signer: (ground) => ground.host,
  make: (_, random) => ({ text: someText(random) }),
  sign: plain((domain, f) => offerDigest(domain, textOf(f, 'text'))),
  here: ({ domain, host }, { fields, signature }) => {
    const read = zSignedOffer.safeParse({ text: textOf(fields, 'text'), signature: toHex(signature) }).data
    return read !== undefined && recover(offerDigest(domain, read.text), read.signature) === host.address
  },
  there: { opinion: ({ domain, host }, shown) => agrees(domain, { Offer: BODY }, bodyOf(shown), shown, host.address) },
}

const quote: Kind = {
  ...offer,
  name: 'quote',
  sign: plain((domain, f) => quoteDigest(domain, textOf(f, 'text'))),
  here: ({ domain, host }, { fields, signature }) => {
    const read = zSignedQuote.safeParse({ text: textOf(fields, 'text'), signature: toHex(signature) }).data
    return read !== undefined && recover(quoteDigest(domain, read.text), read.signature) === host.address
  },
  there: { opinion: ({ domain, host }, shown) => agrees(domain, { Quote: BODY }, bodyOf(shown), shown, host.address) },
}

/** The hello of a connection: channel, both peers, and when. The channel follows from the terms beside it. */
const session: Kind = {
  name: 'hello',
  layout: [
    CHANNEL,
    { name: 'clientPeer', type: 'text' },
    { name: 'hostPeer', type: 'text' },
    { name: 'issuedAt', type: 'uint64' },
  ],
  signer: (ground) => ground.signer,
  make: ({ channelId }, random) => ({
    channelId,
    clientPeer: someText(random),
    hostPeer: someText(random),
    issuedAt: magnitude(random, 53, 8),
  }),
  sign: plain((domain, f) => sessionDigest(domain, sessionOf(f))),
  here: ({ domain, terms, signer }, { fields, signature }) => {
    const message = { terms, issuedAt: Number(n(fields['issuedAt'])), signature: toHex(signature) }
    const read = CLIENT_MESSAGES.hello.safeParse(message).data
    return read !== undefined && recover(sessionDigest(domain, sessionOf(fields)), read.signature) === signer.address
  },
  there: {
    opinion: ({ domain, signer }, shown) => {
      const { channelId, clientPeer, hostPeer } = sessionOf(shown.fields)
      const peers = { clientPeer: hashOf(clientPeer), hostPeer: hashOf(hostPeer) }
      const value = { channelId, ...peers, issuedAt: n(shown.fields['issuedAt']) }
      return agrees(domain, { Session: SESSION }, value, shown, signer.address)
    },
  },
}

export const TEXT_KINDS: readonly Kind[] = [offer, quote, session]

/** 65 bytes, v 27 or 28, low s, and ethers recovers the signer. Its own reading of a signature is wider than that. */
function agrees(
  { chainId, channels }: Domain,
  types: Record<string, { name: string; type: string }[]>,
  value: Record<string, unknown>,
  { signature }: Signed,
  wanted: Hex,
): boolean {
  const [r, s, v] = [signature.subarray(0, 32), signature.subarray(32, 64), signature[64]]
  if (signature.length !== 65 || (v !== 27 && v !== 28) || BigInt(toHex(s)) > ORDER / 2n) return false
  const digest = TypedDataEncoder.hash(
    { name: 'MECA', version: '1', chainId, verifyingContract: channels },
    types,
    value,
  )
  try {
    return recoverAddress(digest, { r: toHex(r), s: toHex(s), v }).toLowerCase() === wanted
  } catch {
    // ethers throws where r or s is no number that a signature can have.
    return false
  }
}

function someText(random: Random): Hex {
  return bytes(n(random.hex(WIDTH.text)) | (1n << BigInt(8 * WIDTH.text - 1)), WIDTH.text)
}

/** Every byte is a character of its own, so that no damage is lost in decoding. */
function textOf(fields: Fields, name: string): string {
  return Buffer.from(fromHex(of(fields, name))).toString('latin1')
}

function bodyOf({ fields }: Signed): Record<string, unknown> {
  return { body: hashOf(textOf(fields, 'text')) }
}

function hashOf(text: string): string {
  return keccak256(toUtf8Bytes(text))
}

function sessionOf(fields: Fields) {
  return {
    channelId: of(fields, 'channelId'),
    clientPeer: textOf(fields, 'clientPeer'),
    hostPeer: textOf(fields, 'hostPeer'),
    issuedAt: Number(n(fields['issuedAt'])),
  }
}
