/**
 * The documents of an OCI image: index, manifest, config. Parsed strictly; the manifest is always one of ours, so that
 * a field we do not know is a fault. The config belongs to the developer and must stay byte for byte (its sha-256 is
 * the image id): unknown fields are let through, and the engine takes over only those on its allow-list.
 */
import { createHash } from 'node:crypto'
import { z } from 'zod'
import { MecaError } from '../core/errors.ts'
import { zCount } from '../core/units.ts'
import { MAX_DOCUMENT_BYTES } from './caps.ts'

export const MEDIA = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  layerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const

/** `sha256:` and 64 hex digits. */
export type Digest = `sha256:${string}`

export const zDigest = z.custom<Digest>(
  (v) => typeof v === 'string' && /^sha256:[0-9a-f]{64}$/.test(v),
  'sha256: and 64 hex digits',
)

export type Platform = { os: 'linux'; architecture: 'amd64' | 'arm64' }

export type Descriptor = { mediaType: string; digest: Digest; size: number }

const zPlatform = z.strictObject({ os: z.literal('linux'), architecture: z.enum(['amd64', 'arm64']) })
const descriptor = <T extends string>(...media: [T, ...T[]]) =>
  z.strictObject({ mediaType: z.enum(media), digest: zDigest, size: zCount })

export const zIndex = z.strictObject({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MEDIA.index),
  manifests: z.tuple([descriptor(MEDIA.manifest).extend({ platform: zPlatform })]),
})

export const zManifest = z.strictObject({
  schemaVersion: z.literal(2),
  mediaType: z.literal(MEDIA.manifest),
  config: descriptor(MEDIA.config),
  layers: z.array(descriptor(MEDIA.layerGzip, MEDIA.layer)).min(1),
})

/** Ceilings on what the engine reads out of a config: 2,000 ports kept it busy for four minutes. */
const zText = z.string().max(32_768)
const zSettings = z.looseObject({
  Env: z.array(zText).max(512).nullish(),
  Cmd: z.array(zText).max(1024).nullish(),
  Entrypoint: z.array(zText).max(1024).nullish(),
  WorkingDir: z.string().max(4096).nullish(),
  User: z.string().max(256).nullish(),
  Volumes: few(32).nullish(),
  ExposedPorts: few(128).nullish(),
  Labels: few(512).nullish(),
})

function few(most: number) {
  return z.record(z.string(), z.unknown()).refine((r) => Object.keys(r).length <= most, `more than ${most}`)
}

export const zConfig = z.looseObject({
  architecture: z.enum(['amd64', 'arm64']),
  os: z.literal('linux'),
  config: zSettings.nullish(),
  rootfs: z.looseObject({ type: z.literal('layers'), diff_ids: z.array(zDigest) }),
})

export type Manifest = z.infer<typeof zManifest>
export type ImageConfig = z.infer<typeof zConfig>

/** JSON of a stranger, under a schema. Throws `invalid_task` with the first thing that is wrong. */
export function parseDocument<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  if (bytes.length > MAX_DOCUMENT_BYTES) {
    throw new MecaError('too_large', `${what} has ${bytes.length} bytes, ${MAX_DOCUMENT_BYTES} are allowed`)
  }
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw new MecaError('invalid_task', `${what} is not JSON`, { cause })
  }
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const where = issue?.path.join('.') ?? ''
  throw new MecaError(
    'invalid_task',
    `${what} is not valid${where === '' ? '' : ` at ${where}`}: ${issue?.message ?? ''}`,
  )
}

export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Where a blob lies in an image layout. */
export function blobPath(digest: Digest): string {
  return `blobs/sha256/${digest.slice('sha256:'.length)}`
}

/** The two documents over a config and layers; the same parts give the same bytes. */
export function describeImage(config: Descriptor, layers: readonly Descriptor[], platform: Platform) {
  const manifest = encode({ schemaVersion: 2, mediaType: MEDIA.manifest, config, layers })
  const entry = { mediaType: MEDIA.manifest, digest: digestOf(manifest), size: manifest.length, platform }
  const index = encode({ schemaVersion: 2, mediaType: MEDIA.index, manifests: [entry] })
  return { manifest, index, manifestDigest: entry.digest }
}

export function encode(document: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(document))
}

/** The platform of images that run on this machine. */
export function thisPlatform(): Platform {
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch === 'arm64' ? 'arm64' : undefined
  if (architecture !== undefined) return { os: 'linux', architecture }
  throw new MecaError('engine_unavailable', `No images are made for processor ${process.arch}`)
}
