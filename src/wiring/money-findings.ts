/**
 * What is in danger in money, for `meca doctor`: the alarms of a host that runs; of one that does not, what it would
 * raise, since nobody looks at its channels while it is down.
 */
import type { DoctorReport } from '../role/api.ts'
import { Book } from '../role/book.ts'
import { channelAlarms, pendingOn, tellPending } from '../role/risk.ts'
import type { Tell } from '../role/risk.ts'
import { asSeen } from '../role/seen.ts'
import { chainChannel } from './base.ts'
import type { Base } from './base.ts'
import type { HostSide } from './host-side.ts'

type Finding = DoctorReport['findings'][number]

/** Channels with something unclaimed that are asked about: the examination has an end. */
const MAX_ASKED = 200

export async function moneyFindings(
  base: Base,
  host: HostSide | undefined,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const tell: Tell = (amount, token) => base.currencies.show(amount, token)
  const standing = base.alarms.list().map(asFinding)
  if (host === undefined) return [...standing, ...(await whileDown(base, tell, signal))]
  if (standing.length > 0) return standing
  const unclaimed = tellPending(host.book, unpaid(host.book), tell)
  return [{ what: 'money', ok: true, level: 'ok', detail: `${unclaimed} is unclaimed, nothing of it in danger` }]
}

/** Nothing is written down: the records are the host's. */
async function whileDown(base: Base, tell: Tell, signal: AbortSignal): Promise<Finding[]> {
  const book = await Book.open(base.store, base.tables, 'host')
  const owed = unpaid(book)
  if (owed.length === 0) return []
  for (const channel of owed.slice(0, MAX_ASKED)) {
    book.stageChannel(asSeen(channel, await chainChannel(base.channels, channel.channelId, signal), Date.now()))
  }
  const { timestamp } = await base.chain.block(signal)
  const detail = `${tellPending(book, owed, tell)} is unclaimed by the host of this home, which does not run`
  const cure = 'run meca host start, or meca claim: a client that closes is not noticed'
  const alarms = [...channelAlarms(book, timestamp, tell).values()].map(asFinding)
  return [{ what: 'money', ok: true, level: 'warning', detail, cure }, ...alarms]
}

function unpaid(book: Book) {
  return [...book.channels.values()].filter(({ channelId }) => pendingOn(book, channelId) > 0n)
}

function asFinding({ level, detail, cure }: { level: 'warning' | 'error'; detail: string; cure: string }): Finding {
  return { what: 'money', ok: level !== 'error', level, detail, cure }
}
