/**
 * What a job would cost before anything is paid: each host's own signed word, its price in its parts, and beside it what
 * the chain takes and what would be locked, where there is no channel with room yet.
 */
import { asMecaError } from '../core/errors.ts'
import type { Candidate, Refusal } from '../core/rank.ts'
import { total } from '../core/tariff.ts'
import { NATIVE } from '../core/units.ts'
import { decode, zSignedQuote } from '../core/wire.ts'
import { askQuote } from '../p2p/quotes.ts'
import { openQuote } from '../role/admission.ts'
import type { QuotedHost, QuoteOptions, QuoteReport } from '../role/api-client.ts'
import type { Client } from '../role/client.ts'
import type { Payer } from '../role/payer.ts'
import type { KnownTask } from '../role/tasks.ts'
import type { Base } from './base.ts'
import { tokenInfo } from './tokens.ts'

/** By the contracts' gas snapshot, in native currency and in a token, rounded up. */
const GAS = {
  none: { native: 0n, token: 0n },
  open: { native: 75_000n, token: 125_000n },
  'top-up': { native: 35_000n, token: 85_000n },
} as const
/** A host that does not answer a question in this time would not answer a job well either. */
const ASK_MS = 3_000

export async function quoteReport(
  base: Base,
  client: Client,
  payer: Payer,
  ref: string,
  options: QuoteOptions,
  signal: AbortSignal,
): Promise<QuoteReport> {
  const cid = await base.tasks.resolve(ref, signal)
  const task = await base.tasks.get(cid, signal)
  const inputBytes = options.inputBytes ?? 0
  const { candidates, refusals } = await client.choose(task, { ...options, inputBytes }, signal)
  const gasPrice = await base.chain.gasPrice(signal)
  const asked = await Promise.all(candidates.map((candidate) => ask(base, candidate, task, inputBytes, signal)))
  const answers = asked.map((answer) => ('offer' in answer ? quotedHost(answer, payer, gasPrice) : answer))
  return {
    task: cid,
    name: `${task.manifest.name}@${task.manifest.version}`,
    maxSeconds: options.maxSeconds ?? Math.ceil(base.config.limits.runTimeoutMs / 1000),
    resources: task.manifest.resources,
    token: await tokenInfo(base, task.manifest.token, signal),
    hosts: answers.filter((answer): answer is QuotedHost => 'total' in answer),
    refusals: [...refusals, ...answers.filter((answer): answer is Refusal => 'reason' in answer)],
  }
}

/** What the host itself says, signed: its price for exactly this job, or why it would not take it. */
async function ask(
  base: Base,
  candidate: Candidate,
  task: KnownTask,
  inputBytes: number,
  signal: AbortSignal,
): Promise<Candidate | Refusal> {
  const { offer, price } = candidate
  const { token, maxSeconds } = price
  const question = { task: task.cid, token, resources: task.manifest.resources, maxSeconds, inputBytes }
  try {
    const answer = await askQuote(base.peer, offer.addresses, question, { signal, timeoutMs: ASK_MS })
    const quote = openQuote(base.chain.domain, decode(zSignedQuote, answer, 'quote'), offer.host)
    return { ...candidate, price: { ...price, hostAmount: quote.hostAmount, developerAmount: quote.developerAmount } }
  } catch (error) {
    if (signal.aborted) throw error
    return refusal(offer.host, error)
  }
}

/** Refused, too, where the owner's own cap allows no deposit that could pay it. */
function quotedHost({ offer, price, imageAtHand }: Candidate, payer: Payer, gasPrice: bigint): QuotedHost | Refusal {
  try {
    const { how, amount } = payer.plan(offer.host, price.token, total(price))
    const gas = GAS[how][price.token === NATIVE ? 'native' : 'token']
    return {
      host: offer.host,
      hostAmount: price.hostAmount.toString(),
      developerAmount: price.developerAmount.toString(),
      gasEstimate: (gas * gasPrice).toString(),
      total: total(price).toString(),
      imageAtHand,
      channelOpen: how !== 'open',
      lock: { how, amount: amount.toString() },
      freeCpus: offer.free.cpuMillis / 1000,
      freeMemoryBytes: offer.free.memoryBytes,
      queueFree: offer.queueFree,
      runtimes: offer.runtimes,
    }
  } catch (error) {
    return refusal(offer.host, error)
  }
}

function refusal(host: Refusal['host'], error: unknown): Refusal {
  const { code, message } = asMecaError(error)
  return { host, code, reason: message }
}
