/**
 * Where the mounts of a files plan live, purely decided. What is staged into a folder of unknown size lies on the host's
 * disk, written by us and bounded by the job's own caps. What the task writes lies in memory that has a size: Docker's
 * disk volumes have none. A mount that is both gets the two laid over each other, so that a large input costs no memory
 * and a task that writes into its inputs fills its own room and not the host's disk.
 */
import { MAX_BUNDLE_ENTRIES, MAX_PATH_BYTES } from '../core/bundle.ts'
import { MecaError } from '../core/errors.ts'
import type { FilesExchange, Mount, Staged } from '../core/plan.ts'
import { quote } from '../core/units.ts'
import type { TaskMount } from './options.ts'

/** `layered`: staged content on disk below, what the task writes in memory above. */
export type Place = {
  readonly kind: 'disk' | 'memory' | 'layered'
  readonly path: string
  readonly writable: boolean
  /** Room for what the task writes; nothing for `disk`. */
  readonly sizeBytes: number
  /** Names of volumes; only those that the kind has. */
  readonly disk: string
  readonly memory: string
  readonly joined: string
  /** Where the holder has the staged content, and for `layered` the upper layer. */
  readonly holdsAt: string
  readonly upperAt: string
}

/** A volume's root, a page for each small text, and rounding. */
const PAGE_BYTES = 4096
/** Entries in memory: somewhat more than are collected, so that a flood of empty files ends inside the task. */
export const MAX_INODES = MAX_BUNDLE_ENTRIES + 16_384
/** A tmpfs of no size would be one without a limit. */
const MIN_SIZE_BYTES = 16 * PAGE_BYTES
/** Each costs up to three volumes. */
const MAX_MOUNTS = 64
/** The engine's own, or the whole image. */
const RESERVED = ['/proc', '/sys', '/dev']

/** `prefix` makes the volumes' names. Throws `invalid_task` for a mount that cannot be given. */
export function placesOf(exchange: FilesExchange, prefix: string): Place[] {
  const { mounts, stage } = exchange
  if (mounts.length > MAX_MOUNTS) throw refuse(`${mounts.length} mounts; at most ${MAX_MOUNTS} are given`)
  for (const { path } of mounts) requireMountable(path)
  if (new Set(mounts.map((mount) => mount.path)).size < mounts.length) throw refuse('one mount twice')
  return mounts.map((mount, index) =>
    place(
      mount,
      index,
      stage.filter((s) => mountOf(mounts, s.path) === mount),
      prefix,
    ),
  )
}

function place(mount: Mount, index: number, staged: readonly Staged[], prefix: string): Place {
  const known = staged.every((entry) => entry.kind === 'text' || !('from' in entry))
  const kind = !mount.writable ? 'disk' : known ? 'memory' : 'layered'
  const texts = staged.reduce((sum, s) => sum + PAGE_BYTES * 2 + (s.kind === 'text' ? Buffer.byteLength(s.text) : 0), 0)
  return {
    kind,
    path: mount.path,
    writable: mount.writable,
    sizeBytes: MIN_SIZE_BYTES + mount.sizeBytes + (kind === 'memory' ? texts : 0),
    disk: `${prefix}-${index}-disk`,
    memory: `${prefix}-${index}-memory`,
    joined: `${prefix}-${index}-joined`,
    holdsAt: `/m${index}`,
    upperAt: `/w${index}`,
  }
}

/** The mount that a path lies in or is; the innermost where they nest. */
export function mountOf<M extends { path: string }>(mounts: readonly M[], path: string): M | undefined {
  const fitting = mounts.filter((mount) => path === mount.path || path.startsWith(`${mount.path}/`))
  return fitting.toSorted((a, b) => b.path.length - a.path.length)[0]
}

/** The volume that the task sees. */
export function taskMount(place: Place): TaskMount {
  return { path: place.path, volume: readVolume(place), writable: place.writable }
}

/** The volume that has everything once the task has ended. */
export function readVolume(place: Place): string {
  if (place.kind === 'layered') return place.joined
  return place.kind === 'disk' ? place.disk : place.memory
}

/** Absolute, in its shortest form, of names that one can print. */
export function isPlainPath(path: string): boolean {
  return (
    path.startsWith('/') &&
    Buffer.byteLength(path) <= MAX_PATH_BYTES &&
    !/[\p{Cc}\uFFFD]/u.test(path) &&
    path
      .slice(1)
      .split('/')
      .every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  )
}

function requireMountable(path: string): void {
  const reserved = RESERVED.some((folder) => path === folder || path.startsWith(`${folder}/`))
  // The engine's own syntax for mounts reads a colon and a comma.
  if (!isPlainPath(path) || reserved || /[:,]/.test(path)) throw refuse(`a mount at ${quote(path)}`)
}

function refuse(what: string): MecaError {
  return new MecaError('invalid_task', `The plan asks for ${what}, which cannot be given`, {
    cure: 'Folders of a task are absolute paths outside /proc, /sys and /dev.',
  })
}
