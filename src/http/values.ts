/** The small values of core/units as the API's document shows them, and the shapes that several answers share. */
import { z } from 'zod'
import { ERRORS } from '../core/errors.ts'
import type { ErrorCode } from '../core/errors.ts'
import { PHASES, zPhases } from '../core/job.ts'
import { STATUS } from '../core/receipt.ts'
import type { JobStatus } from '../core/receipt.ts'
import { zResources } from '../core/resources.ts'
import { parseAddress, zAddress, zAmount, zHash, zJobId } from '../core/units.ts'

const hex = (digits: number) => ({ type: 'string' as const, pattern: `^0x[0-9a-f]{${digits}}$` })

export const address = zAddress.meta({ id: 'Address', description: 'An EVM address, lower-case', override: hex(40) })
/** In requests: people paste addresses with checksum capitals. */
export const anyAddress = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/, '0x and 40 hex digits')
  .transform((text) => parseAddress(text))
export const hash = zHash.meta({ id: 'Hash', description: '32 bytes', override: hex(64) })
/** In requests: text that becomes a bigint. */
export const amount = zAmount.meta({ id: 'Amount', description: "Money in the token's smallest unit" })
/** In answers: text, of any sign (a difference may be below zero). */
export const money = z
  .string()
  .regex(/^-?[0-9]{1,40}$/)
  .meta({ id: 'Money', description: "Money in the token's smallest unit" })
export const jobId = zJobId.meta({ id: 'JobId', description: 'Chosen by the client' })
export const taskRef = z
  .string()
  .min(1)
  .max(300)
  .meta({ description: 'A CID, developer/name or developer/name@version (percent-encoded in a path)' })
/** A folder or file of the machine that the daemon runs on, or an image of its engine. */
export const place = z
  .string()
  .max(4096)
  .regex(/^(?:\/|[A-Za-z]:[\\/]|[a-z0-9][^\s]*[:@])/, 'an absolute path, or an image with its tag or digest')
  .meta({
    description:
      'An absolute path of a folder, bundle or archive; or the name with tag, or the id, of an image of the engine',
  })
export const count = z.number().int().min(0)
export const milliseconds = z.number()

export const resources = zResources.meta({ id: 'Resources', description: 'cpuMillis 1000 is one core' })
export const phases = zPhases.meta({
  id: 'Phases',
  description: 'How long each phase of a job took; only runMs is billed',
})
export const token = z.object({ address, symbol: z.string(), decimals: count }).meta({ id: 'Token' })
export const output = z.union([z.object({ text: z.string() }), z.object({ base64: z.string() })]).meta({ id: 'Output' })

const keysOf = <K extends string>(table: Record<K, unknown>) => z.enum(Object.keys(table) as [K, ...K[]])
export const errorCode = keysOf<ErrorCode>(ERRORS).meta({ id: 'ErrorCode' })
export const jobStatus = keysOf<JobStatus>(STATUS).meta({ id: 'JobStatus' })
export const phase = z.enum(PHASES).meta({ id: 'Phase' })

const details = z.record(z.string(), z.unknown()).exactOptional()
export const problem = z
  .object({ code: errorCode, message: z.string(), cure: z.string().exactOptional(), details })
  .meta({ id: 'JobProblem' })
export const problemDocument = z
  .object({
    type: z.string(),
    title: z.string(),
    status: count,
    detail: z.string(),
    code: errorCode,
    cure: z.string().exactOptional(),
    details,
  })
  .meta({
    id: 'Problem',
    description: 'RFC 9457: what failed (detail, with the values), its stable name (code), what to do (cure)',
  })

export const refusals = z.array(z.object({ host: address, code: z.string(), reason: z.string() }))
export const logLine = z.object({ stream: z.enum(['stdout', 'stderr']), text: z.string() })

/** Numbers in a query string are text. */
export const whole = z
  .string()
  .regex(/^[0-9]{1,15}$/, 'a whole number')
  .transform(Number)

/** A page that a person would read, unless more is asked for. */
export const PAGE = 100
export const pageLimit = whole.refine((n) => n >= 1 && n <= 1000, 'from 1 to 1000').exactOptional()
