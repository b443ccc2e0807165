/** An offer as bytes: the text exactly as its host signed it, and the signature. Pure. */

export type SignedOffer = { text: string; signature: string }

export function encodeOffer(offer: SignedOffer): Buffer {
  return Buffer.from(JSON.stringify({ o: offer.text, s: offer.signature }))
}

/** Undefined for anything that is not an offer; what its text says is not looked at here. */
export function decodeOffer(data: Uint8Array): SignedOffer | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('utf8'))
    if (typeof value !== 'object' || value === null || !('o' in value) || !('s' in value)) return undefined
    return typeof value.o === 'string' && typeof value.s === 'string'
      ? { text: value.o, signature: value.s }
      : undefined
  } catch {
    return undefined // Not JSON: the caller counts it as a forgery.
  }
}

/** As many offers as fit, one per line: JSON never holds a bare line end. */
export function encodeOffers(offers: readonly SignedOffer[], maxOffers: number, maxBytes: number): Buffer {
  const lines: Buffer[] = []
  let bytes = 0
  for (const offer of offers.slice(0, maxOffers)) {
    const line = encodeOffer(offer)
    if (bytes + line.byteLength + 1 > maxBytes) break
    bytes += line.byteLength + 1
    lines.push(line, NEWLINE)
  }
  return Buffer.concat(lines, bytes)
}

/** The lines of `encodeOffers`, at most `maxOffers`; undefined stands for a line that is no offer. */
export function* decodeOffers(data: Uint8Array, maxOffers: number): Generator<SignedOffer | undefined> {
  let start = 0
  for (let count = 0; count < maxOffers && start < data.byteLength; count++) {
    const found = data.indexOf(NEWLINE_BYTE, start)
    const end = found === -1 ? data.byteLength : found
    yield decodeOffer(data.subarray(start, end))
    start = end + 1
  }
}

const NEWLINE_BYTE = 0x0a
const NEWLINE = Buffer.from([NEWLINE_BYTE])
