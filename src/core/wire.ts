/**
 * The messages between client and host: their shapes and ceilings, nothing else. A message is the JSON header of a
 * frame, its bytes are the frame's attachments, named by index. Every message is checked against its schema before
 * anything looks at it; amounts are decimal strings.
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import { MAX_RUN_SECONDS, PHASES, zOutcome } from './job.ts'
import { covers } from './ledger.ts'
import { zSignedReceipt } from './receipt.ts'
import { zResources } from './resources.ts'
import { findingsOf } from './text.ts'
import { zAddress, zAmount, zCid, zCount, zHash, zJobId, zSignature } from './units.ts'

/** Bytes up to this size travel inside the frame; larger ones take a stream of their own, which a pause cannot block. */
export const INLINE_BYTES = 65_536
/** Jobs in one `submit`: bounds the work that one frame can cause. */
export const MAX_BATCH = 256

export const zTerms = z.strictObject({
  client: zAddress,
  signer: zAddress,
  host: zAddress,
  token: zAddress,
  closeDelaySeconds: z
    .number()
    .int()
    .min(0)
    .max(2 ** 40),
  salt: zHash,
})

export const zTotals = z.strictObject({ jobs: zCount, hostAmount: zAmount, developerAmount: zAmount })
export const zProblem = z.strictObject({
  code: z.string().max(40),
  message: z.string().max(4000),
  cure: z.string().max(1000).optional(),
  details: z.record(z.string().max(100), z.unknown()).optional(),
})

export const zPrice = z.strictObject({
  token: zAddress,
  hostAmount: zAmount,
  developerAmount: zAmount,
  maxSeconds: z.number().int().min(1).max(MAX_RUN_SECONDS),
})

/** `/meca/quote/1`, one question and one answer. */
export const zQuoteRequest = z.strictObject({
  task: zCid,
  token: zAddress,
  resources: zResources,
  maxSeconds: z.number().int().min(1).max(MAX_RUN_SECONDS),
  inputBytes: zCount,
})
export type QuoteRequest = z.infer<typeof zQuoteRequest>

/** The text of a quote, which the host signs: the most one job can cost, and until when (ms) that stands. */
export const zQuote = z.strictObject({
  v: z.literal(1),
  host: zAddress,
  task: zCid,
  token: zAddress,
  hostAmount: zAmount,
  developerAmount: zAmount,
  maxSeconds: z.number().int().min(1).max(MAX_RUN_SECONDS),
  resources: zResources,
  nonce: zHash,
  expiresAt: zCount,
})
export type Quote = z.infer<typeof zQuote>
export const zSignedQuote = z.strictObject({ text: z.string().max(4000), signature: zSignature })
export type SignedQuote = z.infer<typeof zSignedQuote>

/** Where a client got its price: a quote it asked for, or the tariff in the offer with this sequence. */
const zBasis = z.union([z.strictObject({ offer: zCount }), z.strictObject({ quote: zSignedQuote })])

const zVouched = zTotals.extend({ taskId: zHash, signature: zSignature }).strict()

const zJobRequest = z.strictObject({
  id: zJobId,
  task: zCid,
  inputHash: zHash,
  inputBytes: zCount,
  /** Index of the attachment that holds the input; absent where it comes on a stream of its own. */
  inline: z.number().int().min(0).max(MAX_BATCH).optional(),
  price: zPrice,
  basis: zBasis,
  resources: zResources,
  runtime: z.string().max(40).optional(),
  /** Addresses of peers that hold the task's package. */
  providers: z.array(z.string().max(300)).max(8),
})
export type JobRequest = z.infer<typeof zJobRequest>

