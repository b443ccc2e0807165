/**
 * One reading of a DAG: its blocks come from here or from the network, are counted, and are given up when they stop
 * coming. Only time spent waiting for the network counts, so that a slow reader is not taken for a slow peer.
 */
import { setMaxListeners } from 'node:events'
import type { CID } from 'multiformats/cid'
import { MecaError } from '../core/errors.ts'
import { decodeNode, matches, type Node } from './dag.ts'
import { GRACE_MS, MIN_BYTES_PER_SECOND, STALL_MS } from './limits.ts'
import type { Blocks } from './store.ts'

export type Patience = { stallMs: number; graceMs: number; minBytesPerSecond: number }

export const PATIENCE: Patience = { stallMs: STALL_MS, graceMs: GRACE_MS, minBytesPerSecond: MIN_BYTES_PER_SECOND }

const TICK_MS = 250

export class Session {
  /** Fires when the caller's signal does, or when the network was given up. */
  readonly signal: AbortSignal
  fetchedBytes = 0
  readonly #blocks: Blocks
  readonly #outer: AbortSignal
  readonly #patience: Patience
  readonly #giveUp = new AbortController()
  #waiting = 0
  #waitedMs = 0
  #idleMs = 0
  #clockedAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(blocks: Blocks, signal: AbortSignal, patience: Patience = PATIENCE) {
    this.#blocks = blocks
    this.#outer = signal
    this.#patience = patience
    this.signal = AbortSignal.any([signal, this.#giveUp.signal])
    // Every block under way listens; the number of those is bounded by READ_AHEAD, not by Node's guess of a leak.
    setMaxListeners(0, this.signal)
  }

  /** The same with a clock of its own: what is given up there is not given up here. */
  branch(): Session {
    return new Session(this.#blocks, this.signal, this.#patience)
  }

  /** A block from wherever it is. */
  async block(cid: CID): Promise<Uint8Array> {
    return (await this.#blocks.read(cid, this.signal)) ?? (await this.fetch(cid))
  }

  async node(cid: CID): Promise<Node> {
    return decodeNode(cid, await this.block(cid))
  }

  /** A block from the network. */
  async fetch(cid: CID): Promise<Uint8Array> {
    const block = await this.wait(cid, () => this.#blocks.fetch(cid, this.signal))
    if (!matches(cid, [block])) throw new MecaError('ipfs_unreachable', `What came for block ${cid} is not that block`)
    this.arrived(block.length)
    return block
  }

  arrived(bytes: number): void {
    this.fetchedBytes += bytes
    this.#idleMs = 0
  }

  /** Runs what waits for the network, under the clock. */
  async wait<T>(cid: CID, act: () => Promise<T>): Promise<T> {
    this.#enter(cid)
    try {
      this.signal.throwIfAborted()
      return await act()
    } catch (cause) {
      throw this.#explain(cid, cause)
    } finally {
      this.#leave(cid)
    }
  }

  /** Lets go of what is still under way; the reader has gone. */
  close(): void {
    this.#giveUp.abort(new MecaError('cancelled', 'The reader went away'))
  }

  #enter(cid: CID): void {
    if (this.#waiting++ > 0) return
    this.#clockedAt = performance.now()
    this.#timer = setInterval(() => this.#clock(cid), TICK_MS)
  }

  #leave(cid: CID): void {
    this.#clock(cid)
    if (--this.#waiting === 0) clearInterval(this.#timer)
  }

  /** Adds the time since the last look, all of it spent waiting, and gives up when it was too much. */
  #clock(cid: CID): void {
    const now = performance.now()
    this.#waitedMs += now - this.#clockedAt
    this.#idleMs += now - this.#clockedAt
    this.#clockedAt = now
    const { stallMs, graceMs, minBytesPerSecond } = this.#patience
    if (this.#idleMs >= stallMs) this.#giveUp.abort(unreachable(cid, `nothing came for ${stallMs} ms`))
    const rate = Math.round((this.fetchedBytes * 1000) / this.#waitedMs)
    if (this.#waitedMs > graceMs && rate < minBytesPerSecond) {
      this.#giveUp.abort(unreachable(cid, `it comes at ${rate} bytes a second, ${minBytesPerSecond} are needed`))
    }
  }

  #explain(cid: CID, cause: unknown): unknown {
    if (this.signal.aborted || cause instanceof MecaError) return this.reasonOf(cause)
    return unreachable(cid, cause instanceof Error ? cause.message : String(cause), cause)
  }

  /** What to tell the caller of an error: why the reading ended, where it was ended, whatever call noticed it first. */
  reasonOf(error: unknown): unknown {
    if (this.#giveUp.signal.aborted) return this.#giveUp.signal.reason
    if (!this.#outer.aborted) return error
    const reason: unknown = this.#outer.reason
    if (reason instanceof MecaError) return reason
    const timedOut = reason instanceof Error && reason.name === 'TimeoutError'
    const [code, what] = timedOut
      ? (['timeout', 'took longer than it may'] as const)
      : (['cancelled', 'was cancelled'] as const)
    return new MecaError(code, `The reading from IPFS ${what}`, { cause: reason })
  }
}

function unreachable(cid: CID, why: string, cause?: unknown): MecaError {
  return new MecaError('ipfs_unreachable', `Block ${cid} could not be fetched: ${why}`, {
    cause,
    cure: 'Check that a node that has this content is running and reachable; name its address as a bootstrap peer.',
    details: { cid: cid.toString() },
  })
}
