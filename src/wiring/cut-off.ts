/**
 * A client whose process ended while large outputs came down: when it is back they come to their end, each from where it
 * stopped, as whoever asked for them would want. What is not to be had now is left to who asks for the job by its id.
 */
import type { ClientJob } from '../core/records.ts'
import type { Book } from '../role/book.ts'
import { outputName } from '../role/client-bytes.ts'
import type { Client } from '../role/client.ts'
import type { Base, Closer } from './base.ts'

export function takeUpCutOff(base: Base, book: Book, client: Client, closer: Closer): void {
  const over = new AbortController()
  closer.add(() => over.abort())
  takeUpAll(base, book, client, over.signal).catch((error: unknown) =>
    base.log.warn({ err: error }, 'outputs that were cut off are not looked for; they are there for who asks for them'),
  )
}

async function takeUpAll({ tables, blobs, log }: Base, book: Book, client: Client, over: AbortSignal): Promise<void> {
  const cutOff: ClientJob[] = []
  for await (const [, job] of tables.clientJobs.entries())
    if (job.state === 'sent' && (await blobs.left(outputName(job))) > 0) cutOff.push(job)
  for (const { id, channelId } of cutOff) {
    const channel = book.channels.get(channelId)
    if (over.aborted || channel === undefined) continue
    try {
      await client.greet(channel, over)
      await client.session(channel).takeUp(id)
    } catch (error) {
      log.info(
        { err: error, job: id },
        'an output that was cut off is not to be had now; it is there for who asks for it',
      )
    }
  }
}