export const CLIENT_MESSAGES = {
  hello: z.strictObject({ terms: zTerms, issuedAt: zCount, signature: zSignature }),
  submit: z.strictObject({
    channelId: zHash,
    vouchers: z.array(zVouched).max(MAX_BATCH),
    jobs: z.array(zJobRequest).max(MAX_BATCH),
  }),
  /** The client has these results; `vouchers` may say the exact totals billed. */
  ack: z.strictObject({
    channelId: zHash,
    ids: z.array(zJobId).max(4 * MAX_BATCH),
    vouchers: z.array(zVouched).max(MAX_BATCH),
  }),
  cancel: z.strictObject({ channelId: zHash, id: zJobId }),
  /** Asks again for jobs sent earlier, by a client that lost the connection or was restarted. */
  attach: z.strictObject({ channelId: zHash, ids: z.array(zJobId).max(4 * MAX_BATCH) }),
  /** Asks for the host's signature that ends the channel at once. */
  release: z.strictObject({ channelId: zHash }),
} as const

/**
 * `billed` is the host's word alone, and the next voucher starts from it: held to what the client signed, or a host
 * could tell a client that lost its records any sum.
 */
const zWelcomeRow = z
  .strictObject({ taskId: zHash, vouched: zTotals, billed: zTotals, signature: zSignature })
  .refine((row) => covers(row.vouched, row.billed), 'more is billed than vouched')

export const HOST_MESSAGES = {
  welcome: z.strictObject({
    channelId: zHash,
    /** What the host holds, for a client that lost its records; it trusts only its own signatures in there. */
    rows: z.array(zWelcomeRow).max(10_000),
  }),
  event: z.strictObject({
    channelId: zHash,
    id: zJobId,
    phase: z.enum(PHASES),
    at: zCount,
    /** Bytes of an image that came so far, where the phase is `fetching`. */
    progress: z.strictObject({ doneBytes: zCount, totalBytes: zCount }).optional(),
    logs: z
      .array(z.strictObject({ stream: z.enum(['stdout', 'stderr']), text: z.string().max(8192) }))
      .max(256)
      .optional(),
  }),
  results: z.strictObject({
    channelId: zHash,
    results: z
      .array(
        z.strictObject({
          id: zJobId,
          signed: zSignedReceipt,
          outcome: zOutcome,
          /** Index of the attachment that holds the output; absent where it is to be fetched. */
          inline: z
            .number()
            .int()
            .min(0)
            .max(4 * MAX_BATCH)
            .optional(),
        }),
      )
      .max(4 * MAX_BATCH),
  }),
  /** Nothing was run and nothing is charged. Without an id the whole session is refused. */
  refused: z.strictObject({ channelId: zHash, id: zJobId.optional(), problem: zProblem }),
  released: z.strictObject({ channelId: zHash, claimed: zAmount, signature: zSignature }),
} as const

export type ClientMessage<K extends keyof typeof CLIENT_MESSAGES> = z.infer<(typeof CLIENT_MESSAGES)[K]>
export type HostMessage<K extends keyof typeof HOST_MESSAGES> = z.infer<(typeof HOST_MESSAGES)[K]>

/** `/meca/data/1`: the header of a stream that carries one input up or one output down. */
export const zDataHeader = z.strictObject({
  op: z.enum(['put', 'get']),
  channelId: zHash,
  id: zJobId,
  offset: zCount,
})
export type DataHeader = z.infer<typeof zDataHeader>

/** Numbers of the frame types; never reused. */
export const FRAME = {
  hello: 1,
  submit: 2,
  ack: 3,
  cancel: 4,
  release: 5,
  attach: 6,
  welcome: 16,
  event: 17,
  results: 18,
  refused: 19,
  released: 20,
} as const

/** A header checked against its schema. Throws `protocol` with the place that is wrong. */
export function decode<T>(schema: z.ZodType<T>, header: unknown, what: string): T {
  const parsed = schema.safeParse(header)
  if (parsed.success) return parsed.data
  throw new MecaError('protocol', `The ${what} message is malformed: ${findingsOf(parsed.error)}`)
}

/**
 * The same value with every bigint as a decimal string, ready for JSON: half the time of `JSON.stringify` with a
 * function that does it on the way. Every message and every stored row passes here.
 */
export function toWire(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(toWire)
  const wire: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) wire[key] = toWire(inner)
  return wire
}
