/**
 * What this address earned as a developer: the fees that the chain credited to its tasks, and what left the contract of
 * them. A task may have been sold: whoever was its payee at the time drew for it, and is found in the registry's logs.
 */
import { cidOf } from '../core/cid.ts'
import { MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import type { EarningsCheck } from './api-money.ts'
import type { EarningsComponents } from './earnings.ts'
import { check, keyOf, Sums } from './earnings-sums.ts'
import type { Tally } from './tally.ts'

type Credited = { token: Hex; taskId: Hex; credited: bigint }
type Drawn = { token: Hex; amount: bigint; at: number }
type Claims = Awaited<ReturnType<EarningsComponents['history']['claimed']>>
type OwnTask = { taskId: Hex; payee: Hex }

/** `events` are all claims of the market. */
export async function developerEarnings(
  c: EarningsComponents,
  own: ReadonlyMap<Hex, OwnTask>,
  events: Claims,
  tally: Tally,
  signal: AbortSignal,
): Promise<EarningsCheck[]> {
  const ours = events.filter(({ taskId }) => own.has(taskId))
  const terms = await c.history.terms([...new Set(ours.map(({ channelId }) => channelId))], signal)
  const byTask = new Map<string, Credited>()
  const [logged, onLanes] = [new Sums(), new Sums()]
  const seen = new Set<string>()
  for (const { channelId, taskId, developerPaid, at } of ours) {
    const { token, client } = terms.get(channelId) ?? missing(channelId)
    const key = keyOf(channelId, taskId)
    const lane = seen.has(key) ? undefined : await c.lane(channelId, taskId, signal)
    seen.add(key)
    logged.add(token, developerPaid)
    onLanes.add(token, lane?.developerAmount ?? 0n)
    const entry = { role: 'developer' as const, token, task: cidOf(taskId), client, at }
    tally.add({ ...entry, run: lane?.jobs ?? 0, developerAmount: developerPaid, claimed: developerPaid })
    const before = byTask.get(`${token}/${taskId}`)?.credited ?? 0n
    byTask.set(`${token}/${taskId}`, { token, taskId, credited: before + developerPaid })
  }
  const claimed = [...logged.keys()].map((token) =>
    check(
      'developer',
      token as Hex,
      'fees claimed by the logs, and by the channels',
      logged.of(token),
      onLanes.of(token),
    ),
  )
  return [...claimed, ...(await drawnFees(c, own, [...byTask.values()], tally, signal))]
}

/** Fees are drawn by payee, all tasks at once; by task they are what was credited and is not there any more. */
async function drawnFees(
  c: EarningsComponents,
  own: ReadonlyMap<Hex, OwnTask>,
  tasks: readonly Credited[],
  tally: Tally,
  signal: AbortSignal,
): Promise<EarningsCheck[]> {
  const byTask = tally.isBy('task')
  const gone = new Sums()
  for (const { token, taskId, credited } of tasks) {
    const left = credited - (await c.taskCredit(token, taskId, signal))
    gone.add(token, left)
    if (byTask && left !== 0n) tally.add({ role: 'developer', token, task: cidOf(taskId), withdrawn: left })
  }
  const payees = new Set([...own.values()].map(({ payee }) => payee))
  const drawn = await drawsOf(c, payees, signal)
  if (!byTask) for (const draw of drawn) tally.add(withdrawal(draw))
  const before = await drawsOf(c, await formerPayees(c, own, payees, signal), signal)
  return [...gone.keys()].map((key) => {
    const token = key as Hex
    const [now, then] = [drawn, before].map((draws) => draws.filter((draw) => draw.token === token))
    const missed = gone.of(token) - total(now ?? [])
    if (!byTask) for (const entry of partOf(then ?? [], missed)) tally.add(withdrawal(entry))
    const all = total(now ?? []) + total(then ?? [])
    // A payee may draw for tasks of other developers as well, and more than ours then.
    const what = 'fees that left the contract, and that their payees drew'
    return check('developer', token, what, gone.of(token), all, gone.of(token) <= all)
  })
}

/**
 * Of what former payees drew, what our tasks had earned: a day is known where all of it was, and otherwise not, since they
 * draw for tasks of their own too.
 */
function partOf(draws: readonly Drawn[], missed: bigint): (Omit<Drawn, 'at'> & { at?: number })[] {
  const [first] = draws
  if (first === undefined || missed <= 0n) return []
  const all = total(draws)
  return all <= missed ? [...draws] : [{ token: first.token, amount: missed }]
}

async function drawsOf(c: EarningsComponents, payees: ReadonlySet<Hex>, signal: AbortSignal): Promise<Drawn[]> {
  const draws: Drawn[] = []
  for (const payee of payees) draws.push(...(await c.history.tasksWithdrawn(payee, signal)))
  return draws
}

async function formerPayees(
  { history }: EarningsComponents,
  own: ReadonlyMap<Hex, OwnTask>,
  current: ReadonlySet<Hex>,
  signal: AbortSignal,
): Promise<Set<Hex>> {
  const all = await history.payees([...own.keys()], signal)
  return new Set([...all].filter((payee) => !current.has(payee)))
}

function withdrawal({ token, amount, at }: Omit<Drawn, 'at'> & { at?: number }) {
  return { role: 'developer' as const, token, withdrawn: amount, ...(at === undefined ? {} : { at }) }
}

function total(draws: readonly Drawn[]): bigint {
  return draws.reduce((all, { amount }) => all + amount, 0n)
}

function missing(channelId: Hex): never {
  throw new MecaError('chain_unreachable', `The chain's logs tell claims on channel ${channelId} and not its opening`, {
    cure: 'use another RPC endpoint',
  })
}
