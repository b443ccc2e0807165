/**
 * What a market on this machine leaves in it, and how that goes: containers of members that were killed, and everything
 * of a market whose own process was killed. A market's folder says which processes belong to it.
 */
import { lstat, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { z } from 'zod'
import { inheritedEnvironment, loadConfig } from '../config.ts'
import { DockerEngine } from '../engine/docker.ts'
import { engineOptions } from './engine.ts'

export const FOLDER_PREFIX = 'meca-devnet-'
const RECORD = 'devnet.json'
const BASE = 'meca-base/node'
/** An engine that does not answer must not keep a market from ending. */
const SWEEP_MS = 10_000

const zRecord = z.object({ pid: z.number().int().min(2), anvil: z.number().int().min(2).optional() })

export async function writeRecord(folder: string, record: z.infer<typeof zRecord>): Promise<void> {
  await writeFile(join(folder, RECORD), JSON.stringify(record), { mode: 0o600 })
}

/** Removes what killed markets of this user left: chain, containers, folder. Living markets are not touched. */
export async function removeStale(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const folder = join(tmpdir(), name)
    if (!name.startsWith(FOLDER_PREFIX) || !(await isOwn(folder))) continue
    const record = await readRecord(folder)
    if (record === undefined || isAlive(record.pid)) continue
    await removeMarket(folder, record).catch((error: NodeJS.ErrnoException) => {
      // It must not keep a new market from starting; the next one tries again.
      if (!LEFT_ALONE.has(error.code ?? '')) throw error
    })
  }
}

/** Something of it is mounted or in use, which is its owner's to end; or another market that starts removes it just now. */
const LEFT_ALONE: ReadonlySet<string> = new Set(['EBUSY', 'ENOENT', 'ENOTEMPTY', 'ESRCH'])

/** The record goes last: without it nobody would know later whose the rest was. */
async function removeMarket(folder: string, { anvil }: z.infer<typeof zRecord>): Promise<void> {
  if (anvil !== undefined && (await isAnvil(anvil))) process.kill(anvil, 'SIGKILL')
  for (const member of (await readdir(folder)).filter((name) => name !== RECORD)) {
    await sweepHome(join(folder, member))
    await rm(join(folder, member), { recursive: true, force: true })
  }
  await rm(folder, { recursive: true, force: true })
}

/** Removes the containers of a home whose process is gone. Without an engine there are none. */
export async function sweepHome(home: string): Promise<void> {
  const owner = await readFile(join(home, 'id'), 'utf8').catch(() => '') // it ended before it had one, or is no home
  if (owner.trim() !== '') await withEngine(home, owner.trim(), (engine, signal) => engine.sweep(signal))
}

/** The name of the base image for the example, where this machine has it. */
export async function baseAtHand(home: string): Promise<string | undefined> {
  const has = await withEngine(home, 'devnet', (engine, signal) => engine.has(`${BASE}:latest`, signal))
  return has === true ? BASE : undefined
}

/** Undefined where the engine cannot do it: what is looked for is not there, then, or not to be reached. */
async function withEngine<T>(
  home: string,
  owner: string,
  work: (engine: DockerEngine, signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const { config } = loadConfig({ flags: { home }, env: inheritedEnvironment(), cwd: home })
  const engine = new DockerEngine({ ...engineOptions(config), owner, sidecars: 0 })
  try {
    return await work(engine, AbortSignal.timeout(SWEEP_MS))
  } catch {
    return undefined
  } finally {
    await engine.close()
  }
}

/** Another user's folder may name any process it likes. */
async function isOwn(folder: string): Promise<boolean> {
  const info = await lstat(folder).catch(() => undefined) // gone meanwhile
  return info?.isDirectory() === true && info.uid === process.getuid?.()
}

async function readRecord(folder: string): Promise<z.infer<typeof zRecord> | undefined> {
  try {
    return zRecord.parse(JSON.parse(await readFile(join(folder, RECORD), 'utf8')))
  } catch {
    return undefined // being made at this moment, or none of ours
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** The number may be another program's by now. */
async function isAnvil(pid: number): Promise<boolean> {
  const words = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '') // it ended, too
  const [program = '', ...rest] = words.split('\0')
  return basename(program) === 'anvil' && rest.includes('--mnemonic')
}
