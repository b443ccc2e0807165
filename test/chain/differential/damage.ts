/**
 * What can be wrong with a signed message: every byte of the signature and of every signed field, every length, the
 * forms of v, r and s that other programs accept, the other fields of the EIP-712 domain, the path of a Merkle proof.
 * Each is one entry of a list that the run walks through, so that none is left to chance.
 */
import { TypedDataEncoder } from 'ethers'
import { fromHex, toHex } from '../../../src/core/typed.ts'
import type { Domain } from '../../../src/core/typed.ts'
import type { Hex } from '../../../src/core/units.ts'
import type { Random } from './random.ts'

export const ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
const FIELD = 0xfffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2fn

/** `text`: some characters of one byte each, which are hashed as UTF-8. */
type Type = 'address' | 'bytes32' | 'uint8' | 'uint64' | 'uint96' | 'text'

/** `fixed`: what is presented cannot differ, because the contract works it out itself; then what was signed differs. */
export type Field = { name: string; type: Type; fixed?: true }

/** Every field as bytes of its own width. */
export type Fields = Readonly<Record<string, Hex>>

export const WIDTH = { address: 20, bytes32: 32, uint8: 1, uint64: 8, uint96: 12, text: 40 } as const

export type Signed = { fields: Fields; signature: Buffer; proof: Hex[] }

/**
 * `group` is what is counted. `fields` and `domain` change what is signed, `stranger` by whom, `shown` what is presented
 * afterwards.
 */
export type Damage = {
  form: string
  group: string
  stranger?: true
  fields?: (fields: Fields, random: Random) => Fields
  domain?: (domain: Domain, random: Random) => Domain
  shown?: (signed: Signed, random: Random) => Signed
}

export function damagesOf({ layout, hasProof }: { layout: readonly Field[]; hasProof?: true }): Damage[] {
  const always = [...signatureDamages(), ...fieldDamages(layout), ...DOMAIN_DAMAGES, STRANGER]
  return hasProof === true ? [...always, ...PROOF_DAMAGES] : always
}

/** The same bytes but for one, which becomes another. */
function flipped(bytes: Uint8Array, at: number, random: Random): Buffer {
  const other = Buffer.from(bytes)
  other[at] = (other[at] ?? 0) ^ (1 + random.below(255))
  return other
}

function signatureDamages(): Damage[] {
  const one = (group: string, form: string, to: (signature: Buffer, random: Random) => Buffer): Damage => ({
    group,
    form: `${group} ${form}`,
    shown: (signed, random) => ({ ...signed, signature: to(signed.signature, random) }),
  })
  const bytes = range(65).map((at) => one('signature byte', `${at}`, (s, random) => flipped(s, at, random)))
  const lengths = [...range(71), 80, 95, 96, 97, 128, 130, 195]
    .filter((length) => length !== 65)
    .map((length) =>
      one('signature length', `${length}`, (s, random) =>
        Buffer.concat([s, random.bytes(Math.max(0, length - 65))]).subarray(0, length),
      ),
    )
  const vs = [0, 1, 2, 26, 27, 28, 29, 30, 35, 36, 37, 38, 127, 128, 155, 156, 255].map((v) =>
    one('v', `${v}`, (s) => Buffer.concat([s.subarray(0, 64), Buffer.from([v])])),
  )
  return [...bytes, ...lengths, ...vs, ...scalarDamages(one)]
}

type One = (group: string, form: string, to: (signature: Buffer, random: Random) => Buffer) => Damage

/** The numbers at the edges of what r and s may be, and the forms that other libraries take. */
function scalarDamages(one: One): Damage[] {
  const edges = [0n, 1n, ORDER / 2n, ORDER / 2n + 1n, ORDER - 1n, ORDER, ORDER + 1n, FIELD - 1n, FIELD, 2n ** 256n - 1n]
  const of = (s: Buffer) => ({ r: s.subarray(0, 32), s: s.subarray(32, 64), v: s.subarray(64) })
  return [
    one('high s', 'and the other v', (b) => join(of(b).r, word(ORDER - number(of(b).s)), [27 + 28 - (b[64] ?? 0)])),
    one('high s', 'and the same v', (b) => join(of(b).r, word(ORDER - number(of(b).s)), of(b).v)),
    ...edges.map((edge) => one('edge', `r ${edge.toString(16)}`, (b) => join(word(edge), of(b).s, of(b).v))),
    ...edges.map((edge) => one('edge', `s ${edge.toString(16)}`, (b) => join(of(b).r, word(edge), of(b).v))),
    one('edge', 'r and s zero', (b) => join(word(0n), word(0n), of(b).v)),
    one('other form', 'r and s swapped', (b) => join(of(b).s, of(b).r, of(b).v)),
    one('other form', 'v first', (b) => Buffer.concat([of(b).v, of(b).r, of(b).s])),
    one('other form', 'compact (EIP-2098)', (b) => compact(b)),
    one('other form', 'compact and a zero', (b) => Buffer.concat([compact(b), Buffer.from([0])])),
    one('other form', 'random bytes', (_, random) => join(random.bytes(32), random.bytes(32), [27 + random.below(2)])),
  ]
}

