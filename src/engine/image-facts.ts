/**
 * What an image's own configuration may say here, as an allow-list: its command, its environment, its folder, its
 * user, and which folders it wants as volumes. Everything else in it (health checks that run the author's code every
 * second, ports by the thousand, stop signals, build triggers) is left behind or overridden by `options.ts`.
 */
import { MecaError } from '../core/errors.ts'
import { quote } from '../core/units.ts'

/** The part of an image's configuration that reaches a container. */
export type ImageFacts = { user: string; env: readonly string[]; volumes: readonly string[] }

/** Ceilings on what an image may carry: real images have under 50 variables and a handful of volumes. */
const MAX_ENV_COUNT = 512
const MAX_ENV_BYTES = 64 * 1024
const MAX_VOLUMES = 16

/** Folders whose contents the engine or we provide; an image that mounts over them breaks its own sandbox. */
const RESERVED = ['/', '/proc', '/sys', '/dev', '/etc', '/tmp']

type RawConfig = {
  User?: string | null
  Env?: readonly string[] | null
  Volumes?: Readonly<Record<string, unknown>> | null
}

/** Throws `invalid_task` with the number that was over its cap. */
export function imageFacts(config: RawConfig | null | undefined): ImageFacts {
  const env = config?.Env ?? []
  const volumes = Object.keys(config?.Volumes ?? {}).map(cleanPath)
  const envBytes = env.reduce((sum, line) => sum + Buffer.byteLength(line), 0)
  if (env.length > MAX_ENV_COUNT || envBytes > MAX_ENV_BYTES) {
    throw refuse(
      `has ${env.length} variables of ${envBytes} bytes; at most ${MAX_ENV_COUNT} and ${MAX_ENV_BYTES} are taken`,
    )
  }
  if (volumes.length > MAX_VOLUMES) throw refuse(`declares ${volumes.length} volumes; at most ${MAX_VOLUMES} are taken`)
  return { user: config?.User ?? '', env, volumes }
}

function cleanPath(path: string): string {
  const clean = path.replace(/\/+$/, '') || '/'
  const reserved = RESERVED.some((r) => clean === r || (r !== '/' && r !== '/tmp' && clean.startsWith(`${r}/`)))
  if (!/^\/[A-Za-z0-9._/-]{1,255}$/.test(clean) || clean.split('/').includes('..') || reserved) {
    throw refuse(`declares a volume at ${quote(path)}, which cannot be given`)
  }
  return clean
}

function refuse(why: string): MecaError {
  return new MecaError('invalid_task', `The image ${why}`, {
    cure: 'Change the Dockerfile and publish the task again.',
  })
}
