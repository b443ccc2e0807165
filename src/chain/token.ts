/**
 * An ERC-20: its names, balances, allowances, and the two signatures with which a client without gas lets somebody
 * else open its channel. Those are rare, so their digests are laid out by ethers and not by hand.
 */
import { TypedDataEncoder } from 'ethers'
import { MecaError } from '../core/errors.ts'
import type { Signer } from '../core/signature.ts'
import { fromHex } from '../core/typed.ts'
import type { Domain } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { devTokenAbi } from './abi.ts'
import type { Chain } from './chain.ts'
import { Codec } from './codec.ts'
import type { Wallet } from './wallet.ts'

export type TokenNames = { symbol: string; decimals: number }

/** An EIP-2612 permit. `deadline` in seconds since the epoch. */
export type Permit = { deadline: bigint; signature: Hex }

const codec = new Codec(devTokenAbi)

/** Longest symbol that is shown; a token may call itself anything. */
const MAX_SYMBOL = 16

export class Token {
  readonly #chain: Chain
  readonly #address: Hex

  constructor(chain: Chain, address: Hex) {
    this.#chain = chain
    this.#address = address
  }

  async names(signal: AbortSignal): Promise<TokenNames> {
    const symbol = await this.#chain.read(codec, this.#address, 'symbol', [], signal)
    const decimals = await this.#chain.read(codec, this.#address, 'decimals', [], signal)
    return { symbol: symbol.replace(/[^\x21-\x7e]/g, '').slice(0, MAX_SYMBOL), decimals }
  }

  async balance(account: Hex, signal: AbortSignal): Promise<bigint> {
    return this.#chain.read(codec, this.#address, 'balanceOf', [account], signal)
  }

  async transfer(wallet: Wallet, to: Hex, amount: bigint, signal: AbortSignal): Promise<void> {
    const data = codec.encode('transfer', [to, amount])
    await wallet.send({ to: this.#address, data }, `send ${amount} of token ${this.#address} to ${to}`, signal)
  }

  /** Lets `spender` move `amount`, unless it may already. Throws `insufficient_funds` where the balance is smaller. */
  async allow(wallet: Wallet, spender: Hex, amount: bigint, signal: AbortSignal): Promise<void> {
    const balance = await this.balance(wallet.address, signal)
    if (balance < amount) {
      const message = `${wallet.address} has ${balance} of token ${this.#address}, needed are ${amount}`
      throw new MecaError('insufficient_funds', message, { cure: `Send tokens to ${wallet.address}.` })
    }
    const allowed = await this.#chain.read(codec, this.#address, 'allowance', [wallet.address, spender], signal)
    if (allowed >= amount) return
    const data = codec.encode('approve', [spender, amount])
    await wallet.send({ to: this.#address, data }, `allow ${spender} to move ${amount} of ${this.#address}`, signal)
  }

  /** The owner's signature that lets `spender` move `amount`; nothing is sent. */
  async signPermit(
    owner: Signer,
    spender: Hex,
    amount: bigint,
    deadline: bigint,
    signal: AbortSignal,
  ): Promise<Permit> {
    const [, name, version] = await this.#chain.read(codec, this.#address, 'eip712Domain', [], signal)
    const nonce = await this.#chain.read(codec, this.#address, 'nonces', [owner.address], signal)
    const domain = { name, version, chainId: this.#chain.deployment.chainId, verifyingContract: this.#address }
    const value = { owner: owner.address, spender, value: amount, nonce, deadline }
    const digest = TypedDataEncoder.hash(domain, PERMIT, value) as Hex
    return { deadline, signature: owner.sign(fromHex(digest)) }
  }
}

export function openDigest(domain: Domain, channelId: Hex, amount: bigint): Uint8Array {
  const where = { name: 'MECA', version: '1', chainId: domain.chainId, verifyingContract: domain.channels }
  return fromHex(TypedDataEncoder.hash(where, OPEN, { channelId, amount }) as Hex)
}

const OPEN = {
  Open: [
    { name: 'channelId', type: 'bytes32' },
    { name: 'amount', type: 'uint96' },
  ],
}

const PERMIT = {
  Permit: [
    { name: 'owner', type: 'address' },
    { name: 'spender', type: 'address' },
    { name: 'value', type: 'uint256' },
    { name: 'nonce', type: 'uint256' },
    { name: 'deadline', type: 'uint256' },
  ],
}
