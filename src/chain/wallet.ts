/**
 * A key that sends transactions, one at a time, so that no two of them ever share or skip a nonce. Each is written
 * down, signed, before it is broadcast: after a crash the very same bytes are sent again, which does no harm if they
 * had arrived. A transaction that waits too long is replaced by itself with a higher fee.
 */
import { randomUUID } from 'node:crypto'
import { Transaction } from 'ethers'
import { MecaError } from '../core/errors.ts'
import type { Signer } from '../core/signature.ts'
import { fromHex } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { Chain, TxReceipt } from './chain.ts'
import { nextFees, startFees } from './fees.ts'
import type { Fees } from './fees.ts'
import { BUMP_AFTER_MS, MAX_BUMPS, MAX_WAIT_MS, UNSEEN_MS } from './limits.ts'

/** A transaction that was decided on. `raw` and `hashes` grow with every fee rise; they all share the nonce. */
export type Intent = {
  id: string
  chainId: number
  from: Hex
  nonce: number
  /** What it is for, in words for people and logs: `open channel 0x…`. */
  what: string
  raw: readonly Hex[]
  hashes: readonly Hex[]
  createdAtMs: number
}

/** Where intents are kept. `put` (also of a known id) resolves when the intent is on disk. */
export type IntentStore = {
  put(intent: Intent): Promise<void>
  list(): Promise<readonly Intent[]>
  remove(id: string): Promise<void>
}

export type WalletOptions = { confirmations?: number; bumpAfterMs?: number; maxWaitMs?: number }

/** `to` absent: a contract is made. `gas` absent: estimated, with a margin. */
export type TxRequest = { to?: Hex; data: Hex; value?: bigint; gas?: bigint }

/** How an intent that was found at start ended; undefined: another transaction took its nonce. */
export type Recovered = { intent: Intent; receipt: TxReceipt | undefined }

export class Wallet {
  readonly address: Hex
  readonly chain: Chain
  readonly #signer: Signer
  readonly #intents: IntentStore
  readonly #options: Required<WalletOptions>
  #last: Promise<unknown> = Promise.resolve()

  constructor(chain: Chain, signer: Signer, intents: IntentStore, options: WalletOptions = {}) {
    this.chain = chain
    this.address = signer.address
    this.#signer = signer
    this.#intents = intents
    this.#options = { confirmations: 1, bumpAfterMs: BUMP_AFTER_MS, maxWaitMs: MAX_WAIT_MS, ...options }
  }

