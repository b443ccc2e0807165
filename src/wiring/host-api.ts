/** What a host's owner can ask: how it stands, why it gets no work, what a job would cost. */
import { asTotals, sum } from '../core/ledger.ts'
import type { ChannelRecord } from '../core/records.ts'
import { priceFor, total } from '../core/tariff.ts'
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { AtRisk, Earnings, HostApi, HostStatus, HostWhy } from '../role/api-host.ts'
import type { Base } from './base.ts'
import type { HostSide } from './host-side.ts'
import { drawnByToken } from './payouts.ts'

/** The job that prices are compared by: one core and one GiB for a minute. */
const YARDSTICK = { resources: { cpuMillis: 1000, memoryBytes: 2 ** 30, gpus: 0 }, seconds: 60 }

export function hostApi(base: Base, side: HostSide): HostApi {
  return {
    status: () => status(base, side),
    why: async () => why(base, side),
    drain: async (on) => {
      side.host.drain(on)
      return status(base, side)
    },
    price: async (resources, maxSeconds) =>
      side.policy.tariffs.map((tariff) => ({
        token: tariff.token,
        hostAmount: priceFor(tariff, resources, maxSeconds, 0n).hostAmount.toString(),
      })),
  }
}

async function status(base: Base, side: HostSide): Promise<HostStatus> {
  const { host, fleet, images } = side
  const entry = await base.hosts.get(base.signer.address, base.signal)
  return {
    address: base.signer.address,
    state: host.draining ? 'draining' : 'open',
    registered: entry !== undefined,
    total: fleet.total,
    free: fleet.free,
    running: [...host.jobs.live.values()].map(({ record, clock }) => ({
      job: record.id,
      task: record.cid,
      client: record.client,
      phase: clock.phase,
      sinceMs: Math.max(0, Date.now() - record.acceptedAt),
    })),
    queued: fleet.queued,
    warm: fleet.warm,
    images: images.list().length,
    engine: { version: side.engineVersion, runtimes: [...side.policy.runtimes] },
    earned: await earnings(base, side),
    atRisk: atRisk(side),
    alarms: base.alarms.list(),
  }
}

function tokensOf({ policy, book }: HostSide): Hex[] {
  return [
    ...new Set([
      ...policy.tariffs.map(({ token }) => token),
      ...[...book.channels.values()].map(({ terms }) => terms.token),
    ]),
  ]
}

async function earnings(base: Base, side: HostSide): Promise<Earnings> {
  const withdrawn = await drawnByToken(base)
  return tokensOf(side).map((token) => {
    const rows = [...side.book.channels.values()]
      .filter((c) => c.terms.token === token)
      .flatMap((c) => side.book.rowsOf(c.channelId))
    return {
      token,
      jobs: rows.reduce((all, row) => all + row.billed.jobs, 0),
      hostAmount: rows.reduce((all, row) => all + row.billed.hostAmount, 0n).toString(),
      developerAmount: rows.reduce((all, row) => all + row.billed.developerAmount, 0n).toString(),
      claimed: rows.reduce((all, row) => all + row.claimed.hostAmount, 0n).toString(),
      withdrawn: (withdrawn.get(token) ?? 0n).toString(),
    }
  })
}

function atRisk(side: HostSide): AtRisk[] {
  const { book, settler, lending } = side
  return tokensOf(side).map((token) => {
    const channels = [...book.channels.values()].filter((c) => c.terms.token === token)
    const live = channels.filter(({ state }) => state !== 'closed')
    const closing = live.filter(({ closesAt }) => closesAt > 0)
    const pending = (of: readonly ChannelRecord[]) => sumOver(of, ({ channelId }) => settler.pendingOn(channelId))
    return {
      token,
      unclaimed: pending(live),
      closing: pending(closing),
      closesInSeconds: closing.length === 0 ? null : Math.min(...closing.map((c) => settler.secondsLeft(c))),
      leftBehind: sumOver(live, ({ channelId }) => settler.leftBehindOn(channelId)),
      unconfirmed: sumOver(live, ({ channelId }) => lending.exposedOn(channelId)),
      lost: pending(channels.filter(({ state }) => state === 'closed')),
    }
  })
}

function sumOver(channels: readonly ChannelRecord[], of: (channel: ChannelRecord) => bigint): string {
  return channels.reduce((all, channel) => all + of(channel), 0n).toString()
}

function why(base: Base, { host, policy }: HostSide): HostWhy {
  const { counts } = host.jobs
  const own = policy.tariffs[0]
  const ownPrice = own === undefined ? 0n : total(priceFor(own, YARDSTICK.resources, YARDSTICK.seconds, 0n))
  const others = base.market
    .heard()
    .flatMap(({ offer }) =>
      offer.tariffs
        .filter(({ token }) => token === own?.token)
        .map((t) => sum(asTotals(priceFor(t, YARDSTICK.resources, YARDSTICK.seconds, 0n)))),
    )
    .sort((a, b) => (a < b ? -1 : 1))
  const median = others[Math.floor(others.length / 2)]
  const refused = [...counts.refused].map(([code, { count, last }]) => ({ code, count, last }))
  return {
    requests: counts.requests,
    accepted: counts.accepted,
    answered: counts.answered,
    refused,
    token: own?.token ?? NATIVE,
    medianPrice: median?.toString() ?? null,
    ownPrice: ownPrice.toString(),
    advice: advice(base, host.draining, counts.requests, refused, dearer(base, own?.token ?? NATIVE, ownPrice, median)),
  }
}

function dearer({ currencies }: Base, token: Hex, own: bigint, median: bigint | undefined): string | undefined {
  if (median === undefined || own <= median) return undefined
  const [here, others] = [currencies.show(own, token), currencies.show(median, token)]
  return `Your price for a core and a GiB over a minute is ${here}, the median of the others is ${others}.`
}

function advice(
  base: Base,
  draining: boolean,
  requests: number,
  refused: HostWhy['refused'],
  dear: string | undefined,
): string[] {
  const told: string[] = []
  if (draining) told.push('This host is draining and takes nothing new: meca host drain --off opens it again.')
  if (base.peer.libp2p.getConnections().length === 0)
    told.push('No peer is connected, so nobody hears this offer: set p2p.bootstrap, and see meca doctor.')
  if (requests === 0) told.push('No client has asked yet.')
  if (dear !== undefined) told.push(dear)
  for (const { code, count, last } of refused)
    told.push(`${count} requests were refused (${code}), the last because: ${last}`)
  return told
}
