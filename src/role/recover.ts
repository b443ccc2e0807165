/**
 * How a client that lost its disk goes on: the chain knows which channels it opened and what was paid out of each, and
 * its hosts know the vouchers that it signed. It believes a host only its own signatures.
 *
 * The bound: it never signs less than what the chain has paid or a host can show, so it pays no job twice. A host that
 * shows less than it has hurts itself alone.
 */
import { once } from 'node:events'
import type { Logger } from 'pino'
import { cidOf } from '../core/cid.ts'
import { asMecaError } from '../core/errors.ts'
import { sum, ZERO } from '../core/ledger.ts'
import type { Totals } from '../core/ledger.ts'
import type { ChannelRecord } from '../core/records.ts'
import type { ChannelTerms } from '../core/typed.ts'
import type { Hex } from '../core/units.ts'
import type { RecoverReport } from './api-money.ts'
import type { Book, LiveRow } from './book.ts'
import type { ChainChannel } from './host-components.ts'

export type RecoverComponents = {
  address: Hex
  book: Book
  /** Channels that this address opened, by the chain's logs. */
  opened(signal: AbortSignal): Promise<{ channelId: Hex; terms: ChannelTerms }[]>
  /** Tasks that something was paid for out of a channel. */
  paidTasks(channelId: Hex, signal: AbortSignal): Promise<Hex[]>
  state(channelId: Hex, signal: AbortSignal): Promise<ChainChannel>
  lane(channelId: Hex, taskId: Hex, signal: AbortSignal): Promise<Totals>
  /** Says hello over a channel, which brings the host's rows. */
  greet(channel: ChannelRecord, signal: AbortSignal): Promise<void>
  log: Logger
  wallNow(): number
}

export class Recovery {
  readonly #c: RecoverComponents
  #running: Promise<unknown> = Promise.resolve()

  constructor(c: RecoverComponents) {
    this.#c = c
  }

  /** Channels that the book does not know, found and written down; then their hosts are asked. */
  run(signal: AbortSignal): Promise<RecoverReport> {
    const running = this.#run(signal)
    // Its own caller is told of a failure; who only waits is not.
    this.#running = running.catch(() => undefined)
    return running
  }

  /** Resolves once no search is under way: before, the book does not say what this client has. */
  async idle(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const over = new AbortController()
    const cut = once(signal, 'abort', { signal: over.signal })
    await Promise.race([this.#running, cut]).finally(() => over.abort())
    signal.throwIfAborted()
  }

  async #run(signal: AbortSignal): Promise<RecoverReport> {
    const found = await this.#find(signal)
    const channels: RecoverReport['channels'] = []
    for (const channel of found) channels.push(await this.#ask(channel, signal))
    if (found.length > 0)
      this.#c.log.warn({ channels: found.length }, 'found channels on the chain that were not on disk')
    return { channels }
  }

  async #find(signal: AbortSignal): Promise<ChannelRecord[]> {
    const { book, address } = this.#c
    const found: ChannelRecord[] = []
    for (const { channelId, terms } of await this.#c.opened(signal)) {
      if (book.channels.has(channelId) || terms.signer !== address) continue
      const channel = await this.#record(channelId, terms, signal)
      if (channel === undefined) continue
      const rows = await this.#paidRows(channelId, signal)
      book.stageChannel(channel)
      for (const row of rows) book.stageRow(row)
      await book.commit('recovered', { channels: [channel], rows })
      found.push(channel)
    }
    return found
  }

  /** Undefined where nothing is left to be had: the channel is closed. */
  async #record(channelId: Hex, terms: ChannelTerms, signal: AbortSignal): Promise<ChannelRecord | undefined> {
    const { closed, ...state } = await this.#c.state(channelId, signal)
    if (closed || state.deposit === 0n) return undefined
    const now = this.#c.wallNow()
    return {
      channelId,
      side: 'client',
      terms,
      ...state,
      state: state.closesAt > 0 ? 'closing' : 'open',
      createdAt: now,
      recoveredAt: now,
    }
  }

  /** What the chain has paid was signed for: the least that the next voucher must say. */
  async #paidRows(channelId: Hex, signal: AbortSignal): Promise<LiveRow[]> {
    const rows: LiveRow[] = []
    for (const taskId of new Set(await this.#c.paidTasks(channelId, signal))) {
      const paid = await this.#c.lane(channelId, taskId, signal)
      if (sum(paid) > 0n) rows.push(paidRow(channelId, taskId, paid))
    }
    return rows
  }

  async #ask(channel: ChannelRecord, signal: AbortSignal): Promise<RecoverReport['channels'][number]> {
    const { channelId, terms } = channel
    const told = {
      channel: channelId,
      host: terms.host,
      token: terms.token,
      state: channel.state,
      deposit: channel.deposit.toString(),
      claimed: channel.claimed.toString(),
    }
    // Its host has nothing more to say: nothing is signed over a channel that ends.
    const problem = channel.state === 'open' ? await this.#greeted(channel, signal) : undefined
    const rows = this.#c.book.rowsOf(channelId)
    const all = (of: 'vouched' | 'billed') => rows.reduce((total, row) => total + sum(row[of]), 0n).toString()
    return { ...told, vouched: all('vouched'), billed: all('billed'), ...(problem === undefined ? {} : { problem }) }
  }

  async #greeted(channel: ChannelRecord, signal: AbortSignal) {
    try {
      await this.#c.greet(channel, signal)
      return undefined
    } catch (error) {
      if (signal.aborted) throw error
      const { code, message } = asMecaError(error)
      this.#c.log.warn({ err: error, host: channel.terms.host }, 'a host did not say what was signed for it')
      return { code, reason: message }
    }
  }
}

/** Its signature is on the chain and nowhere else; nobody needs it any more. */
function paidRow(channelId: Hex, taskId: Hex, paid: Totals): LiveRow {
  return {
    channelId,
    taskId,
    cid: cidOf(taskId),
    vouched: paid,
    vouchedSignature: `0x${'00'.repeat(65)}`,
    billed: paid,
    reserved: ZERO,
    claimed: paid,
  }
}
