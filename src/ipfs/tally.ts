/** What a walk over a DAG has seen so far, held against the caps of `limits.ts`. */
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import type { Node } from './dag.ts'
import { MAX_BLOCKS, MAX_DEPTH } from './limits.ts'

/** A block to be visited, and how many blocks lie above it. */
export type Job = { cid: CID; depth: number }

export class Tally {
  bytes = 0
  localBytes = 0
  readonly seen = new Set<string>()
  readonly #root: CID
  readonly #maxBytes: number

  constructor(root: CID, maxBytes: number) {
    this.#root = root
    this.#maxBytes = maxBytes
  }

  /** Whether the block is new to this walk. */
  enter({ cid, depth }: Job): boolean {
    const key = cid.toString()
    if (this.seen.has(key)) return false
    this.seen.add(key)
    if (depth > MAX_DEPTH) throw this.#over(`more than ${MAX_DEPTH} blocks deep`)
    if (this.seen.size > MAX_BLOCKS) throw this.#over(`more than ${MAX_BLOCKS} blocks`)
    return true
  }

  add(bytes: number): void {
    this.bytes += bytes
    this.fits(this.bytes)
  }

  fits(bytes: number): void {
    if (bytes > this.#maxBytes) throw this.#over(`more than the ${this.#maxBytes} bytes allowed`)
  }

  /** Refuses at the first node that declares too much, before its leaves are fetched. */
  declare(node: Node): void {
    if (node.kind === 'file' && node.bytes > this.#maxBytes) {
      throw this.#over(`a file of ${node.bytes} bytes, ${this.#maxBytes} are allowed`)
    }
  }

  #over(what: string): MecaError {
    return new MecaError('too_large', `${this.#root} has ${what}`, { details: { cid: this.#root.toString() } })
  }
}
