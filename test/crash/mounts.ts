/** Small file systems to fill up and to lose: a tmpfs, and ext4 in a file. Root only; everything is unmounted again. */
import { execFile, spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const exec = promisify(execFile)
const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const EXT4_BYTES = 64 * 2 ** 20

/** Where something is mounted now. A signal would leave it mounted, with its loop device, until the next boot. */
const mounted = new Set<string>()

function leaveOnSignal(point: string): void {
  if (mounted.size === 0) for (const signal of SIGNALS) process.once(signal, leaveAll)
  mounted.add(point)
}

function left(point: string): void {
  mounted.delete(point)
  if (mounted.size === 0) for (const signal of SIGNALS) process.removeListener(signal, leaveAll)
}

/** Then the signal does what it does without us. */
function leaveAll(signal: NodeJS.Signals): void {
  for (const one of SIGNALS) process.removeListener(one, leaveAll)
  for (const point of mounted) spawnSync('umount', ['--lazy', point])
  if (process.listenerCount(signal) === 0) process.kill(process.pid, signal)
}

/** Why mounts cannot be used here, for a test's `skip`; false where they can. */
export async function noMounts(): Promise<string | false> {
  if (process.getuid?.() !== 0) return 'mounting needs root'
  const folder = await mkdtemp(join(tmpdir(), 'meca-mount-try-'))
  try {
    await withExt4(folder, () => Promise.resolve())
    return false
  } catch (error) {
    return `an ext4 file system in a file cannot be mounted here: ${error instanceof Error ? error.message.trim() : String(error)}`
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export async function mountTmpfs(point: string, size: string): Promise<void> {
  await mkdir(point, { recursive: true })
  await exec('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'meca-test', point])
  leaveOnSignal(point)
}

export async function resizeTmpfs(point: string, size: string): Promise<void> {
  await exec('mount', ['-o', `remount,size=${size}`, point])
}

export async function unmount(point: string): Promise<void> {
  await exec('umount', [point])
  left(point)
}

/** Where something may still have a file open; it goes with the last of them. */
export async function unmountAtLast(point: string): Promise<void> {
  await exec('umount', ['--lazy', point])
  left(point)
}

export async function makeExt4(image: string, bytes = EXT4_BYTES): Promise<void> {
  await writeFile(image, '')
  await truncate(image, bytes)
  await exec('mkfs.ext4', ['-q', '-F', image])
}

export async function mountImage(image: string, point: string): Promise<void> {
  await mkdir(point, { recursive: true })
  await exec('mount', ['-o', 'loop', image, point])
  leaveOnSignal(point)
}

/** As the machine does at the next boot: replays ext4's own journal. Exit 1 says that it mended something. */
export async function checkImage(image: string): Promise<void> {
  await exec('e2fsck', ['-f', '-y', image]).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 1)) throw error
  })
}

/** What is on the disk at this moment; holes stay holes. */
export async function copyImage(image: string, to: string): Promise<void> {
  await exec('cp', ['--sparse=always', image, to])
}

async function withExt4(folder: string, use: () => Promise<void>): Promise<void> {
  const [image, point] = [join(folder, 'image'), join(folder, 'point')]
  await makeExt4(image)
  await mountImage(image, point)
  try {
    await use()
  } finally {
    await unmount(point)
  }
}
