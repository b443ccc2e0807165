/**
 * What a files job carries: one byte stream each way, so that the market's hashes, caps and transfers know no difference
 * between a request's body and a folder. The stream is a tar in one canonical form (entries sorted, no times, no
 * owners), whose first entry says what the rest is: `job.json` on the way in, `result.json` on the way out.
 */
import { z } from 'zod'
import { MecaError } from './errors.ts'
import { zResources } from './resources.ts'
import { findingsOf } from './text.ts'
import { zCid, zCount } from './units.ts'

export const BUNDLE_TYPE = 'application/vnd.meca.bundle'
/** A bundle's `job.json` alone, for jobs without files. */
export const JOB_TYPE = 'application/vnd.meca.job+json'
export const JOB_FILE = 'job.json'
export const RESULT_FILE = 'result.json'
/** Inputs lie under `inputs/NAME` or `inputs/NAME/…`, outputs under `outputs/NAME` or `outputs/NAME/…`. */
export const INPUTS = 'inputs'
export const OUTPUTS = 'outputs'
/** What the container printed, stdout and stderr as they came, up to the log budget. */
export const CONSOLE_FILE = 'console.log'

/** job.json and result.json are held in memory: values are short texts, files travel beside them. */
export const MAX_BUNDLE_JSON_BYTES = 4 * 2 ** 20
/** One value; what is longer belongs into a file. */
export const MAX_VALUE_CHARS = 2 ** 20
export const MAX_INPUTS = 1000
/** Entries of one bundle: an output of a million files is an attack on whoever unpacks it. */
export const MAX_BUNDLE_ENTRIES = 100_000
export const MAX_PATH_BYTES = 1000
/** What a format may look at of each file, to tell a PNG from a script. */
export const HEAD_BYTES = 64 * 1024

/** A parameter, channel or folder name: one segment, not hidden, nothing that a shell or a file system reads twice. */
export const zInputName = z
  .string()
  .max(100)
  .regex(/^[A-Za-z0-9_][A-Za-z0-9_. -]*$/, 'letters, digits, underscore, dot, dash and space, not at the start')

const zEnvName = z
  .string()
  .max(200)
  .regex(/^[A-Za-z_][A-Za-z0-9_.-]*$/)

/** Content that is fetched from IPFS by the host itself; `providers` are addresses of peers that hold it. */
const zLink = z.strictObject({ cid: zCid, providers: z.array(z.string().max(300)).max(8).optional() })
export type Link = z.infer<typeof zLink>

export const zJobFile = z.strictObject({
  v: z.literal(1),
  /** Texts as the caller gave them; the format knows their types. */
  values: z.record(zInputName, z.string().max(MAX_VALUE_CHARS)),
  /** Names whose content lies in the bundle: one file, a folder, or several files of one name in their order (0, 1, …). */
  files: z.record(zInputName, z.enum(['file', 'folder', 'list'])),
  links: z.record(zInputName, zLink),
  /** The outputs that are wanted, where the format lets a job leave some out; absent: all. */
  outputs: z.array(zInputName).max(MAX_INPUTS).optional(),
  env: z.record(zEnvName, z.string().max(65_536)),
  template: z.string().max(200).optional(),
  command: z.array(z.string().max(65_536)).max(1000).optional(),
  /** Asked for by the caller, where the format lets a job say so. */
  resources: zResources.partial().optional(),
  /** Outputs stay on the host's IPFS, and the result names their CIDs. */
  keepOnIpfs: z.boolean(),
})
export type JobFile = z.infer<typeof zJobFile>

export const NO_PARAMETERS: JobFile = { v: 1, values: {}, files: {}, links: {}, env: {}, keepOnIpfs: false }

const zOutputFact = z.strictObject({
  kind: z.enum(['file', 'folder']),
  files: zCount,
  bytes: zCount,
  /** Where the output stayed on IPFS; then the bundle does not hold it. */
  cid: zCid.optional(),
})
export type OutputFact = z.infer<typeof zOutputFact>

const zResultFile = z.strictObject({
  v: z.literal(1),
  exitCode: z.number().int().min(-1).max(255),
  /** The task said that there was nothing for it to do. */
  skipped: z.boolean().optional(),
  outputs: z.record(zInputName, zOutputFact),
  /** Addresses at which the outputs that stayed on IPFS can be had. */
  providers: z.array(z.string().max(300)).max(8).optional(),
  /** What the format noticed without failing the job. */
  warnings: z.array(z.string().max(1000)).max(100),
  /** What was left out and why: links, devices, names that leave the folder; the first hundred. */
  leftOut: z.array(z.strictObject({ path: z.string().max(MAX_PATH_BYTES), why: z.string().max(200) })).max(100),
})
export type ResultFile = z.infer<typeof zResultFile>

/** What a format sees of a file: its size and its first bytes. */
export type FileFacts = { bytes: number; head: Uint8Array }
/** By path without `inputs/` or `outputs/`: `NAME`, `NAME/0`, `NAME/a/b.txt`. */
export type FileTree = ReadonlyMap<string, FileFacts>

export function parseJobFile(text: string): JobFile {
  return parse(zJobFile, text, JOB_FILE)
}

export function parseResultFile(text: string): ResultFile {
  return parse(zResultFile, text, RESULT_FILE)
}

function parse<T>(schema: z.ZodType<T>, text: string, what: string): T {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new MecaError('bad_input', `The bundle's ${what} is not JSON`, { cause })
  }
  const parsed = schema.safeParse(json)
  if (!parsed.success)
    throw new MecaError('bad_input', `The bundle's ${what} is malformed: ${findingsOf(parsed.error)}`)
  return parsed.data
}
