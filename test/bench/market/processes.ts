/** What Linux knows of a process: its resident memory, beside a Node that does nothing, and its time of the processor. */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { round } from './figures.ts'

export async function residentMib(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8')
  return round(Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? NaN) / 1024, 1)
}

/** Linux counts in hundredths of a second. */
const TICK_MS = 10

export async function cpuMs(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The name of the program stands in parentheses and may hold spaces; user and system time are the 14th and 15th word.
  const words = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(words[11]) + Number(words[12])) * TICK_MS
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
