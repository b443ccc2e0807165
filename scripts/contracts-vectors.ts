/**
 * Makes test/contracts/vectors.json: every digest and signature of the market, computed by ethers as a third opinion.
 * The Solidity and the TypeScript side are each held to it by their tests. Run it only when a signed type changes.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SigningKey, TypedDataEncoder, computeAddress, getBytes, keccak256, toUtf8Bytes } from 'ethers'
import { format, resolveConfig } from 'prettier'

const FILE = join(import.meta.dirname, '../test/contracts/vectors.json')

type Field = { name: string; type: string }

/** `address client, uint64 closeDelay` as ethers wants it. */
function fields(text: string): Field[] {
  return text.split(',').map((part) => {
    const [type = '', name = ''] = part.trim().split(' ')
    return { type, name }
  })
}

const TYPES = {
  Channel: fields('address client,address signer,address host,address token,uint64 closeDelay,bytes32 salt'),
  Open: fields('bytes32 channelId,uint96 amount'),
  Voucher: fields('bytes32 channelId,bytes32 taskId,uint64 jobs,uint96 hostAmount,uint96 developerAmount'),
  Release: fields('bytes32 channelId,uint96 claimed'),
  Claimer: fields('bytes32 channelId,address claimer'),
  Receipt: fields(
    'bytes32 channelId,bytes32 jobHash,bytes32 taskId,bytes32 inputHash,bytes32 outputHash,uint8 status,' +
      'uint96 hostAmount,uint96 developerAmount,uint64 startedAt,uint64 endedAt',
  ),
  Receipts: fields('bytes32 root'),
  Session: fields('bytes32 channelId,bytes32 clientPeer,bytes32 hostPeer,uint64 issuedAt'),
  Offer: fields('bytes32 body'),
  Quote: fields('bytes32 body'),
}

/** Times and counts stay below 2^53, which is what TypeScript carries them in. */
const MAX_COUNT = 2n ** 53n - 1n
const MAX_AMOUNT = 2n ** 96n - 1n

/** The same words in every run: hashes of the case and a name. Cases 0 and 1 have the smallest and largest numbers. */
function source(index: number) {
  const word = (name: string) => keccak256(toUtf8Bytes(`${index}/${name}`))
  const number = (name: string, max: bigint) => (index === 0 ? 0n : index === 1 ? max : BigInt(word(name)) % (max + 1n))
  return { word, number, address: (name: string) => `0x${word(name).slice(26)}` }
}

function makeCase(index: number) {
  const { word, number, address } = source(index)
  const key = new SigningKey(word('key'))
  const chainId = index < 2 ? 31337 : Number(number('chain', 2n ** 31n)) + 1
  const channels = address('channels')
  const domain = { name: 'MECA', version: '1', chainId, verifyingContract: channels }
  const signed = (type: keyof typeof TYPES, value: Record<string, unknown>) => {
    const digest = TypedDataEncoder.hash(domain, { [type]: TYPES[type] }, value)
    return { value, digest, signature: key.sign(digest).serialized }
  }
  const terms = {
    client: address('client'),
    signer: computeAddress(key).toLowerCase(),
    host: address('host'),
    token: address('token'),
    closeDelay: number('delay', 2n ** 40n),
    salt: word('salt'),
  }
  const channel = signed('Channel', terms)
  const channelId = channel.digest
  const amounts = { hostAmount: number('host amount', MAX_AMOUNT), developerAmount: number('fee', MAX_AMOUNT) }
  const receipt = {
    channelId,
    jobHash: word('job'),
    taskId: word('task'),
    inputHash: word('input'),
    outputHash: word('output'),
    status: (index % 4) + 1,
    ...amounts,
    startedAt: number('start', MAX_COUNT),
    endedAt: number('end', MAX_COUNT),
  }
  const receiptHash = TypedDataEncoder.hashStruct('Receipt', { Receipt: TYPES.Receipt }, receipt)
  const peers = { clientPeer: `12D3KooW${word('client peer')}`, hostPeer: `12D3KooW${word('host peer')}` }
  const text = JSON.stringify({ v: 1, index, text: 'Grüße, 世界' })
  return {
    chainId,
    channels,
    privateKey: key.privateKey,
    separator: TypedDataEncoder.hashDomain(domain),
    channel,
    open: signed('Open', { channelId, amount: number('deposit', MAX_AMOUNT) }),
    voucher: signed('Voucher', { channelId, taskId: word('task'), jobs: number('jobs', MAX_COUNT), ...amounts }),
    release: signed('Release', { channelId, claimed: number('claimed', MAX_AMOUNT) }),
    claimer: signed('Claimer', { channelId, claimer: address('claimer') }),
    receipt: { value: receipt, hash: receiptHash },
    receipts: signed('Receipts', { root: receiptHash }),
    session: {
      peers,
      ...signed('Session', {
        channelId,
        clientPeer: keccak256(toUtf8Bytes(peers.clientPeer)),
        hostPeer: keccak256(toUtf8Bytes(peers.hostPeer)),
        issuedAt: number('issued', MAX_COUNT),
      }),
    },
    offer: { text, ...signed('Offer', { body: keccak256(toUtf8Bytes(text)) }) },
    quote: { text, ...signed('Quote', { body: keccak256(toUtf8Bytes(text)) }) },
  }
}

/** A tree of `count` receipts: sorted pairs, an odd node carried up. */
function makeTree(count: number) {
  const leaves = Array.from({ length: count }, (_, i) => keccak256(toUtf8Bytes(`leaf ${i}`)))
  const proofs: string[][] = leaves.map(() => [])
  let level = leaves.map((hash, i) => ({ hash, under: [i] }))
  while (level.length > 1) {
    const next: typeof level = []
    for (let i = 0; i < level.length; i += 2) {
      const [a, b] = [level[i], level[i + 1]]
      if (a === undefined) continue
      if (b === undefined) {
        next.push(a)
        continue
      }
      for (const leaf of a.under) proofs[leaf]?.push(b.hash)
      for (const leaf of b.under) proofs[leaf]?.push(a.hash)
      next.push({ hash: parent(a.hash, b.hash), under: [...a.under, ...b.under] })
    }
    level = next
  }
  return { leaves, proofs, root: level[0]?.hash }
}

function parent(a: string, b: string): string {
  const [low, high] = BigInt(a) <= BigInt(b) ? [a, b] : [b, a]
  return keccak256(Buffer.concat([getBytes(low), getBytes(high)]))
}

/** The text of the file. Big numbers are decimal strings, as on every wire of the market. */
export async function makeVectors(): Promise<string> {
  const vectors = {
    cases: Array.from({ length: 12 }, (_, i) => makeCase(i)),
    trees: [1, 2, 3, 5, 8, 13].map(makeTree),
  }
  const text = JSON.stringify(vectors, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value), 2)
  return format(text, { ...(await resolveConfig(FILE)), parser: 'json' })
}

if (import.meta.main) writeFileSync(FILE, await makeVectors())
