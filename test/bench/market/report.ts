/** The figures as a table for people; the same as one JSON document for programs. */
import type { Cold } from './cold.ts'
import type { Gas } from './gas.ts'
import type { Layer } from './layer.ts'
import type { Load } from './load.ts'

export type Memory = { bareNodeMib: number; hostAtRestMib: number; hostUnderLoadMib: number; ratio: number }
export type Figures = {
  bench: 'market'
  at: string
  machine: { cores: number; model: string; memoryGib: number; node: string; loadAverage: number; syncMs: number }
  load?: Load[]
  cold?: Cold
  layer?: Layer
  gas?: Gas[]
  memory?: Memory
  /** What the other benches print. */
  crypto?: unknown
  store?: unknown
}

type Line = readonly (string | number)[]

export function table(f: Figures): string {
  const { cores, model, memoryGib, node, loadAverage, syncMs } = f.machine
  return [
    `${cores} cores ${model}, ${memoryGib} GiB, Node ${node}, load average ${loadAverage}, a synced write ${syncMs} ms`,
    ...(f.load === undefined ? [] : loadTable(f.load)),
    ...(f.cold === undefined ? [] : coldTable(f.cold)),
    ...(f.layer === undefined ? [] : layerTable(f.layer)),
    ...(f.gas === undefined ? [] : gasTable(f.gas)),
    ...(f.memory === undefined ? [] : memoryTable(f.memory)),
    '',
  ].join('\n')
}

function loadTable(loads: readonly Load[]): string[] {
  const lines = loads.flatMap(({ inFlight, cpu, direct, paid, http }): Line[] => [
    [inFlight, 'direct HTTP, keep-alive', direct.p50Ms, direct.p99Ms, direct.perSecond, '1', '', ''],
    ['', 'paid job', paid.p50Ms, paid.p99Ms, paid.perSecond, `${paid.ratio} (goal 10)`, cpu.clientMs, cpu.hostMs],
    ['', 'paid job by the HTTP API', http.p50Ms, http.p99Ms, http.perSecond, http.ratio, '', ''],
  ])
  const head = [
    'in flight',
    'warm job, 100 bytes',
    'p50 ms',
    'p99 ms',
    'a second',
    'p50 ratio',
    'client CPU ms',
    'host',
  ]
  return ['', ...columns([head, ...lines])]
}

function coldTable({ dockerRunMs, jobMs, ratio, phases }: Cold): string[] {
  const { queuedMs, fetchMs, startMs, runMs, deliverMs } = phases
  return [
    '',
    ...columns([
      ['cold start, image at hand', 'ms', 'ratio'],
      ['docker run on a bridge, to the first reply', dockerRunMs, '1'],
      ['paid job', jobMs, `${ratio} (goal 1)`],
    ]),
    `  of it queued ${queuedMs}, fetching ${fetchMs}, starting ${startMs}, running ${runMs}, delivering ${deliverMs}`,
  ]
}

function layerTable({ layerBytes, imageBytes, fetchedBytes, ratio }: Layer): string[] {
  return [
    '',
    ...columns([
      ['second version, one layer changed', 'bytes', 'ratio'],
      ['package', imageBytes, ''],
      ['changed layer', layerBytes, '1'],
      ['fetched by a host that has the first', fetchedBytes, `${ratio} (goal 1.1)`],
    ]),
  ]
}

function gasTable(gas: readonly Gas[]): string[] {
  const names = Object.keys(gas[0]?.steps ?? {})
  return [
    '',
    ...columns([
      ['gas, jobs on a channel', ...names, 'a job', 'of MECAnywhere'],
      ...gas.map(({ jobs, steps, perJob, ratio }) => [jobs, ...names.map((name) => steps[name] ?? 0), perJob, ratio]),
    ]),
  ]
}

function memoryTable({ bareNodeMib, hostAtRestMib, hostUnderLoadMib, ratio }: Memory): string[] {
  return [
    '',
    ...columns([
      ['resident memory', 'MiB', 'ratio'],
      ['bare Node', bareNodeMib, '1'],
      ['host at rest', hostAtRestMib, ratio],
      ['host under load', hostUnderLoadMib, ''],
    ]),
  ]
}

function columns(lines: readonly Line[]): string[] {
  const widths = (lines[0] ?? []).map((_, i) => Math.max(...lines.map((line) => String(line[i] ?? '').length)))
  return lines.map((line) =>
    line
      .map((cell, i) => pad(cell, widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function pad(cell: string | number, width: number): string {
  return typeof cell === 'number' ? String(cell).padStart(width) : cell.padEnd(width)
}
