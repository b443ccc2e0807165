/**
 * One EVM chain with the three contracts on it: proved to be the expected one before anything is believed, then asked
 * for state. State is always asked for anew; nothing is remembered between calls, since whoever decides over money
 * must see what is there now.
 */
import type { Abi } from 'abitype'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { makeDomain } from '../core/typed.ts'
import type { Domain } from '../core/typed.ts'
import { formatDecimal } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import { channelsAbi, hostsAbi } from './abi.ts'
import { Codec, revertReason } from './codec.ts'
import type { Args, FunctionName, Log, Result } from './codec.ts'
import { FIRST_RETRY_MS, MAX_TX_GAS, MIN_TX_GAS, POLL_MS, REQUEST_TIMEOUT_MS } from './limits.ts'
import { Rpc } from './rpc.ts'

/** Which contracts on which chain. `token` is set where a market's default currency is an ERC-20. */
export type Deployment = {
  chainId: number
  contracts: { tasks: Hex; hosts: Hex; channels: Hex }
  token?: Hex
}

/** `pollMs`: how often waits ask; 100 on a chain of our own. */
export type ChainOptions = { signal: AbortSignal; pollMs?: number; requestTimeoutMs?: number }

export type Block = { number: number; hash: Hex; timestamp: number; baseFeePerGas: bigint | undefined }

/** `status` false: the transaction is in a block and was undone there. */
export type TxReceipt = {
  hash: Hex
  status: boolean
  blockNumber: number
  blockHash: Hex
  gasUsed: bigint
  feeWei: bigint
  contract: Hex | undefined
  logs: readonly Log[]
}

/** Throws `chain_unreachable`, or `wrong_chain` where chain id or contracts are not those of the deployment. */
export async function connect(rpcUrl: string, deployment: Deployment, options: ChainOptions): Promise<Chain> {
  const chain = new Chain(rpcUrl, deployment, options)
  await chain.verify(options.signal)
  return chain
}

export class Chain {
  readonly deployment: Deployment
  readonly domain: Domain
  readonly pollMs: number
  readonly rpc: Rpc
  /** The code that was found at each address; it never changes, so another one later is another chain. */
  readonly #codes = new Map<Hex, Hex>()

  constructor(rpcUrl: string, deployment: Deployment, options: Omit<ChainOptions, 'signal'> = {}) {
    this.deployment = deployment
    this.domain = makeDomain(deployment.chainId, deployment.contracts.channels)
    this.pollMs = options.pollMs ?? POLL_MS
    // A chain that is asked often is near, and a second try need not wait for long.
    const firstRetryMs = Math.min(FIRST_RETRY_MS, this.pollMs)
    this.rpc = new Rpc(rpcUrl, options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS, firstRetryMs)
  }

  /** Throws `wrong_chain` where the endpoint speaks of another chain than the deployment's. */
  async verifyId(signal: AbortSignal): Promise<void> {
    const { chainId } = this.deployment
    const found = await this.chainId(signal)
    if (found !== chainId) throw wrongChain(`${this.rpc.host} is chain ${found}, wanted is chain ${chainId}`)
  }

  /** Chain id, code at every address, and that the contracts name each other. */
  async verify(signal: AbortSignal): Promise<void> {
    const { contracts, token } = this.deployment
    await this.verifyId(signal)
    const addresses = { ...contracts, ...(token === undefined ? {} : { token }) }
    for (const [name, address] of Object.entries(addresses)) await this.#verifyCode(name, address, signal)
    const named = [
      { is: await this.read(channels, contracts.channels, 'TASKS', [], signal), wanted: contracts.tasks },
      { is: await this.read(channels, contracts.channels, 'HOSTS', [], signal), wanted: contracts.hosts },
      { is: await this.read(hosts, contracts.hosts, 'channels', [], signal), wanted: contracts.channels },
    ]
    for (const { is, wanted } of named) {
      if (is !== wanted) throw wrongChain(`the contracts do not belong together: ${is} is named where ${wanted} is set`)
    }
  }

