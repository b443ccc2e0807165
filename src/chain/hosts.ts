/** The Hosts contract, typed: who is registered, with which bond, payee and peer id. */
import { MecaError } from '../core/errors.ts'
import type { SignedReceipt } from '../core/receipt.ts'
import type { Hex } from '../core/units.ts'
import { hostsAbi } from './abi.ts'
import type { Chain, TxReceipt } from './chain.ts'
import { Codec } from './codec.ts'
import { readPages } from './pages.ts'
import { splitSignature } from './split.ts'
import type { Wallet } from './wallet.ts'

export type HostEntry = {
  host: Hex
  payee: Hex
  bondWei: bigint
  /** Seconds since the epoch; 0 unless the host is taking its bond back. */
  unbondsAt: bigint
  /** The libp2p peer id in base58 or CID text, as the host gave it. */
  peerId: string
  metadata: string
}

export type NewHost = { payee: Hex; peerId: string; metadata: string; bondWei: bigint }

const codec = new Codec(hostsAbi)

export class Hosts {
  readonly #chain: Chain
  readonly #address: Hex

  constructor(chain: Chain) {
    this.#chain = chain
    this.#address = chain.deployment.contracts.hosts
  }

  async register(wallet: Wallet, host: NewHost, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('register', [host.payee, textBytes(host.peerId), host.metadata])
    return wallet.send({ to: this.#address, data, value: host.bondWei }, 'register as host', signal)
  }

  async update(wallet: Wallet, peerId: string, metadata: string, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('update', [textBytes(peerId), metadata])
    return wallet.send({ to: this.#address, data }, 'update the host entry', signal)
  }

  async setPayee(wallet: Wallet, host: Hex, payee: Hex, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('setPayee', [host, payee])
    return wallet.send({ to: this.#address, data }, `set the payee of host ${host}`, signal)
  }

  async addBond(wallet: Wallet, host: Hex, amountWei: bigint, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('addBond', [host])
    return wallet.send({ to: this.#address, data, value: amountWei }, `add to the bond of ${host}`, signal)
  }

  async unbond(wallet: Wallet, signal: AbortSignal): Promise<TxReceipt> {
    return wallet.send({ to: this.#address, data: codec.encode('unbond', []) }, 'start to take the bond back', signal)
  }

  async withdrawBond(wallet: Wallet, host: Hex, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('withdrawBond', [host])
    return wallet.send({ to: this.#address, data }, `withdraw the bond of ${host}`, signal)
  }

  /** Two receipts of one host for one job with different outputs; half of the bond becomes the wallet's reward. */
  async slash(
    wallet: Wallet,
    host: Hex,
    receipts: readonly [SignedReceipt, SignedReceipt],
    signal: AbortSignal,
  ): Promise<TxReceipt> {
    const data = codec.encode('slash', [host, toEvidence(receipts[0]), toEvidence(receipts[1])])
    return wallet.send({ to: this.#address, data }, `report host ${host}`, signal)
  }

  async withdrawReward(wallet: Wallet, reporter: Hex, signal: AbortSignal): Promise<TxReceipt> {
    const data = codec.encode('withdrawReward', [reporter])
    return wallet.send({ to: this.#address, data }, `withdraw the reward of ${reporter}`, signal)
  }

  /** Undefined where the address is not registered. */
  async get(host: Hex, signal: AbortSignal): Promise<HostEntry | undefined> {
    try {
      return toEntry(await this.#chain.read(codec, this.#address, 'get', [host], signal))
    } catch (error) {
      if (error instanceof MecaError && String(error.details?.['reason']).startsWith('UnknownHost')) return undefined
      throw error
    }
  }

  /** Where money for an account goes: the payee of a registered host, or the account itself. */
  async payeeOf(account: Hex, signal: AbortSignal): Promise<Hex> {
    return this.#chain.read(codec, this.#address, 'payeeOf', [account], signal)
  }

  async reward(reporter: Hex, signal: AbortSignal): Promise<bigint> {
    return this.#chain.read(codec, this.#address, 'rewards', [reporter], signal)
  }

  /** Newest first. At most `limits.MAX_LISTED`. */
  async list(signal: AbortSignal): Promise<HostEntry[]> {
    const count = await this.#chain.read(codec, this.#address, 'count', [], signal)
    return readPages(count, async (start, limit) => {
      const page = await this.#chain.read(codec, this.#address, 'page', [start, limit], signal)
      return page.map(toEntry)
    })
  }
}

type OnChain = { host: Hex; payee: Hex; bond: bigint; unbondsAt: bigint; peerId: Hex; metadata: string }

function toEntry({ bond, peerId, ...rest }: OnChain): HostEntry {
  return { ...rest, bondWei: bond, peerId: Buffer.from(peerId.slice(2), 'hex').toString('utf8') }
}

function textBytes(text: string): Hex {
  return `0x${Buffer.from(text, 'utf8').toString('hex')}`
}

function toEvidence({ receipt, proof, signature }: SignedReceipt) {
  return {
    receipt: { ...receipt, startedAt: BigInt(receipt.startedAt), endedAt: BigInt(receipt.endedAt) },
    proof,
    signature: splitSignature(signature),
  }
}
