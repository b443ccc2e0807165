/**
 * PNG in and out, without a library: 8 bits a channel, grey, colour or palette, with or without opacity, not interlaced.
 * Sizes are checked before anything is unpacked, because a small file can promise a very large picture.
 */
import { crc32, deflateSync, inflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10])
/** Three copies of the pixels live at once; this keeps them inside the 256 MiB of config.json. */
const MAX_PIXELS = 8_000_000
/** Bytes of one pixel, by the colour type of the header. */
const CHANNELS = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }

export function decodePng(bytes) {
  if (!bytes.subarray(0, 8).equals(SIGNATURE)) throw new Error('it does not begin like a PNG')
  const chunks = [...chunksOf(bytes)]
  const only = (type) => chunks.filter((chunk) => chunk.type === type).map((chunk) => chunk.data)
  const header = readHeader(only('IHDR')[0] ?? Buffer.alloc(0))
  const rowBytes = header.width * header.channels
  const packed = inflateSync(Buffer.concat(only('IDAT')), { maxOutputLength: header.height * (rowBytes + 1) })
  if (packed.length !== header.height * (rowBytes + 1)) throw new Error('its rows are not complete')
  const samples = unfilter(packed, header.height, rowBytes, header.channels)
  const { width, height } = header
  return { width, height, rgba: toRgba(samples, header, only('PLTE')[0], only('tRNS')[0]) }
}

/** Stored without compression: a compressor of another version would make other bytes of the same picture. */
export function encodePng({ width, height, rgba }) {
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set([8, 6, 0, 0, 0], 8)
  const rows = Buffer.alloc(height * (width * 4 + 1))
  for (let y = 0; y < height; y++) rows.set(rgba.subarray(y * width * 4, (y + 1) * width * 4), y * (width * 4 + 1) + 1)
  const parts = [chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level: 0 })), chunk('IEND', Buffer.alloc(0))]
  return Buffer.concat([SIGNATURE, ...parts])
}

function* chunksOf(bytes) {
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = bytes.readUInt32BE(at)
    if (at + 12 + length > bytes.length) throw new Error('a chunk is cut off')
    yield { type: bytes.toString('latin1', at + 4, at + 8), data: bytes.subarray(at + 8, at + 8 + length) }
    at += 12 + length
  }
}

function readHeader(header) {
  if (header.length !== 13) throw new Error('it has no header')
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)]
  const channels = CHANNELS[header[9]]
  if (header[8] !== 8 || channels === undefined || header[12] !== 0) {
    throw new Error('only 8 bits a channel without interlacing are read')
  }
  if (width === 0 || height === 0 || width * height > MAX_PIXELS) throw new Error(`it has ${width} by ${height} pixels`)
  return { width, height, colourType: header[9], channels }
}

/** Each row is stored as its difference from the row above and the pixel before, in one of five ways. */
function unfilter(packed, height, rowBytes, pixelBytes) {
  const samples = new Uint8Array(height * rowBytes)
  for (let y = 0; y < height; y++) {
    const filter = packed[y * (rowBytes + 1)]
    if (filter > 4) throw new Error(`row ${y} has an unknown filter`)
    for (let i = 0; i < rowBytes; i++) {
      const at = y * rowBytes + i
      const left = i >= pixelBytes ? samples[at - pixelBytes] : 0
      const up = y > 0 ? samples[at - rowBytes] : 0
      const upLeft = y > 0 && i >= pixelBytes ? samples[at - rowBytes - pixelBytes] : 0
      samples[at] = packed[y * (rowBytes + 1) + 1 + i] + predicted(filter, left, up, upLeft)
    }
  }
  return samples
}

function predicted(filter, left, up, upLeft) {
  if (filter === 0) return 0
  if (filter === 1) return left
  if (filter === 2) return up
  if (filter === 3) return (left + up) >> 1
  const guess = left + up - upLeft
  const [toLeft, toUp, toUpLeft] = [left, up, upLeft].map((value) => Math.abs(guess - value))
  if (toLeft <= toUp && toLeft <= toUpLeft) return left
  return toUp <= toUpLeft ? up : upLeft
}

function toRgba(samples, { width, height, colourType, channels }, palette, opacity) {
  const rgba = new Uint8Array(width * height * 4)
  for (let i = 0; i < width * height; i++) {
    rgba.set(pixel(samples.subarray(i * channels, (i + 1) * channels), colourType, palette, opacity), i * 4)
  }
  return rgba
}

function pixel([a, b, c, d], colourType, palette, opacity) {
  if (colourType === 0) return [a, a, a, 255]
  if (colourType === 2) return [a, b, c, 255]
  if (colourType === 4) return [a, a, a, b]
  if (colourType === 6) return [a, b, c, d]
  if (palette === undefined || a * 3 + 2 >= palette.length) throw new Error('a colour is not in its palette')
  return [palette[a * 3], palette[a * 3 + 1], palette[a * 3 + 2], opacity?.[a] ?? 255]
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const frame = Buffer.alloc(body.length + 8)
  frame.writeUInt32BE(data.length, 0)
  frame.set(body, 4)
  frame.writeUInt32BE(crc32(body), body.length + 4)
  return frame
}
