/**
 * The home folder: everything that one node keeps on disk, owned by one process at a time. It says where each room's
 * files live, refuses a folder that is not ours or belongs to another market, and watches the free space.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, open, readdir, realpath, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { MecaError } from '../core/errors.ts'
import type { Hex } from '../core/units.ts'
import { failpoint } from '../failpoint.ts'
import { createDurably, hasCode, readIfThere, syncFolder, TEMP_PREFIX } from './files.ts'
import { lockFolder } from './lock.ts'

export type Home = {
  readonly folder: string
  /** 32 hex digits, made once; labels what the node starts elsewhere (containers), so that it can be swept. */
  readonly id: string
  readonly paths: HomePaths
  /** Binds the folder to one market for good. Throws `home_unreadable` where it belongs to another. */
  pin(market: Market): Promise<void>
  freeBytes(): Promise<number>
  /** Throws `disk_full` where less than the floor would be left after writing so much. */
  requireSpace(bytes: number): Promise<void>
  /** Gives the reserve back to the file system, so that a full disk does not keep the records from being opened. */
  dropBallast(): Promise<void>
  /** Puts the reserve back where it was given up and there is room for it again. */
  restoreBallast(): Promise<void>
  close(): Promise<void>
}

export type HomePaths = Readonly<
  Record<
    'database' | 'head' | 'tail' | 'blobs' | 'scratch' | 'blocks' | 'sockets' | 'keys' | 'config' | 'token',
    string
  >
>

export type Market = { chainId: number; channels: Hex }

export type HomeOptions = {
  /** Below so much free space no new work is taken: outputs, images and records all need room to end well. */
  floorBytes?: number
  /** Kept aside as a file, so that a node on a full disk can still be started, to claim and to clean up. */
  ballastBytes?: number
}

const VERSION = 1
const FLOOR_BYTES = 2 ** 30
const BALLAST = 'ballast'
const BALLAST_BYTES = 16 * 2 ** 20
/** Old enough that no other process can be in the middle of writing it. */
const TEMP_AGE_MS = 60_000

const OURS =
  /^(version|id|market\.json|lock\.[0-9]+|ballast|database|head|tail|blobs|blocks|sockets|keys|config\.yml|token|\.tmp-.*)$/

/**
 * Throws `home_in_use` (somebody else owns it), `home_unreadable` (it cannot be used, and why), or `disk_full` where not
 * even giving up the ballast makes room for a lock.
 */
export async function openHome(path: string, options: HomeOptions = {}): Promise<Home> {
  try {
    return await openOwned(path, options)
  } catch (error) {
    if (!(error instanceof MecaError && error.code === 'disk_full')) throw error
    await rm(join(path, BALLAST), { force: true })
    return openOwned(path, options)
  }
}

async function openOwned(path: string, options: HomeOptions): Promise<Home> {
  const folder = await ownFolder(path)
  const lock = await lockFolder(folder).catch((error: unknown) => {
    throw unreadable(folder, error)
  })
  try {
    failpoint('home.locked')
    await checkVersion(folder)
    const id = await readOrMakeId(folder)
    await createDurably(join(folder, 'version'), `${VERSION}\n`)
    const paths = await makeFolders(folder)
    await removeOldTemps(folder)
    const ballast = join(folder, BALLAST)
    const floorBytes = options.floorBytes ?? FLOOR_BYTES
    const restoreBallast = () => keepBallast(ballast, options.ballastBytes ?? BALLAST_BYTES)
    await restoreBallast()
    return {
      folder,
      id,
      paths,
      pin: (market) => pin(folder, market),
      freeBytes: () => freeBytes(folder),
      requireSpace: (bytes) => requireSpace(folder, bytes, floorBytes),
      dropBallast: () => rm(ballast, { force: true }),
      restoreBallast,
      close: () => lock.release(),
    }
  } catch (error) {
    await lock.release()
    throw unreadable(folder, error)
  }
}

