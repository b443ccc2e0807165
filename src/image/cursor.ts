/** Takes exactly so many bytes at a time out of a stream whose chunks come in any size. */
export class Cursor {
  /** How many bytes were taken. */
  at = 0
  readonly #source: AsyncIterator<Uint8Array>
  #chunk: Uint8Array = new Uint8Array()

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** So many bytes; undefined where the stream ends before them. */
  async take(length: number): Promise<Uint8Array | undefined> {
    if (this.#chunk.length >= length) return this.#cut(length)
    const whole = new Uint8Array(length)
    for (let filled = 0; filled < length;) {
      const piece = await this.some(length - filled)
      if (piece.length === 0) return undefined
      whole.set(piece, filled)
      filled += piece.length
    }
    return whole
  }

  /** What is at hand, at most so much; empty at the end of the stream. */
  async some(most: number): Promise<Uint8Array> {
    while (this.#chunk.length === 0) {
      const next = await this.#source.next()
      if (next.done === true) return this.#chunk
      this.#chunk = next.value
    }
    return this.#cut(Math.min(most, this.#chunk.length))
  }

  #cut(length: number): Uint8Array {
    const piece = this.#chunk.subarray(0, length)
    this.#chunk = this.#chunk.subarray(length)
    this.at += length
    return piece
  }
}
