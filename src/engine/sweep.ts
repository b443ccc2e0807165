/**
 * Leaving nothing behind: labels that say whose a container is, and the removal of what a killed process left. Only
 * our own owner's things of other sessions are touched, so a sweep is safe beside other nodes and beside ourselves.
 */
import { createHash } from 'node:crypto'
import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type Docker from 'dockerode'
import { MecaError } from '../core/errors.ts'
import { call, isGone, statusOf } from './client.ts'
import { removeVolumeLater } from './remove-later.ts'

/** A volume is in use for a moment longer than the container that had it. */
const REMOVE_TRIES = 20
const REMOVE_PAUSE_MS = 100

/** `session` changes with every process, `owner` never. The process id is for people who look. */
const LABELS = { owner: 'meca.owner', session: 'meca.session', process: 'meca.pid' } as const

export function ownLabels(owner: string, session: string): Record<string, string> {
  return { [LABELS.owner]: owner, [LABELS.session]: session, [LABELS.process]: String(process.pid) }
}

/** Short and without the owner's own characters: it becomes part of a socket's path. */
export function folderPrefix(owner: string): string {
  return `meca-${createHash('sha256').update(owner).digest('hex').slice(0, 8)}-`
}

export async function sweepContainers(
  docker: Docker,
  owner: string,
  session: string,
  signal: AbortSignal,
): Promise<number> {
  const filters = { label: [`${LABELS.owner}=${owner}`] }
  const all = await call(
    'list containers',
    (abortSignal) => docker.listContainers({ all: true, filters, abortSignal }),
    signal,
  )
  const stale = all.filter((container) => container.Labels[LABELS.session] !== session)
  await Promise.all(stale.map((container) => remove(docker, container.Id, signal)))
  return stale.length
}

async function remove(docker: Docker, id: string, signal: AbortSignal): Promise<void> {
  await call(
    'remove a container',
    (abortSignal) =>
      docker
        .getContainer(id)
        .remove({ force: true, v: true, abortSignal })
        .catch((error: unknown) => {
          if (statusOf(error) !== 404 && statusOf(error) !== 409) throw error
        }),
    signal,
  )
}

/** After the containers: a volume that is mounted stays. */
export async function sweepVolumes(
  docker: Docker,
  owner: string,
  session: string,
  signal: AbortSignal,
): Promise<number> {
  const filters = { label: [`${LABELS.owner}=${owner}`] }
  const { Volumes } = await call('list volumes', (abortSignal) => docker.listVolumes({ filters, abortSignal }), signal)
  const stale = (Volumes ?? []).filter((volume) => volume.Labels?.[LABELS.session] !== session)
  for (const { Name } of stale) await removeVolume(docker, Name)
  return stale.length
}

/** Absent is what we want; an engine that is gone is asked again until it is back. */
export async function removeVolume(docker: Docker, name: string): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await call('remove a volume', async (abortSignal) => {
        await docker.getVolume(name).remove({ force: true, abortSignal })
      })
    } catch (error) {
      const cause = error instanceof MecaError ? error.cause : error
      if (statusOf(cause) === 404) return
      if (isGone(cause)) return removeVolumeLater(docker.getVolume(name))
      if (statusOf(cause) !== 409 || tries >= REMOVE_TRIES) throw error
    }
    await sleep(REMOVE_PAUSE_MS)
  }
}

/** Folders that another user made under our prefix are not ours to remove. */
export async function sweepFolders(parent: string, prefix: string, keep: string | undefined): Promise<number> {
  let removed = 0
  for (const name of await readdir(parent)) {
    const path = join(parent, name)
    if (!name.startsWith(prefix) || path === keep) continue
    const found = await lstat(path)
    if (!found.isDirectory() || found.uid !== process.getuid?.()) continue
    await rm(path, { recursive: true, force: true })
    removed += 1
  }
  return removed
}
