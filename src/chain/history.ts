/**
 * What happened in the Channels contract, read from its logs: which channels somebody opened or is paid by, what was
 * claimed, and what was drawn. Logs say when and for whom; they are no proof of anything: whoever decides over money asks
 * for state as well. An endpoint that serves only narrow ranges is asked in halves, up to a ceiling.
 */
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import type { ChannelTerms } from '../core/typed.ts'
import { channelIdOf } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import { channelsAbi, tasksAbi } from './abi.ts'
import type { Chain } from './chain.ts'
import { Codec } from './codec.ts'
import { MAX_LOG_REQUESTS } from './limits.ts'

export type OpenedChannel = { channelId: Hex; terms: ChannelTerms }
/** `at` in ms, by the block's own clock. */
type Dated = { at: number }
export type ClaimedEvent = Dated & { channelId: Hex; taskId: Hex; hostPaid: bigint; developerPaid: bigint }
export type DrawnEvent = Dated & { token: Hex; amount: bigint }
export type RefundedEvent = Dated & { channelId: Hex; refund: bigint; sent: boolean }

type Found = { args: Readonly<Record<string, unknown>>; blockNumber: number; transactionHash: Hex }
/** A contract whose logs are read. */
type Source = { address: Hex; codec: Codec<typeof channelsAbi> | Codec<typeof tasksAbi> }

export class History {
  readonly #chain: Chain
  readonly #channels: Source
  readonly #tasks: Source
  readonly #times = new Map<number, number>()
  #bornAt: number | undefined

  constructor(chain: Chain) {
    this.#chain = chain
    const { channels, tasks } = chain.deployment.contracts
    this.#channels = { address: channels, codec: new Codec(channelsAbi) }
    this.#tasks = { address: tasks, codec: new Codec(tasksAbi) }
  }

