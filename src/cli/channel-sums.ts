/** What all channels come to, for each side and currency; and the wait for one that closes by its delay. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeApi } from '../role/api.ts'
import type { ChannelSummary } from '../role/api-money.ts'
import type { Context } from './context.ts'
import { date } from './render.ts'

export type ChannelSums = Record<(typeof PARTS)[number], string> & {
  side: ChannelSummary['side']
  token: string
  channels: number
}

/** What `meca channel list` shows of each channel, in its order. */
export const PARTS = ['deposit', 'locked', 'billed', 'claimed', 'refundable'] as const

export function sumsOf(channels: readonly ChannelSummary[]): ChannelSums[] {
  const groups = Map.groupBy(channels, ({ side, token }) => `${side}/${token}`)
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const all = (part: (typeof PARTS)[number]) =>
      group.reduce((sum, channel) => sum + BigInt(channel[part]), 0n).toString()
    const [deposit, locked, billed, claimed, refundable] = [
      all('deposit'),
      all('locked'),
      all('billed'),
      all('claimed'),
      all('refundable'),
    ]
    return {
      side: first.side,
      token: first.token,
      channels: group.length,
      deposit,
      locked,
      billed,
      claimed,
      refundable,
    }
  })
}

/** A chain's clock may be a little behind ours. */
const LATE_MS = 2_000
/** So often at least the chain is asked: somebody else may end the channel first. */
const LOOK_MS = 30_000

/** Calls close again when the delay is over, until the rest of the deposit is back or the command is cut short. */
export async function untilClosed(context: Context, api: NodeApi, begun: ChannelSummary): Promise<ChannelSummary> {
  let channel = begun
  if (channel.state === 'closing')
    context.output.say(
      `the host did not answer; waiting until ${date(channel.closesAt) ?? 'its delay is over'} UTC; ` +
        'stopped before, nothing is lost: meca channel close goes on then',
    )
  while (channel.state !== 'closed') {
    const leftMs = (channel.closesAt ?? 0) - Date.now()
    await sleep(Math.min(LOOK_MS, Math.max(LATE_MS, leftMs)), undefined, { signal: context.signal })
    channel = await api.money.close(channel.channel, context.signal)
  }
  return channel
}
