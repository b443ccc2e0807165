/**
 * Reads one UnixFS block: a raw leaf, a node of a file, or a folder. Strict where the format is loose, because the
 * block comes from a stranger: lengths must add up, unknown fields, sharded folders and links are refused.
 * Pure: bytes in, a node out.
 */
import { createHash } from 'node:crypto'
import { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import { MAX_BLOCK_BYTES, MAX_LINKS } from './limits.ts'

export const RAW = 0x55
export const DAG_PB = 0x70
const SHA2_256 = 0x12

export type Link = { name: string; cid: CID; bytes: number }

/** `bytes` of a file is its content's length; `data` is the part that stands in this very block. */
export type Node =
  { kind: 'file'; bytes: number; data: Uint8Array; links: readonly Link[] } | { kind: 'folder'; links: readonly Link[] }

/** Text as a CID that this program handles: version 1, sha2-256, raw or dag-pb. Throws `bad_input`. */
export function parseCid(text: string): CID {
  let cid: CID
  try {
    cid = CID.parse(text)
  } catch (cause) {
    throw new MecaError('bad_input', `${JSON.stringify(text.slice(0, 80))} is not a CID`, { cause })
  }
  return requireCid(cid, 'bad_input')
}

function requireCid(cid: CID, code: 'bad_input' | 'invalid_task' = 'invalid_task'): CID {
  const known = cid.code === RAW || cid.code === DAG_PB
  if (cid.version === 1 && known && cid.multihash.code === SHA2_256 && cid.multihash.size === 32) return cid
  throw new MecaError(code, `CID ${cid} is not of version 1 with sha2-256 and codec raw or dag-pb`)
}

/** Whether the bytes, in one or more pieces, are those that the CID names. */
export function matches(cid: CID, block: Pieces): boolean {
  const hash = createHash('sha256')
  for (const piece of block) hash.update(piece)
  return lengthOf(block) <= MAX_BLOCK_BYTES && hash.digest().equals(cid.multihash.digest)
}

/** A block as it came from the network. */
export type Pieces = readonly Uint8Array[]

export function lengthOf(block: Pieces): number {
  return block.reduce((sum, piece) => sum + piece.length, 0)
}

/** The node in a block whose hash was checked. Throws `invalid_task`. */
export function decodeNode(cid: CID, block: Uint8Array): Node {
  if (cid.code === RAW) return { kind: 'file', bytes: block.length, data: block, links: [] }
  const fail = (why: string): never => {
    throw new MecaError('invalid_task', `Block ${cid} is not a plain UnixFS file or folder: ${why}`)
  }
  const links: Link[] = []
  let unixfs: Uint8Array | undefined
  for (const field of fields(block, fail)) {
    if (field.number === 2 && field.bytes !== undefined) links.push(decodeLink(field.bytes, fail))
    else if (field.number === 1 && field.bytes !== undefined && unixfs === undefined) unixfs = field.bytes
    else fail(`unexpected field ${field.number}`)
    if (links.length > MAX_LINKS) fail(`more than ${MAX_LINKS} links`)
  }
  return decodeUnixfs(unixfs ?? fail('no UnixFS part'), links, fail)
}

function decodeUnixfs(bytes: Uint8Array, links: readonly Link[], fail: Fail): Node {
  let type = -1
  let data: Uint8Array = new Uint8Array()
  let declared = 0
  const sizes: number[] = []
  for (const field of fields(bytes, fail)) {
    if (field.number === 1) type = field.value
    else if (field.number === 2) data = field.bytes ?? fail('data is not bytes')
    else if (field.number === 3) declared = field.value
    else if (field.number === 4 && field.bytes === undefined) sizes.push(field.value)
    else if (field.number !== 7 && field.number !== 8) fail(`unexpected UnixFS field ${field.number}`)
  }
  if (type === 1) return { kind: 'folder', links: requireNames(links, fail) }
  if (type !== 2 && type !== 0) return fail(`UnixFS type ${type} is not a file or a folder`)
  if (sizes.length !== links.length) return fail(`${links.length} links but ${sizes.length} lengths`)
  const total = sizes.reduce((sum, size) => sum + size, data.length)
  if (total !== declared || !Number.isSafeInteger(total)) return fail(`lengths add up to ${total}, not to ${declared}`)
  return { kind: 'file', bytes: total, data, links: links.map((link, i) => ({ ...link, bytes: sizes[i] ?? 0 })) }
}

function requireNames(links: readonly Link[], fail: Fail): readonly Link[] {
  const seen = new Set<string>()
  for (const { name } of links) {
    if (
      name === '' ||
      name === '.' ||
      name === '..' ||
      name.includes('/') ||
      name.includes('\0') ||
      name.length > 255
    ) {
      return fail(`a folder entry may not be called ${JSON.stringify(name.slice(0, 80))}`)
    }
    if (seen.has(name)) return fail(`two entries are called ${JSON.stringify(name)}`)
    seen.add(name)
  }
  return links
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decodeLink(bytes: Uint8Array, fail: Fail): Link {
  let cid: CID | undefined
  let name = ''
  let size = 0
  for (const field of fields(bytes, fail)) {
    if (field.number === 1 && field.bytes !== undefined) cid = readCid(field.bytes, fail)
    else if (field.number === 2 && field.bytes !== undefined) name = readText(field.bytes, fail)
    else if (field.number === 3 && field.bytes === undefined) size = field.value
    else fail(`unexpected link field ${field.number}`)
  }
  return { cid: cid ?? fail('a link without a CID'), name, bytes: size }
}

function readCid(bytes: Uint8Array, fail: Fail): CID {
  try {
    return requireCid(CID.decode(bytes))
  } catch (error) {
    return fail(error instanceof Error ? error.message : 'a link is not a CID')
  }
}

function readText(bytes: Uint8Array, fail: Fail): string {
  try {
    return utf8.decode(bytes)
  } catch {
    return fail('a name is not UTF-8')
  }
}

type Fail = (why: string) => never
/** One field of a protobuf message: `bytes` for length-delimited fields, `value` for numbers. */
type Field = { number: number; value: number; bytes?: Uint8Array }

function* fields(message: Uint8Array, fail: Fail): Generator<Field> {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 56; shift += 7) {
      const byte = message[at++] ?? fail('a field ends early')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return Number.isSafeInteger(value) ? value : fail('a number is too large')
    }
    return fail('a number is too long')
  }
  while (at < message.length) {
    const tag = varint()
    const number = Math.floor(tag / 8)
    const wire = tag % 8
    if (wire === 0) yield { number, value: varint() }
    else if (wire === 2) {
      const end = varint() + at
      if (end > message.length) fail('a field is longer than its block')
      yield { number, value: 0, bytes: message.subarray(at, end) }
      at = end
    } else fail(`wire type ${wire}`)
  }
}
