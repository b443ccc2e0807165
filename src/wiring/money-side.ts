/** Builds the questions about money over the chain: whose credit, which transactions. */
import { NATIVE } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import type { MoneyApi } from '../role/api-money.ts'
import { Book } from '../role/book.ts'
import { Money } from '../role/money.ts'
import { balanceOf, chainChannel } from './base.ts'
import type { Base } from './base.ts'
import type { ClientSide } from './client-side.ts'
import { makeEarnings } from './earnings-side.ts'
import type { HostSide } from './host-side.ts'
import { payout } from './register.ts'

/** Tasks in one withdrawal: each costs some 10,000 gas. */
const MAX_TASKS = 200

export function moneyApi(
  base: Base,
  { book, client, payer, recovery }: ClientSide,
  host: HostSide | undefined,
): MoneyApi {
  const { channels, wallet, signer } = base
  const hostBook = async () => host?.book ?? (await Book.open(base.store, base.tables, 'host'))
  return new Money({
    domain: base.chain.domain,
    signer,
    clientBook: book,
    hostBook,
    ...(host === undefined ? {} : { host: { settler: host.settler, restorer: host.restorer } }),
    client,
    payer,
    recovery,
    earnings: makeEarnings(base, hostBook),
    tokens: base.tokens,
    chain: {
      state: (id, signal) => chainChannel(channels, id, signal),
      lane: (id, task, signal) => channels.lane(id, task, signal),
      balance: (token, signal) => balanceOf(base, token, signal),
      credit: async (token, signal) => {
        const fees = await taskCredits(base, token, signal)
        return fees.reduce((sum, { amount }) => sum + amount, await channels.credit(token, signer.address, signal))
      },
      withdraw: (token, signal) => withdraw(base, token, signal),
      payout: (to, signal) => payout(base, to, signal),
      startClose: async (terms, signal) => void (await channels.startClose(wallet, terms, signal)),
      finishClose: async (terms, signal) => void (await channels.finishClose(wallet, terms, signal)),
      release: async (terms, claimed, hostSignature, signal) =>
        void (await channels.release(wallet, terms, claimed, hostSignature, signal)),
    },
  })
}

type Fee = { taskId: Hex; amount: bigint }

/** The fees of this node's own tasks that wait to be drawn. */
async function taskCredits({ registry, channels, signer }: Base, token: Hex, signal: AbortSignal): Promise<Fee[]> {
  const own = (await registry.list({ developer: signer.address }, signal)).filter(
    (entry) => entry.token === token || token === NATIVE,
  )
  const all = await Promise.all(
    own.map(async ({ taskId }) => ({ taskId, amount: await channels.taskCredit(token, taskId, signal) })),
  )
  return all.filter(({ amount }) => amount > 0n)
}

type Drawn = { tx: Hex; gasUsed: bigint; to: Hex; amount: bigint }

/** Both kinds of credit; each goes to the payee that its owner named, and each is written down. */
async function withdraw(base: Base, token: Hex, signal: AbortSignal): Promise<Drawn | undefined> {
  const { channels, wallet, signer, hosts } = base
  const drawn: Drawn[] = []
  const credit = await channels.credit(token, signer.address, signal)
  if (credit > 0n) {
    const to = await hosts.payeeOf(signer.address, signal)
    const { hash, gasUsed } = await channels.withdraw(wallet, token, signer.address, signal)
    drawn.push({ tx: hash, gasUsed, to, amount: credit })
  }
  const fees = await taskCredits(base, token, signal)
  for (const [to, tasks] of await byPayee(base, fees, signal)) {
    for (let i = 0; i < tasks.length; i += MAX_TASKS) {
      const some = tasks.slice(i, i + MAX_TASKS)
      const { hash, gasUsed } = await channels.withdrawTasks(
        wallet,
        token,
        to,
        some.map(({ taskId }) => taskId),
        signal,
      )
      drawn.push({ tx: hash, gasUsed, to, amount: some.reduce((sum, { amount }) => sum + amount, 0n) })
    }
  }
  failpoint('money.withdrawn')
  await writeDown(base, token, drawn)
  const last = drawn.at(-1)
  return last === undefined
    ? undefined
    : {
        ...last,
        gasUsed: drawn.reduce((sum, d) => sum + d.gasUsed, 0n),
        amount: drawn.reduce((sum, d) => sum + d.amount, 0n),
      }
}

async function writeDown({ store, tables }: Base, token: Hex, drawn: readonly Drawn[]): Promise<void> {
  if (drawn.length === 0) return
  const rows = drawn.map(({ tx, to, amount }) => tables.payouts.put(tx, { tx, token, to, amount, at: Date.now() }))
  await store.commit({ journal: [{ kind: 'payout' }], rows })
}

async function byPayee({ registry }: Base, fees: readonly Fee[], signal: AbortSignal): Promise<Map<Hex, Fee[]>> {
  const grouped = new Map<Hex, Fee[]>()
  for (const fee of fees) {
    const payee = (await registry.get(fee.taskId, signal))?.payee
    if (payee !== undefined) grouped.set(payee, [...(grouped.get(payee) ?? []), fee])
  }
  return grouped
}
