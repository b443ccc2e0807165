/** Builds the questions about money over the chain: whose credit, which transactions. */
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { MoneyApi } from '../role/api.ts'
import { Money } from '../role/money.ts'
import { balanceOf, chainChannel } from './base.ts'
import type { Base } from './base.ts'
import type { ClientSide } from './client-side.ts'
import type { HostSide } from './host-side.ts'

/** Tasks in one withdrawal: each costs some 10,000 gas. */
const MAX_TASKS = 200

export function moneyApi(base: Base, { book, client, payer }: ClientSide, host: HostSide | undefined): MoneyApi {
  const { channels, wallet, signer } = base
  return new Money({
    signer,
    clientBook: book,
    ...(host === undefined ? {} : { host: { book: host.book, settler: host.settler } }),
    client,
    payer,
    tokens: base.tokens,
    chain: {
      state: (id, signal) => chainChannel(channels, id, signal),
      lane: (id, task, signal) => channels.lane(id, task, signal),
      balance: (token, signal) => balanceOf(base, token, signal),
      credit: async (token, signal) =>
        (await channels.credit(token, signer.address, signal)) + (await taskCredits(base, token, signal)).sum,
      withdraw: (token, signal) => withdraw(base, token, signal),
      startClose: async (terms, signal) => void (await channels.startClose(wallet, terms, signal)),
      finishClose: async (terms, signal) => void (await channels.finishClose(wallet, terms, signal)),
      release: async (terms, claimed, hostSignature, signal) =>
        void (await channels.release(wallet, terms, claimed, hostSignature, signal)),
    },
  })
}

/** The fees of this node's own tasks that wait to be drawn. */
async function taskCredits(
  { registry, channels, signer }: Base,
  token: Hex,
  signal: AbortSignal,
): Promise<{ sum: bigint; taskIds: Hex[] }> {
  const own = (await registry.list({ developer: signer.address }, signal)).filter(
    (entry) => entry.token === token || token === NATIVE,
  )
  const credits = await Promise.all(
    own.map(async ({ taskId }) => ({ taskId, amount: await channels.taskCredit(token, taskId, signal) })),
  )
  const some = credits.filter(({ amount }) => amount > 0n)
  return { sum: some.reduce((all, { amount }) => all + amount, 0n), taskIds: some.map(({ taskId }) => taskId) }
}

/** Both kinds of credit; each goes to the payee that its owner named. */
async function withdraw(
  base: Base,
  token: Hex,
  signal: AbortSignal,
): Promise<{ tx: Hex; gasUsed: bigint; to: Hex; amount: bigint } | undefined> {
  const { channels, wallet, signer, hosts } = base
  const credit = await channels.credit(token, signer.address, signal)
  const fees = await taskCredits(base, token, signal)
  let done: { tx: Hex; gasUsed: bigint; to: Hex; amount: bigint } | undefined
  if (credit > 0n) {
    const { hash, gasUsed } = await channels.withdraw(wallet, token, signer.address, signal)
    done = { tx: hash, gasUsed, to: await hosts.payeeOf(signer.address, signal), amount: credit }
  }
  for (const [payee, taskIds] of await byPayee(base, fees.taskIds, signal)) {
    const { hash, gasUsed } = await channels.withdrawTasks(wallet, token, payee, taskIds.slice(0, MAX_TASKS), signal)
    done = { tx: hash, gasUsed: gasUsed + (done?.gasUsed ?? 0n), to: payee, amount: fees.sum + (done?.amount ?? 0n) }
  }
  return done
}

async function byPayee({ registry }: Base, taskIds: readonly Hex[], signal: AbortSignal): Promise<Map<Hex, Hex[]>> {
  const entries = await Promise.all(taskIds.map((taskId) => registry.get(taskId, signal)))
  const known = entries.filter((entry) => entry !== undefined)
  return new Map(
    [...Map.groupBy(known, ({ payee }) => payee)].map(([payee, list]) => [payee, list.map(({ taskId }) => taskId)]),
  )
}
