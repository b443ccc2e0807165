/**
 * One process owns a home folder. The lock is a file `lock.<n>`; the highest number counts and numbers only grow.
 * A stale lock is taken over by making the next number, which the file system lets exactly one process do, so that
 * two that find the same stale lock cannot both win. A lock is stale when its process is gone, when the process of
 * that number started at another time, or when the machine was booted since.
 *
 * A process in another pid namespace (a second container on the same volume) cannot be seen here; LevelDB's own lock
 * in the same folder, which the kernel holds, catches that. It alone would not do: a failed second open in one
 * process drops it, hence the list of folders that this process holds.
 */
import { link, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { MecaError } from '../core/errors.ts'
import { hasCode, readIfThere, tempBeside } from './files.ts'

export type Lock = { release(): Promise<void> }

/** Who holds a lock. `startTicks` is the start of the process as the kernel counts it; empty where it does not say. */
type Holder = { pid: number; startTicks: string; bootId: string; since: string }

const heldHere = new Set<string>()

/** Throws `home_in_use`. `folder` must be a real path, so that one folder has one name. */
export async function lockFolder(folder: string): Promise<Lock> {
  if (heldHere.has(folder)) throw inUse(folder, `this process (${process.pid})`)
  heldHere.add(folder)
  try {
    const path = await acquire(folder)
    return {
      release: async () => {
        // Emptied, not removed: a process that read the folder before must still lose against the number.
        await truncate(path).catch((error: unknown) => {
          // Somebody removed the whole folder meanwhile; then there is nothing to give back.
          if (!hasCode(error, 'ENOENT')) throw error
        })
        heldHere.delete(folder)
      },
    }
  } catch (error) {
    heldHere.delete(folder)
    throw error
  }
}

async function acquire(folder: string): Promise<string> {
  for (;;) {
    const newest = (await numbers(folder)).at(-1) ?? 0
    await refuseIfAlive(folder, newest)
    const path = lockPath(folder, newest + 1)
    if (!(await create(path))) continue
    const all = await numbers(folder)
    if (all.at(-1) === newest + 1) {
      for (const old of all.slice(0, -1)) await rm(lockPath(folder, old), { force: true })
      return path
    }
    // Somebody took several numbers since we looked; ours is below theirs and counts for nothing.
    await rm(path, { force: true })
  }
}

async function refuseIfAlive(folder: string, number: number): Promise<void> {
  const holder = parse((await readIfThere(lockPath(folder, number), 4096)) ?? '')
  if (holder === undefined || !(await isAlive(holder))) return
  throw inUse(folder, `process ${holder.pid}, since ${holder.since}`, holder.pid)
}

/** Written beside and linked, so that nobody reads a half-written lock. */
async function create(path: string): Promise<boolean> {
  const temp = tempBeside(path)
  await writeFile(temp, JSON.stringify(await self()), { mode: 0o600, flag: 'wx' })
  try {
    await link(temp, path)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(temp)
  }
}

async function numbers(folder: string): Promise<number[]> {
  const names = await readdir(folder)
  return names
    .flatMap((name) => /^lock\.([0-9]{1,15})$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b)
}

function lockPath(folder: string, number: number): string {
  return join(folder, `lock.${number}`)
}

async function self(): Promise<Holder> {
  const { pid } = process
  const { startTicks } = await processFacts(pid)
  return { pid, startTicks, bootId: await bootId(), since: new Date().toISOString() }
}

/** Undefined for an emptied (released) lock, and for one that a power cut left without its bytes. */
function parse(text: string): Holder | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isHolder(value) ? value : undefined
  } catch {
    return undefined
  }
}

function isHolder(value: unknown): value is Holder {
  if (typeof value !== 'object' || value === null) return false
  return (
    'pid' in value && typeof value.pid === 'number' && 'startTicks' in value && 'bootId' in value && 'since' in value
  )
}

async function isAlive(holder: Holder): Promise<boolean> {
  if (holder.bootId !== (await bootId())) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: there is such a process, of another user.
    if (!hasCode(error, 'EPERM')) return false
  }
  const now = await processFacts(holder.pid)
  return now.state !== 'Z' && now.startTicks === holder.startTicks
}

/**
 * Fields 3 and 22 of /proc/PID/stat, counted after the command name, which may hold spaces; empty where there is no
 * /proc. State Z is a process that ended and whose parent did not ask yet.
 */
async function processFacts(pid: number): Promise<{ state: string; startTicks: string }> {
  const stat = await procFile(`/proc/${pid}/stat`)
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', startTicks: fields[19] ?? '' }
}

async function bootId(): Promise<string> {
  return (await procFile('/proc/sys/kernel/random/boot_id')).trim()
}

async function procFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    // Not Linux, or the process just ended; the pid alone decides then.
    return ''
  }
}

function inUse(folder: string, who: string, pid = process.pid): MecaError {
  return new MecaError('home_in_use', `The home folder ${folder} is in use by ${who}`, {
    cure: `stop that process, or name another folder with --home`,
    details: { folder, pid },
  })
}
