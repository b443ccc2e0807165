/** Builds the report of what was earned over the books, the registry and the chain's logs. */
import { History } from '../chain/history.ts'
import type { Book } from '../role/book.ts'
import { Earnings } from '../role/earnings.ts'
import { chainChannel } from './base.ts'
import type { Base } from './base.ts'

export function makeEarnings(base: Base, hostBook: () => Promise<Book>): Earnings {
  const { channels, registry, signer, tables } = base
  return new Earnings({
    address: signer.address,
    hostBook,
    hostJobs: () => tables.hostJobs.entries(),
    history: new History(base.chain),
    ownTasks: (signal) => registry.list({ developer: signer.address }, signal),
    state: (id, signal) => chainChannel(channels, id, signal),
    lane: (id, task, signal) => channels.lane(id, task, signal),
    credit: (token, signal) => channels.credit(token, signer.address, signal),
    taskCredit: (token, task, signal) => channels.taskCredit(token, task, signal),
  })
}