/** Made where there is none; its mode is 0700 because it holds keys. */
async function ownFolder(path: string): Promise<string> {
  try {
    const made = await mkdir(path, { recursive: true, mode: 0o700 })
    if (made !== undefined)
      for (const parent of new Set([dirname(made), dirname(resolve(path))])) await syncFolder(parent)
    if (!(await stat(path)).isDirectory()) throw new Error('it is not a folder')
    const folder = await realpath(path)
    await refuseForeign(folder)
    await chmod(folder, 0o700)
    return folder
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** A slip like `--home ~` must not fill somebody's folder with our files. */
async function refuseForeign(folder: string): Promise<void> {
  const names = await readdir(folder)
  const foreign = names.filter((name) => !OURS.test(name))
  if (names.includes('version') || foreign.length === 0) return
  throw new Error(`it is no home folder of this program and holds other files, like ${JSON.stringify(foreign[0])}`)
}

async function checkVersion(folder: string): Promise<void> {
  const text = (await readIfThere(join(folder, 'version')))?.trim()
  if (text === undefined || text === String(VERSION)) return
  const newer = /^[0-9]{1,6}$/.test(text) && Number(text) > VERSION
  throw new MecaError(
    'home_unreadable',
    `The home folder ${folder} has version ${JSON.stringify(text)}, this program knows ${VERSION}`,
    {
      cure: newer ? 'use the newer program that wrote it' : `restore the file version in it from a copy`,
      details: { folder, version: text },
    },
  )
}

async function readOrMakeId(folder: string): Promise<string> {
  const path = join(folder, 'id')
  await createDurably(path, `${randomBytes(16).toString('hex')}\n`)
  const id = (await readIfThere(path))?.trim() ?? ''
  if (!/^[0-9a-f]{32}$/.test(id)) throw new Error(`its file id must hold 32 hex digits, it holds ${JSON.stringify(id)}`)
  return id
}

async function makeFolders(folder: string): Promise<HomePaths> {
  const within = (name: string) => join(folder, name)
  // What was under way when a process was killed is of no use to anybody.
  await rm(within('scratch'), { recursive: true, force: true })
  for (const name of ['blobs', 'scratch', 'blocks', 'sockets', 'keys'])
    await mkdir(within(name), { recursive: true, mode: 0o700 })
  return {
    database: within('database'),
    head: within('head'),
    tail: within('tail'),
    blobs: within('blobs'),
    scratch: within('scratch'),
    blocks: within('blocks'),
    sockets: within('sockets'),
    keys: within('keys'),
    config: within('config.yml'),
    token: within('token'),
  }
}

async function removeOldTemps(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!name.startsWith(TEMP_PREFIX)) continue
    const path = join(folder, name)
    const info = await stat(path).catch(() => undefined) // another process's, and it just removed it itself
    if (info !== undefined && Date.now() - info.mtimeMs > TEMP_AGE_MS) await rm(path, { force: true })
  }
}

async function keepBallast(path: string, bytes: number): Promise<void> {
  const there = await stat(path).catch(() => undefined) // not made yet, or dropped when the disk was full
  if (there?.size === bytes) return
  const { bavail, bsize } = await statfs(join(path, '..'))
  if (bavail * bsize < 4 * bytes) return
  const file = await open(path, 'w', 0o600)
  try {
    // Random, because a compressing file system keeps nothing aside for zeros.
    for (let written = 0; written < bytes; written += 2 ** 20)
      await file.write(randomBytes(Math.min(2 ** 20, bytes - written)))
  } finally {
    await file.close()
  }
}

async function pin(folder: string, { chainId, channels }: Market): Promise<void> {
  const path = join(folder, 'market.json')
  const text = `${JSON.stringify({ chainId, channels })}\n`
  if (await createDurably(path, text)) return
  const pinned = (await readIfThere(path)) ?? ''
  if (pinned === text) return
  throw new MecaError(
    'home_unreadable',
    `The home folder ${folder} belongs to the market ${pinned.trim()}, not to ${text.trim()}`,
    {
      cure: 'name another folder with --home for this market, or set chain.rpc and chain.deployment to the first one',
      details: { folder, pinned: pinned.trim(), asked: text.trim() },
    },
  )
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

async function requireSpace(folder: string, bytes: number, floorBytes: number): Promise<void> {
  const free = await freeBytes(folder)
  if (free - bytes >= floorBytes) return
  throw new MecaError(
    'disk_full',
    `${mib(free)} MiB are free for ${folder}; ${mib(bytes)} more would leave less than ${mib(floorBytes)}`,
    {
      cure: 'free some space, or move the home folder to a larger disk',
      details: { folder, freeBytes: free, floorBytes },
    },
  )
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20)
}

function unreadable(folder: string, error: unknown): MecaError {
  if (error instanceof MecaError) return error
  const full = hasCode(error, 'ENOSPC')
  const why = error instanceof Error ? error.message : String(error)
  return new MecaError(full ? 'disk_full' : 'home_unreadable', `The home folder ${folder} cannot be used: ${why}`, {
    cause: error,
    cure: full
      ? 'free some space on its disk'
      : 'check the path and its permissions, or name another folder with --home',
    details: { folder },
  })
}
