/**
 * Where ended jobs wait for the end of the turn: their receipts share one signature, their records one synced write,
 * and each client gets one message. Nothing is sent before it is on disk.
 */
import { signReceipts } from '../core/receipt.ts'
import type { SignedReceipt } from '../core/receipt.ts'
import type { Signer } from '../core/signature.ts'
import type { Domain, Receipt } from '../core/typed.ts'

export type Ended = {
  receipt: Receipt
  /** Called with the signed receipt before the write; returns nothing that can fail. */
  stage(signed: SignedReceipt): void
}

export class Outbox<E extends Ended> {
  #waiting: E[] = []
  #running: Promise<void> | undefined
  readonly #domain: Domain
  readonly #signer: Signer
  readonly #write: (batch: readonly E[]) => Promise<void>
  readonly #send: (batch: readonly E[]) => void

  constructor(
    domain: Domain,
    signer: Signer,
    write: (batch: readonly E[]) => Promise<void>,
    send: (batch: readonly E[]) => void,
  ) {
    this.#domain = domain
    this.#signer = signer
    this.#write = write
    this.#send = send
  }

  add(ended: E): void {
    this.#waiting.push(ended)
    this.#running ??= this.#drain()
  }

  /** Waits for everything that was added. */
  async idle(): Promise<void> {
    await this.#running
  }

  async #drain(): Promise<void> {
    try {
      await new Promise((resolve) => setImmediate(resolve))
      while (this.#waiting.length > 0) await this.#flush(this.#waiting.splice(0, MAX_TREE))
    } finally {
      this.#running = undefined
    }
  }

  async #flush(batch: readonly E[]): Promise<void> {
    const signed = signReceipts(
      this.#domain,
      this.#signer,
      batch.map((ended) => ended.receipt),
    )
    batch.forEach((ended, i) => {
      const own = signed[i]
      if (own !== undefined) ended.stage(own)
    })
    await this.#write(batch)
    this.#send(batch)
  }
}

/** A tree of 256 makes proofs of 8 hashes: half a kilobyte beside a receipt. */
const MAX_TREE = 256
