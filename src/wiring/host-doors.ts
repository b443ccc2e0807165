/** The three ways in which clients reach a host: lines of jobs, questions for a price, and transfers of large bytes. */
import { randomBytes } from 'node:crypto'
import { MecaError } from '../core/errors.ts'
import { hostJobKey } from '../core/records.ts'
import { priceFor, total } from '../core/tariff.ts'
import { quoteDigest, toHex } from '../core/typed.ts'
import { decode, toWire, zDataHeader, zQuoteRequest } from '../core/wire.ts'
import type { Quote } from '../core/wire.ts'
import { serveData } from '../p2p/data.ts'
import type { Receiving, Sending } from '../p2p/data.ts'
import { serveJobs } from '../p2p/jobs.ts'
import { serveQuotes } from '../p2p/quotes.ts'
import { checkTask } from '../role/admission.ts'
import type { HostPolicy } from '../role/admission.ts'
import type { Book } from '../role/book.ts'
import { notTaken } from '../role/currencies.ts'
import type { Host } from '../role/host.ts'
import type { Base, Closer } from './base.ts'

const QUOTE_TTL_MS = 60_000

export async function openDoors(base: Base, host: Host, policy: HostPolicy, book: Book, closer: Closer): Promise<void> {
  const stopJobs = await serveJobs(base.peer, (stream, { peerId }) => host.serve(stream, peerId))
  closer.add(() => stopJobs())
  closer.add(() => host.jobs.close())
  const stopQuotes = await serveQuotes(base.peer, async (request, { signal }) => ({
    ...(await quote(base, policy, request, signal)),
  }))
  closer.add(() => stopQuotes())
  const stopData = await serveData(base.peer, (request, { peerId, signal }) =>
    transfer(base, host, book, request, peerId, signal),
  )
  closer.add(() => stopData())
}

async function quote(
  base: Base,
  policy: HostPolicy,
  header: unknown,
  signal: AbortSignal,
): Promise<{ text: string; signature: string }> {
  const request = decode(zQuoteRequest, header, 'quote request')
  const task = await base.tasks.get(request.task, signal)
  checkTask({ policy }, request.resources, request.maxSeconds, request.inputBytes, task)
  const tariff = policy.tariffs.find(({ token }) => token === request.token)
  if (tariff === undefined) throw notTaken(base.currencies, policy.tariffs, request.token)
  const price = priceFor(tariff, request.resources, request.maxSeconds, task.entry.fee)
  const body: Quote = {
    v: 1,
    host: base.signer.address,
    task: request.task,
    token: request.token,
    hostAmount: price.hostAmount,
    developerAmount: price.developerAmount,
    maxSeconds: request.maxSeconds,
    resources: request.resources,
    nonce: toHex(randomBytes(32)),
    expiresAt: Date.now() + QUOTE_TTL_MS,
  }
  const text = JSON.stringify(toWire(body))
  base.log.debug({ task: request.task, total: total(price).toString() }, 'quoted')
  return { text, signature: base.signer.sign(quoteDigest(base.chain.domain, text)) }
}

/** Large inputs come in, large outputs go out, for peers that said hello for the channel. */
async function transfer(
  base: Base,
  host: Host,
  book: Book,
  header: unknown,
  peerId: string,
  signal: AbortSignal,
): Promise<Sending | Receiving> {
  const { op, channelId, id, offset } = decode(zDataHeader, pick(header), 'data')
  host.requireSession(peerId, channelId)
  const channel = book.channels.get(channelId)
  if (channel === undefined) throw new MecaError('not_found', `No channel ${channelId} is known here`)
  const key = hostJobKey(channel.terms.client, id)
  if (op === 'put') {
    const { receiving, record } = await host.jobs.awaited(key, signal)
    const here = await receiving.offset()
    return {
      op: 'put',
      offset: here,
      maxBytes: record.inputBytes,
      receive: async (body) => {
        await receiving.receive(body, here, signal)
        return {}
      },
    }
  }
  const record = host.jobs.find(key)
  if (record?.signed === undefined || record.outcome === undefined)
    throw new MecaError('not_found', `The job ${id} has no output`)
  const body = base.blobs.read(record.signed.receipt.outputHash, { signal, offset })
  return { op: 'get', lengthBytes: Math.max(0, record.outcome.outputBytes - offset), body }
}

/** The stream's own fields stay with the stream. */
function pick(header: unknown): unknown {
  const { op, channelId, id, offset } = (header ?? {}) as Record<string, unknown>
  return { op, channelId, id, offset }
}
