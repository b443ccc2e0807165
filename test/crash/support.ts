/** What the crash tests share: a writer to kill, what it was promised, and the check that the promise was kept. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeWorld, collect, openWorld } from '../store/support.ts'

export const CALLERS = 16

/** Highest number that each caller was told is on disk. */
export type Promised = Map<string, number>

export type Writer = {
  readonly pid: number
  /** Resolves once so many promises were made, or the process ended. */
  promises(count: number): Promise<void>
  kill(signal: NodeJS.Signals): void
  /** Everything it said, once it is gone. */
  ended(): Promise<{ promised: Promised; lines: string[] }>
}

export function startWriter(folder: string, options: { failpoints?: string; unsynced?: boolean } = {}): Writer {
  const fixture = new URL('./writer.fixture.ts', import.meta.url).pathname
  const child = spawn(process.execPath, [fixture, folder, ...(options.unsynced === true ? ['--unsynced'] : [])], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, MECA_FAILPOINTS: options.failpoints ?? '' },
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const closed = once(child, 'close')
  const lines = () =>
    text
      .slice(0, text.lastIndexOf('\n') + 1)
      .split('\n')
      .filter((line) => line !== '')
  return {
    pid: child.pid ?? 0,
    promises: async (count) => {
      while (child.exitCode === null && child.signalCode === null && lines().length < count) {
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
    kill: (signal) => void child.kill(signal),
    ended: async () => {
      await closed
      return { promised: parse(lines()), lines: lines() }
    },
  }
}

function parse(lines: readonly string[]): Promised {
  return new Map(
    lines.flatMap((line) => {
      const [, caller, jobs] = /^([0-9]+) ([0-9]+)$/.exec(line) ?? []
      return caller === undefined ? [] : [[caller, Number(jobs)] as const]
    }),
  )
}

/** Opens the home, which checks the whole journal, and finds at least what was promised and at most one more each. */
export async function assertKept(folder: string, promised: Promised): Promise<number> {
  const world = await openWorld(folder)
  try {
    const rows = new Map(await collect(world.vouchers.entries()))
    for (const [caller, jobs] of promised) {
      const kept = rows.get(caller)?.jobs ?? 0
      assert.ok(kept >= jobs, `caller ${caller} was promised ${jobs}, ${kept} are there`)
      assert.ok(kept <= jobs + 1, `caller ${caller} was promised ${jobs}, yet ${kept} are there`)
    }
    return world.store.sequence
  } finally {
    await closeWorld(world)
  }
}

/** Counts from the command line, for the long runs: `node test/crash/power.ts 500`. */
export async function runFromCommandLine(
  url: string,
  run: (count: number) => Promise<unknown>,
  count: number,
): Promise<void> {
  if (process.argv[1] !== new URL(url).pathname) return
  console.log(JSON.stringify(await run(Number(process.argv[2] ?? count))))
}
