/** Writes zips for tests, honest and not: every field of an entry can be made to lie. */
import { crc32, deflateRawSync } from 'node:zlib'

export type ZipEntry = {
  name: string
  bytes: Uint8Array
  method?: 'stored' | 'deflated'
  /** Unix mode with its type bits, like 0o120777 of a link. */
  mode?: number
  flags?: number
  /** What the central directory says instead of the truth. */
  lies?: { name?: string; size?: number; compressedSize?: number; crc?: number; offset?: number }
}

const FOLDER_MODE = 0o040755
const FILE_MODE = 0o100644

/** `count` is what the end of the directory says of its entries. */
export function zipOf(entries: readonly ZipEntry[], count = entries.length): Buffer {
  const parts: Buffer[] = []
  const central: Buffer[] = []
  let offset = 0
  for (const entry of entries) {
    const data = entry.method === 'deflated' ? deflateRawSync(entry.bytes) : Buffer.from(entry.bytes)
    const local = Buffer.concat([header(entry, data, undefined), data])
    central.push(header(entry, data, offset))
    parts.push(local)
    offset += local.length
  }
  const directory = Buffer.concat(central)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(Math.min(count, 0xffff), 8)
  end.writeUInt16LE(Math.min(count, 0xffff), 10)
  end.writeUInt32LE(directory.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...parts, directory, end])
}

/** A central header where its place is given, else a local one. */
function header(entry: ZipEntry, data: Buffer, offset: number | undefined): Buffer {
  const isCentral = offset !== undefined
  const lies = isCentral ? (entry.lies ?? {}) : {}
  const name = Buffer.from(lies.name ?? entry.name)
  const bytes = Buffer.alloc(isCentral ? 46 : 30)
  bytes.writeUInt32LE(isCentral ? 0x02014b50 : 0x04034b50, 0)
  if (isCentral) bytes.writeUInt16LE((3 << 8) | 20, 4)
  const at = isCentral ? 6 : 4
  bytes.writeUInt16LE(20, at)
  bytes.writeUInt16LE(entry.flags ?? 0, at + 2)
  bytes.writeUInt16LE(entry.method === 'deflated' ? 8 : 0, at + 4)
  bytes.writeUInt32LE(lies.crc ?? crc32(entry.bytes), at + 10)
  bytes.writeUInt32LE(lies.compressedSize ?? data.length, at + 14)
  bytes.writeUInt32LE(lies.size ?? entry.bytes.length, at + 18)
  bytes.writeUInt16LE(name.length, at + 22)
  if (isCentral) {
    const mode = entry.mode ?? (entry.name.endsWith('/') ? FOLDER_MODE : FILE_MODE)
    bytes.writeUInt32LE((mode << 16) >>> 0, 38)
    bytes.writeUInt32LE(lies.offset ?? offset, 42)
  }
  return Buffer.concat([bytes, name])
}
