/** A disk that fills up: writing ends with an error that says so, and with room again everything promised is there. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asMecaError } from '../../src/core/errors.ts'
import type { MecaError } from '../../src/core/errors.ts'
import { openHome } from '../../src/store/home.ts'
import { Store } from '../../src/store/store.ts'
import { closeWorld, openWorld, pay } from '../store/support.ts'
import { mountTmpfs, resizeTmpfs, unmount } from './mounts.ts'
import { assertKept, CALLERS } from './support.ts'
import type { Promised } from './support.ts'

export type Full = { promises: number; failure: MecaError; reopened: MecaError | undefined }

/** `sizeMib` decides at which byte the disk is full: within a log, a table, the head. */
export async function fillDisk(sizeMib: number): Promise<Full> {
  const root = await mkdtemp(join(tmpdir(), 'meca-crash-disk-'))
  const point = join(root, 'point')
  try {
    await mountTmpfs(point, `${Math.round(sizeMib * 1024)}k`)
    try {
      const folder = join(point, 'home')
      const { promised, failure } = await payUntilFull(folder)
      const reopened = await tryToOpen(folder)
      await resizeTmpfs(point, '256m')
      await assertKept(folder, promised)
      return { promises: [...promised.values()].reduce((a, b) => a + b, 0), failure, reopened }
    } finally {
      await unmount(point)
    }
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** A disk that others filled to the last byte: the node still starts, and can write down what it then does. */
export async function startOnFullDisk(): Promise<{ ballastBefore: boolean; ballastAfter: boolean }> {
  const root = await mkdtemp(join(tmpdir(), 'meca-crash-disk-'))
  const point = join(root, 'point')
  await mountTmpfs(point, '32m')
  try {
    const folder = join(point, 'home')
    const options = { floorBytes: 0, ballastBytes: 4 * 2 ** 20 }
    await openHome(folder, options).then((home) => home.close())
    const ballastBefore = existsSync(join(folder, 'ballast'))
    await assert.rejects(writeFile(join(point, 'others'), Buffer.alloc(64 * 2 ** 20)), { code: 'ENOSPC' })
    const home = await openHome(folder, options)
    const store = await Store.open(home)
    await store.commit({ journal: [{ kind: 'claim' }] })
    await store.close()
    await home.close()
    return { ballastBefore, ballastAfter: existsSync(join(folder, 'ballast')) }
  } finally {
    await unmount(point)
    await rm(root, { recursive: true, force: true })
  }
}

async function payUntilFull(folder: string): Promise<{ promised: Promised; failure: MecaError }> {
  const world = await openWorld(folder)
  const promised: Promised = new Map()
  const ends = await Promise.allSettled(
    Array.from({ length: CALLERS }, async (_, caller) => {
      for (let jobs = 1; ; jobs++) {
        await pay(world, String(caller), { jobs, hostAmount: BigInt(jobs) })
        promised.set(String(caller), jobs)
      }
    }),
  )
  const failure = asMecaError(ends[0]?.status === 'rejected' ? ends[0].reason : undefined)
  for (const end of ends) assert.equal(end.status === 'rejected' && asMecaError(end.reason).code, 'store_failed')
  await closeWorld(world)
  return { promised, failure }
}

/** On the full disk: either it works or it says that the disk is full; damage would be a lie. */
async function tryToOpen(folder: string): Promise<MecaError | undefined> {
  try {
    await closeWorld(await openWorld(folder))
    return undefined
  } catch (error) {
    return asMecaError(error)
  }
}