  async #verifyCode(name: string, address: Hex, signal: AbortSignal): Promise<void> {
    const code = await this.code(address, signal)
    const before = this.#codes.get(address) ?? code
    if (code === '0x')
      throw wrongChain(`there is no contract at ${address} (${name}) on chain ${this.deployment.chainId}`)
    if (code !== before) throw wrongChain(`the contract at ${address} (${name}) is not the one that was there before`)
    this.#codes.set(address, code)
  }

  /** A view function of a contract, on the newest state or as of a block. */
  async read<const A extends Abi, N extends FunctionName<A>>(
    codec: Codec<A>,
    to: Hex,
    name: N,
    args: Args<A, N>,
    signal: AbortSignal,
    block?: number,
  ): Promise<Result<A, N>> {
    return codec.decode(name, await this.call({ to, data: codec.encode(name, args) }, signal, block))
  }

  /** `eth_call`: what a transaction would return now. Throws `chain_refused` with the contract's own reason. */
  async call(
    tx: { to: Hex; data: Hex; from?: Hex; value?: bigint },
    signal: AbortSignal,
    block?: number,
  ): Promise<Hex> {
    return this.#simulated(tx, 'eth_call', zBytes, signal, block)
  }

  async estimateGas(tx: { to?: Hex; data: Hex; from?: Hex; value?: bigint }, signal: AbortSignal): Promise<bigint> {
    return this.#simulated(tx, 'eth_estimateGas', zGas, signal)
  }

  async chainId(signal: AbortSignal): Promise<number> {
    return this.#ask('eth_chainId', [], zCounted, signal)
  }

  /** The newest block, or the one at a height. */
  async block(signal: AbortSignal, number?: number): Promise<Block> {
    const reply = await this.#ask('eth_getBlockByNumber', [heightOf(number), false], zBlock, signal)
    return { ...reply, baseFeePerGas: reply.baseFeePerGas ?? undefined }
  }

  async balance(address: Hex, signal: AbortSignal): Promise<bigint> {
    return this.#ask('eth_getBalance', [address, 'latest'], zQuantity, signal)
  }

  async code(address: Hex, signal: AbortSignal, block?: number): Promise<Hex> {
    return this.#ask('eth_getCode', [address, heightOf(block)], zBytes, signal)
  }

  async transactionCount(address: Hex, block: 'latest' | 'pending', signal: AbortSignal): Promise<number> {
    return this.#ask('eth_getTransactionCount', [address, block], zCounted, signal)
  }

  async gasPrice(signal: AbortSignal): Promise<bigint> {
    return this.#ask('eth_gasPrice', [], zQuantity, signal)
  }

  /** Undefined while the transaction is in no block. */
  async receipt(hash: Hex, signal: AbortSignal): Promise<TxReceipt | undefined> {
    const ofIt = zReceipt.refine(({ transactionHash }) => transactionHash.toLowerCase() === hash)
    const reply = await this.#ask('eth_getTransactionReceipt', [hash], ofIt.nullable(), signal)
    if (reply === null) return undefined
    return {
      hash,
      status: reply.status === 1n,
      blockNumber: reply.blockNumber,
      blockHash: reply.blockHash,
      gasUsed: reply.gasUsed,
      feeWei: reply.gasUsed * reply.effectiveGasPrice,
      contract: reply.contractAddress ?? undefined,
      logs: reply.logs,
    }
  }

  /** Whether the endpoint has heard of a transaction, in a block or waiting for one. */
  async knows(hash: Hex, signal: AbortSignal): Promise<boolean> {
    return (await this.#ask('eth_getTransactionByHash', [hash], z.object({ hash: zWord }).nullable(), signal)) !== null
  }

  /** The time between two looks at the chain. */
  async pause(signal: AbortSignal): Promise<void> {
    await sleep(this.pollMs, undefined, { signal }).catch(() => signal.throwIfAborted())
  }

  async #simulated<T>(
    tx: { to?: Hex; data: Hex; from?: Hex; value?: bigint },
    method: string,
    schema: z.ZodType<T>,
    signal: AbortSignal,
    block?: number,
  ): Promise<T> {
    const value = tx.value === undefined ? undefined : `0x${tx.value.toString(16)}`
    return this.#ask(method, [{ ...tx, value }, heightOf(block)], schema, signal).catch((error: unknown) => {
      throw asRefusal(error)
    })
  }

  async #ask<T>(method: string, params: readonly unknown[], schema: z.ZodType<T>, signal: AbortSignal): Promise<T> {
    const parsed = schema.safeParse(await this.rpc.request(method, params, signal))
    if (parsed.success) return parsed.data
    const message = `The RPC endpoint ${this.rpc.host} answered ${method} with something else than asked for`
    throw new MecaError('chain_unreachable', message, { cause: parsed.error, cure: 'Use another RPC endpoint.' })
  }
}

