/** A client's jobs as records, as requests to a host, and as results that people see. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { knownCode, MecaError, toProblem } from '../core/errors.ts'
import type { Candidate, Refusal } from '../core/rank.ts'
import type { Resources } from '../core/resources.ts'
import { STATUS } from '../core/receipt.ts'
import type { JobStatus } from '../core/receipt.ts'
import type { ChannelRecord, ClientJob } from '../core/records.ts'
import { total } from '../core/tariff.ts'
import { toHex } from '../core/typed.ts'
import { zJobId } from '../core/units.ts'
import type { Hex } from '../core/units.ts'
import type { JobRequest } from '../core/wire.ts'
import type { RunInput, RunResult } from './api-client.ts'
import type { Input } from './client-pending.ts'
import { sha256 } from './sums.ts'
import type { KnownTask } from './tasks.ts'

/** Younger than this, a channel was opened for the job that is sent over it. */
const NEW_CHANNEL_MS = 5_000

/** How long a job may run on whose price is not known any more. */
const LOST_SECONDS = 86_400

/** An input whose hash is known, since a job is named by it too. */
export type OpenInput = { hash: Hex; bytes: number; input: Input }

export async function openInput(input: RunInput, signal: AbortSignal): Promise<OpenInput> {
  if (input instanceof Uint8Array) return { hash: sha256(input), bytes: input.length, input: { bytes: input } }
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of createReadStream(input.file, { signal }) as AsyncIterable<Buffer>) {
    hash.update(chunk)
    bytes += chunk.length
  }
  const read = (offset: number): AsyncIterable<Uint8Array> => createReadStream(input.file, { start: offset })
  return { hash: toHex(hash.digest()), bytes, input: { lengthBytes: bytes, read } }
}

/** A job that this client may have sent before it lost its records; what it could cost is not known any more. */
export function lostJob(id: string, task: KnownTask, source: OpenInput, channel: ChannelRecord): ClientJob {
  const { host, token } = channel.terms
  return {
    id,
    cid: task.cid,
    taskId: task.taskId,
    name: `${task.manifest.name}@${task.manifest.version}`,
    inputHash: source.hash,
    inputBytes: source.bytes,
    host,
    channelId: channel.channelId,
    price: { token, hostAmount: 0n, developerAmount: 0n, maxSeconds: LOST_SECONDS },
    state: 'sent',
    createdAt: channel.recoveredAt ?? channel.createdAt,
    refusals: [],
  }
}

export function newJob(
  id: string,
  task: KnownTask,
  source: OpenInput,
  channel: ChannelRecord,
  { offer, price, imageAtHand }: Candidate,
  refusals: readonly Refusal[],
  now: number,
): ClientJob {
  return {
    id,
    cid: task.cid,
    taskId: task.taskId,
    name: `${task.manifest.name}@${task.manifest.version}`,
    inputHash: source.hash,
    inputBytes: source.bytes,
    host: channel.terms.host,
    channelId: channel.channelId,
    price,
    state: 'sent',
    createdAt: now,
    refusals: [...refusals],
    chosen: {
      imageAtHand,
      // A channel that has carried nothing yet was opened for this job.
      channelOpen: channel.claimed > 0n || now - channel.createdAt > NEW_CHANNEL_MS,
      free: offer.free,
      queueFree: offer.queueFree,
      runtimes: offer.runtimes,
    },
  }
}

export function requestFor(
  job: ClientJob,
  { offer, price }: Candidate,
  providers: string[],
  resources: Resources,
  runtime: string | undefined,
): JobRequest {
  return {
    id: job.id,
    task: job.cid,
    inputHash: job.inputHash,
    inputBytes: job.inputBytes,
    price,
    basis: { offer: offer.sequence },
    resources,
    ...(runtime === undefined ? {} : { runtime }),
    providers: providers.slice(0, 8),
  }
}

/** A job that ended, as people see it. */
export function toResult(job: ClientJob, replayed: boolean): RunResult {
  const { signed, outcome } = job
  if (signed === undefined || outcome === undefined) throw new MecaError('internal', `job ${job.id} has no receipt`)
  const { receipt } = signed
  const { problem, httpStatus, exitCode, skipped, logTail } = outcome
  return {
    job: job.id,
    task: job.cid,
    host: job.host,
    status: statusName(receipt.status),
    ...(httpStatus === undefined ? {} : { httpStatus }),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(skipped === undefined ? {} : { skipped }),
    contentType: outcome.contentType ?? 'application/octet-stream',
    inputHash: receipt.inputHash,
    outputHash: receipt.outputHash,
    outputBytes: outcome.outputBytes,
    price: {
      quoted: total(job.price).toString(),
      host: receipt.hostAmount.toString(),
      developer: receipt.developerAmount.toString(),
      token: job.price.token,
    },
    receipt: signed.signature,
    phases: outcome.phases,
    warm: outcome.warm,
    replayed,
    ...(problem === undefined
      ? {}
      : {
          problem: toProblem(
            new MecaError(
              knownCode(problem.code),
              problem.message,
              problem.cure === undefined ? {} : { cure: problem.cure },
            ),
          ),
        }),
    ...(logTail === undefined ? {} : { logTail }),
  }
}

function statusName(status: number): JobStatus {
  const found = Object.entries(STATUS).find(([, number]) => number === status)
  if (found === undefined) throw new MecaError('protocol', `A receipt has status ${status}`)
  return found[0] as JobStatus
}

/** Throws `bad_input` where it cannot be a job's id. */
export function requireJobId(id: string): void {
  if (zJobId.safeParse(id).success) return
  throw new MecaError('bad_input', `The job id ${JSON.stringify(id)} is not usable`, {
    cure: 'use 1 to 64 letters, digits, dots, dashes and underscores',
  })
}

export function newJobId(): string {
  return `j-${randomBytes(10).toString('hex')}`
}
