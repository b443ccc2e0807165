/** Text for people: tables, lists of facts, times and sizes. A stranger's words are made harmless on the way. */
import { printable } from '../core/text.ts'

const GAP = '  '

/** Columns as wide as their widest cell; the last one is not padded. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => printable(cell).replaceAll('\n', ' ')))
  const widths = head.map((_, i) => Math.max(...cells.map((row) => (row[i] ?? '').length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join(GAP)
      .trimEnd()
  return cells.map(line).join('\n')
}

/** `name  value` for each; a value over several lines stays under its name. Undefined values are left out. */
export function facts(entries: readonly (readonly [string, string | undefined])[]): string {
  const told = entries.filter((entry): entry is readonly [string, string] => entry[1] !== undefined && entry[1] !== '')
  const width = Math.max(0, ...told.map(([name]) => name.length))
  const pad = `\n${' '.repeat(width)}${GAP}`
  return told.map(([name, value]) => `${name.padEnd(width)}${GAP}${printable(value).replaceAll('\n', pad)}`).join('\n')
}

export function ago(ms: number | null): string {
  return ms === null ? 'not heard' : `${duration(ms)} ago`
}

export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`
  return `${(ms / 3_600_000).toFixed(1)} h`
}

export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let unit = 0
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`
}

export function date(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString().replace('T', ' ').slice(0, 19)
}

export function resources({
  cpuMillis,
  memoryBytes,
  gpus,
}: {
  cpuMillis: number
  memoryBytes: number
  gpus: number
}): string {
  return `${cpuMillis / 1000} CPU, ${size(memoryBytes)}${gpus === 0 ? '' : `, ${gpus} GPU`}`
}
