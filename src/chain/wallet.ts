/**
 * A key that sends transactions, one at a time, so that no two of them ever share or skip a nonce. Each is written
 * down, signed, before it is broadcast: after a crash the very same bytes are sent again, which does no harm if they
 * had arrived. A transaction that waits too long is replaced by itself with a higher fee.
 *
 * The bound: of what is sent and what an endpoint says it refused, at most one can get into a block, since the next
 * transaction takes the first number that the chain has not used. And none costs more than `MAX_TX_GAS` at the fee cap.
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
import { BUMP_AFTER_MS, GAP_MS, LAG_POLLS, MAX_BUMPS, MAX_FEE_PER_GAS, MAX_WAIT_MS, UNSEEN_MS } from './limits.ts'
import { standingOf } from './standing.ts'

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

export type WalletOptions = {
  confirmations?: number
  /** Wei per gas that no transaction goes beyond. */
  maxFeePerGas?: bigint
  bumpAfterMs?: number
  maxWaitMs?: number
  unseenMs?: number
  gapMs?: number
}

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
  /** The number after the last one that got its confirmations. */
  #next = 0

  constructor(chain: Chain, signer: Signer, intents: IntentStore, options: WalletOptions = {}) {
    this.chain = chain
    this.address = signer.address
    this.#signer = signer
    this.#intents = intents
    this.#options = { ...DEFAULTS, ...options }
  }

  /**
   * Sends and waits for the confirmations. Throws `chain_refused` where the contract refuses, before or in the block,
   * `insufficient_funds`, `price_cap` where the chain asks more for gas than the owner allows, `timeout` where it is
   * stuck (it stays written down and is taken up by the next call).
   */
  async send(tx: TxRequest, what: string, signal: AbortSignal): Promise<TxReceipt> {
    return this.#inTurn(async () => {
      signal.throwIfAborted()
      await this.#settleAll(signal)
      const from = this.address
      const gas = tx.gas ?? withMargin(await this.chain.estimateGas({ ...tx, from }, signal))
      const fees = await startFees(this.chain, this.#options.maxFeePerGas, signal)
      const intent = await this.#sign({ ...tx, gas, nonce: await this.#nextNonce(signal) }, fees, what)
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

  /**
   * The first number that no block has used. What waits elsewhere under that number, such as a transaction that an
   * endpoint refused and passed on all the same, competes with ours, and only one of the two is ever mined.
   */
  async #nextNonce(signal: AbortSignal): Promise<number> {
    const startedAt = performance.now()
    const lagMs = Math.min(this.#options.unseenMs, LAG_POLLS * this.chain.pollMs)
    for (;;) {
      const used = await this.chain.transactionCount(this.address, 'latest', signal)
      // Endpoints behind one address lag each other; but a chain that went back stays back.
      if (used >= this.#next || performance.now() - startedAt > lagMs) return used
      await this.chain.pause(signal)
    }
  }

  /** Broadcasts until the intent is confirmed, or until its nonce was clearly used by something else. */
  async #settle(first: Intent, signal: AbortSignal): Promise<TxReceipt | undefined> {
    const { confirmations, bumpAfterMs, maxWaitMs, unseenMs, gapMs } = this.#options
    let intent = first
    const startedAt = performance.now()
    let [bumpedAt, usedSince, gapSince] = [startedAt, Infinity, Infinity]
    await this.#broadcast(intent, signal)
    for (;;) {
      const found = await standingOf(this.chain, intent, confirmations, signal)
      const now = performance.now()
      usedSince = found === 'nonce_used' ? Math.min(usedSince, now) : Infinity
      gapSince = found === 'gap' ? Math.min(gapSince, now) : Infinity
      if (typeof found === 'object' || now - usedSince > unseenMs) return this.#ended(intent, found)
      if (now - gapSince > gapMs) return this.#callOff(intent, signal)
      if (now - startedAt > maxWaitMs) throw stuck(intent, now - startedAt)
      if (found === 'waiting' && now - bumpedAt > bumpAfterMs && intent.raw.length <= MAX_BUMPS) {
        intent = await this.#bump(intent, signal)
        await this.#broadcast(intent, signal)
        bumpedAt = now
      }
      await this.chain.pause(signal)
    }
  }

  async #ended({ id, nonce }: Intent, found: TxReceipt | string): Promise<TxReceipt | undefined> {
    failpoint('chain.confirmed')
    if (typeof found === 'object') this.#next = nonce + 1
    await this.#intents.remove(id)
    return typeof found === 'object' ? found : undefined
  }

  /**
   * Gives up a transaction whose number is too high to be mined now. It must not be mined one day either, so an empty one
   * with a higher fee takes its place wherever it waits.
   */
  async #callOff(intent: Intent, signal: AbortSignal): Promise<undefined> {
    const now = await startFees(this.chain, this.#options.maxFeePerGas, signal)
    const tx = Transaction.from(intent.raw.at(-1) ?? '').clone()
    const fees = nextFees(tx, now, this.#options.maxFeePerGas)
    tx.signature = null
    Object.assign(tx, { to: this.address, data: '0x', value: 0n, ...fees })
    await this.chain.rpc.request('eth_sendRawTransaction', [this.#signed(tx).raw], signal).catch((error: unknown) => {
      // Refused: what it would replace is not waiting there.
      if (!(error instanceof MecaError && error.code === 'chain_refused')) throw error
    })
    await this.#intents.remove(intent.id)
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
    failpoint('chain.signed')
    await this.#intents.put(intent)
    failpoint('chain.intent-written')
    return intent
  }

  /** The same with a higher fee, or as it was where the owner's cap allows no higher one. */
  async #bump(intent: Intent, signal: AbortSignal): Promise<Intent> {
    const { maxFeePerGas } = this.#options
    const tx = Transaction.from(intent.raw.at(-1) ?? '').clone()
    const now = await startFees(this.chain, maxFeePerGas, signal).catch((error: unknown) => {
      // The chain asks too much now; what was sent may still be taken.
      if (error instanceof MecaError && error.code === 'price_cap') return undefined
      throw error
    })
    const fees = now === undefined ? undefined : nextFees(tx, now, maxFeePerGas)
    if (fees === undefined) return intent
    tx.signature = null
    Object.assign(tx, fees)
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
      // Some endpoints refuse what they have passed on.
      if (HARMLESS.test(text) || (await this.#isKnown(intent, signal))) return
      if (intent.raw.length === 1) await this.#intents.remove(intent.id)
      const poor = /insufficient funds/i.test(text)
      const cure = poor ? `Send some of the chain’s currency to ${this.address}.` : 'Nothing was sent; try again.'
      throw new MecaError(poor ? 'insufficient_funds' : 'chain_refused', text, { cause: error, cure })
    }
  }

  async #isKnown({ hashes }: Intent, signal: AbortSignal): Promise<boolean> {
    const hash = hashes.at(-1)
    return hash !== undefined && (await this.chain.knows(hash, signal))
  }
}

const DEFAULTS: Required<WalletOptions> = {
  confirmations: 1,
  maxFeePerGas: MAX_FEE_PER_GAS,
  bumpAfterMs: BUMP_AFTER_MS,
  maxWaitMs: MAX_WAIT_MS,
  unseenMs: UNSEEN_MS,
  gapMs: GAP_MS,
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
