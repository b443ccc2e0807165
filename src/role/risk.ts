/**
 * What a host could lose, read from its book: money on channels that are closing, on channels that ended before it was
 * claimed, and on channels whose deposit is gone. Each with what can still be done about it.
 */
import { sum } from '../core/ledger.ts'
import type { ChannelRecord } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import type { Alarm } from './alarms.ts'
import type { Book } from './book.ts'

/** What was billed on a channel and is not collected. */
export function pendingOn(book: Book, channelId: Hex): bigint {
  return book.rowsOf(channelId).reduce((all, row) => all + positive(sum(row.billed) - sum(row.claimed)), 0n)
}

/** What the book says the chain has paid out of a channel. */
export function claimedOn(book: Book, channelId: Hex): bigint {
  return book.rowsOf(channelId).reduce((all, row) => all + sum(row.claimed), 0n)
}

/** An amount as a person reads it, with its symbol. */
export type Tell = (amount: bigint, token: Hex) => string

/** All that is unclaimed on these channels, token by token. */
export function tellPending(book: Book, channels: readonly ChannelRecord[], tell: Tell): string {
  const tokens = [...Map.groupBy(channels, ({ terms }) => terms.token)]
  const sums = tokens.map(([token, of]) =>
    tell(
      of.reduce((all, c) => all + pendingOn(book, c.channelId), 0n),
      token,
    ),
  )
  return sums.length === 0 ? 'nothing' : sums.join(' and ')
}

/** The alarms over channels; `chainNow` is the time of the newest block, since that is what the contract goes by. */
export function channelAlarms(book: Book, chainNow: number, tell: Tell): Map<string, Alarm> {
  const alarms = new Map<string, Alarm>()
  for (const channel of book.channels.values()) {
    const pending = pendingOn(book, channel.channelId)
    const alarm = pending > 0n ? alarmOver(book, channel, tell(pending, channel.terms.token), chainNow) : undefined
    if (alarm !== undefined) alarms.set(`channel ${channel.channelId}`, alarm)
  }
  return alarms
}

function alarmOver(book: Book, channel: ChannelRecord, what: string, chainNow: number): Alarm | undefined {
  const { channelId, state, closesAt, deposit, terms } = channel
  if (state === 'closed') {
    const detail = `${what} were lost: channel ${channelId} was finished before they were claimed`
    return { level: 'error', detail, cure: 'keep the host up, or have it started more often than channels close' }
  }
  if (closesAt > 0) {
    const leftSeconds = closesAt - chainNow
    const left = leftSeconds > 0 ? `can finish it in ${minutes(leftSeconds)}` : 'can finish it at any moment'
    const detail = `${what} are not claimed on channel ${channelId}, whose client is closing and ${left}`
    const urgent = leftSeconds * 2 < terms.closeDelaySeconds
    return { level: urgent ? 'error' : 'warning', detail, cure: 'run meca claim, and see that the key has gas' }
  }
  if (deposit < book.vouchedOn(channelId)) {
    const detail = `${what} were billed on channel ${channelId}, whose deposit the chain does not have now`
    return { level: 'error', detail, cure: 'wait: a transaction that a reorganisation undid mostly comes back' }
  }
  return undefined
}

function minutes(seconds: number): string {
  return seconds < 7200 ? `${Math.ceil(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`
}

function positive(amount: bigint): bigint {
  return amount > 0n ? amount : 0n
}