  /**
   * Sends and waits for the confirmations. Throws `chain_refused` where the contract refuses, before or in the block,
   * `insufficient_funds`, `timeout` where it is stuck (it stays written down and is taken up by the next call).
   */
  async send(tx: TxRequest, what: string, signal: AbortSignal): Promise<TxReceipt> {
    return this.#inTurn(async () => {
      signal.throwIfAborted()
      await this.#settleAll(signal)
      const from = this.address
      const gas = tx.gas ?? withMargin(await this.chain.estimateGas({ ...tx, from }, signal))
      const nonce = await this.chain.transactionCount(from, 'pending', signal)
      const intent = await this.#sign({ ...tx, gas, nonce }, await startFees(this.chain, signal), what)
      const receipt = await this.#settle(intent, signal)
      if (receipt === undefined) throw lostNonce(intent)
      if (!receipt.status) throw undone(what, receipt)
      return receipt
    })
  }

  /** Takes up what an earlier process had begun. To be called once at start, before the first `send`. */
  async recover(signal: AbortSignal): Promise<Recovered[]> {
    return this.#inTurn(() => this.#settleAll(signal))
  }

  /** Runs after everything that was asked for before, whether that worked or not. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work)
    this.#last = turn
    return turn
  }

  async #settleAll(signal: AbortSignal): Promise<Recovered[]> {
    const all = await this.#intents.list()
    const mine = all.filter((i) => i.from === this.address && i.chainId === this.chain.deployment.chainId)
    const done: Recovered[] = []
    for (const intent of mine.toSorted((a, b) => a.nonce - b.nonce)) {
      done.push({ intent, receipt: await this.#settle(intent, signal) })
    }
    return done
  }

  /** Broadcasts until the intent is confirmed, or until its nonce was clearly used by something else. */
  async #settle(first: Intent, signal: AbortSignal): Promise<TxReceipt | undefined> {
    let intent = first
    const startedAt = performance.now()
    let [bumpedAt, usedSince] = [startedAt, Infinity]
    await this.#broadcast(intent, signal)
    for (;;) {
      const found = await this.#mined(intent, signal)
      const now = performance.now()
      usedSince = found === 'nonce_used' ? Math.min(usedSince, now) : Infinity
      if (typeof found === 'object' || now - usedSince > UNSEEN_MS) {
        await this.#intents.remove(intent.id)
        return typeof found === 'object' ? found : undefined
      }
      if (now - startedAt > this.#options.maxWaitMs) throw stuck(intent, now - startedAt)
      if (found === 'waiting' && now - bumpedAt > this.#options.bumpAfterMs && intent.raw.length <= MAX_BUMPS) {
        intent = await this.#bump(intent, await startFees(this.chain, signal))
        await this.#broadcast(intent, signal)
        bumpedAt = now
      }
      await this.chain.pause(signal)
    }
  }

  /** `nonce_used`: by something whose receipt cannot be seen, or not yet. */
  async #mined(intent: Intent, signal: AbortSignal): Promise<TxReceipt | 'nonce_used' | 'waiting'> {
    const used = await this.chain.transactionCount(this.address, 'latest', signal)
    if (used <= intent.nonce) return 'waiting'
    for (const hash of intent.hashes) {
      const receipt = await this.chain.receipt(hash, signal)
      if (receipt === undefined) continue
      const head = await this.chain.block(signal)
      return head.number - receipt.blockNumber + 1 >= this.#options.confirmations ? receipt : 'waiting'
    }
    return 'nonce_used'
  }

  async #sign(tx: TxRequest & { gas: bigint; nonce: number }, fees: Fees, what: string): Promise<Intent> {
    const chainId = this.chain.deployment.chainId
    const unsigned = Transaction.from({
      to: tx.to ?? null,
      data: tx.data,
      value: tx.value ?? 0n,
      gasLimit: tx.gas,
      nonce: tx.nonce,
      chainId,
      ...fees,
    })
    const { raw, hash } = this.#signed(unsigned)
    const intent: Intent = {
      id: randomUUID(),
      chainId,
      from: this.address,
      nonce: tx.nonce,
      what,
      raw: [raw],
      hashes: [hash],
      createdAtMs: Date.now(),
    }
    await this.#intents.put(intent)
    failpoint('chain.intent-written')
    return intent
  }

  async #bump(intent: Intent, now: Fees): Promise<Intent> {
    const tx = Transaction.from(intent.raw.at(-1) ?? '').clone()
    tx.signature = null
    Object.assign(tx, nextFees(tx, now))
    const { raw, hash } = this.#signed(tx)
    const next = { ...intent, raw: [...intent.raw, raw], hashes: [...intent.hashes, hash] }
    await this.#intents.put(next)
    return next
  }

  #signed(tx: Transaction): { raw: Hex; hash: Hex } {
    tx.signature = this.#signer.sign(fromHex(tx.unsignedHash as Hex))
    return { raw: tx.serialized as Hex, hash: tx.hash as Hex }
  }

  /** An endpoint that refuses may already have the transaction, or a block may; `#mined` finds out, so only the rest counts. */
  async #broadcast(intent: Intent, signal: AbortSignal): Promise<void> {
    try {
      await this.chain.rpc.request('eth_sendRawTransaction', [intent.raw.at(-1)], signal)
      failpoint('chain.broadcast')
    } catch (error) {
      const text = error instanceof MecaError && error.code === 'chain_refused' ? error.message : undefined
      if (text === undefined) throw error
      if (HARMLESS.test(text)) return
      if (intent.raw.length === 1) await this.#intents.remove(intent.id)
      const poor = /insufficient funds/i.test(text)
      const cure = poor ? `Send some of the chain’s currency to ${this.address}.` : 'Nothing was sent; try again.'
      throw new MecaError(poor ? 'insufficient_funds' : 'chain_refused', text, { cause: error, cure })
    }
  }
}

/** It is there already, or its fee is too low just now, which the next fee rise mends. */
const HARMLESS = /already known|already imported|known transaction|nonce too low|underpriced|base fee|fee too low/i

/** A quarter more than estimated: state may change a little until the transaction is in a block. */
function withMargin(gas: bigint): bigint {
  return gas + gas / 4n
}

function undone(what: string, receipt: TxReceipt): MecaError {
  const message = `The transaction (${what}) was undone in block ${receipt.blockNumber}: ${receipt.hash}`
  return new MecaError('chain_refused', message, {
    cure: 'The state had changed in between; look at it and try again.',
  })
}

function lostNonce(intent: Intent): MecaError {
  const message = `Another transaction of ${intent.from} took nonce ${intent.nonce} (${intent.what})`
  return new MecaError('chain_refused', message, { cure: 'Let no other program use this key; then try again.' })
}

function stuck(intent: Intent, waitedMs: number): MecaError {
  const message = `The transaction (${intent.what}) is in no block after ${Math.round(waitedMs / 1000)} s: ${intent.hashes.at(-1)}`
  return new MecaError('timeout', message, { cure: 'It stays written down; the next call takes it up again.' })
}
