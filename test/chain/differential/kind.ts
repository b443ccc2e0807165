/**
 * One kind of signed message: how a sound one is made, how TypeScript reads it (`here`: the schema of the wire, then the
 * program's own check) and who else judges it (`there`). Also the ways in which fields become numbers and calls.
 */
import { Interface } from 'ethers'
import type { Signer } from '../../../src/core/signature.ts'
import { fromHex, toHex } from '../../../src/core/typed.ts'
import type { ChannelTerms, Domain } from '../../../src/core/typed.ts'
import type { Hex } from '../../../src/core/units.ts'
import type { Call, Reply } from './ask.ts'
import type { Field, Fields, Signed } from './damage.ts'
import type { Random } from './random.ts'

/** What all messages are about: an open channel of which something was claimed, by a host that has a bond. */
export type Ground = {
  domain: Domain
  hosts: Hex
  terms: ChannelTerms
  channelId: Hex
  /** A release may name up to that. */
  claimed: bigint
  signer: Signer
  host: Signer
  client: Signer
  token: Hex
}

export type Kind = {
  name: string
  layout: readonly Field[]
  hasProof?: true
  signer: (ground: Ground) => Signer
  make: (ground: Ground, random: Random) => Fields
  sign: (domain: Domain, signer: Signer, fields: Fields, random: Random) => Omit<Signed, 'fields'>
  here: (ground: Ground, shown: Signed) => boolean
  there: Contract | Second
}

/** A question to the contract, and what in its answer says that it took the signature. */
type Contract = { call: (ground: Ground, shown: Signed) => Call; accepted: (reply: Reply) => boolean }
/** Where no contract knows the message: another program's opinion. */
type Second = { opinion: (ground: Ground, shown: Signed) => boolean }

export const CHANNEL: Field = { name: 'channelId', type: 'bytes32', fixed: true }

export const STRANGER: Hex = `0x${'77'.repeat(20)}`

/** Where the contract wants a signature that is not looked at. */
export const NOBODYS = { r: `0x${'11'.repeat(32)}`, s: `0x${'11'.repeat(32)}`, v: 27 } as const

export function plain(digest: (domain: Domain, fields: Fields) => Uint8Array): Kind['sign'] {
  return (domain, signer, fields) => ({
    signature: Buffer.from(fromHex(signer.sign(digest(domain, fields)))),
    proof: [],
  })
}

export function termsOf(f: Fields): ChannelTerms {
  const [client, signer, host, token, salt] = ['client', 'signer', 'host', 'token', 'salt'].map((name) => of(f, name))
  return { client, signer, host, token, salt, closeDelaySeconds: Number(n(f['closeDelay'])) } as ChannelTerms
}

/** Signatures reach the contract in three words; whatever stands behind the 64th byte is v, however long it is. */
export function parts(signature: Buffer) {
  const padded = Buffer.concat([signature, Buffer.alloc(Math.max(0, 65 - signature.length))])
  return { r: toHex(padded.subarray(0, 32)), s: toHex(padded.subarray(32, 64)), v: n(toHex(padded.subarray(64, 96))) }
}

export function onChain({ closeDelaySeconds, ...terms }: ChannelTerms) {
  return { ...terms, closeDelay: closeDelaySeconds }
}

/** A number of at most `bits` bits, of every magnitude alike, as bytes of the field's width. */
export function magnitude(random: Random, bits: number, width: number, least = 0n): Hex {
  const value = n(random.hex(16)) % 2n ** BigInt(1 + random.below(bits))
  return bytes(value < least ? least : value, width)
}

export function bytes(value: bigint, width: number): Hex {
  return `0x${value.toString(16).padStart(width * 2, '0')}`
}

export function n(hex: Hex | undefined): bigint {
  return hex === undefined || hex === '0x' ? 0n : BigInt(hex)
}

export function of(fields: Fields, name: string): Hex {
  return fields[name] ?? '0x'
}

/** v is a whole word here, so that more can be given than the contract's uint8 holds; the selectors are the real ones. */
export function looseV(abi: readonly unknown[]): (name: string, args: readonly unknown[]) => Hex {
  const text = JSON.stringify(abi)
  const real = new Interface(text)
  const loose = new Interface(text.replaceAll('"name":"v","type":"uint8"', '"name":"v","type":"uint256"'))
  return (name, args) => {
    const words = loose.encodeFunctionData(name, args).slice(10)
    return `${real.getFunction(name)?.selector ?? '0x'}${words}` as Hex
  }
}
