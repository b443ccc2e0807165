/** Builds the recovery of a client that lost its records, and starts it where the books are empty. */
import { History } from '../chain/history.ts'
import { asMecaError } from '../core/errors.ts'
import type { Book } from '../role/book.ts'
import type { Client } from '../role/client.ts'
import type { Payer } from '../role/payer.ts'
import { Recovery } from '../role/recover.ts'
import { chainChannel } from './base.ts'
import type { Base } from './base.ts'

/** A first job waits for the recovery no longer than this: a host that is away must not hold everything up. */
const WAIT_MS = 20_000

export function makeRecovery({ chain, channels, signer, log }: Base, book: Book, client: Client): Recovery {
  const history = new History(chain)
  return new Recovery({
    address: signer.address,
    book,
    opened: (signal) => history.opened('client', signer.address, signal),
    paidTasks: async (id, signal) => (await history.claimed([id], signal)).map(({ taskId }) => taskId),
    state: (id, signal) => chainChannel(channels, id, signal),
    lane: (id, task, signal) => channels.lane(id, task, signal),
    greet: (channel, signal) => client.greet(channel, signal),
    log: log.child({ room: 'recover' }),
    wallNow: () => Date.now(),
  })
}

/** A key that is used for the first time has no channels on chain, and one that lost its disk has. */
export function recoverWhereEmpty({ log, signal }: Base, book: Book, payer: Payer, recovery: Recovery): void {
  if (book.channels.size > 0) return
  const soon = AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)])
  const done = recovery.run(soon).catch((error: unknown) => {
    // Nothing is lost by it: new channels are opened, and meca channel recover tries again.
    if (!signal.aborted) log.warn({ err: asMecaError(error) }, 'could not look for channels of former records')
  })
  payer.waitFor(done)
}
