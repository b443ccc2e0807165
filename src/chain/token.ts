/**
 * An ERC-20: its names, balances, allowances, and the two signatures with which a channel opens without an approval.
 * Those are rare, so their digests are laid out by ethers and not by hand. What a token says of itself is a stranger's
 * text: it is shown only where it cannot be taken for something else.
 */
import { TypedDataEncoder } from 'ethers'
import type { TypedDataDomain } from 'ethers'
import { MecaError } from '../core/errors.ts'
import { formatMoney } from '../core/money.ts'
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

/** A token may call itself anything; only this is shown as it stands. */
const PLAIN_SYMBOL = /^[A-Za-z][A-Za-z0-9.$_+-]{0,15}$/
/** The names of the chain's own currency and its parts, which another token must not carry. */
const RESERVED = new Set(['eth', 'wei', 'gwei'])
/** The largest amount has 29 digits, and the decimal numbers that people may write 36 places. */
const MAX_DECIMALS = 36
/** Of the permit's domain, where a token does not tell it: the dollar token USDC has 2, most others 1. */
const USUAL_VERSIONS = ['1', '2']

export class Token {
  readonly #chain: Chain
  readonly #address: Hex

  constructor(chain: Chain, address: Hex) {
    this.#chain = chain
    this.#address = address
  }

  /** Throws `bad_config` where it is no token that money can be counted in. */
  async names(signal: AbortSignal): Promise<TokenNames> {
    const decimals = codec.encode('decimals', [])
    const places = await this.#told(decimals, (answer) => codec.decode('decimals', answer), signal)
    if (places > MAX_DECIMALS) throw noMoney(this.#address, `says that it has ${places} decimals`)
    const symbol = codec.encode('symbol', [])
    const text = await this.#told(symbol, (answer) => codec.decode('symbol', answer), signal)
    return { symbol: shownSymbol(text, this.#address), decimals: places }
  }

  async #told<T>(data: Hex, decode: (answer: Hex) => T, signal: AbortSignal): Promise<T> {
    const answer = await this.#chain.call({ to: this.#address, data }, signal).catch((error: unknown) => {
      if (!(error instanceof MecaError) || error.code !== 'chain_refused') throw error
      throw noMoney(this.#address, 'does not say its symbol and decimals', error)
    })
    try {
      return decode(answer)
    } catch (cause) {
      throw noMoney(this.#address, 'does not say its symbol and decimals', cause)
    }
  }

  async balance(account: Hex, signal: AbortSignal): Promise<bigint> {
    return this.#chain.read(codec, this.#address, 'balanceOf', [account], signal)
  }

  async transfer(wallet: Wallet, to: Hex, amount: bigint, signal: AbortSignal): Promise<void> {
    const data = codec.encode('transfer', [to, amount])
    await wallet.send({ to: this.#address, data }, `send ${amount} of token ${this.#address} to ${to}`, signal)
  }

  /** Throws `insufficient_funds`. */
  async requireBalance(account: Hex, amount: bigint, signal: AbortSignal): Promise<void> {
    const balance = await this.balance(account, signal)
    if (balance >= amount) return
    const named = await this.names(signal)
    const [there, needed] = [balance, amount].map((some) => formatMoney(some, { address: this.#address, ...named }))
    const message = `${account} has ${there} (token ${this.#address}), needed are ${needed}`
    throw new MecaError('insufficient_funds', message, { cure: `Send tokens to ${account}.` })
  }

  async allowance(owner: Hex, spender: Hex, signal: AbortSignal): Promise<bigint> {
    return this.#chain.read(codec, this.#address, 'allowance', [owner, spender], signal)
  }

  /** Lets `spender` move `amount`, unless it may already. Throws `insufficient_funds` where the balance is smaller. */
  async allow(wallet: Wallet, spender: Hex, amount: bigint, signal: AbortSignal): Promise<void> {
    await this.requireBalance(wallet.address, amount, signal)
    if ((await this.allowance(wallet.address, spender, signal)) >= amount) return
    const data = codec.encode('approve', [spender, amount])
    await wallet.send({ to: this.#address, data }, `allow ${spender} to move ${amount} of ${this.#address}`, signal)
  }

  /** The owner's signature that lets `spender` move `amount`; nothing is sent. Throws `chain_refused` without permits. */
  async signPermit(
    owner: Signer,
    spender: Hex,
    amount: bigint,
    deadline: bigint,
    signal: AbortSignal,
  ): Promise<Permit> {
    const domain = await this.#permitDomain(signal)
    const nonce = await this.#chain.read(codec, this.#address, 'nonces', [owner.address], signal)
    const value = { owner: owner.address, spender, value: amount, nonce, deadline }
    const digest = TypedDataEncoder.hash(domain, PERMIT, value) as Hex
    return { deadline, signature: owner.sign(fromHex(digest)) }
  }

  /** The chain and the address are ours, whatever the token says, so that the signature is good for nothing else. */
  async #permitDomain(signal: AbortSignal): Promise<TypedDataDomain> {
    const separator = await this.#chain.read(codec, this.#address, 'DOMAIN_SEPARATOR', [], signal)
    const told = await this.#chain.read(codec, this.#address, 'eip712Domain', [], signal).catch(() => undefined) // Older tokens do not have it.
    const name = told?.[1] ?? (await this.#chain.read(codec, this.#address, 'name', [], signal))
    for (const version of told === undefined ? USUAL_VERSIONS : [told[2]]) {
      const domain = { name, version, chainId: this.#chain.deployment.chainId, verifyingContract: this.#address }
      if (TypedDataEncoder.hashDomain(domain) === separator) return domain
    }
    throw new MecaError('chain_refused', `The token ${this.#address} takes no permit that is known here`)
  }
}

/** The symbol where nothing about it can mislead, else a part of the address, which nobody chooses freely. */
function shownSymbol(symbol: string, address: Hex): string {
  const isPlain = PLAIN_SYMBOL.test(symbol) && !RESERVED.has(symbol.toLowerCase())
  return isPlain ? symbol : symbolByAddress(address)
}

/** For a token whose own symbol is no use. */
export function symbolByAddress(address: Hex): string {
  return `token-${address.slice(2, 10)}`
}

function noMoney(address: Hex, what: string, cause?: unknown): MecaError {
  return new MecaError('bad_config', `The token ${address} ${what}, so no money can be counted in it`, {
    cause,
    cure: 'use another token',
  })
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
