/**
 * `task.json`, the manifest at the root of every task package. It names the developer, the fee and the image, all
 * under the package's CID: whoever has the CID has the truth, and nobody can register another's task.
 */
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { zResources } from '../core/resources.ts'
import { findingsOf } from '../core/text.ts'
import { zAddress, zAmount, zCount } from '../core/units.ts'

export const MANIFEST = 'task.json'
/** A manifest is a page of text; more is an attack on the parser. */
export const MAX_MANIFEST_BYTES = 65_536

export const FORMATS = ['meca', 'cytomine', 'kaapana', 'borealis'] as const
export type FormatName = (typeof FORMATS)[number]

export const zTaskName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/, '1 to 63 of a-z, 0-9 and dash, not at the ends')
export const zVersion = z
  .string()
  .regex(/^[0-9A-Za-z](?:[0-9A-Za-z.+-]{0,30}[0-9A-Za-z])?$/, '1 to 32 of letters, digits, dot, plus, dash')
const zDigest = z.string().regex(/^sha256:[0-9a-f]{64}$/)
const zPath = z
  .string()
  .max(200)
  .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/)
  .refine((p) => !p.split('/').includes('..'), 'leaves the package')

export const zManifest = z.strictObject({
  schemaVersion: z.literal(1),
  name: zTaskName,
  version: zVersion,
  title: z.string().max(200),
  description: z.string().max(10_000),
  format: z.enum(FORMATS),
  developer: zAddress,
  fee: zAmount,
  token: zAddress,
  image: z.strictObject({
    /** Digest of the OCI manifest; hosts pull by it. */
    manifest: zDigest,
    /** Digest of the image's config: the id that the engine must end up with. */
    id: zDigest,
    platform: z.string().regex(/^[a-z0-9]+\/[a-z0-9]+(?:\/[a-z0-9]+)?$/),
    bytes: zCount,
  }),
  resources: zResources,
  determinism: z.enum(['exact', 'none']),
  needsNetwork: z.boolean(),
  descriptor: zPath,
  example: z.strictObject({ input: zPath, output: zPath }).optional(),
})
export type Manifest = z.infer<typeof zManifest>

/** Throws `invalid_task` with every finding. */
export function parseManifest(text: string): Manifest {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new MecaError('invalid_task', `${MANIFEST} is not JSON`, { cause })
  }
  const parsed = zManifest.safeParse(json)
  if (!parsed.success) throw new MecaError('invalid_task', `${MANIFEST} is malformed: ${findingsOf(parsed.error)}`)
  return parsed.data
}

/** Stable text: the same manifest gives the same CID. */
export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify({ ...manifest, fee: manifest.fee.toString() }, null, 2)}\n`
}
