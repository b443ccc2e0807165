/** Resident memory of a process, beside a Node that does nothing. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { round } from './figures.ts'

export async function residentMib(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? NaN) / 1024, 1)
}

export async function bareNodeMib(): Promise<number> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  await sleep(500)
  const mib = await residentMib(child.pid ?? 0)
  child.kill()
  return mib
}

/** The most that was seen until the returned function is called. */
export function watchPeak(pid: number): () => Promise<number> {
  let peak = 0
  const ending = new AbortController()
  const watching = (async () => {
    while (!ending.signal.aborted) {
      // A process that is gone says so to somebody who asks it something.
      peak = Math.max(peak, await residentMib(pid).catch(() => 0))
      await sleep(100)
    }
  })()
  return async () => {
    ending.abort()
    await watching
    return peak
  }
}
