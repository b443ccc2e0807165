/**
 * Throws away what nobody needs any more, at the start and on a slow timer: outputs that their client has, or that
 * waited long enough for it; inputs of jobs that have ended. Records of jobs and money stay.
 */
import type { HostJob } from '../core/records.ts'
import { hostJobKey } from '../core/records.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { Base, Closer } from './base.ts'

const EVERY_MS = 600_000
/** A client that acknowledged may still ask again, after a crash of its own. */
const KEPT_AFTER_ACK_MS = 3_600_000
/** A client that never came back. */
const KEPT_UNASKED_MS = 7 * 86_400_000
/** A client's own results are its own to keep; after so long they are fetched from where the user put them. */
const KEPT_RESULTS_MS = 30 * 86_400_000
/** A transfer that is under way has no record yet that names its blob. */
const YOUNG_MS = 3_600_000
/** What came of a transfer that nobody went on with. */
const KEPT_PARTS_MS = 24 * 3_600_000

type Rooms = Pick<Base, 'tables' | 'store' | 'blobs' | 'signal'> & { ipfs: Pick<Base['ipfs'], 'unpin'> }

/** Begins at once: a node that never lives for long has to be tidied, too. */
export function startJanitor(base: Base, closer: Closer): void {
  let turn = Promise.resolve()
  const next = async () => {
    try {
      await tidy(base, Date.now())
    } catch (error) {
      base.log.warn({ err: error }, 'tidying up failed; trying again later')
    }
  }
  const begin = () => void (turn = turn.then(next))
  const timer = setInterval(begin, EVERY_MS).unref()
  begin()
  closer.add(async () => {
    clearInterval(timer)
    await turn
  })
}

/** Resolves to the bytes of files that it gave back. */
export async function tidy(base: Rooms, now: number): Promise<number> {
  const needed = new Set<Hex>()
  const spent: string[] = []
  for await (const [key, job] of base.tables.hostJobs.entries()) {
    if (job.signed === undefined) needed.add(job.inputHash)
    else if (await isKept(base, job, now)) needed.add(job.signed.receipt.outputHash)
    else spent.push(key)
  }
  for await (const [, job] of base.tables.clientJobs.entries()) {
    if (job.signed !== undefined && now - (job.endedAt ?? 0) < KEPT_RESULTS_MS)
      needed.add(job.signed.receipt.outputHash)
  }
  failpoint('janitor.tidying')
  const { outputs, acks } = base.tables
  await letGo(base, spent)
  if (spent.length > 0) await base.store.commit({ rows: spent.flatMap((key) => [outputs.del(key), acks.del(key)]) })
  const parts = await base.blobs.sweepParts(now - KEPT_PARTS_MS)
  const whole = await base.blobs.sweep((hash, writtenAt) => needed.has(hash) || now - writtenAt < YOUNG_MS)
  return parts + whole
}

/** Outputs that stayed on IPFS lose their pin before their row, so that a crash between the two loses nothing. */
async function letGo({ tables: { keptOutputs }, ipfs, store, signal }: Rooms, spent: readonly string[]): Promise<void> {
  for (const key of spent) {
    const cid = await keptOutputs.get(key)
    if (cid === undefined) continue
    await ipfs.unpin(cid, signal)
    await store.commit({ rows: [keptOutputs.del(key)] })
  }
}

async function isKept({ tables }: Rooms, job: HostJob, now: number): Promise<boolean> {
  const acknowledgedAt = await tables.acks.get(hostJobKey(job.client, job.id))
  const endedAt = job.signed?.receipt.endedAt ?? now
  return acknowledgedAt === undefined ? now - endedAt < KEPT_UNASKED_MS : now - acknowledgedAt < KEPT_AFTER_ACK_MS
}
