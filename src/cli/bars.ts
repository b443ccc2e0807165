/**
 * One line on the terminal for each thing under way, drawn over itself: a bar with bytes and rate where bytes are
 * counted, a word with its time elsewhere. What is finished, and what the task prints, scrolls up above it.
 */
import { printable } from '../core/text.ts'
import type { OnProgress } from '../role/api-common.ts'
import { bytesOf, isBlank, lineOf } from './progress.ts'
import type { Meter } from './progress.ts'
import { duration, size } from './render.ts'
import type { Terminal } from './world.ts'

const FRAME_MS = 100
const BAR_CELLS = 24
/** More lines than this are told by their number: a screen is not a log. */
const MAX_LINES = 12

type Line = { since: number; text?: string; isTransfer?: boolean; doneBytes: number; totalBytes: number }

export function makeBars(stderr: Terminal['stderr'], now: () => number = () => performance.now()): Meter {
  const lines = new Map<string, Line>()
  let drawn = 0
  const erase = () => (drawn === 0 ? '' : `\x1b[${drawn}A\x1b[J`)
  const draw = () => {
    const shown = [...lines].slice(-MAX_LINES).map(([name, line]) => clip(textOf(name, line, now()), stderr.columns))
    stderr.write(`${erase()}${shown.map((text) => `${text}\n`).join('')}`)
    drawn = shown.length
  }
  const above = (text: string) => {
    stderr.write(`${erase()}${text}\n`)
    drawn = 0
    draw()
  }
  const timer = setInterval(draw, FRAME_MS)
  const onProgress: OnProgress = (progress) => {
    if (progress.kind === 'log') return isBlank(progress) ? undefined : above(lineOf(progress))
    const name = progress.kind === 'phase' ? progress.phase : progress.step
    const line = lines.get(name) ?? { since: now(), doneBytes: 0, totalBytes: 0 }
    if (progress.kind === 'step') line.text = progress.detail ?? ''
    else Object.assign(line, { doneBytes: progress.doneBytes ?? 0, totalBytes: progress.totalBytes ?? 0 })
    if (progress.kind === 'bytes') line.isTransfer = true
    if (progress.kind === 'phase') endPhase(lines)
    lines.set(name, line)
  }
  return {
    onProgress,
    end() {
      clearInterval(timer)
      stderr.write(erase())
      drawn = 0
    },
  }
}

/** A phase ends those before it; bytes that still go over, as an input's while its job is queued, are none. */
function endPhase(lines: Map<string, Line>): void {
  for (const [name, { isTransfer, doneBytes, totalBytes }] of lines) {
    if (isTransfer !== true || doneBytes >= totalBytes) lines.delete(name)
  }
}

function textOf(name: string, { since, text, doneBytes, totalBytes }: Line, now: number): string {
  const spent = now - since
  if (totalBytes === 0) return printable(`${name} ${text ?? ''} ${duration(spent)}`.replace(/\s+/g, ' '))
  const full = Math.min(BAR_CELLS, Math.round((BAR_CELLS * doneBytes) / totalBytes))
  const rate = `${size(Math.round((doneBytes / Math.max(1, spent)) * 1000))}/s`
  return printable(
    `${name} [${'='.repeat(full)}${' '.repeat(BAR_CELLS - full)}] ${bytesOf(doneBytes, totalBytes)} ${rate}`,
  )
}

/** A line that wraps would break the drawing over itself. */
function clip(text: string, columns = 80): string {
  return text.length < columns ? text : `${text.slice(0, columns - 2)}…`
}
