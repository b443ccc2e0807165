/**
 * How a command finds its home's daemon: daemon.json in the home folder, readable by its owner alone, written when the
 * daemon is ready and removed when it ends. The token is new at each start, so a left-over file opens nothing. The
 * file token beside it holds the token alone, for curl.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { Endpoint } from '../http/request.ts'

const zDaemon = z.object({
  url: z.url({ protocol: /^http$/ }),
  token: z.string().min(16).max(200),
  pid: z.number().int().min(1),
})

const DAEMON_FILE = 'daemon.json'
export const TOKEN_FILE = 'token'

/** The daemon that a living process wrote down; undefined where there is none. */
export async function findDaemon(home: string): Promise<Endpoint | undefined> {
  const text = await readFile(join(home, DAEMON_FILE), 'utf8').catch(() => undefined) // none was started here
  if (text === undefined) return undefined
  const parsed = zDaemon.safeParse(parseJson(text))
  // Only a living process is sent the token: another user may have taken the port of a dead one.
  return parsed.success && isAlive(parsed.data.pid) ? { url: parsed.data.url, token: parsed.data.token } : undefined
}

export async function writeDaemon(home: string, { url, token }: Endpoint): Promise<() => Promise<void>> {
  const files: [string, string][] = [
    [DAEMON_FILE, `${JSON.stringify({ url, token, pid: process.pid })}\n`],
    [TOKEN_FILE, token],
  ]
  for (const [name, text] of files) await writeWhole(join(home, name), text)
  return async () => {
    for (const [name] of files) await rm(join(home, name), { force: true })
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' // alive, but another user's
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // half a file is no daemon
  }
}
