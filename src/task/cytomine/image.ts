/**
 * Images by their first bytes: which format it is and, where the head has it, how wide and high. Nothing is decoded. What
 * a head of 64 KiB cannot tell (a TIFF whose directory lies at its end) is not held against the image.
 */
import type { FileFacts } from '../../core/bundle.ts'
import type { ImageFormat } from './types.ts'

export type Size = { width: number; height: number }
/** `size` is undefined where the head does not say. `plain` is false for a TIFF that is tiled or not of three samples. */
export type Seen = { format: ImageFormat | 'bmp' | 'gif' | 'zip' | undefined; size?: Size; plain: boolean }

export function seeImage({ head }: FileFacts): Seen {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (starts(head, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])) return seen('png', sizeOfPng(view))
  if (starts(head, [0xff, 0xd8, 0xff])) return seen('jpeg', sizeOfJpeg(view))
  if (starts(head, [0x49, 0x49, 0x2a, 0x00])) return tiff(view, true)
  if (starts(head, [0x4d, 0x4d, 0x00, 0x2a])) return tiff(view, false)
  if (starts(head.subarray(128), [0x44, 0x49, 0x43, 0x4d])) return seen('dicom')
  if (starts(head, [0x50, 0x4b, 0x03, 0x04])) return seen('zip')
  if (starts(head, [0x47, 0x49, 0x46, 0x38])) return seen('gif', sizeAt(view, 6, 2, true))
  if (starts(head, [0x42, 0x4d])) return seen('bmp', sizeAt(view, 18, 4, true))
  return seen(undefined)
}

function seen(format: Seen['format'], size?: Size): Seen {
  return { format, plain: true, ...(size === undefined ? {} : { size }) }
}

function starts(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => bytes[i] === byte)
}

/** Two numbers in a row, width first. */
function sizeAt(view: DataView, offset: number, bytes: 2 | 4, little: boolean): Size | undefined {
  if (offset + 2 * bytes > view.byteLength) return undefined
  const read = (at: number) => (bytes === 2 ? view.getUint16(at, little) : Math.abs(view.getInt32(at, little)))
  return { width: read(offset), height: read(offset + bytes) }
}

function sizeOfPng(view: DataView): Size | undefined {
  return sizeAt(view, 16, 4, false)
}

/** Segments are skipped until the frame header, which has height before width. */
function sizeOfJpeg(view: DataView): Size | undefined {
  for (let at = 2; at + 9 <= view.byteLength && view.getUint8(at) === 0xff;) {
    const marker = view.getUint8(at + 1)
    if (isFrame(marker)) return { height: view.getUint16(at + 5), width: view.getUint16(at + 7) }
    // Fill bytes and markers without a length.
    at += marker === 0xff ? 1 : marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8) ? 2 : 2 + view.getUint16(at + 2)
  }
  return undefined
}

/** C4, C8 and CC lie in the same range and are tables. */
function isFrame(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
}

const WIDTH = 256
const HEIGHT = 257
const SAMPLES = 277
const TILE_WIDTH = 322

/** The first directory alone: further ones are other resolutions or pages. */
function tiff(view: DataView, little: boolean): Seen {
  const tags = tagsOf(view, little)
  if (tags === undefined) return seen('tiff')
  const [width, height] = [tags.get(WIDTH), tags.get(HEIGHT)]
  const plain = (tags.get(SAMPLES) ?? 1) === 3 && !tags.has(TILE_WIDTH)
  return { format: 'tiff', plain, ...(width === undefined || height === undefined ? {} : { size: { width, height } }) }
}

/** Undefined where the directory is not wholly in the head. */
function tagsOf(view: DataView, little: boolean): Map<number, number> | undefined {
  if (view.byteLength < 8) return undefined
  const start = view.getUint32(4, little)
  if (start + 2 > view.byteLength) return undefined
  const count = view.getUint16(start, little)
  if (start + 2 + count * 12 > view.byteLength) return undefined
  const tags = new Map<number, number>()
  for (let at = start + 2; at < start + 2 + count * 12; at += 12) {
    const isShort = view.getUint16(at + 2, little) === 3
    tags.set(view.getUint16(at, little), isShort ? view.getUint16(at + 8, little) : view.getUint32(at + 8, little))
  }
  return tags
}