  /** The channels that `account` opened as `client`, or that pay it as `host`. Each id was computed from its terms. */
  async opened(side: 'client' | 'host', account: Hex, signal: AbortSignal): Promise<OpenedChannel[]> {
    const who = topicOf(account)
    const found = await this.#find('Opened', side === 'client' ? [null, who] : [null, null, who], signal)
    return found.flatMap(({ args }) => {
      const terms = toTerms(args['terms'])
      const channelId = channelIdOf(this.#chain.domain, terms)
      return channelId === args['channelId'] && terms[side] === account ? [{ channelId, terms }] : []
    })
  }

  /** What those channels agreed on when they opened. */
  async terms(channelIds: readonly Hex[], signal: AbortSignal): Promise<Map<Hex, ChannelTerms>> {
    const known = new Map<Hex, ChannelTerms>()
    for (const ids of inParts(channelIds, TOPICS)) {
      for (const { args } of await this.#find('Opened', [ids], signal)) {
        const terms = toTerms(args['terms'])
        known.set(channelIdOf(this.#chain.domain, terms), terms)
      }
    }
    return known
  }

  /** Of those channels; of all where none are named, which is how a developer finds the fees of its tasks. */
  async claimed(channelIds: readonly Hex[] | undefined, signal: AbortSignal): Promise<ClaimedEvent[]> {
    return (await this.#ofChannels('Claimed', channelIds, signal)) as ClaimedEvent[]
  }

  async refunded(channelIds: readonly Hex[], signal: AbortSignal): Promise<RefundedEvent[]> {
    return (await this.#ofChannels('Finished', channelIds, signal)) as RefundedEvent[]
  }

  /** What was drawn for an account, whoever sent the transaction. */
  async withdrawn(account: Hex, signal: AbortSignal): Promise<DrawnEvent[]> {
    return this.#drawn('Withdrawn', account, signal)
  }

  /** Fees that were drawn for a payee of tasks. */
  async tasksWithdrawn(payee: Hex, signal: AbortSignal): Promise<DrawnEvent[]> {
    return this.#drawn('TasksWithdrawn', payee, signal)
  }

  /**
   * Whoever was paid for those tasks before their payees changed, and after. Only the payee itself can change it, so that
   * the first one, whom no log names, is who sent the first change; of a contract that is a payee that says nothing.
   */
  async payees(taskIds: readonly Hex[], signal: AbortSignal): Promise<Set<Hex>> {
    const payees = new Set<Hex>()
    const changed = new Set<Hex>()
    for (const ids of inParts(taskIds, TOPICS)) {
      const found = await this.#find('PayeeChanged', [ids], signal, this.#tasks)
      for (const { args, transactionHash } of found.sort((a, b) => a.blockNumber - b.blockNumber)) {
        const taskId = args['taskId'] as Hex
        if (!changed.has(taskId)) payees.add(await this.#senderOf(transactionHash, signal))
        changed.add(taskId)
        payees.add(args['payee'] as Hex)
      }
    }
    return payees
  }

  async #senderOf(hash: Hex, signal: AbortSignal): Promise<Hex> {
    const parsed = zSent.safeParse(await this.#chain.rpc.request('eth_getTransactionByHash', [hash], signal))
    if (!parsed.success) throw this.#nonsense('eth_getTransactionByHash', parsed.error)
    return parsed.data.from
  }

  async #drawn(name: string, account: Hex, signal: AbortSignal): Promise<DrawnEvent[]> {
    const found = await this.#find(name, [null, topicOf(account)], signal)
    return Promise.all(
      found.map(async ({ args, blockNumber }) => ({
        token: args['token'] as Hex,
        amount: args['amount'] as bigint,
        at: await this.#timeOf(blockNumber, signal),
      })),
    )
  }

  async #ofChannels(name: string, channelIds: readonly Hex[] | undefined, signal: AbortSignal): Promise<unknown[]> {
    const all: unknown[] = []
    const lists = channelIds === undefined ? [undefined] : inParts(channelIds, TOPICS)
    for (const ids of lists) {
      const found = await this.#find(name, ids === undefined ? [] : [ids], signal)
      for (const { args, blockNumber } of found) all.push({ ...args, at: await this.#timeOf(blockNumber, signal) })
    }
    return all
  }

  async #find(
    name: string,
    topics: readonly Topic[],
    signal: AbortSignal,
    source: Source = this.#channels,
  ): Promise<Found[]> {
    const { number: head } = await this.#chain.block(signal)
    const found: Found[] = []
    const ranges: [from: number, to: number][] = [[await this.#birth(head, signal), head]]
    for (let asked = 1; ; asked++) {
      const range = ranges.pop()
      if (range === undefined) return found
      const [from, to] = range
      try {
        found.push(...(await this.#logs(source, name, topics, from, to, signal)))
      } catch (error) {
        if (from === to || !isTooMuch(error)) throw error
        const middle = Math.floor((from + to) / 2)
        ranges.push([middle + 1, to], [from, middle])
      }
      if (asked >= MAX_LOG_REQUESTS) throw tooNarrow(this.#chain.rpc.host, asked)
    }
  }

  async #logs(
    { address: ours, codec }: Source,
    name: string,
    topics: readonly Topic[],
    from: number,
    to: number,
    signal: AbortSignal,
  ): Promise<Found[]> {
    const filter = {
      address: ours,
      topics: [codec.topic(name), ...topics],
      fromBlock: hexOf(from),
      toBlock: hexOf(to),
    }
    const parsed = zLogs.safeParse(await this.#chain.rpc.request('eth_getLogs', [filter], signal))
    if (!parsed.success) throw this.#nonsense('eth_getLogs', parsed.error)
    return parsed.data
      .filter(({ address, removed }) => address === ours && removed !== true)
      .flatMap((log) => {
        const { blockNumber, transactionHash } = log
        return codec.events(name, [log]).map((args) => ({ args, blockNumber, transactionHash }))
      })
  }

  async #timeOf(blockNumber: number, signal: AbortSignal): Promise<number> {
    const known = this.#times.get(blockNumber)
    if (known !== undefined) return known
    const block = zBlock.safeParse(
      await this.#chain.rpc.request('eth_getBlockByNumber', [hexOf(blockNumber), false], signal),
    )
    if (!block.success) throw this.#nonsense('eth_getBlockByNumber', block.error)
    const at = block.data.timestamp * 1000
    if (this.#times.size < MAX_TIMES) this.#times.set(blockNumber, at)
    return at
  }

  /** The block that the channels came with: nobody was paid before it. An endpoint that forgot old state is asked for all. */
  async #birth(head: number, signal: AbortSignal): Promise<number> {
    if (head < SHORT_CHAIN) return 0
    if (this.#bornAt !== undefined) return this.#bornAt
    let [low, high] = [0, head]
    try {
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        if ((await this.#chain.code(this.#channels.address, signal, middle)) === '0x') low = middle + 1
        else high = middle
      }
      this.#bornAt = low
      return low
    } catch (error) {
      if (!(error instanceof MecaError) || error.code !== 'chain_refused') throw error
      return 0
    }
  }

  #nonsense(method: string, cause: unknown): MecaError {
    const message = `The RPC endpoint ${this.#chain.rpc.host} answered ${method} with something else than asked for`
    return new MecaError('chain_unreachable', message, { cause, cure: 'Use another RPC endpoint.' })
  }
}

type Topic = Hex | readonly Hex[] | null

/** Alternatives in one topic: endpoints take some thousands at most. */
const TOPICS = 500
/** Times of blocks kept: claims of years. */
const MAX_TIMES = 100_000

/** So few blocks are asked for at once. */
const SHORT_CHAIN = 10_000

const zHex = z.custom<Hex>((v) => typeof v === 'string' && /^0x([0-9a-f]{2})*$/i.test(v))
const zNumber = z
  .string()
  .regex(/^0x[0-9a-f]{1,12}$/i)
  .transform(Number)
const zBlock = z.object({ timestamp: zNumber })
const zAccount = z
  .string()
  .regex(/^0x[0-9a-f]{40}$/i)
  .transform((text) => text.toLowerCase() as Hex)
const zSent = z.object({ from: zAccount })
const zLogs = z.array(
  z.object({
    address: zAccount,
    topics: z.array(zHex).max(4),
    data: zHex,
    blockNumber: zNumber,
    transactionHash: zHex,
    removed: z.boolean().optional(),
  }),
)

function toTerms(value: unknown): ChannelTerms {
  const { closeDelay, ...terms } = value as Omit<ChannelTerms, 'closeDelaySeconds'> & { closeDelay: bigint }
  return { ...terms, closeDelaySeconds: Number(closeDelay) }
}

function hexOf(blockNumber: number): Hex {
  return `0x${blockNumber.toString(16)}`
}

function topicOf(account: Hex): Hex {
  return `0x${account.slice(2).padStart(64, '0')}`
}

/** Endpoints refuse wide ranges in many words; half of one is always worth a try. */
function isTooMuch(error: unknown): boolean {
  return error instanceof MecaError && (error.code === 'chain_refused' || /more than|too large/i.test(error.message))
}

function tooNarrow(host: string, asked: number): MecaError {
  return new MecaError(
    'chain_refused',
    `${host} serves logs over so narrow ranges that ${asked} requests were not enough`,
    {
      cure: 'Set chain.rpc to an endpoint that serves logs over wider ranges.',
    },
  )
}

function* inParts<T>(all: readonly T[], size: number): Generator<readonly T[]> {
  for (let i = 0; i < all.length; i += size) yield all.slice(i, i + size)
}