const channels = new Codec(channelsAbi)
const hosts = new Codec(hostsAbi)

const zBytes = z.custom<Hex>((v) => typeof v === 'string' && /^0x([0-9a-f]{2})*$/i.test(v))
const zWord = z.custom<Hex>((v) => typeof v === 'string' && /^0x[0-9a-f]{64}$/i.test(v))
/** At most 256 bits, as hex: what is longer is no number of a chain. */
const zQuantity = z
  .string()
  .regex(/^0x[0-9a-f]{1,64}$/i)
  .transform(BigInt)
const zAddress = z
  .string()
  .regex(/^0x[0-9a-f]{40}$/i)
  .transform((text) => text.toLowerCase() as Hex)

/** Heights, nonces, times and ids: what is beyond the numbers that a program counts with is no answer. */
const zCounted = zQuantity.refine((n) => n <= BigInt(Number.MAX_SAFE_INTEGER)).transform(Number)
const zGas = zQuantity.refine((n) => n >= MIN_TX_GAS && n <= MAX_TX_GAS)
const zBlock = z.object({ number: zCounted, hash: zWord, timestamp: zCounted, baseFeePerGas: zQuantity.nullish() })
const zReceipt = z.object({
  transactionHash: zWord,
  status: zQuantity,
  blockNumber: zCounted,
  blockHash: zWord,
  gasUsed: zGas,
  effectiveGasPrice: zQuantity,
  contractAddress: zAddress.nullish(),
  logs: z.array(z.object({ address: zAddress, topics: z.array(zWord), data: zBytes })),
})

function heightOf(block: number | undefined): string {
  return block === undefined ? 'latest' : `0x${block.toString(16)}`
}

function wrongChain(what: string): MecaError {
  const cure = 'Check chain.rpc and the deployment file: they must be of one chain.'
  return new MecaError('wrong_chain', `Wrong chain: ${what}`, { cure })
}

/** Endpoints tell what is there and what is missing in wei. */
function inCoins(message: string): string {
  const told = message.replace(
    /\b(have|want|balance|tx cost|overshot) ([0-9]{1,40})\b/g,
    (_, what: string, wei: string) => `${what} ${formatDecimal(BigInt(wei), 18)}`,
  )
  return told === message ? message : `${told} (in whole coins)`
}

/** The contract's own reason in place of the endpoint's wording; lack of money under its own code. */
function asRefusal(error: unknown): unknown {
  if (!(error instanceof MecaError) || error.code !== 'chain_refused') return error
  const reason = revertReason(error.details?.['data'])
  if (reason !== undefined) {
    return new MecaError('chain_refused', `The contract refused: ${reason}`, { cause: error, details: { reason } })
  }
  if (/insufficient funds|exceeds (the )?balance|out of gas.*funds/i.test(String(error.details?.['rpcMessage']))) {
    const cure = 'Send some of the chain’s currency to the address, for the amount and its gas.'
    return new MecaError('insufficient_funds', inCoins(error.message), { cause: error, cure })
  }
  return error
}