function compact(b: Buffer): Buffer {
  const short = Buffer.from(b.subarray(0, 64))
  short[32] = (short[32] ?? 0) | (b[64] === 28 ? 0x80 : 0)
  return short
}

function fieldDamages(layout: readonly Field[]): Damage[] {
  return layout.flatMap(({ name, type, fixed }) =>
    range(WIDTH[type]).map((at) => {
      const change = (fields: Fields, random: Random): Fields => ({
        ...fields,
        [name]: toHex(flipped(fromHex(fields[name] ?? '0x'), at, random)),
      })
      const form = { group: 'field byte', form: `${name} byte ${at}` }
      if (fixed === true) return { ...form, fields: change }
      return { ...form, shown: (signed, random) => ({ ...signed, fields: change(signed.fields, random) }) }
    }),
  )
}

const STRANGER: Damage = { group: 'other form', form: "a stranger's own signature", stranger: true }

type EthersDomain = { name: string; version: string; chainId: number; verifyingContract: Hex; salt?: Hex }

function domainDamage(form: string, change: (domain: EthersDomain, random: Random) => Partial<EthersDomain>): Damage {
  return {
    group: 'domain',
    form: `domain ${form}`,
    domain: ({ chainId, channels }, random) => {
      const right = { name: 'MECA', version: '1', chainId, verifyingContract: channels }
      const wrong = { ...right, ...change(right, random) }
      return { chainId, channels, separator: fromHex(TypedDataEncoder.hashDomain(wrong) as Hex) }
    },
  }
}

/** Names of other case, one letter off and with a space are what a look-alike page would have signed. */
const DOMAIN_DAMAGES: readonly Damage[] = [
  ...['', 'meca', 'MECA ', 'MECB'].map((name) => domainDamage(`name '${name}'`, () => ({ name }))),
  ...['', '0', '2', '1 ', '01'].map((version) => domainDamage(`version '${version}'`, () => ({ version }))),
  ...[-1, 1].map((step) => domainDamage(`chainId ${step}`, ({ chainId }) => ({ chainId: chainId + step }))),
  domainDamage('chainId of Ethereum', () => ({ chainId: 1 })),
  ...range(20).map((at) =>
    domainDamage(`verifyingContract byte ${at}`, ({ verifyingContract }, random) => ({
      verifyingContract: toHex(flipped(fromHex(verifyingContract), at, random)),
    })),
  ),
  domainDamage('salt zero', () => ({ salt: `0x${'00'.repeat(32)}` })),
  domainDamage('salt', (_, random) => ({ salt: random.hex(32) })),
]

function proofDamage(form: string, to: (proof: Hex[], random: Random) => Hex[]): Damage {
  return {
    group: 'proof',
    form: `proof ${form}`,
    shown: (signed, random) => ({ ...signed, proof: to(signed.proof, random) }),
  }
}

/** A proof of one node has no order; where a change would change nothing, a node is added. */
const PROOF_DAMAGES: readonly Damage[] = [
  ...range(32).map((at) =>
    proofDamage(`byte ${at} of a node`, (proof, random) => {
      const which = random.below(proof.length)
      return proof.map((node, i) => (i === which ? toHex(flipped(fromHex(node), at, random)) : node))
    }),
  ),
  proofDamage('empty', () => []),
  proofDamage('without its last node', (proof) => proof.slice(0, -1)),
  proofDamage('without its first node', (proof) => proof.slice(1)),
  proofDamage('with its last node twice', (proof) => [...proof, ...proof.slice(-1)]),
  proofDamage('with a random node more', (proof, random) => [...proof, random.hex(32)]),
  proofDamage('in another order', (proof, random) =>
    proof.length > 1 ? [...proof.slice(1), ...proof.slice(0, 1)] : [...proof, random.hex(32)],
  ),
]

function join(r: Uint8Array, s: Uint8Array, v: Uint8Array | readonly number[]): Buffer {
  return Buffer.concat([r, s, Uint8Array.from(v)])
}

function word(n: bigint): Buffer {
  return Buffer.from(n.toString(16).padStart(64, '0'), 'hex')
}

function number(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString('hex')}`)
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i)
}
