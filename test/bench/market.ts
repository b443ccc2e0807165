/**
 * `npm run bench`: what a job costs beside the same work without a market, in one run on one machine. Prints a table of
 * ratios and writes `bench/out/market.json`; `--json` prints that document instead. `--quick` takes fewer rounds, and
 * `--only=load,cold,layer,gas,memory,others` some of the parts. Exits with an error only where something is broken: a
 * shared machine can be slow.
 */
import { execFile } from 'node:child_process'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { cpus, loadavg, tmpdir, totalmem } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify, parseArgs } from 'node:util'
import { makeCloser } from '../../src/wiring/base.ts'
import { dockerMissing } from '../support/images.ts'
import { measureCold } from './market/cold.ts'
import { startDirect, sweepDirect } from './market/containers.ts'
import { median, round } from './market/figures.ts'
import { measureGas } from './market/gas.ts'
import { measureLayer } from './market/layer.ts'
import { measureLoad } from './market/load.ts'
import { bareNodeMib, watchPeak } from './market/processes.ts'
import { table } from './market/report.ts'
import type { Figures } from './market/report.ts'
import { openStage } from './market/stage.ts'

const OUT = resolve(import.meta.dirname, '../../bench/out')
const PARTS = 'load,cold,layer,memory,gas,others'
const { values: flags } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: PARTS },
  },
})
const wanted = new Set(flags.only.split(','))
const SIZE = flags.quick
  ? { rounds: 3, roundMs: 1_000, warmUpMs: 1_000, coldRounds: 3 }
  : { rounds: 7, roundMs: 2_000, warmUpMs: 3_000, coldRounds: 9 }

const ending = new AbortController()
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => ending.abort())

const missing = await dockerMissing()
if (missing !== false) {
  process.stderr.write(`Nothing is measured: ${missing}\n`)
} else {
  const figures = await measure(ending.signal)
  await mkdir(OUT, { recursive: true })
  await writeFile(join(OUT, 'market.json'), `${JSON.stringify(figures, null, 2)}\n`)
  process.stdout.write(flags.json ? `${JSON.stringify(figures, null, 2)}\n` : table(figures))
}
process.exit()

async function measure(signal: AbortSignal): Promise<Figures> {
  const figures: Figures = { bench: 'market', at: new Date().toISOString(), machine: machine() }
  if (['load', 'cold', 'layer', 'memory'].some((part) => wanted.has(part))) await onStage(figures, signal)
  if (wanted.has('gas')) {
    say('gas')
    const closer = makeCloser()
    try {
      figures.gas = await measureGas(closer, signal)
    } finally {
      await closer.close()
    }
  }
  if (wanted.has('others')) {
    figures.crypto = await other('crypto.ts')
    figures.store = await other('store.ts')
  }
  return figures
}

async function onStage(figures: Figures, signal: AbortSignal): Promise<void> {
  const closer = makeCloser()
  try {
    say('opening a market')
    const stage = await openStage(closer, signal)
    const peak = watchPeak(stage.hostPid)
    const image = await stage.imageOf(stage.task)
    closer.add(() => sweepDirect(stage.docker))
    if (wanted.has('load')) {
      say('warm jobs')
      const { url } = await startDirect(stage.docker, image)
      figures.load = await measureLoad(stage, url, SIZE, signal)
      await sweepDirect(stage.docker)
    }
    const bare = await bareNodeMib()
    figures.memory = {
      bareNodeMib: bare,
      hostAtRestMib: stage.hostAtRestMib,
      hostUnderLoadMib: await peak(),
      ratio: round(stage.hostAtRestMib / bare),
    }
    if (wanted.has('cold')) {
      say('cold starts')
      figures.cold = await measureCold(stage, image, SIZE.coldRounds, signal)
    }
    if (wanted.has('layer')) {
      say('a changed layer')
      figures.layer = await measureLayer(stage, signal)
    }
  } finally {
    await closer.close()
  }
}

async function other(file: string): Promise<unknown> {
  say(file)
  // Its exit code says whether its goal was met, which the figures say as well.
  const done = promisify(execFile)(process.execPath, [join(import.meta.dirname, file)])
  const { stdout } = await done.catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }))
  return JSON.parse(stdout) as unknown
}

function machine(): Figures['machine'] {
  const [first] = cpus()
  return {
    cores: cpus().length,
    model: first?.model ?? '?',
    memoryGib: round(totalmem() / 2 ** 30, 1),
    node: process.version,
    loadAverage: round(loadavg()[0] ?? 0, 1),
    syncMs: round(median(syncsMs()), 2),
  }
}

/** What a promise of this disk costs, where the homes will be: a job waits for three of them. */
function syncsMs(): number[] {
  const folder = mkdtempSync(join(tmpdir(), 'meca-bench-sync-'))
  const file = openSync(join(folder, 'file'), 'w')
  try {
    return Array.from({ length: 100 }, () => {
      const began = performance.now()
      writeSync(file, Buffer.alloc(400))
      fdatasyncSync(file)
      return performance.now() - began
    })
  } finally {
    closeSync(file)
    rmSync(folder, { recursive: true })
  }
}

function say(what: string): void {
  process.stderr.write(`… ${what}\n`)
}
